//! `Rows`: a block of weighted rows, what travels, is sorted, spilled and merged.
//!
//! A row has a *key* (the worker that owns it is found by its hash; rows of one key are a *group*), perhaps something
//! below the key that tells rows of a group apart, and a *weight*. Rows that differ in their weight only are one row:
//! their weights are added, and a row whose weight is nothing does not exist.
//!
//! Sorted rows are in order of the *hash* first, then of the key, then of what is below it. Hashes are spread evenly,
//! so sorting is two or three passes over the data, and nearly every comparison is one of two numbers.
//!
//! [`Changes`] holds rows of typed keys and values with an `i64` weight, the usual way to write changes: +1 for a row
//! that came, -1 for one that went.

use std::cmp::Ordering;
use std::ops::Range;

use forebay::DecodeError;
use timely::Accountable;

use crate::field::Field;
use crate::sort::{Inside, sort_by_hash};

/// Bytes of rows that are sent, spilled and merged at a time.
pub const BLOCK: usize = 64 << 10;

/// A block of rows. See the module.
pub trait Rows: Default + Send + Sync + 'static {
    /// One row, as it is read.
    type Row<'a>: Copy
    where
        Self: 'a;

    /// How many rows there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the rows take in memory. Constant time.
    fn bytes(&self) -> usize;

    /// How many more rows there can be, whatever they are, before all take [`BLOCK`] bytes; 0 if that is not known.
    /// Constant time.
    fn room(&self) -> usize {
        0
    }

    /// The row at `index`.
    ///
    /// # Panics
    /// If there is none.
    fn get(&self, index: usize) -> Self::Row<'_>;

    /// Adds a row at the end.
    fn push(&mut self, row: Self::Row<'_>);

    /// Adds the weight of `row` to the last row, of which it differs in its weight only; without weight left, the
    /// last row goes.
    ///
    /// # Panics
    /// If there is no row.
    fn merge_last(&mut self, row: Self::Row<'_>);

    /// Adds the weight of `row` to the row at `index`, of which it differs in its weight only, if weight is left and the
    /// row stays as long as it is; whether it was done. Rows that cannot say so do nothing.
    ///
    /// # Panics
    /// If there is no such row.
    fn merge_at(&mut self, index: usize, row: Self::Row<'_>) -> bool {
        let _ = (index, row);
        false
    }

    /// The hash of the row's key, spread evenly over all 64 bits, the same in every process of a run.
    fn hash(row: Self::Row<'_>) -> u64;

    /// Calls `each` with every row in `range`, in their order, and the hash of its key.
    ///
    /// # Panics
    /// If they are not all there.
    fn hashed<'a>(&'a self, range: Range<usize>, mut each: impl FnMut(u64, Self::Row<'a>)) {
        for index in range {
            let row = self.get(index);
            each(Self::hash(row), row);
        }
    }

    /// The order of rows, whatever their weights: by hash, then by key, then by what is below the key.
    fn order(a: Self::Row<'_>, b: Self::Row<'_>) -> Ordering;

    /// Whether both rows have the same key.
    fn same_group(a: Self::Row<'_>, b: Self::Row<'_>) -> bool;

    /// What tells `row` from others of its group, in the [`order`](Self::order) of rows, if `other` is of that group too.
    /// Many rows of a group are sorted faster by it. Rows that cannot say so have none.
    fn inside<'a>(row: Self::Row<'a>, other: Self::Row<'_>) -> Option<Inside<'a>>
    where
        Self: 'a,
    {
        let _ = (row, other);
        None
    }

    /// Sorts the rows, merges those that differ in their weight only, and drops those without weight.
    fn consolidate(&mut self);

    /// Removes all rows and keeps the memory. Rows of another shape may be next.
    fn clear(&mut self);

    /// Makes room for so many more bytes of rows, as far as it is known what they take.
    fn reserve(&mut self, bytes: usize) {
        let _ = bytes;
    }

    /// No rows, of the shape that these have (their number of columns, for example).
    fn like(&self) -> Self;

    /// Appends the rows' bytes to `out`.
    fn encode(&self, out: &mut Vec<u8>);

    /// The rows that [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// If `bytes` are anything else. No length in them is trusted.
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError>;

    /// Adds the rows of `other` that are in `range` at the end, as they are.
    ///
    /// # Panics
    /// If they are not all there.
    fn append(&mut self, other: &Self, range: Range<usize>) {
        for index in range {
            self.push(other.get(index));
        }
    }

    /// Adds every row to one of `buckets`, a power of two of them, which stand for equal shares of the hashes in their
    /// order. `full` is called with one that has come to [`BLOCK`] bytes, and its number, before it gets more.
    fn scatter(&self, buckets: &mut [Self], mut full: impl FnMut(usize, &mut Self)) {
        let (bits, mask) = (buckets.len().ilog2(), buckets.len() - 1);
        for index in 0..self.len() {
            let row = self.get(index);
            let number = Self::hash(row).rotate_left(bits) as usize & mask;
            let bucket = &mut buckets[number];
            bucket.push(row);
            if bucket.bytes() >= BLOCK {
                full(number, bucket);
            }
        }
    }

    /// Adds `row`, which is not before the last one: merges the two if they differ in their weight only.
    fn push_merged(&mut self, row: Self::Row<'_>) {
        match self.len().checked_sub(1) {
            Some(last) if Self::order(self.get(last), row).is_eq() => self.merge_last(row),
            _ => self.push(row),
        }
    }
}

/// What weights of rows are: they are added up, and the default is nothing. Written, it takes at least its size.
pub trait Weight: Field + Copy + Default {
    /// The sum of both.
    #[must_use]
    fn plus(self, more: Self) -> Self;
}

impl Weight for i64 {
    fn plus(self, more: Self) -> Self {
        self.wrapping_add(more)
    }
}

/// Rows of a key `K`, a value `V` and a weight `W`. With `V = ()` a row of a `u64` is 16 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes<K, V = (), W = i64> {
    rows: Vec<(K, V, W)>,
    /// Bytes that keys and values take beyond the rows.
    heap: usize,
}

impl<K: Field, V: Field, W: Weight> Changes<K, V, W> {
    /// No rows yet, and room for `rows`.
    pub fn with_capacity(rows: usize) -> Self {
        Changes { rows: Vec::with_capacity(rows), heap: 0 }
    }

    /// Adds a row.
    pub fn add(&mut self, key: K, value: V, weight: W) {
        self.heap += key.heap() + value.heap();
        self.rows.push((key, value, weight));
    }

    /// The rows.
    pub fn iter(&self) -> std::slice::Iter<'_, (K, V, W)> {
        self.rows.iter()
    }

    fn compare(a: &(K, V, W), b: &(K, V, W)) -> Ordering {
        a.0.hash64().cmp(&b.0.hash64()).then_with(|| a.0.cmp(&b.0)).then_with(|| a.1.cmp(&b.1))
    }

    fn count_heap(&mut self) {
        if K::ON_HEAP || V::ON_HEAP {
            self.heap = self.rows.iter().map(|(key, value, _)| key.heap() + value.heap()).sum();
        }
    }
}

