//! Sorting by hash.
//!
//! What is sorted is eight bytes a row: as much of its hash as fits, and in the low bits the row's number. Hashes are spread
//! evenly, so a look at their first bits puts every row near its place: up to a few thousand, which fit the first-level
//! cache, are counted into place. More are first swapped into up to 4,096 buckets (an American flag sort, McIlroy, Bostic
//! and McIlroy 1993). The rows follow once, at the end. Rows that look the same so far, which even hashes do only for
//! equal keys, are sorted by comparing.
//!
//! # Memory
//! 16 bytes for each row, and a copy of the rows, while they are sorted.

use std::cell::Cell;
use std::cmp::Ordering;

/// At most so many rows are counted into place.
const FEW: usize = 8192;

/// How many rows a bucket of the flag sort gets on average.
const PER_BUCKET: usize = 2048;

/// Most bits of the hash that one pass looks at: their counts fit the first-level cache.
const BITS: u32 = 12;

/// More hashes than that with the same first bits are no coincidence.
const CROWD: usize = 32;

/// Numbers of rows, sorted. Kept for its memory where there is more to sort.
#[derive(Default)]
pub(crate) struct Order {
    /// The first bits of a row's hash, and its number.
    entries: Vec<u64>,
    /// Room for as many.
    counted: Vec<u64>,
    /// The bits of a number.
    numbers: u64,
}

impl Order {
    /// The numbers of the rows from the `nth` on.
    pub(crate) fn from(&self, nth: usize) -> impl Iterator<Item = usize> {
        self.entries[nth..].iter().map(|entry| (entry & self.numbers) as usize)
    }

    /// Sorts the rows with these hashes by them, and where they look the same by `order`, which must compare the hashes
    /// first.
    pub(crate) fn sort(
        &mut self,
        hashes: impl ExactSizeIterator<Item = u64>,
        order: impl Fn(usize, usize) -> Ordering,
    ) {
        let numbers = hashes.len().next_power_of_two() as u64 - 1;
        self.numbers = numbers;
        self.entries.clear();
        self.entries.extend(hashes.enumerate().map(|(number, hash)| hash & !numbers | number as u64));
        sort(&mut self.entries, &mut self.counted, numbers);
        for same in self.entries.chunk_by_mut(|a, b| (a ^ b) & !numbers == 0).filter(|same| same.len() > 1) {
            same.sort_unstable_by(|a, b| order((a & numbers) as usize, (b & numbers) as usize));
        }
    }
}

thread_local! {
    /// Memory for a few thousand numbers.
    static ORDER: Cell<Order> = Cell::default();
}

/// Sorts `rows` by `order`, which must compare their `hash` first. Rows that compare equal may change places.
pub(crate) fn sort_by_hash<T: Clone>(
    rows: &mut Vec<T>,
    hash: &impl Fn(&T) -> u64,
    order: &impl Fn(&T, &T) -> Ordering,
) {
    let mut sorted = ORDER.take();
    sorted.sort(rows.iter().map(hash), |a, b| order(&rows[a], &rows[b]));
    if !std::mem::needs_drop::<T>() {
        // Such a row is copied as fast as it is moved, and copies need not wait for each other.
        let mut copies = Vec::with_capacity(rows.capacity());
        copies.extend(sorted.from(0).map(|from| rows[from].clone()));
        *rows = copies;
    } else {
        follow(rows, &mut sorted);
    }
    if sorted.entries.capacity() <= FEW {
        ORDER.set(sorted);
    }
}

/// Moves the rows to their places, which the order forgets.
fn follow<T>(rows: &mut [T], sorted: &mut Order) {
    for begin in 0..rows.len() {
        // A circle of rows, each of which goes where the one before was.
        let mut at = begin;
        loop {
            let entry = &mut sorted.entries[at];
            let from = (*entry & sorted.numbers) as usize;
            *entry = at as u64;
            if from == begin {
                break;
            }
            rows.swap(at, from);
            at = from;
        }
    }
}

/// Sorts entries, of which the bits of `numbers` say nothing.
fn sort(entries: &mut [u64], counted: &mut Vec<u64>, numbers: u64) {
    let (least, most) =
        entries.iter().fold((u64::MAX, 0), |(least, most), entry| (least.min(*entry), most.max(*entry)));
    if (least ^ most) & !numbers == 0 || entries.is_empty() {
        return;
    }
    let span = Span { least, zeros: (most - least).leading_zeros() };
    if entries.len() <= FEW { count(entries, counted, span) } else { flag_sort(entries, counted, numbers, span) }
}

