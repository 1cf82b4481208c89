//! `Results`: rows of groups become columns.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Float64Array, Int64Array, LargeStringArray, RecordBatch, StringArray, StringViewArray,
};
use arrow::datatypes::DataType;
use arrow::util::display::array_value_to_string;
use forebay::DecodeError;

use super::accumulator::Accumulators;
use super::keyed::{HASH, KeyedRow};
use super::keys::{NUMBER_KEY, unmix};
use super::number;
use super::plan::{Output, Parts, Plan, Source, ValueColumn, Whole};
use super::query_error::QueryError;
use super::values::array_of;

/// The largest number of 38 digits.
const MOST_DECIMAL: i128 = 10_i128.pow(38) - 1;

/// The number of rows of a group, among the accumulators.
const ROWS: usize = 0;

/// Groups in a batch.
const GROUPS: usize = 16 << 10;

/// Bytes of keys and strings after which a batch gets no more groups: some thousands of short keys, or one long one.
/// Making columns of them takes as much again, and nothing pays for that.
const BYTES: usize = 256 << 10;

/// Groups, one after the other, until they are taken as a batch.
#[derive(Debug)]
pub(super) struct Results {
    plan: Plan,
    /// Hash and key of each group, as they stand in rows.
    keys: Vec<u8>,
    ends: Vec<usize>,
    accumulators: Vec<Accumulators>,
    from_values: Vec<Accumulators>,
    /// Bytes of strings that accumulators hold, and of how many groups they are counted.
    texts: (usize, usize),
}

impl Results {
    pub(super) fn new(plan: Plan) -> Self {
        let of = |kinds: &[_]| kinds.iter().map(|kind| Accumulators::new(*kind)).collect();
        let parts = plan.parts();
        let (accumulators, from_values) = (of(&parts.shape.kinds), of(&parts.from_values));
        Results { plan, keys: Vec::new(), ends: Vec::new(), accumulators, from_values, texts: (0, 0) }
    }

    /// How many groups there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes of keys and strings, as far as [`is_full`](Self::is_full) has looked.
    pub(super) fn bytes(&self) -> usize {
        self.keys.len() + self.texts.0
    }

    /// Whether the next group should go to another batch. Ask when nothing more comes of the last one.
    #[inline]
    pub(super) fn is_full(&mut self) -> bool {
        let groups = self.ends.len();
        let (bytes, counted) = self.texts;
        let texts = self.accumulators.iter().chain(&self.from_values).map(|of| of.heap(counted..groups));
        self.texts = (bytes + texts.sum::<usize>(), groups);
        groups >= GROUPS || self.bytes() >= BYTES
    }

    /// Whether `row` belongs to the last group.
    #[inline]
    pub(super) fn continues(&self, row: KeyedRow<'_>) -> bool {
        self.ends.last().is_some() && self.key(self.len() - 1) == row.group()
    }

    /// Begins the group of `row`, and adds it.
    #[inline]
    pub(super) fn begin(&mut self, row: KeyedRow<'_>) -> Result<(), DecodeError> {
        self.open(row);
        if row.tag() > 0 {
            self.resize();
            return self.add(row);
        }
        let mut weight = row.weight();
        self.accumulators.iter_mut().try_for_each(|accumulators| accumulators.push_taken(&mut weight))?;
        let groups = self.ends.len();
        self.from_values.iter_mut().for_each(|accumulators| accumulators.resize(groups));
        Ok(())
    }

    /// Begins the group of `row` with what [`put_totals`](Self::put_totals) wrote.
    pub(super) fn begin_totals(&mut self, row: KeyedRow<'_>, mut totals: &[u8]) -> Result<(), DecodeError> {
        self.open(row);
        let mut all = self.accumulators.iter_mut().chain(&mut self.from_values);
        all.try_for_each(|accumulators| accumulators.push_taken(&mut totals))
    }

    #[inline]
    fn open(&mut self, row: KeyedRow<'_>) {
        self.keys.extend_from_slice(row.group());
        self.ends.push(self.keys.len());
    }

    /// Ends the last group, if there is one: it is gone, if no row of it is left.
    ///
    /// Returns whether it stays.
    #[inline]
    pub(super) fn end(&mut self) -> bool {
        let Accumulators::Count(rows) = &self.accumulators[ROWS] else { unreachable!("it counts") };
        let stays = rows.last().is_some_and(|rows| *rows > 0);
        if !stays && let Some(end) = self.ends.pop() {
            debug_assert_eq!(end, self.keys.len());
            self.keys.truncate(self.ends.last().copied().unwrap_or(0));
            self.resize();
        }
        stays
    }

