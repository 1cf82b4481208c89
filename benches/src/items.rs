//! Items that the engine can weigh and, the larger ones, spill.

use bytes::Bytes;
use forebay::{DecodeError, Parts, Spill, Weigh};

/// A number.
#[derive(Clone, Copy, Debug)]
pub struct Number(pub u64);

impl Weigh for Number {
    fn weight(&self) -> usize {
        size_of::<Self>()
    }
}

/// Some kilobytes.
#[derive(Clone, Debug)]
pub struct Block(pub Bytes);

impl Weigh for Block {
    fn weight(&self) -> usize {
        size_of::<Self>() + self.0.len()
    }
}

impl Spill for Block {
    fn encode(self, out: &mut Parts) {
        out.put(self.0);
    }

    fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        Ok(Block(bytes))
    }
}

impl Block {
    /// `len` bytes that begin with `seq` and do not compress.
    #[must_use]
    pub fn generate(seq: u64, len: usize) -> Self {
        let mut state = seq;
        let words = (0..len / 8).map(|at| {
            // splitmix64: cheap, and every word is another one.
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            if at == 0 { seq } else { z ^ (z >> 31) }
        });
        Block(Bytes::from(
            words.flat_map(u64::to_le_bytes).collect::<Vec<u8>>(),
        ))
    }

    /// The number it began with and the sum of all its words: every byte is looked at.
    #[must_use]
    pub fn digest(&self) -> (u64, u64) {
        let mut words = self.0.chunks_exact(8).map(|word| {
            word.iter()
                .rev()
                .fold(0, |sum, &byte| sum << 8 | u64::from(byte))
        });
        let first = words.next().unwrap_or_default();
        (first, words.fold(first, u64::wrapping_add))
    }
}
