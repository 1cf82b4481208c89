//! `KeyedRows`: rows of a group-by, back to back in one buffer.
//!
//! ```text
//! hash of the key, 8 bytes | key | tag | value | weight
//! ```
//!
//! - *key*: of a query by one column of integers, dates or timestamps, the hash is the number ([`mix`] is one to one),
//!   and the key is one byte that says whether it is null. Of other queries, its length and the bytes of arrow's
//!   `RowConverter`.
//! - *tag* and *value*, only in queries that need them (`distinct`; `min` and `max` of what can be taken back): 0 and no
//!   value for the row with the accumulators; else the number of a *value column*, and one of its values, whose bytes are in
//!   the order of the values. The tag has its first bit set ([`DESCENDING`]) where the largest value comes first. The last
//!   tag is [`DISTINCT`]: its value is the number of a value column, and its weight how many values that has.
//! - *weight*: the accumulators ([`weight`]), or of a value how often it is there.
//!
//! What is compared is the hash, then the bytes up to the weight; of values, without their lengths. Numbers are as short as they can be and nothing is
//! padded: a group of an integer key with its count and sum takes 13 to 20 bytes, in memory, on disk and between
//! processes alike, and 4 more in memory for where it ends. The rows of one container take less than 4 GiB.
//!
//! A container knows its [`Shape`] from its first row, or from its bytes; an empty one may have none, or that of rows it had.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use forebay::DecodeError;
use timely::Accountable;

use super::number;
use super::weight::{self, Kind};
use crate::rows::Rows;
use crate::sort::{Inside, Order};

/// The bit of tags whose values come the largest first.
pub(super) const DESCENDING: u8 = 0x80;

/// The tag of how many values there are.
pub(super) const DISTINCT: u8 = u8::MAX;

/// Bytes of a hash.
pub(super) const HASH: usize = size_of::<u64>();

/// Rows of up to so many bytes are copied as if they had so many.
const COPY: usize = 32;

/// Bytes by which the last row of a container goes beyond those that it should have at most, unless rows are long.
const BEYOND: usize = 4 << 10;

/// What the rows of a query are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// The key is one number, or null.
    pub(super) number: bool,
    /// There are values below the key, and tags.
    pub(super) values: bool,
    /// The accumulators.
    pub(super) kinds: Vec<Kind>,
}

/// Rows of a group-by. See the module.
#[derive(Clone, Debug, Default)]
pub struct KeyedRows {
    shape: Option<Arc<Shape>>,
    bytes: Vec<u8>,
    ends: Vec<u32>,
    /// Where two weights become one.
    scratch: Vec<u8>,
}

/// One row of [`KeyedRows`].
#[derive(Clone, Copy, Debug)]
pub struct KeyedRow<'a> {
    shape: &'a Arc<Shape>,
    bytes: &'a [u8],
    key_end: u32,
    weight_at: u32,
}

impl<'a> KeyedRow<'a> {
    /// The row at the front of `bytes`, of which there may be more, if where its parts are needs no looking at it.
    ///
    /// Inlined, so that its fields stay in registers: a row that a call returns goes through memory, and reading what was
    /// just written there in pieces of another size takes longer than all the rest.
    #[inline(always)]
    fn fixed(shape: &'a Arc<Shape>, bytes: &'a [u8]) -> Option<Self> {
        let key_end = HASH as u32 + 1;
        (shape.number && !shape.values && bytes.len() > HASH).then_some(KeyedRow {
            shape,
            bytes,
            key_end,
            weight_at: key_end,
        })
    }

    /// The row at the front of `bytes`, of which there may be more.
    fn parse(shape: &'a Arc<Shape>, bytes: &'a [u8]) -> Result<Self, DecodeError> {
        if let Some(row) = Self::fixed(shape, bytes) {
            return Ok(row);
        }
        let mut rest = bytes.get(HASH..).ok_or(DecodeError("the row ends early"))?;
        let key_len = if shape.number { 1 } else { number::take_u64(&mut rest)? };
        weight::take_bytes(&mut rest, key_len)?;
        let key_end = bytes.len() - rest.len();
        if shape.values && weight::take_bytes(&mut rest, 1)? != [0] {
            let len = number::take_u64(&mut rest)?;
            weight::take_bytes(&mut rest, len)?;
        }
        let weight_at = bytes.len() - rest.len();
        // Of rows that take less than 4 GiB together.
        Ok(KeyedRow { shape, bytes, key_end: key_end as u32, weight_at: weight_at as u32 })
    }

