//! `Hasher`: a strong sum over bytes that come in pieces.

use std::fmt;
use std::hash::Hasher as _;

use md4::Md4;
use md5::{Digest, Md5};
use sha1::Sha1;
use twox_hash::{XxHash3_64, XxHash3_128, XxHash64};

use crate::strong::{Seed, Strong, StrongSum, blake2b};

/// Computes a [`Strong`] sum piece by piece: of a whole file, which is never in memory at once.
///
/// ```
/// use forebay_delta::{Hasher, Seed, Strong};
///
/// let mut hasher = Hasher::new(Strong::Md5(Seed::None));
/// hasher.update(b"in ");
/// hasher.update(b"pieces");
/// assert_eq!(hasher.finish(), Strong::Md5(Seed::None).sum(b"in pieces"));
/// ```
#[derive(Clone)]
pub struct Hasher {
    strong: Strong,
    state: State,
}

#[derive(Clone)]
enum State {
    Md4(Box<Md4>),
    Md5(Box<Md5>),
    Sha1(Box<Sha1>),
    Xxh64(XxHash64),
    Xxh3(Box<XxHash3_64>),
    Xxh128(Box<XxHash3_128>),
    Blake2b(Box<blake2b_simd::State>),
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hasher").field(&self.strong).finish()
    }
}

impl Hasher {
    /// Over no bytes yet.
    pub fn new(strong: Strong) -> Self {
        let state = match strong {
            Strong::Md4(_) => State::Md4(Box::default()),
            Strong::Md5(_) => State::Md5(Box::default()),
            Strong::Sha1(_) => State::Sha1(Box::default()),
            Strong::Xxh64(seed) => State::Xxh64(XxHash64::with_seed(seed)),
            Strong::Xxh3(seed) => State::Xxh3(Box::new(XxHash3_64::with_seed(seed))),
            Strong::Xxh128(seed) => State::Xxh128(Box::new(XxHash3_128::with_seed(seed))),
            Strong::Blake2b => State::Blake2b(Box::new(blake2b().to_state())),
        };
        let mut hasher = Hasher { strong, state };
        if let Strong::Md4(Seed::Before(seed)) | Strong::Md5(Seed::Before(seed)) | Strong::Sha1(Seed::Before(seed)) =
            strong
        {
            hasher.update(&seed);
        }
        hasher
    }

    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Md4(state) => state.update(bytes),
            State::Md5(state) => state.update(bytes),
            State::Sha1(state) => state.update(bytes),
            State::Xxh64(state) => state.write(bytes),
            State::Xxh3(state) => state.write(bytes),
            State::Xxh128(state) => state.write(bytes),
            State::Blake2b(state) => {
                state.update(bytes);
            }
        }
    }

    /// The digest of all bytes.
    pub fn finish(mut self) -> StrongSum {
        if let Strong::Md4(Seed::After(seed)) | Strong::Md5(Seed::After(seed)) | Strong::Sha1(Seed::After(seed)) =
            self.strong
        {
            self.update(&seed);
        }
        match self.state {
            State::Md4(state) => StrongSum::new(&state.finalize()),
            State::Md5(state) => StrongSum::new(&state.finalize()),
            State::Sha1(state) => StrongSum::new(&state.finalize()),
            State::Xxh64(state) => StrongSum::new(&state.finish().to_le_bytes()),
            State::Xxh3(state) => StrongSum::new(&state.finish().to_le_bytes()),
            State::Xxh128(state) => StrongSum::new(&state.finish_128().to_le_bytes()),
            State::Blake2b(state) => StrongSum::new(state.finalize().as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_are_the_whole(
            bytes in proptest::collection::vec(any::<u8>(), 0..3000), cuts in proptest::collection::vec(0usize..3000, 0..5),
        ) {
            let seeds = [Seed::None, Seed::Before([1, 2, 3, 4]), Seed::After([1, 2, 3, 4])];
            let seeded = seeds.into_iter().flat_map(|seed| [Strong::Md4(seed), Strong::Md5(seed), Strong::Sha1(seed)]);
            let others = [Strong::Xxh64(9), Strong::Xxh3(9), Strong::Xxh128(9), Strong::Xxh128(0), Strong::Blake2b];
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).chain([0, bytes.len()]).collect();
            cuts.sort_unstable();
            for strong in seeded.chain(others) {
                let mut hasher = Hasher::new(strong);
                cuts.windows(2).for_each(|cut| hasher.update(&bytes[cut[0]..cut[1]]));
                prop_assert_eq!(hasher.finish(), strong.sum(&bytes), "{:?}", strong);
            }
        }
    }
}
