//! `Table`: which blocks of a signature have a given weak sum.
//!
//! ```text
//!   weak sum -> hash --- first bits ---> filter: two bits of a word; most sums end here
//!                   `--- first bits ---> starts: where the bucket's entries begin and end
//!                                          entries: (weak sum, block), in the order of the blocks
//! ```
//!
//! # Invariants
//! * A bucket has at most [`CHAIN`] entries: what has no room is not found. Nobody can make a lookup long by choosing sums.
//! * Of blocks with equal sums, weak and strong, the first is kept, or the first and the last.

use forebay::Lease;

use crate::error::Error;
use crate::signature::Signature;

/// The most blocks that one lookup compares with.
const CHAIN: usize = 1024;
/// Bits of the filter for each bucket, as a power of two: of the sums that no block has, at most one in a hundred gets past it.
/// What gets past is looked up outside the processor's nearest cache, which takes longer than the sums in between.
const FILTER_BITS: u32 = 5;
/// The most buckets, as a power of two, so that the filter is addressed with 32 bits.
const MOST_BUCKETS: u32 = 32 - FILTER_BITS;

#[derive(Debug)]
pub(crate) struct Table {
    filter: Vec<u64>,
    filter_shift: u32,
    starts: Vec<u32>,
    bucket_shift: u32,
    entries: Vec<Entry>,
    _lease: Lease,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    weak: u32,
    block: u32,
}

/// Spreads sums, whose bits are far from random, over the upper bits.
#[inline(always)]
fn hash(weak: u32) -> u32 {
    weak.wrapping_mul(0x9e37_79b1)
}

/// The number of buckets for so many blocks, as a power of two.
fn bits_of(blocks: usize) -> u32 {
    blocks.next_power_of_two().ilog2().clamp(2, MOST_BUCKETS)
}

/// The number of the filter's words.
fn words_of(blocks: usize) -> usize {
    1 << (bits_of(blocks) + FILTER_BITS - 6)
}

impl Table {
    /// The bytes of the table of so many blocks.
    pub(crate) fn bytes_of(blocks: usize) -> usize {
        let (buckets, words) = (1usize << bits_of(blocks), words_of(blocks));
        (buckets + 1) * size_of::<u32>() + words * size_of::<u64>() + blocks * size_of::<Entry>()
    }

    /// The table of `signature`, of equal blocks the first, or the first and the `last`.
    pub(crate) fn build(signature: &Signature, last: bool) -> Result<Self, Error> {
        let blocks = signature.blocks() as usize;
        let (bits, words) = (bits_of(blocks), words_of(blocks));
        let unpaid = Table::bytes_of(blocks).saturating_sub(signature.paid_for_table());
        let lease = signature.consumer().try_lease(unpaid).map_err(Error::Memory)?;
        let mut table = Table {
            filter: vec![0; words],
            filter_shift: 32 - bits - FILTER_BITS,
            starts: vec![0; (1 << bits) + 1],
            bucket_shift: 32 - bits,
            entries: vec![Entry::default(); blocks],
            _lease: lease,
        };
        table.fill(signature, last);
        Ok(table)
    }

    /// Sorts the blocks by bucket, by counting, and then leaves out what need not or must not be found.
    fn fill(&mut self, signature: &Signature, last: bool) {
        for (weak, _) in signature.iter() {
            let hash = hash(weak);
            let (word, bits) = self.place(hash);
            self.filter[word] |= bits;
            self.starts[(hash >> self.bucket_shift) as usize + 1] += 1;
        }
        let mut total = 0;
        for start in &mut self.starts {
            total += *start;
            *start = total;
        }
        for (block, (weak, _)) in (0u32..).zip(signature.iter()) {
            let start = &mut self.starts[(hash(weak) >> self.bucket_shift) as usize];
            self.entries[*start as usize] = Entry { weak, block };
            *start += 1;
        }
        // Each start has moved to where the next bucket begins.
        let (mut kept, mut begin) = (0, 0);
        for bucket in 0..self.starts.len() - 1 {
            let (first, end) = (kept, self.starts[bucket] as usize);
            self.starts[bucket] = first as u32;
            for entry in begin..end {
                let entry = self.entries[entry];
                let same = |other: &Entry| {
                    other.weak == entry.weak && signature.strong(other.block) == signature.strong(entry.block)
                };
                let (known, place) = match self.entries[first..kept].iter().rposition(same) {
                    Some(known) => (true, first + known),
                    None => (false, kept),
                };
                let one = known && !self.entries[first..place].iter().any(same);
                if !known || (last && one) {
                    if kept - first < CHAIN {
                        self.entries[kept] = entry;
                        kept += 1;
                    }
                } else if last {
                    self.entries[place] = entry;
                }
            }
            begin = end;
        }
        if let Some(end) = self.starts.last_mut() {
            *end = kept as u32;
        }
        self.entries.truncate(kept);
    }

