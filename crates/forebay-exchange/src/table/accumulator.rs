//! `Accumulators`: one accumulator of many groups, in one vector.
//!
//! The same vectors serve at both ends: rows of a batch are added to them, a column at a time, where rows come in; and
//! weights of rows are read into them, a group at a time, where results go out.

use std::ops::Range;

use arrow::buffer::NullBuffer;
use forebay::DecodeError;

use super::float_sum::{self, FloatSum};
use super::number;
use super::values::Values;
use super::weight::{self, Kind, extreme, put_extreme, put_text};

/// An accumulator of every group.
#[derive(Debug)]
pub(super) enum Accumulators {
    /// Of [`Kind::Count`].
    Count(Vec<i64>),
    /// Of [`Kind::Sum`]. Numbers of at most 64 bits: 2^63 of them fit.
    Sum(Vec<i128>),
    /// Of [`Kind::FloatSum`].
    FloatSum(Vec<FloatSum>),
    /// Of [`Kind::Min`] and, if `max`, of [`Kind::Max`].
    Extreme {
        /// The largest and not the smallest.
        max: bool,
        /// Of every group.
        states: Vec<Option<i128>>,
    },
    /// Of [`Kind::MinText`] and, if `max`, of [`Kind::MaxText`].
    Text {
        /// The largest and not the smallest.
        max: bool,
        /// Of every group.
        states: Vec<Option<Box<[u8]>>>,
    },
}

/// What one accumulator adds of a batch.
#[derive(Debug)]
pub(super) struct Column<'a> {
    /// What is added.
    pub(super) values: Values<'a>,
    /// Where nothing is.
    pub(super) nulls: Option<NullBuffer>,
    /// Whether each row comes (1) or goes (-1); without, all come.
    pub(super) signs: Option<&'a [i64]>,
}

impl Column<'_> {
    /// Calls `add(row, group, sign)` for every row that is not null.
    #[inline]
    fn each(&self, groups: &[u32], mut add: impl FnMut(usize, usize, i64)) {
        let rows = groups.iter().map(|group| *group as usize).enumerate();
        match (&self.nulls, self.signs) {
            (None, None) => rows.for_each(|(row, group)| add(row, group, 1)),
            (None, Some(signs)) => rows.zip(signs).for_each(|((row, group), sign)| add(row, group, *sign)),
            (Some(nulls), None) => {
                rows.filter(|(row, _)| nulls.is_valid(*row)).for_each(|(row, group)| add(row, group, 1))
            }
            (Some(nulls), Some(signs)) => rows
                .zip(signs)
                .filter(|((row, _), _)| nulls.is_valid(*row))
                .for_each(|((row, group), sign)| add(row, group, *sign)),
        }
    }

    #[inline]
    fn sign(&self, row: usize) -> i64 {
        self.signs.map_or(1, |signs| signs[row])
    }

    /// Appends the accumulator of `kind` of one row alone to a row's weight.
    #[inline]
    pub(super) fn put(&self, kind: Kind, row: usize, out: &mut Vec<u8>) {
        let valid = self.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
        match (kind, &self.values) {
            (Kind::Count, _) => number::put_i64(out, if valid { self.sign(row) } else { 0 }),
            (Kind::Sum, Values::Short(values)) if valid => {
                number::put(out, i128::from(values[row]) * i128::from(self.sign(row)));
            }
            (Kind::Sum, Values::Wide(values)) if valid => {
                number::put(out, values[row].wrapping_mul(i128::from(self.sign(row))));
            }
            (Kind::FloatSum, Values::Float(values)) if valid => {
                if self.sign(row) < 0 {
                    float_sum::put_taken_back(out, values[row]);
                } else {
                    float_sum::put_float(out, values[row]);
                }
            }
            (Kind::Min | Kind::Max, Values::Short(values)) if valid => number::put_i64(out, values[row]),
            (Kind::Min | Kind::Max, Values::Wide(values)) if valid => number::put(out, values[row]),
            (Kind::MinText | Kind::MaxText, Values::Text(values)) if valid => put_text(out, Some(values.value(row))),
            (Kind::Min | Kind::Max, _) => put_extreme(out, None),
            // Zero, and no string.
            (Kind::Sum | Kind::FloatSum | Kind::MinText | Kind::MaxText, _) => out.push(0),
        }
    }
}

impl Accumulators {
    /// Of no groups yet.
    pub(super) fn new(kind: Kind) -> Self {
        match kind {
            Kind::Count => Self::Count(Vec::new()),
            Kind::Sum => Self::Sum(Vec::new()),
            Kind::FloatSum => Self::FloatSum(Vec::new()),
            Kind::Min | Kind::Max => Self::Extreme { max: kind == Kind::Max, states: Vec::new() },
            Kind::MinText | Kind::MaxText => Self::Text { max: kind == Kind::MaxText, states: Vec::new() },
        }
    }

