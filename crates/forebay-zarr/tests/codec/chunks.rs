//! Chunks to encode, and codecs to do it with.

use forebay_zarr::Codec;
use forebay_zarr::codec::{Compressor, Shuffle};
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// What the bytes of a chunk are like.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// One value.
    Flat,
    /// It grows slowly.
    Ramp,
    /// As a camera sees it: the lowest byte of each element is noisy.
    Noisy,
    /// Nothing can be made of it.
    Random,
}

/// A chunk and how its bytes came to be.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    pub(crate) size: usize,
    pub(crate) count: usize,
    pub(crate) kind: Kind,
    pub(crate) seed: u64,
}

impl Chunk {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut state = self.seed | 1;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state >> 33
        };
        let element = |at: usize| {
            let element = match self.kind {
                Kind::Flat => self.seed,
                Kind::Ramp => at as u64 / 7,
                Kind::Noisy => 300 + random() % 32 + random() % 32,
                Kind::Random => random() << 40 ^ random() << 20 ^ random(),
            };
            element.to_le_bytes()
        };
        (0..self.count).map(element).flat_map(|element| element.into_iter().take(self.size)).collect()
    }
}

/// Chunks of all sizes of elements, with lengths that are small, and at the edges of what is a whole block.
pub(crate) fn chunk() -> impl Strategy<Value = Chunk> {
    let count = prop_oneof![
        3 => 1..40usize,
        3 => 100..2000usize,
        1 => (select(vec![1usize << 15, 1 << 16, 1 << 17, 1 << 18]), 0..3usize).prop_map(|(edge, at)| edge + at - 1),
        1 => 60_000..200_000usize,
    ];
    let kind = select(vec![Kind::Flat, Kind::Ramp, Kind::Noisy, Kind::Random]);
    (select(vec![1usize, 2, 4, 8]), count, kind, any::<u64>()).prop_map(|(size, count, kind, seed)| {
        // A chunk of eight-byte elements has no more bytes than one of four.
        Chunk { size, count: if size == 8 { count.div_ceil(2) } else { count }, kind, seed }
    })
}

/// All codecs; the levels that take a second for a chunk are left to [`round_trip`](super::round_trip)'s own test.
pub(crate) fn codec() -> impl Strategy<Value = Codec> {
    let compressor = select(vec![Compressor::Zstd, Compressor::Lz4, Compressor::Lz4hc, Compressor::Zlib]);
    let shuffle = select(vec![Shuffle::None, Shuffle::Byte, Shuffle::Bit]);
    prop_oneof![
        1 => Just(Codec::None),
        2 => (-7..6i32).prop_map(|level| Codec::Zstd { level }),
        2 => (0..7u32).prop_map(|level| Codec::Gzip { level }),
        8 => (compressor, 0..6u8, shuffle)
            .prop_map(|(compressor, level, shuffle)| Codec::Blosc { compressor, level, shuffle }),
    ]
}

/// `bytes` in pieces that end at `cuts`; some of them may be empty.
pub(crate) fn cut<'a>(bytes: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).chain([bytes.len()]).collect();
    ends.sort_unstable();
    let begins = [0].into_iter().chain(ends.clone());
    begins.zip(&ends).map(|(begin, &end)| &bytes[begin..end]).collect()
}