    /// The hash of the key.
    #[inline]
    pub(super) fn key_hash(&self) -> u64 {
        self.bytes.first_chunk().map_or(0, |hash| u64::from_le_bytes(*hash))
    }

    /// Hash and key, as they are written.
    pub(super) fn group(&self) -> &'a [u8] {
        &self.bytes[..self.key_end as usize]
    }

    /// The value column, and its order; 0 for the row with the accumulators.
    pub(super) fn tag(&self) -> u8 {
        if self.shape.values { self.bytes[self.key_end as usize] } else { 0 }
    }

    /// The value, of a row with a tag.
    pub(super) fn value(&self) -> Result<&'a [u8], DecodeError> {
        let mut value = self.bytes.get(self.key_end as usize + 1..self.weight_at as usize).unwrap_or_default();
        number::take_u64(&mut value)?;
        Ok(value)
    }

    /// The accumulators, or how often the value is there.
    pub(super) fn weight(&self) -> &'a [u8] {
        &self.bytes[self.weight_at as usize..]
    }

    /// The order of two rows with the same hash.
    #[inline]
    fn compare(&self, other: &Self) -> Ordering {
        if !self.shape.values {
            return self.group().cmp(other.group());
        }
        self.compare_values(other)
    }

    fn compare_values(&self, other: &Self) -> Ordering {
        let tag = self.tag();
        self.group().cmp(other.group()).then(tag.cmp(&other.tag())).then_with(|| {
            if tag == 0 {
                return Ordering::Equal;
            }
            let (Ok(value), Ok(other)) = (self.value(), other.value()) else {
                unreachable!("every row was written here or has been decoded")
            };
            if is_descending(tag) { other.cmp(value) } else { value.cmp(other) }
        })
    }

    fn kinds(&self) -> &'a [Kind] {
        if self.tag() == 0 { &self.shape.kinds } else { &[Kind::Count] }
    }
}

/// Whether of the values with this tag the largest comes first.
fn is_descending(tag: u8) -> bool {
    tag & DESCENDING != 0 && tag != DISTINCT
}

/// Appends hash and key, as they stand in a row, of a query whose key is not one number.
pub(super) fn put_key(out: &mut Vec<u8>, hash: u64, key: &[u8]) {
    out.extend_from_slice(&hash.to_le_bytes());
    number::put_u64(out, key.len() as u64);
    out.extend_from_slice(key);
}

impl KeyedRows {
    /// No rows, of this shape.
    pub(super) fn of(shape: Arc<Shape>) -> Self {
        KeyedRows { shape: Some(shape), ..Self::default() }
    }

    /// Their shape; none is known of containers that never had a row.
    pub(super) fn shape(&self) -> Option<&Arc<Shape>> {
        self.shape.as_ref()
    }

    /// Adds a row of the shape `shape`, whose bytes `write` appends.
    ///
    /// # Panics
    /// If the rows would take 4 GiB together.
    #[inline]
    pub(super) fn write(&mut self, shape: &Arc<Shape>, write: impl FnOnce(&mut Vec<u8>)) {
        if self.ends.is_empty() && self.shape.as_ref().is_none_or(|own| !Arc::ptr_eq(own, shape)) {
            self.shape = Some(shape.clone());
        }
        write(&mut self.bytes);
        assert!(u32::try_from(self.bytes.len()).is_ok(), "rows of one container take less than 4 GiB");
        self.ends.push(self.bytes.len() as u32);
    }

    /// The row with these bytes.
    #[inline(never)]
    fn parsed<'a>(&'a self, bytes: &'a [u8]) -> KeyedRow<'a> {
        let row = self.shape.as_ref().and_then(|shape| KeyedRow::parse(shape, bytes).ok());
        let Some(row) = row else { unreachable!("every row was written here or has been decoded") };
        row
    }

