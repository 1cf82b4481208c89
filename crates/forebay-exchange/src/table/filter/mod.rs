//! `Filter`: which rows are wanted, as in SQL's `WHERE`.
//!
//! ```text
//! any    = all { OR all }
//! all    = not { AND not }
//! not    = { NOT } ( "(" any ")" | test )
//! test   = column ( "=" | "==" | "!=" | "<>" | "<" | "<=" | ">" | ">=" ) literal
//!        | column IS [ NOT ] NULL
//! column = name | "name in double quotes, two for one"
//! literal = 12 | -0.5 | 1e9 | nan | -inf | 'text, two quotes for one' | '2024-01-31' | '2024-01-31 12:00:00' | true | false
//! ```
//!
//! Keywords are in any case, names are not. Comparisons are exact: `n < 2.5` of an integer column means what it says, and
//! so does a timestamp compared with a date. Timestamps without a zone, in the filter and in columns, are UTC. NaN equals
//! NaN and is greater than every other number, -0.0 equals 0.0. A comparison with null is unknown, and rows for which the
//! whole is unknown are left out.

mod compare;
mod lex;
mod parse;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{and_kleene, filter_record_batch, is_not_null, is_null, not, or_kleene};
use arrow::datatypes::Schema;
use arrow::error::ArrowError;

use compare::Test;

use super::TableError;

/// A condition on rows.
#[derive(Clone, Debug)]
pub struct Filter {
    condition: Condition,
    columns: Vec<usize>,
}

/// A condition or a part of one.
#[derive(Clone, Debug)]
enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    IsNull(String),
    IsNotNull(String),
    Compare(String, Test),
}

impl Filter {
    /// Understands `text` as a condition on rows of `schema`.
    ///
    /// # Errors
    /// [`TableError::Filter`] with the place in the text.
    pub fn parse(text: &str, schema: &Schema) -> Result<Filter, TableError> {
        let (condition, columns) = parse::parse(text, schema)?;
        Ok(Filter { condition, columns })
    }

    /// The columns that it looks at, as places in the schema, in ascending order.
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// The rows of `batch` for which the condition is true, in order. Columns are found by name: the batch may have
    /// others, in any order.
    ///
    /// # Errors
    /// [`TableError::Apply`] if the batch lacks a column, or has it with another type.
    pub fn apply(&self, batch: RecordBatch) -> Result<RecordBatch, TableError> {
        let kept = self.condition.evaluate(&batch).and_then(|wanted| {
            if wanted.true_count() == batch.num_rows() { Ok(batch) } else { filter_record_batch(&batch, &wanted) }
        });
        kept.map_err(|error| TableError::Apply { cause: error.to_string() })
    }
}

impl Condition {
    fn evaluate(&self, batch: &RecordBatch) -> Result<BooleanArray, ArrowError> {
        let column = |name: &str| {
            let missing = || ArrowError::SchemaError(format!("there is no column {name}"));
            batch.column_by_name(name).ok_or_else(missing)
        };
        match self {
            Self::All(parts) => join(parts, batch, and_kleene),
            Self::Any(parts) => join(parts, batch, or_kleene),
            Self::Not(part) => not(&part.evaluate(batch)?),
            Self::IsNull(name) => is_null(column(name)?),
            Self::IsNotNull(name) => is_not_null(column(name)?),
            Self::Compare(name, test) => test.evaluate(column(name)?),
        }
    }
}

fn join(
    parts: &[Condition],
    batch: &RecordBatch,
    with: fn(&BooleanArray, &BooleanArray) -> Result<BooleanArray, ArrowError>,
) -> Result<BooleanArray, ArrowError> {
    let mut parts = parts.iter().map(|part| part.evaluate(batch));
    // The parser makes none without parts.
    let first = parts.next().unwrap_or_else(|| Ok(BooleanArray::from(vec![true; batch.num_rows()])))?;
    parts.try_fold(first, |so_far, next| with(&so_far, &next?))
}
