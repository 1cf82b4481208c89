//! Strong sums: what decides whether two blocks are the same.

use md4::Md4;
use md5::{Digest, Md5};
use sha1::Sha1;
use twox_hash::{XxHash3_64, XxHash3_128, XxHash64};

/// The most bytes that a digest has.
pub const MAX_DIGEST_LEN: usize = 32;

/// Which strong sum. The seeds are those of rsync's handshake: they make block sums differ from one session to the next.
/// Sums of whole files have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Strong {
    /// MD4, 16 bytes. Collisions can be made at will: for old files and peers only.
    Md4(Seed),
    /// MD5, 16 bytes. Collisions can be made at will.
    Md5(Seed),
    /// SHA-1, 20 bytes.
    Sha1(Seed),
    /// XXH64, 8 bytes, with its seed. Quick, and no defence against somebody who wants a collision; so are the next two.
    Xxh64(u64),
    /// XXH3 of 64 bits, 8 bytes, with its seed.
    Xxh3(u64),
    /// XXH3 of 128 bits, 16 bytes, with its seed. Where both files are at hand it costs next to nothing.
    Xxh128(u64),
    /// BLAKE2b with a digest of 32 bytes, as librsync uses it.
    Blake2b,
}

/// What is hashed beside the block by the sums that know no seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Seed {
    /// Nothing.
    #[default]
    None,
    /// These four bytes before the block.
    Before([u8; 4]),
    /// These four bytes after the block.
    After([u8; 4]),
}

/// A digest; `as_ref` gives its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StrongSum {
    bytes: [u8; MAX_DIGEST_LEN],
    len: u8,
}

impl AsRef<[u8]> for StrongSum {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl StrongSum {
    pub(crate) fn new(digest: &[u8]) -> Self {
        let mut bytes = [0; MAX_DIGEST_LEN];
        bytes[..digest.len()].copy_from_slice(digest);
        // No digest is longer than 32 bytes.
        StrongSum { bytes, len: digest.len() as u8 }
    }
}

impl Strong {
    /// Bytes of a digest.
    pub fn digest_len(self) -> usize {
        match self {
            Strong::Md4(_) | Strong::Md5(_) | Strong::Xxh128(_) => 16,
            Strong::Sha1(_) => 20,
            Strong::Xxh64(_) | Strong::Xxh3(_) => 8,
            Strong::Blake2b => 32,
        }
    }

    /// The digest of `block`, in the byte order of rsync's wire and of librsync's files.
    ///
    /// ```
    /// use forebay_delta::{Seed, Strong};
    /// assert_eq!(Strong::Md5(Seed::None).sum(b"").as_ref()[..4], [0xd4, 0x1d, 0x8c, 0xd9]);
    /// ```
    pub fn sum(self, block: &[u8]) -> StrongSum {
        match self {
            Strong::Md4(seed) => StrongSum::new(&seeded::<Md4>(seed, block)),
            Strong::Md5(seed) => StrongSum::new(&seeded::<Md5>(seed, block)),
            Strong::Sha1(seed) => StrongSum::new(&seeded::<Sha1>(seed, block)),
            Strong::Xxh64(seed) => StrongSum::new(&XxHash64::oneshot(seed, block).to_le_bytes()),
            Strong::Xxh3(seed) => StrongSum::new(&XxHash3_64::oneshot_with_seed(seed, block).to_le_bytes()),
            Strong::Xxh128(seed) => StrongSum::new(&XxHash3_128::oneshot_with_seed(seed, block).to_le_bytes()),
            Strong::Blake2b => StrongSum::new(blake2b().hash(block).as_bytes()),
        }
    }

    /// Appends the first `len` bytes of the digest of each block of `block_len` bytes in `bytes` (the last may be
    /// shorter) to `out`.
    pub(crate) fn sum_blocks(self, bytes: &[u8], block_len: usize, len: usize, out: &mut Vec<u8>) {
        for group in bytes.chunks(block_len.saturating_mul(self.lanes())) {
            for sum in self.sum_side_by_side(group.chunks(block_len)) {
                out.extend_from_slice(&sum.as_ref()[..len]);
            }
        }
    }