    #[inline]
    fn begin(&self, index: usize) -> usize {
        index.checked_sub(1).map_or(0, |before| self.ends[before] as usize)
    }

    /// The hash of the row at `index`.
    #[inline]
    fn hash_at(&self, index: usize) -> u64 {
        self.bytes[self.begin(index)..].first_chunk().map_or(0, |hash| u64::from_le_bytes(*hash))
    }

    /// Adds the row at `index` of `other`, which is of the same shape.
    #[inline]
    fn copy(&mut self, other: &Self, index: usize) {
        let (begin, end) = (other.begin(index), other.ends[index] as usize);
        // Many bytes at once and the surplus taken back: cheaper than copying a number of bytes that is not known.
        match other.bytes[begin..].first_chunk::<COPY>() {
            Some(bytes) if end - begin <= COPY => {
                let end = self.bytes.len() + (end - begin);
                self.bytes.extend_from_slice(bytes);
                self.bytes.truncate(end);
            }
            _ => self.bytes.extend_from_slice(&other.bytes[begin..end]),
        }
        self.ends.push(self.bytes.len() as u32);
    }
}

impl PartialEq for KeyedRows {
    /// The same rows in the same order.
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes && self.ends == other.ends
    }
}

impl Accountable for KeyedRows {
    fn record_count(&self) -> i64 {
        self.ends.len() as i64
    }

    fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

impl Rows for KeyedRows {
    type Row<'a> = KeyedRow<'a>;

    #[inline]
    fn len(&self) -> usize {
        self.ends.len()
    }

    fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    #[inline]
    fn bytes(&self) -> usize {
        self.bytes.len() + size_of_val(&self.ends[..])
    }

    #[inline(always)]
    fn get(&self, index: usize) -> KeyedRow<'_> {
        let bytes = &self.bytes[self.begin(index)..self.ends[index] as usize];
        match self.shape.as_ref().and_then(|shape| KeyedRow::fixed(shape, bytes)) {
            Some(row) => row,
            None => self.parsed(bytes),
        }
    }

    #[inline]
    fn push(&mut self, row: KeyedRow<'_>) {
        self.write(row.shape, |out| out.extend_from_slice(row.bytes));
    }

    fn append(&mut self, other: &Self, range: Range<usize>) {
        let Some(shape) = other.shape.as_ref().filter(|_| !range.is_empty()) else { return };
        let (from, to) = (other.begin(range.start), other.begin(range.end));
        let ends = self.bytes.len();
        self.write(shape, |out| out.extend_from_slice(&other.bytes[from..to]));
        self.ends.pop();
        self.ends.extend(other.ends[range].iter().map(|end| (*end as usize - from + ends) as u32));
    }

    fn merge_last(&mut self, row: KeyedRow<'_>) {
        let last = self.len() - 1;
        let begin = self.begin(last);
        let mut sum = std::mem::take(&mut self.scratch);
        sum.clear();
        let kept = self.get(last);
        let kinds = kept.kinds();
        let weight_at = begin + kept.weight_at as usize;
        let added = weight::add(kinds, kept.weight(), row.weight(), &mut sum);
        debug_assert_eq!(added, Ok(()), "every row was written here or has been decoded");
        if weight::is_nothing(kinds, &sum) == Ok(true) {
            self.bytes.truncate(begin);
            self.ends.pop();
        } else {
            self.bytes.truncate(weight_at);
            self.ends.pop();
            self.bytes.extend_from_slice(&sum);
            self.ends.push(self.bytes.len() as u32);
        }
        self.scratch = sum;
    }

    fn merge_at(&mut self, index: usize, row: KeyedRow<'_>) -> bool {
        let (mut sum, end) = (std::mem::take(&mut self.scratch), self.ends[index] as usize);
        sum.clear();
        let kept = self.get(index);
        let (kinds, weight_at) = (kept.kinds(), self.begin(index) + kept.weight_at as usize);
        let added = weight::add(kinds, kept.weight(), row.weight(), &mut sum);
        // Numbers are as short as they can be: most often as long as before.
        let fits = added.is_ok() && sum.len() == end - weight_at && weight::is_nothing(kinds, &sum) == Ok(false);
        if fits {
            self.bytes[weight_at..end].copy_from_slice(&sum);
        }
        self.scratch = sum;
        fits
    }

