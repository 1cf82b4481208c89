//! `ChangeReduce` and `ChangeFinisher`: what each commit changes in the result.
//!
//! The state of the operator are the rows themselves and, of each group and column that `distinct` asks for, how many values
//! there are: so that of a group only the accumulators, the values that a commit changes, and of `min` and `max` the first
//! ones that are there have to be looked at, and not all that it has.
//!
//! Of each group that a commit has rows of, it gives the totals as they were, with -1, and as they are, with +1: rows with
//! the key and, as the value of a value column, all accumulators. Totals that differ may still be the same result (the mean of 2 and of 2, 2), so pairs are compared
//! again when they have become columns.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int8Array, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::row::{RowConverter, SortField};
use forebay::DecodeError;

use super::error::TableError;
use super::keyed::{DISTINCT, KeyedRow, KeyedRows, Shape};
use super::number;
use super::plan::{Plan, ValueColumn};
use super::query_error::QueryError;
use super::results::Results;
use super::weight::Kind;
use crate::error::ExchangeError;
use crate::operators::{Outlet, Reduce};
use crate::rows::Rows;
use crate::runs::Group;

/// The tag of rows with totals.
const TOTALS: u8 = 1;

/// Gives the changes of each commit, as rows for a [`ChangeFinisher`].
#[derive(Debug)]
pub struct ChangeReduce {
    plan: Plan,
    shape: Arc<Shape>,
    /// The group as it was and as it is.
    old: Totals,
    new: Totals,
    /// What is made of the values of each tag, in the order of tags.
    made: Vec<Made>,
    /// A number of values that has changed.
    count: KeyedRows,
}

/// What is made of the values of one column.
#[derive(Debug)]
struct Made {
    tag: u8,
    /// The number of the column, as it stands in rows with [`DISTINCT`].
    at: u8,
    /// The first value that there is.
    extreme: Option<usize>,
    /// How many there are.
    distinct: Option<usize>,
}

impl Made {
    fn of(at: usize, column: &ValueColumn, kinds: &[Kind]) -> Self {
        let made = |distinct: bool| column.makes.iter().copied().find(|made| (kinds[*made] == Kind::Count) == distinct);
        Made { tag: column.tag(at), at: at as u8, extreme: made(false), distinct: made(true) }
    }
}

/// One group's accumulators.
#[derive(Debug)]
struct Totals {
    results: Results,
    /// As they are written.
    bytes: Vec<u8>,
}

/// How often the value of `row` is there; not, if it was taken back as often as it came, or more often.
fn times(row: Option<KeyedRow<'_>>) -> Result<Option<(KeyedRow<'_>, i64)>, DecodeError> {
    let Some(row) = row else { return Ok(None) };
    let times = number::take(&mut row.weight())?;
    Ok((times > 0).then_some((row, times as i64)))
}

impl Totals {
    fn begin(&mut self, row: Option<KeyedRow<'_>>) -> Result<(), DecodeError> {
        row.map_or(Ok(()), |row| self.results.begin(row))
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
        let (columns, kinds) = (&plan.parts().value_columns, &plan.parts().from_values);
        let mut made: Vec<Made> = columns.iter().enumerate().map(|(at, column)| Made::of(at, column, kinds)).collect();
        made.sort_unstable_by_key(|made| made.tag);
        let count = KeyedRows::of(Arc::clone(&plan.parts().shape));
        ChangeReduce { shape: totals_shape(&plan), old: totals(), new: totals(), made, count, plan }
    }

    /// Looks at the values of the group, as far as it has to, and notes how many more there are.
    fn values(&mut self, group: &mut Group<'_, '_, KeyedRows>) -> Result<(), ExchangeError> {
        let mut more = Vec::new();
        for made in &self.made {
            group.seek(|row| row.tag() < made.tag)?;
            let mut difference = 0;
            if let Some(extreme) = made.extreme {
                let (mut old, mut new) = (false, false);
                while !(old && new)
                    && let Some(change) = group.next_if(|row| row.tag() == made.tag)?
                {
                    let (before, after) = (times(change.before)?, times(change.after)?);
                    difference += i64::from(after.is_some()) - i64::from(before.is_some());
                    for (found, row, totals) in [(&mut old, before, &mut self.old), (&mut new, after, &mut self.new)] {
                        if let Some((row, _)) = row
                            && !std::mem::replace(found, true)
                        {
                            totals.results.set_extreme(extreme, row.value()?)?;
                        }
                    }
                }
            }
            let Some(distinct) = made.distinct else { continue };
            while let Some(change) = group.next_changed_if(|row| row.tag() == made.tag)? {
                difference += i64::from(times(change.after)?.is_some()) - i64::from(times(change.before)?.is_some());
            }
            more.push((made.at, distinct, difference));
        }
        for (at, distinct, difference) in more {
            let is_before =
                |row: KeyedRow<'_>| row.tag() < DISTINCT || row.value().is_ok_and(|value| value < &[at][..]);
            group.seek(is_before)?;
            let is_it = |row: KeyedRow<'_>| row.tag() == DISTINCT && row.value() == Ok(&[at]);
            let counted = group.next_if(is_it)?;
            let before = counted.map_or(Ok(None), |change| times(change.before))?.map_or(0, |(_, times)| times);
            self.old.results.set_distinct(distinct, before);
            self.new.results.set_distinct(distinct, before + difference);
            if difference != 0 {
                self.count.clear();
                self.count.write(&self.plan.parts().shape, |out| {
                    out.extend_from_slice(group.key().group());
                    out.extend_from_slice(&[DISTINCT, 1, at]);
                    number::put_i64(out, difference);
                });
                group.insert(self.count.get(0))?;
            }
        }
        Ok(())
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
        if let Some(change) = group.next_if(|row| row.tag() == 0)? {
            self.old.begin(change.before)?;
            self.new.begin(change.after)?;
        }
        self.values(group)?;
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
            if self.results.is_full() && !self.results.continues(row) {
                self.take(out)?;
            }
            let sign = number::take(&mut row.weight()).map_err(QueryError::from)?;
            self.signs.push(sign as i8);
            row.value().and_then(|totals| self.results.begin_totals(row, totals)).map_err(QueryError::from)?;
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