    /// Makes it `groups` groups: new ones have nothing yet.
    pub(super) fn resize(&mut self, groups: usize) {
        match self {
            Self::Count(states) => states.resize(groups, 0),
            Self::Sum(states) => states.resize(groups, 0),
            Self::FloatSum(states) => states.resize_with(groups, FloatSum::default),
            Self::Extreme { states, .. } => states.resize(groups, None),
            Self::Text { states, .. } => states.resize(groups, None),
        }
    }

    /// Begins a group with the accumulator at the front of `weight`, which it takes off.
    #[inline]
    pub(super) fn push_taken(&mut self, weight: &mut &[u8]) -> Result<(), DecodeError> {
        match self {
            Self::Count(states) => states.push(number::take(weight)? as i64),
            Self::Sum(states) => states.push(number::take(weight)?),
            Self::Extreme { states, .. } => states.push(weight::take_extreme(weight)?),
            Self::Text { states, .. } => states.push(weight::take_text(weight)?.map(Box::from)),
            Self::FloatSum(states) => {
                let mut sum = FloatSum::default();
                sum.add_taken(weight)?;
                states.push(sum);
            }
        }
        Ok(())
    }

    /// Adds one value of a value column to `group`: counts it, or compares it.
    pub(super) fn add_value(&mut self, group: usize, value: &[u8]) -> Result<(), DecodeError> {
        match self {
            Self::Count(states) => states[group] += 1,
            Self::Extreme { max, states } => {
                states[group] = extreme(*max, states[group], Some(number::ordered(value)?));
            }
            Self::Text { max, states } => replace(&mut states[group], value, *max),
            Self::Sum(_) | Self::FloatSum(_) => unreachable!("sums are not made of values"),
        }
        Ok(())
    }

    /// Sets how many `group` has; of a counter.
    pub(super) fn set_count(&mut self, group: usize, count: i64) {
        if let Self::Count(states) = self {
            states[group] = count;
        }
    }

    /// Bytes of strings of these groups.
    pub(super) fn heap(&self, groups: Range<usize>) -> usize {
        match self {
            Self::Text { states, .. } => states[groups].iter().flatten().map(|state| state.len()).sum(),
            _ => 0,
        }
    }

    /// Adds row `i` of `column` to group `groups[i]`, for all of them.
    pub(super) fn update(&mut self, groups: &[u32], column: &Column<'_>) {
        match (self, &column.values) {
            (Self::Count(states), _) => column.each(groups, |_, group, sign| states[group] += sign),
            (Self::Sum(states), Values::Short(values)) => {
                let values = &values[..groups.len()];
                column.each(groups, |row, group, sign| states[group] += i128::from(values[row]) * i128::from(sign));
            }
            (Self::Sum(states), Values::Wide(values)) => column.each(groups, |row, group, sign| {
                states[group] = states[group].wrapping_add(values[row].wrapping_mul(i128::from(sign)));
            }),
            (Self::FloatSum(states), Values::Float(values)) => {
                column.each(groups, |row, group, sign| states[group].add(values[row], sign));
            }
            (Self::Extreme { max, states }, Values::Short(values)) => column.each(groups, |row, group, _| {
                states[group] = extreme(*max, states[group], Some(i128::from(values[row])));
            }),
            (Self::Extreme { max, states }, Values::Wide(values)) => {
                column.each(groups, |row, group, _| states[group] = extreme(*max, states[group], Some(values[row])));
            }
            (Self::Text { max, states }, Values::Text(values)) => {
                column.each(groups, |row, group, _| replace(&mut states[group], values.value(row), *max));
            }
            (states, values) => unreachable!("the plan reads {values:?} for {states:?}"),
        }
    }

    /// Appends the accumulator of `group` to a row's weight.
    #[inline]
    pub(super) fn put(&self, group: usize, out: &mut Vec<u8>) {
        match self {
            Self::Count(states) => number::put_i64(out, states[group]),
            Self::Sum(states) => number::put(out, states[group]),
            Self::FloatSum(states) => states[group].put(out),
            Self::Extreme { states, .. } => put_extreme(out, states[group]),
            Self::Text { states, .. } => put_text(out, states[group].as_deref()),
        }
    }

    /// Adds the accumulator at the front of `weight`, which it takes off, to `group`.
    #[inline]
    pub(super) fn add_taken(&mut self, group: usize, weight: &mut &[u8]) -> Result<(), DecodeError> {
        match self {
            Self::Count(states) => states[group] = states[group].wrapping_add(number::take(weight)? as i64),
            Self::Sum(states) => states[group] = states[group].wrapping_add(number::take(weight)?),
            Self::FloatSum(states) => states[group].add_taken(weight)?,
            Self::Extreme { max, states } => {
                states[group] = extreme(*max, states[group], weight::take_extreme(weight)?);
            }
            Self::Text { max, states } => {
                if let Some(value) = weight::take_text(weight)? {
                    replace(&mut states[group], value, *max);
                }
            }
        }
        Ok(())
    }
}

/// Keeps the larger of both in `state`, or the smaller.
fn replace(state: &mut Option<Box<[u8]>>, value: &[u8], max: bool) {
    let keep = state.as_deref().is_some_and(|state| if max { state >= value } else { state <= value });
    if !keep {
        *state = Some(value.into());
    }
}
