//! Indexes of shards: whatever the bytes, an index is refused or its chunks are apart and within the shard.
#![no_main]

#[path = "../properties/shard_index.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::check(data));
