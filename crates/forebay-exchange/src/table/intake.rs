//! `Intake`: batches of a table become rows of a group-by.
//!
//! Filter, keys, and, while it pays ([`Groups`]), one row of many rows of a group before they travel: group numbers are
//! found for a batch, then each accumulator adds up its column. Between batches it holds at most 16,384 groups or 1 MiB
//! of keys and strings, and what one batch adds.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema};

use super::accumulator::{Accumulators, Column};
use super::error::TableError;
use super::groups::{Adaptive, BYTES, GROUPS, Groups};
use super::keyed::KeyedRows;
use super::keys::Keys;
use super::number;
use super::plan::{Input, Parts, Plan, ValueColumn};
use super::query_error::QueryError;
use super::values::{self, Text, Values};
use super::weight;
use crate::field::mix;
use crate::rows::Rows;
use twox_hash::XxHash3_64;

/// Bytes that the strings of a row can take together.
const LONGEST_ROW: usize = 64 << 20;

/// What an intake did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IntakeCounters {
    /// Rows that came in and passed the filter.
    pub rows_in: u64,
    /// Rows that went out, those of values among them.
    pub rows_out: u64,
    /// Stretches of about 65,536 rows that were aggregated before they went out.
    pub stretches_grouped: u64,
    /// Stretches that went out row by row, because aggregating them did not pay.
    pub stretches_passed: u64,
}

/// Makes rows of batches, for one worker.
#[derive(Debug)]
pub struct Intake {
    plan: Plan,
    keys: Keys,
    groups: Groups,
    adaptive: Adaptive,
    accumulators: Vec<Accumulators>,
    /// Of each value column, how often its values are there.
    values: Vec<ValueGroups>,
    /// Group numbers of a batch.
    indices: Vec<u32>,
    rows_in: u64,
    rows_out: u64,
}

/// Pairs of a key and a value of one column, before they travel.
#[derive(Debug)]
struct ValueGroups {
    groups: Groups,
    adaptive: Adaptive,
    counts: Vec<i64>,
}

impl Intake {
    pub(super) fn new(plan: Plan) -> Self {
        let parts = plan.parts();
        let accumulators = parts.shape.kinds.iter().map(|kind| Accumulators::new(*kind)).collect();
        let values = parts.value_columns.iter().map(|_| ValueGroups {
            groups: Groups::default(),
            adaptive: Adaptive::default(),
            counts: Vec::new(),
        });
        Intake {
            values: values.collect(),
            accumulators,
            plan,
            keys: Keys::default(),
            groups: Groups::default(),
            adaptive: Adaptive::default(),
            indices: Vec::new(),
            rows_in: 0,
            rows_out: 0,
        }
    }

    /// Takes a batch in, which has the columns of [`Plan::columns`]. Rows go to the end of `out`, in no order; what is
    /// still being aggregated follows later.
    ///
    /// # Errors
    /// [`QueryError`], if a row neither comes nor goes or is too long, or if a decimal has too many digits; the filter's
    /// errors.
    pub fn push(&mut self, batch: &RecordBatch, out: &mut KeyedRows) -> Result<(), TableError> {
        let plan = self.plan.clone();
        let parts = plan.parts();
        let filtered = parts.filter.as_ref().map(|filter| filter.apply(batch.clone())).transpose()?;
        let batch = filtered.as_ref().unwrap_or(batch);
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let taken = if parts.casts.is_empty() { None } else { Some(taken(parts, batch)?) };
        let batch = taken.as_ref().unwrap_or(batch);
        check_lengths(parts, batch)?;
        let signs = signs(parts, batch)?;
        self.keys.fill(parts, batch)?;
        self.rows_in += batch.num_rows() as u64;
        let before = out.len();
        let columns: Vec<Column<'_>> =
            parts.inputs.iter().map(|input| column(batch, input, signs.as_deref())).collect();
        self.push_groups(parts, &columns, out);
        for at in 0..parts.value_columns.len() {
            self.push_values(parts, at, batch, signs.as_deref(), out);
        }
        self.rows_out += (out.len() - before) as u64;
        Ok(())
    }

