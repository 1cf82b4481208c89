//! librsync's deltas: whatever the bytes, they are refused or rebuild what they say.
#![no_main]

#[path = "../properties/delta_file.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::check(data));
