//! Filter rules: whatever the rules and the name, matching is quick and decides as the reference does.
#![no_main]

#[path = "../properties/filter.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::check(data));
