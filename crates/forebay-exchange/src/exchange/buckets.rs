//! `Buckets`: rows of a commit that are not sorted yet.
//!
//! Rows are put into buckets by the first bits of their hashes as they arrive, and when they are sorted, a bucket of several
//! blocks into parts of about one. So sorting is a matter of the second-level cache, and sorted parts in their order
//! are the blocks of a run: nothing is copied. Sorting a run's worth of rows in one piece takes twice as long, most of
//! it waiting for memory.

use std::iter::once;

use crate::rows::{BLOCK, Rows};

/// More buckets are not filled side by side: beyond that each row waits for memory.
const MOST: usize = 64;

/// Blocks that a bucket has when it is sorted, at least: a bucket of a little more than one would be two that are half empty,
/// and a block that is half empty takes the memory of a full one.
const BLOCKS: usize = 4;

/// Bytes that the rows of a part have on average. Parts are not equally full: so hardly any is larger than a block.
const PART: usize = BLOCK / 16 * 15;

pub(crate) struct Buckets<R> {
    /// Of equal shares of the hashes, in their order; none before the first row. What is not full yet,
    open: Vec<R>,
    /// and blocks that are full, or sorted.
    blocks: Vec<Vec<R>>,
    count: usize,
    run_bytes: usize,
    bytes: usize,
    /// Whether what is added next will fill blocks.
    roomy: bool,
}

impl<R: Rows> Buckets<R> {
    /// No rows yet, and as many buckets as a run of `run_bytes` fills with [`BLOCKS`] blocks each, but not too many.
    pub(crate) fn new(run_bytes: usize) -> Self {
        let count = 1 << (run_bytes / BLOCK / BLOCKS).clamp(1, MOST).ilog2();
        Buckets { open: Vec::new(), blocks: Vec::new(), count, run_bytes, bytes: 0, roomy: false }
    }

    /// Bytes that the rows take.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there are so many rows that they should be sorted.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= self.run_bytes / BLOCK * PART
    }

    /// Adds rows.
    pub(crate) fn add(&mut self, rows: &R) {
        self.open.resize_with(self.count, || rows.like());
        self.blocks.resize_with(self.count, Vec::new);
        if std::mem::take(&mut self.roomy) {
            self.open.iter_mut().for_each(|open| open.reserve(BLOCK));
        }
        rows.scatter(&mut self.open, |number, open| {
            let empty = roomy(open);
            self.blocks[number].push(std::mem::replace(open, empty));
        });
        self.bytes += rows.bytes();
    }

    /// Sorts the rows and merges those that are one.
    pub(crate) fn consolidate(&mut self) {
        let bits = self.count.ilog2();
        self.bytes = 0;
        for (open, blocks) in self.open.iter_mut().zip(&mut self.blocks) {
            if blocks.is_empty() {
                open.consolidate();
            } else {
                let empty = open.like();
                blocks.push(std::mem::replace(open, empty));
                *blocks = sorted(std::mem::take(blocks), bits);
            }
            self.bytes += open.bytes() + blocks.iter().map(R::bytes).sum::<usize>();
        }
    }

    /// Takes the rows, which are sorted, in blocks.
    pub(crate) fn take_blocks(&mut self) -> Vec<R> {
        self.roomy = self.is_full();
        let mut taken: Vec<R> = Vec::with_capacity(self.bytes / PART + 1);
        for (open, blocks) in self.open.iter_mut().zip(&mut self.blocks) {
            let empty = open.like();
            for rows in blocks.drain(..).chain(once(std::mem::replace(open, empty))) {
                match taken.last_mut() {
                    _ if rows.is_empty() => {}
                    Some(last) if last.bytes() + rows.bytes() <= BLOCK => {
                        last.reserve(BLOCK - last.bytes());
                        last.append(&rows, 0..rows.len());
                    }
                    _ if rows.bytes() <= 2 * BLOCK => taken.push(rows),
                    _ => cut(&rows, &mut taken),
                }
            }
        }
        self.bytes = 0;
        taken
    }
}

/// Blocks of rows whose hashes agree in the first `bits` bits, sorted: within a block, and from block to block.
fn sorted<R: Rows>(blocks: Vec<R>, bits: u32) -> Vec<R> {
    let count = blocks.iter().map(R::bytes).sum::<usize>().div_ceil(PART);
    let mut parts: Vec<R> = (0..count).map(|_| roomy(&blocks[0])).collect();
    for rows in blocks {
        for index in 0..rows.len() {
            let row = rows.get(index);
            // Equal shares of what is left of the hash.
            let part = (u128::from(R::hash(row) << bits) * count as u128) >> u64::BITS;
            parts[part as usize].push(row);
        }
    }
    parts.iter_mut().for_each(R::consolidate);
    parts
}

