//! Sorting by hash, in place.
//!
//! Hashes are spread evenly, so a look at their first bits puts every row near its place. Up to a few thousand rows,
//! which fit the second-level cache, are sorted by their hashes alone: each is computed once and counted into place,
//! and the rows follow at the end. More rows are first swapped into up to 2,048 buckets (an American flag sort, McIlroy,
//! Bostic and McIlroy 1993). Rows with one hash, which even hashes have only for equal keys, are sorted by comparing.
//!
//! # Memory
//! 28 bytes for each of the few thousand rows, and a copy of them, while they are sorted.

use std::cmp::Ordering;

/// At most so many rows are sorted by a copy of their hashes.
const FEW: usize = 8192;

/// How many rows a bucket of the flag sort gets on average.
const PER_BUCKET: usize = 2048;

/// Most bits of the hash that one pass looks at: their counts fit the first-level cache.
const BITS: u32 = 11;

/// More hashes than that with the same first bits are no coincidence.
const CROWD: usize = 32;

/// Sorts `rows` by `order`, which must compare their `hash` first. Rows that compare equal may change places.
pub(crate) fn sort_by_hash<T: Clone>(rows: &mut [T], hash: &impl Fn(&T) -> u64, order: &impl Fn(&T, &T) -> Ordering) {
    let Some(first) = rows.first().map(hash) else { return };
    let differences = rows.iter().fold(0, |bits, row| bits | (hash(row) ^ first));
    let done = differences.leading_zeros();
    if done == u64::BITS {
        rows.sort_unstable_by(order);
    } else if rows.len() <= FEW {
        sort_few(rows, hash, order, done);
    } else {
        flag_sort(rows, hash, order, done);
    }
}

/// A pass of the flag sort over rows whose hashes agree in the first `done` bits, and the rest for each bucket.
fn flag_sort<T: Clone>(rows: &mut [T], hash: &impl Fn(&T) -> u64, order: &impl Fn(&T, &T) -> Ordering, done: u32) {
    let bits = (rows.len() / PER_BUCKET).ilog2().clamp(1, BITS).min(u64::BITS - done);
    let bucket_of = |row: &T| ((hash(row) << done) >> (u64::BITS - bits)) as usize;

    // Where each bucket begins, ends, and has its next row that is not known to belong there.
    let mut ends = vec![0_usize; 1 << bits];
    for row in &*rows {
        ends[bucket_of(row)] += 1;
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
            let belongs = bucket_of(&rows[at]);
            if belongs != bucket {
                rows.swap(at, next[belongs]);
            }
            next[belongs] += 1;
        }
    }
    for (begin, end) in begins.into_iter().zip(ends) {
        sort_by_hash(&mut rows[begin..end], hash, order);
    }
}

/// Sorts rows whose hashes agree in the first `done` bits and in no more.
fn sort_few<T: Clone>(rows: &mut [T], hash: &impl Fn(&T) -> u64, order: &impl Fn(&T, &T) -> Ordering, done: u32) {
    let bits = (rows.len() / 2).max(2).ilog2().min(BITS).min(u64::BITS - done);
    let bucket_of = |hash: u64| ((hash << done) >> (u64::BITS - bits)) as usize;
    let hashes: Vec<u64> = rows.iter().map(hash).collect();

    // Each hash, and where its row is.
    let mut sorted = vec![(0_u64, 0_u32); rows.len()];
    let mut next = vec![0_u32; (1 << bits) + 1];
    for hash in &hashes {
        next[bucket_of(*hash) + 1] += 1;
    }
    let mut begin = 0;
    for bucket in &mut next {
        begin += *bucket;
        *bucket = begin;
    }
    for (index, hash) in hashes.iter().enumerate() {
        let at = &mut next[bucket_of(*hash)];
        sorted[*at as usize] = (*hash, index as u32);
        *at += 1;
    }
    let mut begin = 0;
    for end in &next[..1 << bits] {
        let bucket = &mut sorted[begin..*end as usize];
        if bucket.len() > CROWD {
            bucket.sort_unstable();
        }
        begin = *end as usize;
    }
    insert(&mut sorted);
    follow(rows, &mut sorted);

    let mut begin = 0;
    while begin < rows.len() {
        let same = sorted[begin..].iter().take_while(|(hash, _)| *hash == sorted[begin].0).count();
        if same > 1 {
            rows[begin..begin + same].sort_unstable_by(order);
        }
        begin += same;
    }
}

/// Insertion sort of what is nearly in order.
fn insert(entries: &mut [(u64, u32)]) {
    for end in 1..entries.len() {
        let entry = entries[end];
        let mut at = end;
        while at > 0 && entries[at - 1].0 > entry.0 {
            entries[at] = entries[at - 1];
            at -= 1;
        }
        entries[at] = entry;
    }
}

/// Has the row at the index that `sorted[n]` names become row `n`.
fn follow<T: Clone>(rows: &mut [T], sorted: &mut [(u64, u32)]) {
    if !std::mem::needs_drop::<T>() {
        // Such a row is copied as fast as it is moved, and copies need not wait for each other.
        let copies: Vec<T> = sorted.iter().map(|(_, from)| rows[*from as usize].clone()).collect();
        rows.clone_from_slice(&copies);
        return;
    }
    for begin in 0..rows.len() {
        // A circle of rows, each of which goes where the one before was.
        let mut at = begin;
        loop {
            let from = std::mem::replace(&mut sorted[at].1, at as u32) as usize;
            if from == begin {
                break;
            }
            rows.swap(at, from);
            at = from;
        }
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
