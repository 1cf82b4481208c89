//! A file list from the wire: refused, or paths that stay in the tree, which are written and read again.
#![no_main]

#[path = "../properties/wire_list.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::check(data));
