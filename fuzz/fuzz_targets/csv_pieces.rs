//! CSV in pieces: wherever the text is cut, the same rows and the same malformed lines come out.
#![no_main]

#[path = "../properties/csv_pieces.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::check(data));