    fn resize(&mut self) {
        let groups = self.ends.len();
        self.accumulators.iter_mut().chain(&mut self.from_values).for_each(|accumulators| accumulators.resize(groups));
    }

    /// Adds `row` to the last group, to which it belongs.
    #[inline]
    pub(super) fn add(&mut self, row: KeyedRow<'_>) -> Result<(), DecodeError> {
        let Some(group) = self.len().checked_sub(1) else { return Ok(()) };
        let mut weight = row.weight();
        let Some(column) = ValueColumn::at(row.tag()) else {
            return self
                .accumulators
                .iter_mut()
                .try_for_each(|accumulators| accumulators.add_taken(group, &mut weight));
        };
        // Taken back more often than it came: not there.
        if number::take(&mut weight)? <= 0 {
            return Ok(());
        }
        let columns = &self.plan.parts().value_columns;
        let makes = &columns.get(column).ok_or(DecodeError("a value of no column"))?.makes;
        let value = row.value()?;
        makes.iter().try_for_each(|made| self.from_values[*made].add_value(group, value))
    }

    /// Has the last group, if there is one, have `value` as what `made` of its values is: the smallest or largest.
    pub(super) fn set_extreme(&mut self, made: usize, value: &[u8]) -> Result<(), DecodeError> {
        match self.len().checked_sub(1) {
            Some(group) => self.from_values[made].add_value(group, value),
            None => Ok(()),
        }
    }

    /// Has the last group, if there is one, have `count` values as what `made` of them is: how many there are.
    pub(super) fn set_distinct(&mut self, made: usize, count: i64) {
        if let Some(group) = self.len().checked_sub(1) {
            self.from_values[made].set_count(group, count);
        }
    }

    /// Appends all accumulators of `group` to `out`.
    pub(super) fn put_totals(&self, group: usize, out: &mut Vec<u8>) {
        self.accumulators.iter().chain(&self.from_values).for_each(|accumulators| accumulators.put(group, out));
    }

    /// Forgets all groups.
    pub(super) fn clear(&mut self) {
        self.keys.clear();
        self.ends.clear();
        self.texts = (0, 0);
        self.resize();
    }

    fn key(&self, group: usize) -> &[u8] {
        &self.keys[group.checked_sub(1).map_or(0, |before| self.ends[before])..self.ends[group]]
    }

    /// The groups as a batch of the plan's output schema. None are left.
    pub(super) fn take(&mut self) -> Result<RecordBatch, QueryError> {
        let plan = self.plan.clone();
        let parts = plan.parts();
        let mut columns = self.key_columns(parts)?;
        for output in &parts.outputs {
            let column = self.column(output, &columns, parts)?;
            columns.push(column);
        }
        self.clear();
        RecordBatch::try_new(parts.output_schema.clone(), columns)
            .map_err(|error| QueryError::arrow("making a batch of results", error))
    }

    fn key_columns(&self, parts: &Parts) -> Result<Vec<ArrayRef>, QueryError> {
        if let (true, [data_type]) = (parts.shape.number, &parts.key_types[..]) {
            let numbers = self.keys.as_chunks::<NUMBER_KEY>().0.iter().map(|key| {
                let hash = key.first_chunk().map_or(0, |hash| u64::from_le_bytes(*hash));
                (key[HASH] == 0).then(|| match data_type {
                    DataType::UInt64 => i128::from(unmix(hash)),
                    _ => i128::from(unmix(hash) as i64),
                })
            });
            return Ok(array_of(numbers, data_type).into_iter().collect());
        }
        let parser = parts.converter.parser();
        let mut rows = Vec::with_capacity(self.len());
        for group in 0..self.len() {
            let mut key = &self.key(group)[HASH..];
            number::take_u64(&mut key)?;
            rows.push(parser.parse(key));
        }
        parts.converter.convert_rows(rows).map_err(|error| QueryError::arrow("making columns of keys", error))
    }

