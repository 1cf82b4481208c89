//! What the items of the larger tables are made of.

use bytes::Bytes;

/// `len` bytes that begin with `seq` and do not compress.
#[must_use]
pub fn generate(seq: u64, len: usize) -> Bytes {
    let mut state = seq;
    let words = (0..len / 8).map(|at| {
        // splitmix64: cheap, and every word is another one.
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        if at == 0 { seq } else { z ^ (z >> 31) }
    });
    Bytes::from(words.flat_map(u64::to_le_bytes).collect::<Vec<u8>>())
}

/// The number that `item` began with and the sum of all its words: every byte is looked at.
#[must_use]
pub fn digest(item: &[u8]) -> (u64, u64) {
    let mut words = item.chunks_exact(8).map(|word| word.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte)));
    let first = words.next().unwrap_or_default();
    (first, words.fold(first, u64::wrapping_add))
}