    /// Gives out what is still being aggregated: at the end of a commit.
    pub fn flush(&mut self, out: &mut KeyedRows) {
        let plan = self.plan.clone();
        let before = out.len();
        self.flush_groups(plan.parts(), out);
        for at in 0..self.values.len() {
            self.flush_values(plan.parts(), at, out);
        }
        self.rows_out += (out.len() - before) as u64;
    }

    /// What it did so far.
    pub fn counters(&self) -> IntakeCounters {
        IntakeCounters {
            rows_in: self.rows_in,
            rows_out: self.rows_out,
            stretches_grouped: self.adaptive.used,
            stretches_passed: self.adaptive.passed,
        }
    }

    fn push_groups(&mut self, parts: &Parts, columns: &[Column<'_>], out: &mut KeyedRows) {
        let rows = self.keys.hashes().len();
        if !self.adaptive.is_on() {
            for row in 0..rows {
                out.write(&parts.shape, |out| {
                    out.extend_from_slice(self.keys.get(row));
                    if parts.shape.values {
                        out.push(0);
                    }
                    for (kind, column) in parts.shape.kinds.iter().zip(columns) {
                        column.put(*kind, row, out);
                    }
                });
            }
            return self.adaptive.saw(rows, 0);
        }
        let before = self.groups.len();
        self.indices.clear();
        let hashes = self.keys.hashes().iter().enumerate();
        if parts.shape.number {
            self.indices.extend(hashes.map(|(row, hash)| self.groups.index::<true>(*hash, self.keys.get(row))));
        } else {
            self.indices.extend(hashes.map(|(row, hash)| self.groups.index::<false>(*hash, self.keys.get(row))));
        }
        for (accumulators, column) in self.accumulators.iter_mut().zip(columns) {
            accumulators.resize(self.groups.len());
            accumulators.update(&self.indices, column);
        }
        self.adaptive.saw(rows, self.groups.len() - before);
        let groups = self.groups.len();
        let texts: usize = self.accumulators.iter().map(|of| of.heap(0..groups)).sum();
        let bytes = self.groups.bytes() + texts;
        if !self.adaptive.is_on() || self.groups.len() >= GROUPS || bytes >= BYTES {
            self.flush_groups(parts, out);
        }
    }

    fn flush_groups(&mut self, parts: &Parts, out: &mut KeyedRows) {
        let mut weight = Vec::new();
        for group in 0..self.groups.len() {
            weight.clear();
            self.accumulators.iter().for_each(|accumulators| accumulators.put(group, &mut weight));
            // Without a column of changes, every group has a row.
            if parts.diff.is_some() && weight::is_nothing(&parts.shape.kinds, &weight) == Ok(true) {
                continue;
            }
            out.write(&parts.shape, |out| {
                out.extend_from_slice(self.groups.key(group));
                if parts.shape.values {
                    out.push(0);
                }
                out.extend_from_slice(&weight);
            });
        }
        self.groups.clear();
        self.accumulators.iter_mut().for_each(|accumulators| accumulators.resize(0));
    }

    fn push_values(
        &mut self,
        parts: &Parts,
        at: usize,
        batch: &RecordBatch,
        signs: Option<&[i64]>,
        out: &mut KeyedRows,
    ) {
        let ValueColumn { column: position, reading, .. } = parts.value_columns[at];
        let tag = parts.value_columns[at].tag(at);
        let column = column(batch, &Input { column: Some(position), reading }, signs);
        let ValueGroups { groups, adaptive, counts } = &mut self.values[at];
        let before = groups.len();
        let (mut key, mut value) = (Vec::new(), Vec::new());
        for (row, hash) in self.keys.hashes().iter().enumerate() {
            if column.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                continue;
            }
            value.clear();
            match &column.values {
                Values::Short(values) => number::put_ordered(&mut value, values[row].into()),
                Values::Wide(values) => number::put_ordered(&mut value, values[row]),
                Values::Text(values) => value.extend_from_slice(values.value(row)),
                values => unreachable!("the plan reads {values:?} as values"),
            }
            key.clear();
            key.extend_from_slice(self.keys.get(row));
            key.push(tag);
            number::put_u64(&mut key, value.len() as u64);
            key.extend_from_slice(&value);
            let sign = signs.map_or(1, |signs| signs[row]);
            if adaptive.is_on() {
                let group = groups.index::<false>(mix(*hash ^ XxHash3_64::oneshot(&value)), &key) as usize;
                counts.resize(groups.len(), 0);
                counts[group] += sign;
            } else {
                put_value(parts, &key, sign, out);
            }
        }
        adaptive.saw(batch.num_rows(), groups.len() - before);
        if !adaptive.is_on() || groups.len() >= GROUPS || groups.bytes() >= BYTES {
            self.flush_values(parts, at, out);
        }
    }