/// Where some entries are: from the least on, so that the first bits of their distance to it are nothing.
#[derive(Clone, Copy)]
struct Span {
    least: u64,
    zeros: u32,
}

impl Span {
    /// The first `bits` bits of where an entry is.
    fn bucket_of(self, entry: u64, bits: u32) -> usize {
        (((entry - self.least) << self.zeros) >> (u64::BITS - bits)) as usize
    }
}

/// A pass of the flag sort, and the rest for each bucket.
fn flag_sort(entries: &mut [u64], counted: &mut Vec<u64>, numbers: u64, span: Span) {
    let bits = (entries.len() / PER_BUCKET).ilog2().clamp(1, BITS);
    let bucket_of = |entry: u64| span.bucket_of(entry, bits);

    // Where each bucket begins, ends, and has its next entry that is not known to belong there.
    let mut ends = vec![0_usize; 1 << bits];
    for entry in &*entries {
        ends[bucket_of(*entry)] += 1;
    }
    let mut next = Vec::with_capacity(ends.len());
    let mut begin = 0;
    for end in &mut ends {
        next.push(begin);
        begin += *end;
        *end = begin;
    }
    let begins = next.clone();
    for bucket in 0..ends.len() {
        while next[bucket] < ends[bucket] {
            let at = next[bucket];
            let belongs = bucket_of(entries[at]);
            if belongs != bucket {
                entries.swap(at, next[belongs]);
            }
            next[belongs] += 1;
        }
    }
    for (begin, end) in begins.into_iter().zip(ends) {
        sort(&mut entries[begin..end], counted, numbers);
    }
}

/// Sorts few entries.
fn count(entries: &mut [u64], counted: &mut Vec<u64>, span: Span) {
    let bits = entries.len().ilog2().clamp(1, BITS);
    let mut next = [0_u16; (1 << BITS) + 1];
    for entry in &*entries {
        next[span.bucket_of(*entry, bits) + 1] += 1;
    }
    let mut begin = 0;
    for bucket in &mut next[..=1 << bits] {
        begin += *bucket;
        *bucket = begin;
    }
    if counted.len() < entries.len() {
        counted.resize(entries.len(), 0);
    }
    for entry in &*entries {
        let at = &mut next[span.bucket_of(*entry, bits)];
        counted[usize::from(*at)] = *entry;
        *at += 1;
    }
    entries.copy_from_slice(&counted[..entries.len()]);
    let mut begin = 0;
    for end in next[..1 << bits].iter().map(|end| usize::from(*end)) {
        if end - begin > CROWD {
            entries[begin..end].sort_unstable();
        }
        begin = end;
    }
    insert(entries);
}

/// Insertion sort of what is nearly in order.
fn insert(entries: &mut [u64]) {
    for end in 1..entries.len() {
        let entry = entries[end];
        let mut at = end;
        while at > 0 && entries[at - 1] > entry {
            entries[at] = entries[at - 1];
            at -= 1;
        }
        entries[at] = entry;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_are_in_order_whatever_their_hashes(
            rows in proptest::collection::vec((any::<u64>(), 0_u8..4), 0..3000),
            times in 1_usize..8,
            mask in prop_oneof![Just(u64::MAX), Just(0xff), Just(0), Just(u64::MAX << 48)],
        ) {
            let hash = |row: &(u64, u8)| row.0 & mask;
            let order = |a: &(u64, u8), b: &(u64, u8)| hash(a).cmp(&hash(b)).then_with(|| a.cmp(b));
            // Enough for a pass of the flag sort.
            let mut rows = rows.repeat(times);
            let mut expected = rows.clone();
            expected.sort_by(order);
            let mut boxed: Vec<_> = rows.iter().copied().map(Box::new).collect();
            sort_by_hash(&mut rows, &hash, &order);
            prop_assert_eq!(&rows, &expected);
            sort_by_hash(&mut boxed, &|row| hash(row), &|a, b| order(a, b));
            prop_assert!(boxed.iter().map(|row| **row).eq(expected));
        }
    }
}
