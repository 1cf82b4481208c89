//! Sorting by hash.
//!
//! What is sorted is eight bytes a row: as much of its hash as fits, and in the low bits the row's number. Hashes are spread
//! evenly, so a look at their first bits puts every row near its place: up to a few thousand, which fit the first-level
//! cache, are counted into place. More are first swapped into up to 4,096 buckets (an American flag sort, McIlroy, Bostic
//! and McIlroy 1993). The rows follow once, at the end.
//!
//! Rows that look the same so far, which even hashes do only for equal keys, are sorted by comparing if they are few. More
//! are those of one group, which may have millions: they are sorted in the same way by the first bytes of what tells them
//! apart ([`Inside`]), behind what they all have in common, and so on with those that look the same still. A comparison
//! looks at two rows that are anywhere in memory, and each row would be in twenty of them.
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

/// So often entries that look the same are made to look like more of their rows, which only strings made for it need.
const DEEPEST: u32 = 16;

/// What tells a row of a group from the others: they are in order of the number first, then of the bytes.
#[derive(Clone, Copy, Debug)]
pub struct Inside<'a> {
    /// Below 256.
    pub class: u8,
    /// Rows of one class that have the same bytes are one row.
    pub bytes: &'a [u8],
    /// Whether the rows of this class are in the order of their bytes backwards.
    pub descending: bool,
}

impl Inside<'_> {
    /// The eight bytes from `from` on. Of two rows of a class with the same bytes before that, the one whose number is less
    /// comes first; if neither is, nothing is said.
    fn number(&self, from: usize) -> u64 {
        let rest = self.bytes.get(from..).unwrap_or_default();
        let bytes = match rest.first_chunk() {
            Some(bytes) => u64::from_be_bytes(*bytes),
            None => {
                let mut bytes = [0; 8];
                bytes[..rest.len()].copy_from_slice(rest);
                u64::from_be_bytes(bytes)
            }
        };
        if self.descending { !bytes } else { bytes }
    }

    /// How many bytes both begin with.
    fn in_common(&self, other: &Self, most: usize) -> usize {
        let (a, b) = (self.bytes, other.bytes);
        let most = most.min(a.len()).min(b.len());
        // Eight at a time.
        let eights = a[..most].as_chunks::<8>().0.iter().zip(b[..most].as_chunks::<8>().0);
        let begin = eights.take_while(|(a, b)| a == b).count() * 8;
        begin + a[begin..most].iter().zip(&b[begin..most]).take_while(|(a, b)| a == b).count()
    }
}

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
    /// The numbers of the rows from the `nth` on, each with whether the row may be the same as the one before: not, if
    /// sorting them has shown a difference.
    pub(crate) fn from(&self, nth: usize) -> impl Iterator<Item = (usize, bool)> {
        let numbers = self.numbers;
        let mut before = nth.checked_sub(1).map(|before| self.entries[before]);
        self.entries[nth..].iter().map(move |entry| {
            // Rows that are the same look the same whatever they were made to look like.
            let alike = before.replace(*entry).is_some_and(|before| (before ^ entry) & !numbers == 0);
            ((entry & numbers) as usize, alike)
        })
    }

    /// Sorts the rows with these hashes by them, and where they look the same by `order`, which must compare the hashes
    /// first. `inside(first)(row)` is what tells `row` from others of its group, if `first` is of that too and the rows
    /// have such a thing.
    pub(crate) fn sort<'a, I: Fn(usize) -> Option<Inside<'a>>>(
        &mut self,
        hashes: impl ExactSizeIterator<Item = u64>,
        order: impl Fn(usize, usize) -> Ordering,
        inside: impl Fn(usize) -> I,
    ) {
        let numbers = hashes.len().next_power_of_two() as u64 - 1;
        self.numbers = numbers;
        self.entries.clear();
        self.entries.extend(hashes.enumerate().map(|(number, hash)| hash & !numbers | number as u64));
        let Order { entries, counted, .. } = self;
        sort(entries, counted, numbers);
        for same in alike(entries, numbers) {
            sort_same(same, counted, numbers, &order, &inside, DEEPEST);
        }
    }
}

/// The stretches of entries that look the same.
fn alike(entries: &mut [u64], numbers: u64) -> impl Iterator<Item = &mut [u64]> {
    entries.chunk_by_mut(move |a, b| (a ^ b) & !numbers == 0).filter(|same| same.len() > 1)
}

/// Sorts entries that look the same.
fn sort_same<'a, I: Fn(usize) -> Option<Inside<'a>>>(
    same: &mut [u64],
    counted: &mut Vec<u64>,
    numbers: u64,
    order: &impl Fn(usize, usize) -> Ordering,
    inside: &impl Fn(usize) -> I,
    deepest: u32,
) {
    if same.len() <= CROWD || deepest == 0 || !by_inside(same, numbers, inside((same[0] & numbers) as usize)) {
        return same.sort_unstable_by(|a, b| order((a & numbers) as usize, (b & numbers) as usize));
    }
    sort(same, counted, numbers);
    let all = same.len();
    for same in alike(same, numbers) {
        // Where that is all of them, they are the same, or some go on with nothing but zeros where others end.
        sort_same(same, counted, numbers, order, inside, if same.len() < all { deepest - 1 } else { 0 });
    }
}

