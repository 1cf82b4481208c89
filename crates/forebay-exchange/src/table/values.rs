//! Values of a column as the accumulators take them: whole numbers, floats or strings.
//!
//! Everything of fixed width but a sum of floats is a whole number: dates and timestamps by their unit, booleans,
//! decimals without their scale, and for `min`, `max` and `distinct` floats by their place in the order of floats.

use std::borrow::Cow;

use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, LargeStringArray, PrimitiveArray, StringArray, StringViewArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Date64Type, Decimal128Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

/// How an accumulator reads its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Only whether there is a value.
    Presence,
    /// Whole numbers.
    Number,
    /// The low 64 bits of decimals, with their sign.
    Low,
    /// What is left of decimals without them, divided by 2^64.
    High,
    /// Floats.
    Float,
    /// Strings.
    Text,
}

/// Values of a batch. Those of rows that are null mean nothing.
#[derive(Debug)]
pub(super) enum Values<'a> {
    /// None are needed.
    Presence,
    /// Whole numbers that fit.
    Short(Cow<'a, [i64]>),
    /// Whole numbers.
    Wide(Cow<'a, [i128]>),
    /// Floats.
    Float(Cow<'a, [f64]>),
    /// Strings.
    Text(Text<'a>),
}

/// Strings of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) enum Text<'a> {
    /// With offsets of 32 bits.
    Utf8(&'a StringArray),
    /// With offsets of 64 bits.
    Large(&'a LargeStringArray),
    /// Views.
    View(&'a StringViewArray),
}

impl<'a> Text<'a> {
    /// The strings of `array`, if it has any.
    pub(super) fn of(array: &'a dyn Array) -> Option<Self> {
        match array.data_type() {
            DataType::Utf8 => array.as_string_opt().map(Self::Utf8),
            DataType::LargeUtf8 => array.as_string_opt().map(Self::Large),
            DataType::Utf8View => array.as_string_view_opt().map(Self::View),
            _ => None,
        }
    }

    /// The string of `row`.
    #[inline]
    pub(super) fn value(&self, row: usize) -> &'a [u8] {
        match self {
            Self::Utf8(strings) => strings.value(row).as_bytes(),
            Self::Large(strings) => strings.value(row).as_bytes(),
            Self::View(strings) => strings.value(row).as_bytes(),
        }
    }
}

/// Which rows of `array` are null.
pub(super) fn nulls(array: &dyn Array) -> Option<NullBuffer> {
    array.logical_nulls().filter(|nulls| nulls.null_count() > 0)
}

/// The values of `array`, read as `reading`; none if its type cannot be read so.
pub(super) fn values(array: &ArrayRef, reading: Reading) -> Option<Values<'_>> {
    Some(match reading {
        Reading::Presence => Values::Presence,
        Reading::Number => match array.data_type() {
            DataType::UInt64 => {
                Values::Wide(array.as_primitive::<UInt64Type>().values().iter().map(|v| i128::from(*v)).collect())
            }
            DataType::Decimal128(..) => Values::Wide(Cow::Borrowed(array.as_primitive::<Decimal128Type>().values())),
            DataType::Boolean => Values::Short(array.as_boolean().values().iter().map(i64::from).collect()),
            DataType::Float32 => Values::Short(floats(array)?.iter().map(|float| place(*float)).collect()),
            DataType::Float64 => Values::Short(floats(array)?.iter().map(|float| place(*float)).collect()),
            _ => Values::Short(numbers(array)?),
        },
        Reading::Low => Values::Short(decimals(array)?.values().iter().map(|value| *value as i64).collect()),
        Reading::High => Values::Short(decimals(array)?.values().iter().map(|value| high(*value)).collect()),
        Reading::Float => Values::Float(floats(array)?),
        Reading::Text => Values::Text(Text::of(array)?),
    })
}

fn decimals(array: &ArrayRef) -> Option<&Decimal128Array> {
    array.as_primitive_opt::<Decimal128Type>()
}

/// What is left of `value` without its low 64 bits, taken with their sign, divided by 2^64.
fn high(value: i128) -> i64 {
    (value.wrapping_sub(i128::from(value as i64)) >> 64) as i64
}

fn floats(array: &ArrayRef) -> Option<Cow<'_, [f64]>> {
    match array.data_type() {
        DataType::Float64 => Some(Cow::Borrowed(array.as_primitive::<Float64Type>().values())),
        DataType::Float32 => {
            Some(array.as_primitive::<Float32Type>().values().iter().map(|float| f64::from(*float)).collect())
        }
        _ => None,
    }
}

/// Integers of at most 64 bits (of unsigned ones, the bits), dates and timestamps.
pub(super) fn numbers(array: &ArrayRef) -> Option<Cow<'_, [i64]>> {
    fn widened<T: ArrowPrimitiveType>(array: &ArrayRef) -> Cow<'_, [i64]>
    where
        T::Native: Into<i64>,
    {
        array.as_primitive::<T>().values().iter().map(|value| (*value).into()).collect()
    }

    fn borrowed<T: ArrowPrimitiveType<Native = i64>>(array: &ArrayRef) -> Cow<'_, [i64]> {
        Cow::Borrowed(array.as_primitive::<T>().values())
    }

    Some(match array.data_type() {
        DataType::Int8 => widened::<Int8Type>(array),
        DataType::Int16 => widened::<Int16Type>(array),
        DataType::Int32 => widened::<Int32Type>(array),
        DataType::UInt8 => widened::<UInt8Type>(array),
        DataType::UInt16 => widened::<UInt16Type>(array),
        DataType::UInt32 => widened::<UInt32Type>(array),
        DataType::Date32 => widened::<Date32Type>(array),
        DataType::Int64 => borrowed::<Int64Type>(array),
        DataType::Date64 => borrowed::<Date64Type>(array),
        DataType::Timestamp(TimeUnit::Second, _) => borrowed::<TimestampSecondType>(array),
        DataType::Timestamp(TimeUnit::Millisecond, _) => borrowed::<TimestampMillisecondType>(array),
        DataType::Timestamp(TimeUnit::Microsecond, _) => borrowed::<TimestampMicrosecondType>(array),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => borrowed::<TimestampNanosecondType>(array),
        DataType::UInt64 => array.as_primitive::<UInt64Type>().values().iter().map(|value| *value as i64).collect(),
        _ => return None,
    })
}

