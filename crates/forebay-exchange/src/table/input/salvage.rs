//! Decoding records of which some are malformed: the malformed ones are found by halving, and the others are kept, in
//! order.
//!
//! Of `n` records with `m` malformed ones, about `m log n` parts are decoded, so that one bad row costs a batch little
//! and a file of nothing but bad rows twice as many decodings as it has rows.

use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::error::ArrowError;

use super::cut::Record;
use super::decoded::Decoded;
use super::row::{Flaw, MalformedRow};
use crate::table::TableError;

/// Decodes records that follow each other.
type Decode<'d> = dyn Fn(&[Record]) -> Result<Option<RecordBatch>, ArrowError> + 'd;

/// Takes a record that does not decode.
type Refuse<'r> = dyn FnMut(&Record, &ArrowError) -> Result<(), TableError> + 'r;

/// Decodes `records` of a file with `decode`, as far as they can be, and adds them to `decoded`; of the others `diagnose`
/// says what is wrong with them.
///
/// # Errors
/// [`TableError::Malformed`] for the first of these, if the file is read strictly.
pub(super) fn salvage(
    records: &[Record],
    (path, strict): (&Arc<Path>, bool),
    decode: &Decode<'_>,
    diagnose: &dyn Fn(&Record, &ArrowError) -> Flaw,
    decoded: &mut Decoded,
) -> Result<(), TableError> {
    let mut good = Vec::new();
    let mut refuse = |record: &Record, error: &ArrowError| {
        let row = || {
            let Flaw { reason, column } = diagnose(record, error);
            MalformedRow { path: Arc::clone(path), line: record.line, lines: record.lines, reason, column }
        };
        decoded.refuse(strict, record.lines, row)
    };
    part(records, decode, &mut refuse, &mut good)?;
    decoded.push(match good.as_slice() {
        [] | [_] => good.pop(),
        // The batches are of one decoder: what could not be joined is too large for one array.
        [first, ..] => Some(
            concat_batches(first.schema_ref(), &good)
                .map_err(|error| TableError::Apply { cause: error.to_string() })?,
        ),
    });
    Ok(())
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
        Err(error) if records.len() == 1 => refuse(&records[0], &error)?,
        Err(_) => {
            let (left, right) = records.split_at(records.len() / 2);
            part(left, decode, refuse, good)?;
            part(right, decode, refuse, good)?;
        }
    }
    Ok(())
}
