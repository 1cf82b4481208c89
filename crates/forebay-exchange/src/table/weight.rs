//! The weight of a row: one accumulator after the other, in the order of the shape.
//!
//! Weights are added without being taken apart into types first. Every kind but the extremes can also be taken back;
//! a weight in which all of them are zero is nothing.

use forebay::DecodeError;

use super::float_sum::FloatSum;
use super::number;

/// What an accumulator adds up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Rows.
    Count,
    /// Integers.
    Sum,
    /// Floats.
    FloatSum,
    /// The smallest of some numbers; none, if there are none.
    Min,
    /// The largest.
    Max,
    /// The smallest of some strings, by their bytes; none, if there are none.
    MinText,
    /// The largest.
    MaxText,
}

impl Kind {
    /// As it is written.
    pub(super) fn code(self) -> u8 {
        self as u8
    }

    /// The kind with the code `code`.
    pub(super) fn of(code: u8) -> Result<Self, DecodeError> {
        use Kind::{Count, FloatSum, Max, MaxText, Min, MinText, Sum};
        let kinds = [Count, Sum, FloatSum, Min, Max, MinText, MaxText];
        kinds.into_iter().find(|kind| kind.code() == code).ok_or(DecodeError("an accumulator of no known kind"))
    }
}

/// Appends a number that may be missing.
#[inline]
pub(super) fn put_extreme(out: &mut Vec<u8>, value: Option<i128>) {
    match value {
        Some(value) => number::put(out, value),
        None => out.push(number::NONE),
    }
}

/// Takes what [`put_extreme`] wrote off the front of `bytes`.
pub(super) fn take_extreme(bytes: &mut &[u8]) -> Result<Option<i128>, DecodeError> {
    match bytes.split_first() {
        Some((&number::NONE, rest)) => {
            *bytes = rest;
            Ok(None)
        }
        _ => number::take(bytes).map(Some),
    }
}

/// Appends a string that may be missing.
pub(super) fn put_text(out: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        Some(value) => {
            number::put_u64(out, value.len() as u64 + 1);
            out.extend_from_slice(value);
        }
        None => number::put_u64(out, 0),
    }
}

/// Takes what [`put_text`] wrote off the front of `bytes`.
pub(super) fn take_text<'a>(bytes: &mut &'a [u8]) -> Result<Option<&'a [u8]>, DecodeError> {
    match number::take_u64(bytes)? {
        0 => Ok(None),
        len => take_bytes(bytes, len - 1).map(Some),
    }
}

/// Takes `len` bytes off the front of `bytes`.
#[inline]
pub(super) fn take_bytes<'a>(bytes: &mut &'a [u8], len: u64) -> Result<&'a [u8], DecodeError> {
    let taken = usize::try_from(len).ok().and_then(|len| bytes.split_at_checked(len));
    let (taken, rest) = taken.ok_or(DecodeError("the row ends early"))?;
    *bytes = rest;
    Ok(taken)
}

/// Takes the accumulators of `kinds` off the front of `bytes`.
pub(super) fn skip(kinds: &[Kind], bytes: &mut &[u8]) -> Result<(), DecodeError> {
    for kind in kinds {
        match kind {
            Kind::Count | Kind::Sum => drop(number::take(bytes)?),
            Kind::FloatSum => FloatSum::default().add_taken(bytes)?,
            Kind::Min | Kind::Max => drop(take_extreme(bytes)?),
            Kind::MinText | Kind::MaxText => drop(take_text(bytes)?),
        }
    }
    Ok(())
}

/// Whether the accumulators of `kinds` in `weight` are all zero.
#[inline]
pub(super) fn is_nothing(kinds: &[Kind], mut weight: &[u8]) -> Result<bool, DecodeError> {
    for kind in kinds {
        let zero = match kind {
            Kind::Count | Kind::Sum => number::take(&mut weight)? == 0,
            Kind::FloatSum => {
                let mut sum = FloatSum::default();
                sum.add_taken(&mut weight)?;
                sum.is_zero()
            }
            Kind::Min | Kind::Max => take_extreme(&mut weight)?.is_none(),
            Kind::MinText | Kind::MaxText => take_text(&mut weight)?.is_none(),
        };
        if !zero {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Appends to `out` what the weights `a` and `b` of `kinds` are together.
pub(super) fn add(kinds: &[Kind], mut a: &[u8], mut b: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
    for kind in kinds {
        match kind {
            Kind::Count | Kind::Sum => number::put(out, number::take(&mut a)?.wrapping_add(number::take(&mut b)?)),
            Kind::FloatSum => {
                let mut sum = FloatSum::default();
                sum.add_taken(&mut a)?;
                sum.add_taken(&mut b)?;
                sum.put(out);
            }
            Kind::Min | Kind::Max => {
                let extreme = extreme(*kind == Kind::Max, take_extreme(&mut a)?, take_extreme(&mut b)?);
                put_extreme(out, extreme);
            }
            Kind::MinText | Kind::MaxText => {
                put_text(out, extreme(*kind == Kind::MaxText, take_text(&mut a)?, take_text(&mut b)?));
            }
        }
    }
    Ok(())
}

/// The larger of both, or the smaller; the only one, if one is missing.
#[inline]
pub(super) fn extreme<T: Ord>(max: bool, a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if max { a.max(b) } else { a.min(b) }),
        (a, b) => a.or(b),
    }
}