impl<K, V, W> Default for Changes<K, V, W> {
    fn default() -> Self {
        Changes { rows: Vec::new(), heap: 0 }
    }
}

impl<K: Field, V: Field, W: Weight> FromIterator<(K, V, W)> for Changes<K, V, W> {
    fn from_iter<I: IntoIterator<Item = (K, V, W)>>(rows: I) -> Self {
        let mut changes = Changes { rows: rows.into_iter().collect(), heap: 0 };
        changes.count_heap();
        changes
    }
}

impl<K: Field, V: Field, W: Weight> Extend<(K, V, W)> for Changes<K, V, W> {
    fn extend<I: IntoIterator<Item = (K, V, W)>>(&mut self, rows: I) {
        let before = self.rows.len();
        self.rows.extend(rows);
        if K::ON_HEAP || V::ON_HEAP {
            self.heap += self.rows[before..].iter().map(|(key, value, _)| key.heap() + value.heap()).sum::<usize>();
        }
    }
}

impl<K: Field, V: Field, W: Weight> Accountable for Changes<K, V, W> {
    fn record_count(&self) -> i64 {
        self.rows.len() as i64
    }
}

impl<K: Field, V: Field, W: Weight> Rows for Changes<K, V, W> {
    type Row<'a> = &'a (K, V, W);

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn bytes(&self) -> usize {
        self.rows.len() * size_of::<(K, V, W)>() + self.heap
    }

