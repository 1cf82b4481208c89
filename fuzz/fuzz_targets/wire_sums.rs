//! Block sums from the wire: refused, or all of them read, and kept within the budget.
#![no_main]

#[path = "../properties/wire_sums.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::check(data));
