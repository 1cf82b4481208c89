//! Decoding records of which some are malformed: the malformed ones are found by halving, and the others are kept, in
//! order.
//!
//! Of `n` records with `m` malformed ones, about `m log n` parts are decoded, so that one bad row costs a batch little
//! and a file of nothing but bad rows twice as many decodings as it has rows.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::error::ArrowError;

use super::cut::Record;
use crate::table::TableError;

/// Decodes records that follow each other.
type Decode<'d> = dyn Fn(&[Record]) -> Result<Option<RecordBatch>, ArrowError> + 'd;

/// Takes a record that does not decode.
type Refuse<'r> = dyn FnMut(&Record, ArrowError) -> Result<(), TableError> + 'r;

/// Decodes `records` with `decode`, as far as they can be; the others go to `refuse`.
pub(super) fn salvage(
    records: &[Record],
    decode: &Decode<'_>,
    refuse: &mut Refuse<'_>,
) -> Result<Option<RecordBatch>, TableError> {
    let mut good = Vec::new();
    part(records, decode, refuse, &mut good)?;
    match good.as_slice() {
        [] => Ok(None),
        [_] => Ok(good.pop()),
        // The batches are of one decoder: what could not be joined is too large for one array.
        [first, ..] => concat_batches(first.schema_ref(), &good)
            .map(Some)
            .map_err(|error| TableError::Apply { cause: error.to_string() }),
    }
}

fn part(
    records: &[Record],
    decode: &Decode<'_>,
    refuse: &mut Refuse<'_>,
    good: &mut Vec<RecordBatch>,
) -> Result<(), TableError> {
    if records.is_empty() {
        return Ok(());
    }
    match decode(records) {
        Ok(batch) => good.extend(batch),
        Err(error) if records.len() == 1 => refuse(&records[0], error)?,
        Err(_) => {
            let (left, right) = records.split_at(records.len() / 2);
            part(left, decode, refuse, good)?;
            part(right, decode, refuse, good)?;
        }
    }
    Ok(())
}
