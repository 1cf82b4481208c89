//! `Totals`: what `sum` and `avg` keep of each key.

use std::cmp::Ordering;
use std::ops::Range;

use forebay::DecodeError;

use crate::field::Field;
use crate::rows::Rows;
use crate::sort::sort_by_hash;

/// Rows of a key, the sum of its values and how many they are. The last two are the weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Totals<K> {
    rows: Vec<(K, i128, i64)>,
    /// Bytes that keys take beyond the rows.
    heap: usize,
}

impl<K: Field> Totals<K> {
    fn compare(a: &(K, i128, i64), b: &(K, i128, i64)) -> Ordering {
        a.0.hash64().cmp(&b.0.hash64()).then_with(|| a.0.cmp(&b.0))
    }

    /// Adds the weight of `row` to that of `to`; whether any is left.
    fn plus(to: &mut (K, i128, i64), row: &(K, i128, i64)) -> bool {
        to.1 = to.1.wrapping_add(row.1);
        to.2 = to.2.wrapping_add(row.2);
        (to.1, to.2) != (0, 0)
    }
}

impl<K> Default for Totals<K> {
    fn default() -> Self {
        Totals { rows: Vec::new(), heap: 0 }
    }
}

impl<K: Field> Rows for Totals<K> {
    type Row<'a> = &'a (K, i128, i64);

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn bytes(&self) -> usize {
        self.rows.len() * size_of::<(K, i128, i64)>() + self.heap
    }

    fn get(&self, index: usize) -> &(K, i128, i64) {
        &self.rows[index]
    }

    fn push(&mut self, row: &(K, i128, i64)) {
        self.heap += row.0.heap();
        self.rows.push(row.clone());
    }

    fn append(&mut self, other: &Self, range: Range<usize>) {
        let rows = &other.rows[range];
        if K::ON_HEAP {
            self.heap += rows.iter().map(|row| row.0.heap()).sum::<usize>();
        }
        self.rows.extend_from_slice(rows);
    }

    fn merge_last(&mut self, row: &(K, i128, i64)) {
        let Some(last) = self.rows.last_mut() else { unreachable!("there is a row to merge with") };
        if !Self::plus(last, row)
            && let Some((key, ..)) = self.rows.pop()
        {
            self.heap -= key.heap();
        }
    }

    fn merge_at(&mut self, index: usize, row: &(K, i128, i64)) -> bool {
        let mut sum = self.rows[index].clone();
        let is_left = Self::plus(&mut sum, row);
        if is_left {
            self.rows[index] = sum;
        }
        is_left
    }

    fn hash(row: &(K, i128, i64)) -> u64 {
        row.0.hash64()
    }

    fn order(a: &(K, i128, i64), b: &(K, i128, i64)) -> Ordering {
        Self::compare(a, b)
    }

    fn same_group(a: &(K, i128, i64), b: &(K, i128, i64)) -> bool {
        a.0 == b.0
    }

    fn consolidate(&mut self) {
        sort_by_hash(&mut self.rows, &|row| row.0.hash64(), &Self::compare);
        self.rows.dedup_by(|row, kept| {
            let same = row.0 == kept.0;
            if same {
                Self::plus(kept, row);
            }
            same
        });
        self.rows.retain(|row| (row.1, row.2) != (0, 0));
        self.heap = if K::ON_HEAP { self.rows.iter().map(|row| row.0.heap()).sum() } else { 0 };
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.heap = 0;
    }

    fn like(&self) -> Self {
        Self::default()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(self.bytes() + 8);
        (self.rows.len() as u64).encode(out);
        for (key, sum, count) in &self.rows {
            key.encode(out);
            sum.encode(out);
            count.encode(out);
        }
    }

    fn decode(mut bytes: &[u8]) -> Result<Self, DecodeError> {
        let count = u64::decode(&mut bytes)?;
        // A row is at least its weight.
        let most = bytes.len() / (size_of::<i128>() + size_of::<i64>());
        let count = usize::try_from(count).ok().filter(|count| *count <= most).ok_or(DecodeError("too many rows"))?;
        let mut totals = Totals { rows: Vec::with_capacity(count), heap: 0 };
        for _ in 0..count {
            let row = (K::decode(&mut bytes)?, i128::decode(&mut bytes)?, i64::decode(&mut bytes)?);
            totals.heap += row.0.heap();
            totals.rows.push(row);
        }
        if bytes.is_empty() { Ok(totals) } else { Err(DecodeError("bytes after the last row")) }
    }
}