    /// How many blocks of the same length are best hashed at once.
    pub(crate) fn lanes(self) -> usize {
        if self == Strong::Blake2b { blake2b_simd::many::degree() } else { 1 }
    }

    /// The digests of some blocks. Those of the same length are hashed side by side, in the lanes of vector instructions,
    /// where the sum has such.
    pub(crate) fn sum_side_by_side<'b>(self, blocks: impl Iterator<Item = &'b [u8]>) -> Vec<StrongSum> {
        if self != Strong::Blake2b {
            return blocks.map(|block| self.sum(block)).collect();
        }
        let params = blake2b();
        let mut jobs: Vec<_> = blocks.map(|block| blake2b_simd::many::HashManyJob::new(&params, block)).collect();
        blake2b_simd::many::hash_many(&mut jobs);
        jobs.iter().map(|job| StrongSum::new(job.to_hash().as_bytes())).collect()
    }

    /// Whether it is as quick as a weak sum, so that a likely block is compared by it at once.
    pub(crate) fn is_cheap(self) -> bool {
        matches!(self, Strong::Xxh64(_) | Strong::Xxh3(_) | Strong::Xxh128(_))
    }
}

pub(crate) fn blake2b() -> blake2b_simd::Params {
    let mut params = blake2b_simd::Params::new();
    params.hash_length(32);
    params
}

fn seeded<D: Digest>(seed: Seed, block: &[u8]) -> md5::digest::Output<D> {
    let mut digest = D::new();
    if let Seed::Before(bytes) = seed {
        digest.update(bytes);
    }
    digest.update(block);
    if let Seed::After(bytes) = seed {
        digest.update(bytes);
    }
    digest.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(sum: &StrongSum) -> String {
        sum.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn digests_of_known_texts() {
        let all = [
            (Strong::Md4(Seed::None), "aa010fbc1d14c795d86ef98c95479d17"),
            (Strong::Md5(Seed::None), "5eb63bbbe01eeed093cb22bb8f5acdc3"),
            (Strong::Sha1(Seed::None), "2aae6c35c94fcfb415dbe95f408b9ce91ee846ed"),
            (Strong::Xxh64(0), "68691eb23467ab45"),
            (Strong::Blake2b, "256c83b297114d201b30179f3f0ef0cace9783622da5974326b436178aeef610"),
        ];
        for (strong, expected) in all {
            assert_eq!(hex(&strong.sum(b"hello world")), expected, "{strong:?}");
            assert_eq!(strong.digest_len() * 2, expected.len());
        }
        assert_eq!(hex(&Strong::Xxh3(0).sum(b"")), "c294d3380580062d");
        assert_eq!(hex(&Strong::Xxh128(0).sum(b"")), "7f498d4624c30160d8984701d306aa99");
    }

    #[test]
    fn seeds_go_before_or_after() {
        let (seed, block) = ([1, 2, 3, 4], b"block");
        let plain = |bytes: &[u8]| hex(&Strong::Md5(Seed::None).sum(bytes));
        assert_eq!(hex(&Strong::Md5(Seed::Before(seed)).sum(block)), plain(b"\x01\x02\x03\x04block"));
        assert_eq!(hex(&Strong::Md5(Seed::After(seed)).sum(block)), plain(b"block\x01\x02\x03\x04"));
    }

    #[test]
    fn blocks_side_by_side_are_blocks_one_by_one() {
        let bytes: Vec<u8> = (0..100_000u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
        for strong in [Strong::Blake2b, Strong::Md4(Seed::None), Strong::Xxh128(7)] {
            for block_len in [1, 100, 700, 4096, 99_999, 100_000] {
                let bytes = if block_len == 1 { &bytes[..100] } else { &bytes[..] };
                let mut out = Vec::new();
                strong.sum_blocks(bytes, block_len, 5, &mut out);
                let expected: Vec<u8> =
                    bytes.chunks(block_len).flat_map(|block| strong.sum(block).as_ref()[..5].to_vec()).collect();
                assert!(out == expected, "{strong:?} {block_len}");
            }
        }
    }
}
