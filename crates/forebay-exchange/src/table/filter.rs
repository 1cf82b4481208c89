//! `Filter`: which rows count.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;

use super::error::TableError;

/// A comparison of columns.
#[derive(Clone, Debug)]
pub struct Filter {
    columns: Vec<usize>,
}

impl Filter {
    /// The filter that `text` says.
    pub fn parse(text: &str, _: &Schema) -> Result<Filter, TableError> {
        Err(TableError::Filter { at: 1, reason: format!("{text} is not understood") })
    }

    /// The columns that it looks at.
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// The rows of `batch` that pass.
    pub fn apply(&self, batch: RecordBatch) -> Result<RecordBatch, TableError> {
        Ok(batch)
    }
}
