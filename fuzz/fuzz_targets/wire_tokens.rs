//! A stream of tokens from the wire: refused, or read, written and read again the same.
#![no_main]

#[path = "../properties/wire_tokens.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::check(data));
