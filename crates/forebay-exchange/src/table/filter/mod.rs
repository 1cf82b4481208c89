//! `Filter`: which rows are read.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;

use crate::table::TableError;

/// A condition on rows.
#[derive(Clone, Debug)]
pub struct Filter {
    columns: Vec<usize>,
}
impl Filter {
    /// Parses.
    pub fn parse(text: &str, schema: &Schema) -> Result<Filter, TableError> {
        let _ = (text, schema);
        Ok(Filter { columns: vec![] })
    }
    /// Columns.
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }
    /// Applies.
    pub fn apply(&self, batch: RecordBatch) -> Result<RecordBatch, TableError> {
        Ok(batch)
    }
}
