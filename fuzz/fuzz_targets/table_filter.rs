//! Filters of tables: whatever the text, it is refused with a place, or it can be applied.
#![no_main]

#[path = "../properties/table_filter.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::check(data));
