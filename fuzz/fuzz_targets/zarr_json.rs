//! `zarr.json`: whatever the text, it is refused, or what is written in its place says the same.
#![no_main]

#[path = "../properties/zarr_json.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::check(data));