/// The rows of a class among some.
#[derive(Clone, Copy)]
struct Class<'a> {
    /// One of them.
    row: Inside<'a>,
    /// How many bytes all of them begin with.
    common: usize,
    /// How many classes come before.
    rank: u64,
}

/// Has entries look as what tells their rows apart: which class, in no more bits than it takes, and the bytes behind those that
/// all of the class have in common. Whether that is known.
fn by_inside<'a>(same: &mut [u64], numbers: u64, inside: impl Fn(usize) -> Option<Inside<'a>>) -> bool {
    let mut classes: [Option<Class<'a>>; 256] = [None; 256];
    for entry in &*same {
        let Some(row) = inside((*entry & numbers) as usize) else { return false };
        let class = classes[usize::from(row.class)].get_or_insert(Class { row, common: row.bytes.len(), rank: 0 });
        class.common = row.in_common(&class.row, class.common);
    }
    for (class, rank) in classes.iter_mut().flatten().zip(0..) {
        class.rank = rank;
    }
    let bits = classes.iter().flatten().count().next_power_of_two().ilog2();
    for entry in same {
        let number = *entry & numbers;
        let Some(row) = inside(number as usize) else { return false };
        let Some(class) = classes[usize::from(row.class)] else { return false };
        *entry = (class.rank.rotate_right(bits) | row.number(class.common) >> bits) & !numbers | number;
    }
    true
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
    sorted.sort(rows.iter().map(hash), |a, b| order(&rows[a], &rows[b]), |_| |_| None);
    if !std::mem::needs_drop::<T>() {
        // Such a row is copied as fast as it is moved, and copies need not wait for each other.
        let mut copies = Vec::with_capacity(rows.capacity());
        copies.extend(sorted.from(0).map(|(from, _)| rows[from].clone()));
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

    /// A row of a group: a number that says which, the class and the bytes.
    type Row = (u64, u8, Vec<u8>);

    fn is_descending(class: u8) -> bool {
        class == 2
    }

    fn in_order(a: &Row, b: &Row) -> Ordering {
        let bytes = a.2.cmp(&b.2);
        (a.0, a.1).cmp(&(b.0, b.1)).then(if is_descending(a.1) { bytes.reverse() } else { bytes })
    }

    /// The rows, sorted, and how many of them were compared for that.
    fn sorted(rows: &[Row]) -> (Vec<Row>, usize) {
        let compared = Cell::new(0);
        let mut sorted = Order::default();
        sorted.sort(
            rows.iter().map(|row| row.0),
            |a, b| {
                compared.set(compared.get() + 1);
                in_order(&rows[a], &rows[b])
            },
            |first| {
                move |at| {
                    let (group, class, bytes) = &rows[at];
                    let descending = is_descending(*class);
                    (*group == rows[first].0).then_some(Inside { class: *class, bytes, descending })
                }
            },
        );
        let found: Vec<_> = sorted.from(0).collect();
        for pair in found.windows(2) {
            let ((before, _), (at, alike)) = (pair[0], pair[1]);
            assert!(alike || rows[before] != rows[at], "a row is told from itself");
        }
        (found.into_iter().map(|(at, _)| rows[at].clone()).collect(), compared.get())
    }

    /// Comparing all of them would take log2(n), so 16, comparisons a row.
    #[test]
    fn many_rows_of_one_group_are_hardly_compared() {
        // Not evenly, as a product alone would be.
        let spread = |at: u64| {
            let at = at.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            (at ^ at >> 31).wrapping_mul(0xbf58_476d_1ce4_e5b9)
        };
        for class in [1, 2] {
            for text in [false, true] {
                let bytes = |at| match text {
                    true => format!("https://example.org/some/path/to?user={:016x}&{at}", spread(at)).into_bytes(),
                    false => spread(at).to_be_bytes().to_vec(),
                };
                // Of one row in a hundred, another class.
                let class = |at: u64| if at.is_multiple_of(100) { 0 } else { class };
                let rows: Vec<Row> = (0..100_000).map(|at| (7, class(at), bytes(at))).collect();
                let mut expected = rows.clone();
                expected.sort_by(in_order);
                let (found, compared) = sorted(&rows);
                assert!(found == expected, "class {}, text: {text}", class(1));
                assert!(compared < rows.len() / 50, "class {}, text: {text}: {compared}", class(1));
            }
        }
    }

    proptest! {
        #[test]
        fn rows_of_groups_are_in_order_whatever_they_have_in_common(
            rows in proptest::collection::vec(
                (0_u64..2, 0_u8..3, 0_usize..3, proptest::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(255)], 0..14)),
                0..600,
            ),
            times in 1_usize..4,
        ) {
            let rows = rows.into_iter().map(|(group, class, common, rest)| {
                (group << 63, class, [&b"the same in many rows"[..common * 7], &rest].concat())
            });
            let rows: Vec<Row> = vec![rows.collect::<Vec<Row>>(); times].concat();
            let mut expected = rows.clone();
            expected.sort_by(in_order);
            prop_assert!(sorted(&rows).0 == expected);
        }

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
