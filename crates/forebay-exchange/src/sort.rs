//! Sorting by hash, in place.
//!
//! Hashes are spread evenly, so a look at their first bits puts every row near its place: rows are swapped into up to
//! 2,048 buckets (an American flag sort, McIlroy, Bostic and McIlroy 1993), and buckets of a few rows are finished by
//! comparing. Rows with one hash, which even hashes have only for equal keys, are sorted by comparing.

use std::cmp::Ordering;

/// Buckets of at most so many rows are sorted by comparing.
const FEW: usize = 24;

/// How many rows a bucket gets on average.
const PER_BUCKET: usize = 8;

/// Most bits of the hash that one pass looks at: their counts fit the first-level cache.
const BITS: u32 = 11;

/// Sorts `rows` by `order`, which must compare their `hash` first. Rows that compare equal may change places.
pub(crate) fn sort_by_hash<T>(rows: &mut [T], hash: &impl Fn(&T) -> u64, order: &impl Fn(&T, &T) -> Ordering) {
    sort_from(rows, hash, order, 0);
}

/// As [`sort_by_hash`], of rows whose hashes agree in the first `done` bits.
fn sort_from<T>(rows: &mut [T], hash: &impl Fn(&T) -> u64, order: &impl Fn(&T, &T) -> Ordering, done: u32) {
    if rows.len() <= FEW || done >= u64::BITS {
        return rows.sort_unstable_by(order);
    }
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
        if end - begin > 1 {
            sort_from(&mut rows[begin..end], hash, order, done + bits);
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
            mut rows in proptest::collection::vec((any::<u64>(), 0_u8..4), 0..3000),
            mask in prop_oneof![Just(u64::MAX), Just(0xff), Just(0), Just(u64::MAX << 48)],
        ) {
            let hash = |row: &(u64, u8)| row.0 & mask;
            let order = |a: &(u64, u8), b: &(u64, u8)| hash(a).cmp(&hash(b)).then_with(|| a.cmp(b));
            let mut expected = rows.clone();
            expected.sort_by(order);
            sort_by_hash(&mut rows, &hash, &order);
            prop_assert_eq!(rows, expected);
        }
    }
}
