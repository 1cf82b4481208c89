//! How long blocks and their sums are, by rsync's rules.

/// The shortest block that rsync chooses, in bytes.
const SHORTEST: u64 = 700;
/// The longest block that rsync chooses (protocol 30 and later), in bytes.
const LONGEST: u64 = 1 << 17;
/// The longest block that is accepted, in bytes: what protocols before 30 allow.
pub const MAX_BLOCK_LEN: u32 = 1 << 29;

/// The length of blocks, in bytes, that rsync uses for a file of `len` bytes: about its square root, between 700 and
/// 131,072.
///
/// ```
/// assert_eq!(forebay_delta::block_len(1 << 30), 32_768);
/// ```
pub fn block_len(len: u64) -> u32 {
    let root = len.isqrt() & !7;
    // Both bounds fit.
    root.clamp(SHORTEST, LONGEST) as u32
}

/// How many bytes of a strong sum rsync sends in its first phase for a file of `len` bytes in blocks of `block_len`, of
/// a digest of `digest_len` bytes: enough that a false match is unlikely in a file of that length. Whoever relies on it
/// must check the whole file afterwards, and then try again with whole digests.
///
/// ```
/// assert_eq!(forebay_delta::strong_len(1 << 30, 32_768, 16), 3);
/// ```
pub fn strong_len(len: u64, block_len: u32, digest_len: usize) -> usize {
    let bits = 10 + 2 * i64::from(len.max(1).ilog2()) - i64::from(block_len.max(1).ilog2());
    let bytes = (bits.max(0) + 1 - 32 + 7) / 8;
    usize::try_from(bytes).unwrap_or(0).max(2).min(digest_len.min(16))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bit by bit construction that the square root stands for.
    fn bit_by_bit(len: u64) -> u64 {
        if len <= 490_000 {
            return 700;
        }
        let (mut bit, mut rest) = (1u64, len);
        while rest >> 2 != 0 {
            rest >>= 2;
            bit <<= 1;
        }
        if bit >= LONGEST {
            return LONGEST;
        }
        let mut root = 0;
        while bit >= 8 {
            root |= bit;
            if len < root * root {
                root &= !bit;
            }
            bit >>= 1;
        }
        root.max(700)
    }

    #[test]
    fn the_square_root_is_rsyncs_rule() {
        let around = (0..62).flat_map(|n| [(1u64 << n) - 1, 1 << n, (1 << n) + 1, 3 << n]);
        for len in around.chain([0, 490_000, 490_001, 495_615, 495_616, 17_179_869_183, 17_179_869_184]) {
            assert_eq!(u64::from(block_len(len)), bit_by_bit(len), "{len}");
        }
    }

    #[test]
    fn sums_grow_with_the_file() {
        for (len, digest, expected) in
            [(0, 16, 2), (200_000, 16, 2), (1 << 30, 16, 3), (1 << 60, 16, 11), (1 << 60, 8, 8)]
        {
            assert_eq!(strong_len(len, block_len(len), digest), expected, "{len}");
        }
    }
}