    fn room(&self) -> usize {
        if K::ON_HEAP || V::ON_HEAP { 0 } else { (BLOCK - 1).saturating_sub(self.bytes()) / size_of::<(K, V, W)>() }
    }

    fn get(&self, index: usize) -> &(K, V, W) {
        &self.rows[index]
    }

    fn push(&mut self, row: &(K, V, W)) {
        self.add(row.0.clone(), row.1.clone(), row.2);
    }

    fn append(&mut self, other: &Self, range: Range<usize>) {
        let rows = &other.rows[range];
        if K::ON_HEAP || V::ON_HEAP {
            self.heap += rows.iter().map(|(key, value, _)| key.heap() + value.heap()).sum::<usize>();
        }
        self.rows.extend_from_slice(rows);
    }

    fn merge_last(&mut self, row: &(K, V, W)) {
        let Some(last) = self.rows.last_mut() else { unreachable!("there is a row to merge with") };
        last.2 = last.2.plus(row.2);
        if last.2 == W::default()
            && let Some((key, value, _)) = self.rows.pop()
        {
            self.heap -= key.heap() + value.heap();
        }
    }

    fn merge_at(&mut self, index: usize, row: &(K, V, W)) -> bool {
        let weight = &mut self.rows[index].2;
        let sum = weight.plus(row.2);
        let is_left = sum != W::default();
        if is_left {
            *weight = sum;
        }
        is_left
    }

    fn hash(row: &(K, V, W)) -> u64 {
        row.0.hash64()
    }

    /// Hashes of a few rows before anything is done with these: the processor works on them side by side.
    fn hashed<'a>(&'a self, range: Range<usize>, mut each: impl FnMut(u64, &'a (K, V, W))) {
        let (fours, rest) = self.rows[range].as_chunks::<4>();
        for rows in fours {
            let hashes = rows.each_ref().map(|row| row.0.hash64());
            hashes.into_iter().zip(rows).for_each(|(hash, row)| each(hash, row));
        }
        rest.iter().for_each(|row| each(row.0.hash64(), row));
    }

    fn order(a: &(K, V, W), b: &(K, V, W)) -> Ordering {
        Self::compare(a, b)
    }

    fn same_group(a: &(K, V, W), b: &(K, V, W)) -> bool {
        a.0 == b.0
    }

    fn consolidate(&mut self) {
        sort_by_hash(&mut self.rows, &|row| row.0.hash64(), &Self::compare);
        self.rows.dedup_by(|row, kept| {
            let same = row.0 == kept.0 && row.1 == kept.1;
            if same {
                kept.2 = kept.2.plus(row.2);
            }
            same
        });
        self.rows.retain(|row| row.2 != W::default());
        self.count_heap();
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.heap = 0;
    }

    fn reserve(&mut self, bytes: usize) {
        self.rows.reserve(bytes / size_of::<(K, V, W)>());
    }

    fn like(&self) -> Self {
        Self::default()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(self.bytes() + 8);
        out.extend_from_slice(&(self.rows.len() as u64).to_le_bytes());
        for (key, value, weight) in &self.rows {
            key.encode(out);
            value.encode(out);
            weight.encode(out);
        }
    }

    fn decode(mut bytes: &[u8]) -> Result<Self, DecodeError> {
        let count = u64::decode(&mut bytes)?;
        // A row is at least its weight.
        let most = bytes.len() / size_of::<W>();
        let count = usize::try_from(count).ok().filter(|count| *count <= most).ok_or(DecodeError("too many rows"))?;
        let mut changes = Self::with_capacity(count);
        for _ in 0..count {
            let (key, value) = (K::decode(&mut bytes)?, V::decode(&mut bytes)?);
            changes.add(key, value, W::decode(&mut bytes)?);
        }
        if bytes.is_empty() { Ok(changes) } else { Err(DecodeError("bytes after the last row")) }
    }
}
