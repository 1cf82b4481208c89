//! TIFF stacks: whatever the bytes, a file is refused or its pages are bounded.
#![no_main]

#[path = "../properties/tiff_stack.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::check(data));
