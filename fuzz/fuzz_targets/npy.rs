//! NumPy files: whatever the bytes, a file is refused or gives what is in it.
#![no_main]

#[path = "../properties/npy.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::check(data));