    #[inline]
    fn hash(row: KeyedRow<'_>) -> u64 {
        row.key_hash()
    }

    #[inline]
    fn order(a: KeyedRow<'_>, b: KeyedRow<'_>) -> Ordering {
        a.key_hash().cmp(&b.key_hash()).then_with(|| a.compare(&b))
    }

    #[inline]
    fn same_group(a: KeyedRow<'_>, b: KeyedRow<'_>) -> bool {
        a.group() == b.group()
    }

    fn inside<'a>(row: KeyedRow<'a>, other: KeyedRow<'_>) -> Option<Inside<'a>>
    where
        Self: 'a,
    {
        if !row.shape.values || row.group() != other.group() {
            return None;
        }
        let class = row.tag();
        let bytes = if class == 0 { &[][..] } else { row.value().ok()? };
        Some(Inside { class, bytes, descending: is_descending(class) })
    }

    /// No row is without weight to begin with.
    fn consolidate(&mut self) {
        let Some(shape) = &self.shape else { return };
        let mut sorted = KeyedRows::of(shape.clone());
        sorted.bytes.reserve_exact(self.bytes.len() + COPY);
        sorted.ends.reserve_exact(self.ends.len());
        let mut order = Order::default();
        let rows = &*self;
        order.sort(
            (0..rows.len()).map(|at| rows.hash_at(at)),
            |a, b| Self::order(rows.get(a), rows.get(b)),
            |first| {
                let first = rows.get(first);
                move |at| Self::inside(rows.get(at), first)
            },
        );
        for (index, alike) in order.from(0) {
            if alike {
                sorted.push_merged(self.get(index));
            } else {
                sorted.copy(self, index);
            }
        }
        *self = sorted;
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    fn reserve(&mut self, bytes: usize) {
        // Where rows end takes a part of `bytes`, and the last row may go beyond them. Growing by doubling would leave half
        // of a container's memory unused.
        self.bytes.reserve_exact(bytes + BEYOND);
    }

    fn like(&self) -> Self {
        KeyedRows { shape: self.shape.clone(), ..Self::default() }
    }

    /// The shape, how many rows, the rows.
    fn encode(&self, out: &mut Vec<u8>) {
        let Some(shape) = &self.shape else { return };
        out.reserve(self.bytes.len() + shape.kinds.len() + 32);
        out.extend_from_slice(&[u8::from(shape.number), u8::from(shape.values)]);
        number::put_u64(out, shape.kinds.len() as u64);
        out.extend(shape.kinds.iter().map(|kind| kind.code()));
        number::put_u64(out, self.len() as u64);
        out.extend_from_slice(&self.bytes);
    }

    fn decode(mut bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        if u32::try_from(bytes.len()).is_err() {
            return Err(DecodeError("rows of 4 GiB"));
        }
        let flag = |byte: &mut &[u8]| match weight::take_bytes(byte, 1)? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(DecodeError("a shape that is none")),
        };
        let (number, values) = (flag(&mut bytes)?, flag(&mut bytes)?);
        let count = number::take_u64(&mut bytes)?;
        let kinds = weight::take_bytes(&mut bytes, count)?.iter().map(|code| Kind::of(*code));
        let shape = Arc::new(Shape { number, values, kinds: kinds.collect::<Result<_, _>>()? });
        let rows = number::take_u64(&mut bytes)?;
        // A row is at least its hash.
        let most = bytes.len() / HASH;
        let rows = usize::try_from(rows).ok().filter(|rows| *rows <= most).ok_or(DecodeError("too many rows"))?;
        let mut ends = Vec::with_capacity(rows);
        let mut rest = bytes;
        for _ in 0..rows {
            let row = KeyedRow::parse(&shape, rest)?;
            let mut weight = row.weight();
            weight::skip(row.kinds(), &mut weight)?;
            rest = weight;
            ends.push((bytes.len() - rest.len()) as u32);
        }
        if !rest.is_empty() {
            return Err(DecodeError("bytes after the last row"));
        }
        Ok(KeyedRows { shape: Some(shape), bytes: bytes.to_vec(), ends, scratch: Vec::new() })
    }
}
