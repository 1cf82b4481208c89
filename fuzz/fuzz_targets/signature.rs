//! librsync's signatures: whatever the bytes, a search for their blocks tells the whole file.
#![no_main]

#[path = "../properties/signature.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::check(data));
