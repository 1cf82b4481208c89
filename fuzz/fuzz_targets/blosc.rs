//! Blosc chunks: whatever the bytes, a chunk is refused or has its length, and what is encoded comes back.
#![no_main]

#[path = "../properties/blosc.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::check(data));
