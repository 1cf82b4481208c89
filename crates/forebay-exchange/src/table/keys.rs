//! `Keys`: the keys of a batch's rows, as they stand at the beginning of rows.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use twox_hash::XxHash3_64;

use super::keyed::{HASH, put_key};
use super::plan::Parts;
use super::query_error::QueryError;
use super::values;
use crate::field::mix;

/// Bytes of hash and key, of a key that is one number.
pub(super) const NUMBER_KEY: usize = HASH + 1;

/// Hash and key of every row of a batch. Used again and again, so that its memory is.
#[derive(Debug, Default)]
pub(super) struct Keys {
    hashes: Vec<u64>,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Keys {
    /// Takes the keys of `batch`.
    pub(super) fn fill(&mut self, parts: &Parts, batch: &RecordBatch) -> Result<(), QueryError> {
        self.hashes.clear();
        self.bytes.clear();
        self.ends.clear();
        let columns: Vec<ArrayRef> = parts.keys.iter().map(|column| batch.column(*column).clone()).collect();
        match &columns[..] {
            [only] if parts.shape.number => {
                self.fill_numbers(only);
                Ok(())
            }
            _ => self.fill_rows(parts, columns),
        }
    }

    fn fill_numbers(&mut self, column: &ArrayRef) {
        let Some(numbers) = values::numbers(column) else { unreachable!("the plan has checked the type") };
        match values::nulls(column) {
            None => self.hashes.extend(numbers.iter().map(|number| mix(*number as u64))),
            Some(nulls) => self
                .hashes
                .extend(numbers.iter().zip(&nulls).map(|(number, valid)| if valid { mix(*number as u64) } else { 0 })),
        }
        let nulls = values::nulls(column);
        self.bytes.resize(self.hashes.len() * NUMBER_KEY, 0);
        for (row, (key, hash)) in self.bytes.as_chunks_mut::<NUMBER_KEY>().0.iter_mut().zip(&self.hashes).enumerate() {
            key[..HASH].copy_from_slice(&hash.to_le_bytes());
            key[HASH] = u8::from(nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)));
        }
    }

    fn fill_rows(&mut self, parts: &Parts, mut columns: Vec<ArrayRef>) -> Result<(), QueryError> {
        for column in &mut columns {
            one_zero_one_nan(column);
        }
        let refused = |error| QueryError::arrow("making keys of columns", error);
        let rows = parts.converter.convert_columns(&columns).map_err(refused)?;
        for row in &rows {
            let key = row.data();
            let hash = XxHash3_64::oneshot(key);
            put_key(&mut self.bytes, hash, key);
            self.hashes.push(hash);
            self.ends.push(self.bytes.len());
        }
        Ok(())
    }

    /// The hashes.
    pub(super) fn hashes(&self) -> &[u64] {
        &self.hashes
    }

    /// Hash and key of `row`, as they stand in rows.
    #[inline]
    pub(super) fn get(&self, row: usize) -> &[u8] {
        if self.ends.is_empty() {
            return &self.bytes[row * NUMBER_KEY..][..NUMBER_KEY];
        }
        let begin = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[begin..self.ends[row]]
    }
}

/// Makes every NaN the same, and -0.0 to 0.0.
fn one_zero_one_nan(column: &mut ArrayRef) {
    match column.data_type() {
        DataType::Float64 => {
            let floats = column.as_primitive::<Float64Type>();
            *column =
                Arc::new(floats.unary::<_, Float64Type>(|float| if float.is_nan() { f64::NAN } else { float + 0.0 }));
        }
        DataType::Float32 => {
            let floats = column.as_primitive::<Float32Type>();
            *column =
                Arc::new(floats.unary::<_, Float32Type>(|float| if float.is_nan() { f32::NAN } else { float + 0.0 }));
        }
        _ => {}
    }
}

/// The number whose hash is `hash`: [`mix`] backwards.
pub(super) fn unmix(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 31) ^ (hash >> 62)).wrapping_mul(0x3196_42b2_d24d_8ec3);
    let hash = (hash ^ (hash >> 27) ^ (hash >> 54)).wrapping_mul(0x96de_1b17_3f11_9089);
    hash ^ (hash >> 30) ^ (hash >> 60)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_number_comes_back_from_its_hash(number: u64) {
            prop_assert_eq!(unmix(mix(number)), number);
        }
    }
}
