//! What processes of a cluster say to each other: whatever the bytes, they are refused or mean one thing.
#![no_main]

#[path = "../properties/cluster_frames.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::check(data));
