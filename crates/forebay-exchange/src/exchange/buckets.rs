//! `Buckets`: rows of a commit that are not sorted yet.
//!
//! Rows are put into buckets by the first bits of their hashes as they arrive. A bucket is about a block, so sorting it
//! is a matter of the second-level cache, and sorted buckets in their order are the blocks of a run: nothing is copied.
//! Sorting a run's worth of rows in one piece takes twice as long, most of it waiting for memory.

use crate::rows::{BLOCK, Rows};

pub(crate) struct Buckets<R> {
    /// Of equal shares of the hashes, in their order; none before the first row.
    buckets: Vec<R>,
    count: usize,
    bytes: usize,
}

impl<R: Rows> Buckets<R> {
    /// No rows yet, and as many buckets as a run of `run_bytes` has blocks.
    pub(crate) fn new(run_bytes: usize) -> Self {
        let count = (run_bytes / BLOCK).next_power_of_two();
        Buckets { buckets: Vec::new(), count, bytes: 0 }
    }

    /// Bytes that the rows take.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there are so many rows that they should be sorted. Buckets are not equally full: with an eighth to spare
    /// hardly any is larger than a block.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= self.count * BLOCK / 8 * 7
    }

    /// Adds rows.
    pub(crate) fn add(&mut self, rows: &R) {
        self.buckets.resize_with(self.count, || rows.like());
        rows.scatter(&mut self.buckets);
        self.bytes += rows.bytes();
    }

    /// Sorts the rows and merges those that are one.
    pub(crate) fn consolidate(&mut self) {
        self.buckets.iter_mut().for_each(R::consolidate);
        self.bytes = self.buckets.iter().map(R::bytes).sum();
    }

    /// Takes the rows, which are sorted, in blocks.
    pub(crate) fn take_blocks(&mut self) -> Vec<R> {
        let mut blocks: Vec<R> = Vec::with_capacity(self.buckets.len());
        for bucket in &mut self.buckets {
            let empty = bucket.like();
            let rows = std::mem::replace(bucket, empty);
            match blocks.last_mut() {
                _ if rows.is_empty() => {}
                Some(last) if last.bytes() + rows.bytes() <= BLOCK => last.append(&rows, 0..rows.len()),
                _ if rows.bytes() <= 2 * BLOCK => {
                    if rows.bytes() > BLOCK / 2 {
                        // The next run's bucket will be as full.
                        bucket.reserve(BLOCK);
                    }
                    blocks.push(rows);
                }
                _ => cut(&rows, &mut blocks),
            }
        }
        self.bytes = 0;
        blocks
    }
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