    fn column(&self, output: &Output, keys: &[ArrayRef], parts: &Parts) -> Result<ArrayRef, QueryError> {
        Ok(match output {
            Output::Count(of) => Arc::new(Int64Array::from_iter_values(self.counts(*of).iter().copied())),
            Output::Extreme { of, data_type } => match self.accumulators(*of) {
                Accumulators::Extreme { states, .. } => {
                    let array = array_of(states.iter().copied(), data_type);
                    array.ok_or(DecodeError("an extreme of a type that has none"))?
                }
                Accumulators::Text { states, .. } => texts(states, data_type)?,
                other => unreachable!("{other:?} has no extremes"),
            },
            Output::Sum { of, present, column, data_type } => {
                let mut sums = Vec::with_capacity(self.len());
                for (group, present) in self.counts(Source::Group(*present)).iter().enumerate() {
                    let sum = if *present > 0 { Some(self.whole(*of, group)) } else { None };
                    let fits = |sum: &i128| match data_type {
                        DataType::Int64 => i64::try_from(*sum).is_ok(),
                        _ => (-MOST_DECIMAL..=MOST_DECIMAL).contains(sum),
                    };
                    match sum {
                        Some(sum) if !sum.as_ref().is_some_and(fits) => {
                            return Err(QueryError::Overflow {
                                column: column.clone(),
                                group: group_name(keys, group, parts),
                                data_type: data_type.clone(),
                            });
                        }
                        sum => sums.push(sum.flatten()),
                    }
                }
                array_of(sums.into_iter(), data_type).ok_or(DecodeError("a sum of a type that has none"))?
            }
            Output::Mean { of, present, scale } => {
                let unit = 10_f64.powi(i32::from(*scale));
                Arc::new(self.floats(*present, |group, count| self.whole_as_float(*of, group) / (count as f64 * unit)))
            }
            Output::FloatSum { of, present } => {
                let sums = self.float_sums(*of);
                Arc::new(self.floats(*present, |group, _| sums[group].value()))
            }
            Output::FloatMean { of, present } => {
                let sums = self.float_sums(*of);
                Arc::new(self.floats(*present, |group, count| sums[group].value() / count as f64))
            }
        })
    }

    fn accumulators(&self, of: Source) -> &Accumulators {
        match of {
            Source::Group(of) => &self.accumulators[of],
            Source::Values(of) => &self.from_values[of],
        }
    }

    fn counts(&self, of: Source) -> &[i64] {
        let Accumulators::Count(counts) = self.accumulators(of) else { unreachable!("it counts") };
        counts
    }

    fn float_sums(&self, of: usize) -> &[super::float_sum::FloatSum] {
        let Accumulators::FloatSum(sums) = &self.accumulators[of] else { unreachable!("it adds up floats") };
        sums
    }

    fn sum(&self, of: usize, group: usize) -> i128 {
        let Accumulators::Sum(sums) = &self.accumulators[of] else { unreachable!("it adds up numbers") };
        sums[group]
    }

    /// A sum of whole numbers; none if it does not fit 128 bits.
    fn whole(&self, of: Whole, group: usize) -> Option<i128> {
        let low = self.sum(of.low, group);
        match of.high {
            None => Some(low),
            Some(high) => self.sum(high, group).checked_mul(1 << 64)?.checked_add(low),
        }
    }

    fn whole_as_float(&self, of: Whole, group: usize) -> f64 {
        match (self.whole(of, group), of.high) {
            (None, Some(high)) => self.sum(high, group) as f64 * 2_f64.powi(64) + self.sum(of.low, group) as f64,
            (whole, _) => whole.unwrap_or(0) as f64,
        }
    }

    /// `float(group, count)` where `present` counts something.
    fn floats(&self, present: usize, float: impl Fn(usize, i64) -> f64) -> Float64Array {
        let counts = self.counts(Source::Group(present)).iter().enumerate();
        counts.map(|(group, count)| (*count > 0).then(|| float(group, *count))).collect()
    }
}

/// Strings of the type `data_type`.
fn texts(states: &[Option<Box<[u8]>>], data_type: &DataType) -> Result<ArrayRef, QueryError> {
    let texts: Vec<Option<&str>> = states
        .iter()
        .map(|state| state.as_deref().map(str::from_utf8).transpose())
        .collect::<Result<_, _>>()
        .map_err(|_| DecodeError("a string that is not UTF-8"))?;
    Ok(match data_type {
        DataType::LargeUtf8 => Arc::new(LargeStringArray::from(texts)),
        DataType::Utf8View => Arc::new(StringViewArray::from(texts)),
        _ => Arc::new(StringArray::from(texts)),
    })
}

/// A group as it is named in errors: `city=Ulm, year=2024`.
fn group_name(keys: &[ArrayRef], group: usize, parts: &Parts) -> String {
    let fields = parts.output_schema.fields();
    let named = keys.iter().zip(fields).take(parts.keys.len()).map(|(key, field)| {
        let value = match key.is_null(group) {
            true => "null".to_owned(),
            false => array_value_to_string(key, group).unwrap_or_else(|error| error.to_string()),
        };
        format!("{}={value}", field.name())
    });
    named.collect::<Vec<_>>().join(", ")
}