    /// The word of the filter that tells of this hash, and its bits there.
    #[inline(always)]
    fn place(&self, hash: u32) -> (usize, u64) {
        let bit = hash >> self.filter_shift;
        // The bits of the hash that follow. In the largest tables fewer than six are left, and some serve twice.
        let second = hash >> self.filter_shift.saturating_sub(6);
        ((bit / 64) as usize, 1 << (bit % 64) | 1 << (second % 64))
    }

    /// Whether a block may have this sum.
    #[inline(always)]
    pub(crate) fn may_have(&self, weak: u32) -> bool {
        let (word, bits) = self.place(hash(weak));
        self.filter[word] & bits == bits
    }

    /// The blocks that have this sum, lowest first but for the last of equal ones.
    pub(crate) fn blocks(&self, weak: u32) -> impl Iterator<Item = u32> {
        let bucket = (hash(weak) >> self.bucket_shift) as usize;
        let entries = &self.entries[self.starts[bucket] as usize..self.starts[bucket + 1] as usize];
        entries.iter().filter(move |entry| entry.weak == weak).map(|entry| entry.block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Format, Settings, Strong, Weak};

    fn signature(sums: impl IntoIterator<Item = (u32, u64)>) -> Signature {
        let format = Format::new(Weak::Rsync, Strong::Xxh64(0), 1, 8).unwrap();
        let mut signature = Signature::empty(&format, &Settings::default()).unwrap();
        sums.into_iter().for_each(|(weak, strong)| signature.push(weak, &strong.to_le_bytes()).unwrap());
        signature
    }

    #[test]
    fn every_block_is_found_by_its_sum() {
        let weak = |n: u32| n.wrapping_mul(0x0808_8405) ^ (n << 16);
        let table = Table::build(&signature((0..5000).map(|n| (weak(n), u64::from(n)))), false).unwrap();
        for n in 0..5000 {
            assert!(table.may_have(weak(n)));
            assert!(table.blocks(weak(n)).any(|block| block == n), "{n}");
        }
        let past = (5000..105_000).filter(|n| table.may_have(weak(*n))).count();
        assert!(past < 1000, "{past} of 100,000 sums got past the filter");
        assert_eq!(table.blocks(weak(5000)).count(), 0);
    }

    #[test]
    fn of_equal_blocks_the_first_is_kept() {
        let table = Table::build(&signature((0..100_000).map(|n| (7, n % 3))), false).unwrap();
        assert_eq!(table.blocks(7).collect::<Vec<_>>(), [0, 1, 2]);
        let table = Table::build(&signature((0..100_000).map(|n| (7, n % 3))), true).unwrap();
        let mut kept: Vec<_> = table.blocks(7).collect();
        assert_eq!(kept[..3], [0, 1, 2]);
        kept.sort_unstable();
        assert_eq!(kept, [0, 1, 2, 99_997, 99_998, 99_999]);
    }

    #[test]
    fn chains_are_bounded() {
        // Equal weak sums, and weak sums that only share a bucket.
        let equal = Table::build(&signature((0..5000).map(|n| (7, n))), false).unwrap();
        assert_eq!(equal.blocks(7).count(), CHAIN);
        // The multiplier's inverse makes neighbours of hashes.
        let inverse = 0x0e8b_2f51u32;
        let close = (0..5000u64).map(|n| ((n as u32).wrapping_mul(inverse), n));
        let table = Table::build(&signature(close), false).unwrap();
        assert!(table.entries.len() <= 5000);
        assert!(table.starts.windows(2).all(|pair| (pair[1] - pair[0]) as usize <= CHAIN));
    }

    #[test]
    fn nothing_is_found_without_blocks() {
        let table = Table::build(&signature([]), false).unwrap();
        assert!(!table.may_have(0));
        assert_eq!(table.blocks(0).count(), 0);
    }
}
