//! Spilled records: whatever the bytes, a record is refused or its payload is bounded.
#![no_main]

#[path = "../properties/spill_record.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::check(data));
