//! `Decoded`: what a worker makes of a unit.

use arrow::array::RecordBatch;
use forebay::Weigh;

use super::row::{Malformed, MalformedRow};
use crate::table::TableError;

/// The rows of a unit.
#[derive(Clone, Debug, Default)]
pub(super) struct Decoded {
    pub(super) batches: Vec<RecordBatch>,
    pub(super) rows: u64,
    pub(super) malformed: Malformed,
}

impl Decoded {
    /// Adds the next batch, if it has rows.
    pub(super) fn push(&mut self, batch: Option<RecordBatch>) {
        if let Some(batch) = batch.filter(|batch| batch.num_rows() > 0) {
            self.rows += batch.num_rows() as u64;
            self.batches.push(batch);
        }
    }

    /// Leaves `row`, of `lines` lines, out: it does not decode.
    ///
    /// # Errors
    /// [`TableError::Malformed`] if it is to end the run.
    pub(super) fn refuse(
        &mut self,
        strict: bool,
        lines: u64,
        row: impl FnOnce() -> MalformedRow,
    ) -> Result<(), TableError> {
        if strict {
            return Err(TableError::Malformed(row()));
        }
        self.malformed.add(lines, row);
        Ok(())
    }
}

impl Weigh for Decoded {
    fn weight(&self) -> usize {
        let malformed: usize = self.malformed.first.iter().map(|row| size_of_val(row) + row.reason.capacity()).sum();
        size_of::<Self>() + malformed + self.batches.iter().map(weight).sum::<usize>()
    }
}

/// What a batch keeps in memory. Of one that is a part of another, all of the other.
pub(super) fn weight(batch: &RecordBatch) -> usize {
    size_of::<RecordBatch>() + batch.get_array_memory_size()
}