/// The place of a float in the order of floats: NaN, all of them the same, after everything else, and one zero.
fn place(float: f64) -> i64 {
    let bits = if float.is_nan() { f64::NAN.abs().to_bits() } else { (float + 0.0).to_bits() } as i64;
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}

/// The float at a place.
pub(super) fn float_at(place: i64) -> f64 {
    f64::from_bits((place ^ ((place >> 63) as u64 >> 1) as i64) as u64)
}

/// An array of the primitive type `T`, made of whole numbers that came from one.
pub(super) fn primitive<T: ArrowPrimitiveType>(
    numbers: impl ExactSizeIterator<Item = Option<T::Native>>,
    data_type: &DataType,
) -> ArrayRef {
    std::sync::Arc::new(numbers.collect::<PrimitiveArray<T>>().with_data_type(data_type.clone()))
}

/// An array of type `data_type` of whole numbers that [`values`] read from one. None for a type that it does not read.
pub(super) fn array_of(numbers: impl ExactSizeIterator<Item = Option<i128>>, data_type: &DataType) -> Option<ArrayRef> {
    use arrow::array::BooleanArray;

    macro_rules! primitives {
        ($type:ty) => {
            primitive::<$type>(numbers.map(|number| number.map(|number| number as _)), data_type)
        };
    }
    Some(match data_type {
        DataType::Int8 => primitives!(Int8Type),
        DataType::Int16 => primitives!(Int16Type),
        DataType::Int32 => primitives!(Int32Type),
        DataType::Int64 => primitives!(Int64Type),
        DataType::UInt8 => primitives!(UInt8Type),
        DataType::UInt16 => primitives!(UInt16Type),
        DataType::UInt32 => primitives!(UInt32Type),
        DataType::UInt64 => primitives!(UInt64Type),
        DataType::Date32 => primitives!(Date32Type),
        DataType::Date64 => primitives!(Date64Type),
        DataType::Timestamp(TimeUnit::Second, _) => primitives!(TimestampSecondType),
        DataType::Timestamp(TimeUnit::Millisecond, _) => primitives!(TimestampMillisecondType),
        DataType::Timestamp(TimeUnit::Microsecond, _) => primitives!(TimestampMicrosecondType),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => primitives!(TimestampNanosecondType),
        DataType::Decimal128(..) => primitives!(Decimal128Type),
        DataType::Float64 => {
            primitive::<Float64Type>(numbers.map(|number| number.map(|number| float_at(number as i64))), data_type)
        }
        DataType::Float32 => primitive::<Float32Type>(
            numbers.map(|number| number.map(|number| float_at(number as i64) as f32)),
            data_type,
        ),
        DataType::Boolean => {
            std::sync::Arc::new(numbers.map(|number| number.map(|number| number != 0)).collect::<BooleanArray>())
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_placed_in_order_and_come_back() {
        let order = [f64::NEG_INFINITY, f64::MIN, -1.5, -5e-324, 0.0, 5e-324, 1.5, f64::MAX, f64::INFINITY, f64::NAN];
        assert!(order.windows(2).all(|pair| place(pair[0]) < place(pair[1])));
        assert!(order[..9].iter().all(|float| float_at(place(*float)) == *float));
        assert!(float_at(place(f64::NAN)).is_nan());
        assert_eq!(place(-0.0), place(0.0));
        assert_eq!(place(-f64::NAN), place(f64::from_bits(f64::NAN.to_bits() | 7)));
    }

    #[test]
    fn halves_of_decimals_make_the_whole() {
        for value in
            [0, -1, 1, i128::from(i64::MIN), i128::from(i64::MAX) + 1, 10_i128.pow(38) - 1, 1 - 10_i128.pow(38)]
        {
            assert_eq!(i128::from(high(value)) * (1 << 64) + i128::from(value as i64), value);
        }
    }
}
