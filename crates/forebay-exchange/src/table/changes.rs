//! `ChangeReduce` and `ChangeFinisher`: what each commit changes in the result.
//!
//! The state of the operator are the rows themselves. Of each group that a commit has rows of, it gives the totals as
//! they were, with -1, and as they are, with +1: rows with the key and, as the value of a value column, all
//! accumulators. Totals that differ may still be the same result (the mean of 2 and of 2, 2), so pairs are compared
//! again when they have become columns.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int8Array, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::row::{RowConverter, SortField};
use forebay::DecodeError;

use super::error::TableError;
use super::keyed::{KeyedRow, KeyedRows, Shape};
use super::number;
use super::plan::Plan;
use super::query_error::QueryError;
use super::results::Results;
use super::weight::Kind;
use crate::error::ExchangeError;
use crate::operators::{Outlet, Reduce};
use crate::rows::Rows;
use crate::runs::Group;

/// The tag of rows with totals.
const TOTALS: u8 = 1;

/// Groups in a batch of changes.
const GROUPS: usize = 16 << 10;

/// Gives the changes of each commit, as rows for a [`ChangeFinisher`].
#[derive(Debug)]
pub struct ChangeReduce {
    plan: Plan,
    shape: Arc<Shape>,
    /// The group as it was and as it is.
    old: Totals,
    new: Totals,
}

/// One group's accumulators.
#[derive(Debug)]
struct Totals {
    results: Results,
    /// As they are written.
    bytes: Vec<u8>,
}

impl Totals {
    fn add(&mut self, row: Option<KeyedRow<'_>>) -> Result<(), DecodeError> {
        let Some(row) = row else { return Ok(()) };
        if self.results.len() == 0 { self.results.begin(row) } else { self.results.add(row) }
    }

    /// The totals, if the group is there. Nothing of it is kept.
    fn take(&mut self) -> Option<&[u8]> {
        self.bytes.clear();
        let stays = self.results.end();
        if stays {
            self.results.put_totals(0, &mut self.bytes);
        }
        self.results.clear();
        stays.then_some(&self.bytes)
    }
}

impl ChangeReduce {
    pub(super) fn new(plan: Plan) -> Self {
        let totals = || Totals { results: Results::new(plan.clone()), bytes: Vec::new() };
        ChangeReduce { shape: totals_shape(&plan), old: totals(), new: totals(), plan }
    }
}

/// The shape of rows with totals, of the groups of `plan`.
fn totals_shape(plan: &Plan) -> Arc<Shape> {
    Arc::new(Shape { number: plan.parts().shape.number, values: true, kinds: vec![Kind::Count] })
}

impl Reduce<KeyedRows> for ChangeReduce {
    type State = KeyedRows;
    type Out = KeyedRows;

    fn state(&self) -> KeyedRows {
        KeyedRows::of(Arc::clone(&self.plan.parts().shape))
    }

    fn out(&self) -> KeyedRows {
        KeyedRows::of(Arc::clone(&self.shape))
    }

    fn keep(&self, row: KeyedRow<'_>, state: &mut KeyedRows) {
        state.push(row);
    }

    fn group(
        &mut self,
        group: &mut Group<'_, '_, KeyedRows>,
        out: &mut Outlet<'_, KeyedRows>,
    ) -> Result<(), ExchangeError> {
        while let Some(change) = group.next()? {
            self.old.add(change.before)?;
            self.new.add(change.after)?;
        }
        let (old, new) = (self.old.take(), self.new.take());
        if old == new {
            return Ok(());
        }
        for (totals, sign) in [(old, -1), (new, 1)] {
            let Some(totals) = totals else { continue };
            out.rows().write(&self.shape, |out| {
                out.extend_from_slice(group.key().group());
                out.push(TOTALS);
                number::put_u64(out, totals.len() as u64);
                out.extend_from_slice(totals);
                number::put_i64(out, sign);
            });
        }
        Ok(())
    }
}

/// Makes batches of the changes of one commit: the columns of the result and, last, `change`: -1 with a group as it
/// was, +1 with the group as it is.
#[derive(Debug)]
pub struct ChangeFinisher {
    plan: Plan,
    shape: Arc<Shape>,
    results: Results,
    signs: Vec<i8>,
}

impl ChangeFinisher {
    pub(super) fn new(plan: Plan) -> Self {
        let (shape, results) = (totals_shape(&plan), Results::new(plan.clone()));
        ChangeFinisher { plan, shape, results, signs: Vec::new() }
    }

    /// Takes rows of a [`ChangeReduce`], in the order in which it gives them, and adds the batches that are full to
    /// `out`.
    ///
    /// # Errors
    /// [`QueryError`], if a sum does not fit its type or the rows are not of this query.
    pub fn push(&mut self, rows: &KeyedRows, out: &mut Vec<RecordBatch>) -> Result<(), TableError> {
        if rows.shape().is_some_and(|shape| *shape != self.shape) {
            return Err(QueryError::from(DecodeError("changes of another query")).into());
        }
        for row in (0..rows.len()).map(|index| rows.get(index)) {
            // Not between a group as it was and as it is.
            if self.results.len() >= GROUPS && !self.results.continues(row) {
                self.take(out)?;
            }
            let sign = number::take(&mut row.weight()).map_err(QueryError::from)?;
            self.signs.push(sign as i8);
            row.value().and_then(|totals| self.results.begin_totals(row, totals)).map_err(QueryError::from)?;
        }
        Ok(())
    }

    /// Adds the last batch to `out`, if there is one.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn finish(mut self, out: &mut Vec<RecordBatch>) -> Result<(), TableError> {
        if self.results.len() > 0 { self.take(out) } else { Ok(()) }
    }

    fn take(&mut self, out: &mut Vec<RecordBatch>) -> Result<(), TableError> {
        let results = self.results.take()?;
        let signs = std::mem::take(&mut self.signs);
        let keep = BooleanArray::from(differing(&results, &signs)?);
        let mut columns = results.columns().to_vec();
        columns.push(Arc::new(Int8Array::from(signs)));
        let batch = RecordBatch::try_new(change_schema(&self.plan), columns)
            .and_then(|batch| filter_record_batch(&batch, &keep))
            .map_err(|error| QueryError::arrow("making a batch of changes", error))?;
        if batch.num_rows() > 0 {
            out.push(batch);
        }
        Ok(())
    }
}

/// The columns of the result, and the change.
pub(super) fn change_schema(plan: &Plan) -> SchemaRef {
    let fields = plan.output_schema().fields().iter().cloned();
    Arc::new(Schema::new(fields.chain([Arc::new(Field::new(CHANGE, DataType::Int8, false))]).collect::<Vec<_>>()))
}

/// The name of the column that says whether a row is how a group was or how it is.
pub(super) const CHANGE: &str = "change";

/// Which rows to keep: not those of a group that was as it is.
fn differing(results: &RecordBatch, signs: &[i8]) -> Result<Vec<bool>, QueryError> {
    let columns: Vec<ArrayRef> = results.columns().to_vec();
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let rows = RowConverter::new(fields)
        .and_then(|converter| converter.convert_columns(&columns))
        .map_err(|error| QueryError::arrow("comparing results", error))?;
    let mut keep = vec![true; signs.len()];
    for row in 1..signs.len() {
        if signs[row - 1] < 0 && signs[row] > 0 && rows.row(row - 1) == rows.row(row) {
            (keep[row - 1], keep[row]) = (false, false);
        }
    }
    Ok(keep)
}