/// No rows, and room for a block of such rows.
fn roomy<R: Rows>(rows: &R) -> R {
    let mut block = rows.like();
    block.reserve(BLOCK);
    block
}

/// Cuts rows of few keys, which are all in one bucket, into blocks.
fn cut<R: Rows>(rows: &R, blocks: &mut Vec<R>) {
    // As many rows in each as make a block on average.
    let each = (rows.len() * BLOCK / rows.bytes()).max(1);
    for begin in (0..rows.len()).step_by(each) {
        let mut block = rows.like();
        block.append(rows, begin..rows.len().min(begin + each));
        blocks.push(block);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::field::Field;
    use crate::rows::Changes;

    type Kv = Changes<u64, u64>;

    /// What happens to buckets.
    #[derive(Clone, Debug)]
    enum Step {
        /// So many rows are added, of numbers that follow from the seed, with keys and values below these.
        Add {
            seed: u64,
            rows: usize,
            keys: u64,
            values: u64,
        },
        Consolidate,
        Take,
    }

    fn step() -> impl Strategy<Value = Step> {
        // Keys of all kinds: so few that one bucket has most rows, and so many that all buckets are alike.
        let keys = prop_oneof![Just(1), 2..40_u64, Just(u64::MAX)];
        let values = prop_oneof![Just(1), Just(u64::MAX)];
        let rows = prop_oneof![0..20_usize, 0..9_000_usize];
        prop_oneof![
            4 => (any::<u64>(), rows, keys, values)
                .prop_map(|(seed, rows, keys, values)| Step::Add { seed, rows, keys, values }),
            1 => Just(Step::Consolidate),
            1 => Just(Step::Take),
        ]
    }

    fn rows(seed: u64, rows: usize, keys: u64, values: u64) -> Kv {
        let numbers = (0..rows as u64).map(|n| (seed ^ n).hash64());
        numbers
            .map(|number| (number % keys, number.rotate_left(32) % values, [1, 1, -1][number as usize % 3]))
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_added_is_taken_sorted_and_once(
            steps in proptest::collection::vec(step(), 1..12),
            run_blocks in 1..10_usize,
        ) {
            let mut buckets = Buckets::<Kv>::new(run_blocks * BLOCK);
            // The weight of each row, in the order of rows; and how many bytes were added that nobody has merged.
            let mut model: BTreeMap<(u64, u64, u64), i64> = BTreeMap::new();
            let mut bytes = 0;
            let row = size_of::<(u64, u64, i64)>();
            for step in steps.into_iter().chain([Step::Take]) {
                match step {
                    Step::Add { seed, rows: count, keys, values } => {
                        let rows = rows(seed, count, keys, values);
                        buckets.add(&rows);
                        bytes += rows.bytes();
                        for (key, value, weight) in rows.iter() {
                            *model.entry((key.hash64(), *key, *value)).or_default() += weight;
                        }
                    }
                    Step::Consolidate => {
                        buckets.consolidate();
                        model.retain(|_, weight| *weight != 0);
                        bytes = model.len() * row;
                    }
                    Step::Take => {
                        buckets.consolidate();
                        let blocks = buckets.take_blocks();
                        let expected = std::mem::take(&mut model).into_iter().filter(|(_, weight)| *weight != 0);
                        let expected: Vec<_> = expected.map(|((_, key, value), weight)| (key, value, weight)).collect();
                        prop_assert!(blocks.iter().all(|block| !block.is_empty() && block.bytes() <= 2 * BLOCK));
                        let pairs = blocks.windows(2).map(|pair| pair[0].bytes() + pair[1].bytes());
                        prop_assert!(pairs.into_iter().all(|both| both > BLOCK), "two that would be one block");
                        let taken: Vec<_> = blocks.iter().flat_map(Kv::iter).copied().collect();
                        prop_assert_eq!(taken, expected);
                        bytes = 0;
                    }
                }
                prop_assert_eq!(buckets.bytes(), bytes);
                prop_assert_eq!(buckets.is_full(), bytes >= run_blocks * PART);
            }
        }
    }
}