    fn flush_values(&mut self, parts: &Parts, at: usize, out: &mut KeyedRows) {
        let ValueGroups { groups, counts, .. } = &mut self.values[at];
        for (group, count) in counts.drain(..).enumerate() {
            if count != 0 {
                put_value(parts, groups.key(group), count, out);
            }
        }
        groups.clear();
    }
}

fn put_value(parts: &Parts, key: &[u8], count: i64, out: &mut KeyedRows) {
    out.write(&parts.shape, |out| {
        out.extend_from_slice(key);
        number::put_i64(out, count);
    });
}

fn column<'a>(batch: &'a RecordBatch, input: &Input, signs: Option<&'a [i64]>) -> Column<'a> {
    let Some(column) = input.column else { return Column { values: Values::Presence, nulls: None, signs } };
    let array = batch.column(column);
    let Some(values) = values::values(array, input.reading) else { unreachable!("the plan has checked the type") };
    Column { values, nulls: values::nulls(array), signs }
}

/// `batch` with the columns that are taken as another type as that.
fn taken(parts: &Parts, batch: &RecordBatch) -> Result<RecordBatch, QueryError> {
    let mut columns = batch.columns().to_vec();
    let mut fields: Vec<_> = batch.schema_ref().fields().iter().cloned().collect();
    let exact = CastOptions { safe: false, ..CastOptions::default() };
    for (column, name, data_type) in &parts.casts {
        let cast: Result<ArrayRef, _> = cast_with_options(&columns[*column], data_type, &exact);
        columns[*column] = cast.map_err(|error| match data_type {
            DataType::Decimal128(..) => {
                QueryError::Digits { column: name.clone(), found: fields[*column].data_type().clone() }
            }
            _ => QueryError::arrow("taking floats as longer ones", error),
        })?;
        fields[*column] = Arc::new(Field::new(name, data_type.clone(), true));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
        .map_err(|error| QueryError::arrow("replacing columns", error))
}

/// Whether each row comes or goes, if there is a column that says so.
fn signs(parts: &Parts, batch: &RecordBatch) -> Result<Option<Vec<i64>>, QueryError> {
    let Some((column, name)) = &parts.diff else { return Ok(None) };
    let array = batch.column(*column);
    let Some(signs) = values::numbers(array) else { unreachable!("the plan has checked the type") };
    let refused = |value| QueryError::Diff { column: name.clone(), value };
    if array.is_nullable() {
        return Err(refused(None));
    }
    match signs.iter().find(|sign| sign.unsigned_abs() != 1) {
        Some(value) => Err(refused(Some(*value))),
        None => Ok(Some(signs.into_owned())),
    }
}

/// That no row is too long: as if the longest strings of all columns were in one.
fn check_lengths(parts: &Parts, batch: &RecordBatch) -> Result<(), QueryError> {
    let values = parts.value_columns.iter().map(|values| values.column);
    let inputs = parts.inputs.iter().filter_map(|input| input.column);
    let longest = |column: usize| {
        let array = batch.column(column);
        match Text::of(array) {
            // The longest cannot be longer than all of them.
            Some(text) if array.get_buffer_memory_size() > LONGEST_ROW / 16 => {
                (0..array.len()).filter(|row| array.is_valid(*row)).map(|row| text.value(row).len()).max().unwrap_or(0)
            }
            _ => 0,
        }
    };
    let bytes = parts.keys.iter().copied().chain(values).chain(inputs).map(longest).sum();
    if bytes > LONGEST_ROW { Err(QueryError::RowTooLong { bytes, limit: LONGEST_ROW }) } else { Ok(()) }
}
