//! `Finisher`: a sealed batch becomes the result, a batch of columns of some thousands of groups at a time; of fewer where
//! keys or strings are long.

use arrow::array::RecordBatch;
use forebay::DecodeError;

use super::error::TableError;
use super::keyed::KeyedRows;
use super::plan::Plan;
use super::query_error::QueryError;
use super::results::Results;
use crate::rows::Rows;

/// Makes batches of results of the rows of one sealed batch.
#[derive(Debug)]
pub struct Finisher {
    plan: Plan,
    results: Results,
}

impl Finisher {
    pub(super) fn new(plan: Plan) -> Self {
        Finisher { results: Results::new(plan.clone()), plan }
    }

    /// Takes the next block, in order, and adds the batches that are full to `out`. The rows of a group may be in
    /// several blocks.
    ///
    /// # Errors
    /// [`QueryError`], if a sum does not fit its type or the rows are not of this query.
    pub fn push(&mut self, block: &KeyedRows, out: &mut Vec<RecordBatch>) -> Result<(), TableError> {
        check_shape(&self.plan, block)?;
        for row in (0..block.len()).map(|index| block.get(index)) {
            if self.results.continues(row) {
                self.results.add(row).map_err(QueryError::from)?;
                continue;
            }
            self.results.end();
            if self.results.is_full() {
                out.push(self.results.take()?);
            }
            self.results.begin(row).map_err(QueryError::from)?;
        }
        Ok(())
    }

    /// Bytes of the groups that are in no batch yet.
    pub(super) fn bytes(&self) -> usize {
        self.results.bytes()
    }

    /// Adds the last batch to `out`, if there is one.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn finish(mut self, out: &mut Vec<RecordBatch>) -> Result<(), TableError> {
        self.results.end();
        if self.results.len() > 0 {
            out.push(self.results.take()?);
        }
        Ok(())
    }
}

/// That the rows of `block` are of this query.
pub(super) fn check_shape(plan: &Plan, block: &KeyedRows) -> Result<(), QueryError> {
    match block.shape() {
        Some(shape) if **shape != *plan.parts().shape => Err(DecodeError("rows of another query").into()),
        _ => Ok(()),
    }
}
