//! `Test`: a column against a value.
//!
//! A value is brought to the column's type once, exactly: where it lies between two values of the type, the lower one
//! and a comparison that says the same take its place, and where it lies outside the type, the answer is the same for
//! every value.

use std::fmt;
use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, LargeStringArray, PrimitiveArray, Scalar, StringArray,
    StringViewArray,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::cast_utils::string_to_datetime;
use arrow::compute::kernels::cmp;
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, Field, Float16Type,
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type, i256,
};
use arrow::error::ArrowError;

use super::lex::Compare;

/// A value as it was written.
#[derive(Clone, Debug)]
pub(super) enum Literal {
    Number(String),
    Text(String),
    Boolean(bool),
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}, a number"),
            Self::Text(text) => write!(f, "'{text}', a string"),
            Self::Boolean(value) => write!(f, "{value}, a boolean"),
        }
    }
}

/// What is asked of each value of a column. Of null, the answer is null.
#[derive(Clone, Debug)]
pub(super) enum Test {
    /// Compared with one value of the same type.
    Value(Compare, ArrayRef),
    /// Floats, compared as numbers: for the library's comparison, -0.0 is less than 0.0 and NaN may be less than all.
    Float(Compare, f64),
    /// The same for every value.
    Constant(bool),
}

impl Test {
    /// Compares values of `field` with `literal`.
    pub(super) fn new(field: &Field, compare: Compare, literal: &Literal) -> Result<Self, String> {
        let kind = field.data_type();
        match (kind, literal) {
            (DataType::Boolean, Literal::Boolean(value)) => {
                Ok(Test::Value(compare, one(BooleanArray::from(vec![*value]))))
            }
            (DataType::Utf8, Literal::Text(text)) => {
                Ok(Test::Value(compare, one(StringArray::from(vec![text.as_str()]))))
            }
            (DataType::LargeUtf8, Literal::Text(text)) => {
                Ok(Test::Value(compare, one(LargeStringArray::from(vec![text.as_str()]))))
            }
            (DataType::Utf8View, Literal::Text(text)) => {
                Ok(Test::Value(compare, one(StringViewArray::from(vec![text.as_str()]))))
            }
            (DataType::Float16 | DataType::Float32 | DataType::Float64, Literal::Number(number)) => {
                // As the column would have it: 0.1 is equal to a Float32 that was written as 0.1.
                let value = match kind {
                    DataType::Float16 => number.parse().map(|value| f64::from(half(value))),
                    DataType::Float32 => number.parse::<f32>().map(f64::from),
                    _ => number.parse::<f64>(),
                };
                value.map(|value| Test::Float(compare, value)).map_err(|_| format!("{number} is no number"))
            }
            (kind, Literal::Number(number)) if kind.is_integer() || kind.is_decimal() => {
                let scale = match kind {
                    DataType::Decimal32(_, scale)
                    | DataType::Decimal64(_, scale)
                    | DataType::Decimal128(_, scale)
                    | DataType::Decimal256(_, scale) => *scale,
                    _ => 0,
                };
                Point::of_number(number, scale)?.test(compare, kind)
            }
            (DataType::Date32 | DataType::Date64 | DataType::Timestamp(..), Literal::Text(text)) => {
                Point::of_time(text, kind)?.test(compare, kind)
            }
            _ => Err(format!("column {} is {kind}, it cannot be compared with {literal}", field.name())),
        }
    }

    /// The answer for each value of `column`.
    pub(super) fn evaluate(&self, column: &ArrayRef) -> Result<BooleanArray, ArrowError> {
        match self {
            Self::Constant(answer) => {
                let answers = if *answer { BooleanBuffer::new_set } else { BooleanBuffer::new_unset };
                Ok(BooleanArray::new(answers(column.len()), column.logical_nulls()))
            }
            Self::Value(compare, value) => {
                let value = Scalar::new(value);
                match compare {
                    Compare::Equal => cmp::eq(column, &value),
                    Compare::NotEqual => cmp::neq(column, &value),
                    Compare::Less => cmp::lt(column, &value),
                    Compare::LessOrEqual => cmp::lt_eq(column, &value),
                    Compare::Greater => cmp::gt(column, &value),
                    Compare::GreaterOrEqual => cmp::gt_eq(column, &value),
                }
            }
            Self::Float(compare, value) => match column.data_type() {
                DataType::Float16 => Ok(floats::<Float16Type>(column, *compare, *value)),
                DataType::Float32 => Ok(floats::<Float32Type>(column, *compare, *value)),
                DataType::Float64 => Ok(floats::<Float64Type>(column, *compare, *value)),
                other => Err(ArrowError::SchemaError(format!("{other} where floats are expected"))),
            },
        }
    }
}

fn one(array: impl Array + 'static) -> ArrayRef {
    Arc::new(array)
}

/// The Float16 nearest to `value`.
fn half(value: f32) -> <Float16Type as ArrowPrimitiveType>::Native {
    <Float16Type as ArrowPrimitiveType>::Native::from_f32(value)
}

fn floats<T: ArrowPrimitiveType<Native: Into<f64>>>(column: &ArrayRef, compare: Compare, value: f64) -> BooleanArray {
    let column = column.as_primitive::<T>();
    let all = |answer: fn(f64, f64) -> bool| BooleanArray::from_unary(column, |x: T::Native| answer(x.into(), value));
    if value.is_nan() {
        return match compare {
            Compare::Equal | Compare::GreaterOrEqual => all(|x, _| x.is_nan()),
            Compare::NotEqual | Compare::Less => all(|x, _| !x.is_nan()),
            Compare::LessOrEqual => all(|_, _| true),
            Compare::Greater => all(|_, _| false),
        };
    }
    match compare {
        Compare::Equal => all(|x, value| x == value),
        Compare::NotEqual => all(|x, value| x != value),
        Compare::Less => all(|x, value| x < value),
        Compare::LessOrEqual => all(|x, value| x <= value),
        // NaN is greater.
        Compare::Greater => all(|x, value| x > value || x.is_nan()),
        Compare::GreaterOrEqual => all(|x, value| x >= value || x.is_nan()),
    }
}

/// Where a value lies among the integers that stand for the values of a type.
struct Point {
    /// The greatest that is not above it. The greatest or least i256 if it is out of reach.
    floor: i256,
    /// Whether it is that one.
    exact: bool,
}

impl Point {
    /// A number in units of `10^-scale`.
    fn of_number(text: &str, scale: i8) -> Result<Self, String> {
        let no_number = || format!("{text} is no number that can be compared with exact ones");
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| no_number())?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let (negative, whole) = match whole.strip_prefix('-') {
            Some(whole) => (true, whole),
            None => (false, whole.strip_prefix('+').unwrap_or(whole)),
        };
        let ten = i256::from_i128(10);
        let mut value = i256::ZERO;
        for digit in whole.bytes().chain(fraction.bytes()) {
            if !digit.is_ascii_digit() {
                return Err(no_number());
            }
            let digit = i256::from_i128(i128::from(digit - b'0'));
            let next = value.checked_mul(ten).and_then(|value| value.checked_add(digit));
            value = next.ok_or_else(|| format!("{text} has too many digits"))?;
        }
        if whole.is_empty() && fraction.is_empty() {
            return Err(no_number());
        }
        let value = if negative { value.wrapping_neg() } else { value };
        let power = i64::from(exponent) + i64::from(scale) - fraction.len() as i64;
        if value == i256::ZERO {
            return Ok(Point { floor: value, exact: true });
        }
        let far = if negative { i256::MIN } else { i256::MAX };
        let raised = u32::try_from(power.unsigned_abs()).ok().and_then(|power| ten.checked_pow(power));
        Ok(match (raised, power >= 0) {
            (Some(factor), true) => Point { floor: value.checked_mul(factor).unwrap_or(far), exact: true },
            (None, true) => Point { floor: far, exact: true },
            (Some(divisor), false) => Point::divided(value, divisor),
            (None, false) => Point { floor: if negative { i256::MINUS_ONE } else { i256::ZERO }, exact: false },
        })
    }

    /// A point in time, in units of `kind`.
    fn of_time(text: &str, kind: &DataType) -> Result<Self, String> {
        let utc: Tz = "+00:00".parse().map_err(|error: ArrowError| error.to_string())?;
        let time = string_to_datetime(&utc, text).map_err(|_| format!("'{text}' is no date or timestamp"))?;
        let nanos = i128::from(time.timestamp()) * 1_000_000_000 + i128::from(time.timestamp_subsec_nanos());
        let unit = match kind {
            DataType::Date32 => 86_400_000_000_000,
            DataType::Date64 | DataType::Timestamp(TimeUnit::Millisecond, _) => 1_000_000,
            DataType::Timestamp(TimeUnit::Second, _) => 1_000_000_000,
            DataType::Timestamp(TimeUnit::Microsecond, _) => 1_000,
            _ => 1,
        };
        Ok(Point::divided(i256::from_i128(nanos), i256::from_i128(unit)))
    }

    fn divided(value: i256, divisor: i256) -> Self {
        let (quotient, rest) = value.wrapping_div_rem(divisor);
        let exact = rest == i256::ZERO;
        let floor = if !exact && value.is_negative() { quotient.wrapping_sub(i256::ONE) } else { quotient };
        Point { floor, exact }
    }

    /// Compares values of `kind` with this point.
    fn test(self, compare: Compare, kind: &DataType) -> Result<Test, String> {
        let compare = match (compare, self.exact) {
            (compare, true) => compare,
            (Compare::Equal, false) => return Ok(Test::Constant(false)),
            (Compare::NotEqual, false) => return Ok(Test::Constant(true)),
            (Compare::Less | Compare::LessOrEqual, false) => Compare::LessOrEqual,
            (Compare::Greater | Compare::GreaterOrEqual, false) => Compare::Greater,
        };
        macro_rules! of {
            ($type:ty) => {{
                type Native = <$type as ArrowPrimitiveType>::Native;
                let value = self.floor.to_i128().and_then(|floor| Native::try_from(floor).ok());
                value.map(|value| one(PrimitiveArray::<$type>::from_value(value, 1).with_data_type(kind.clone())))
            }};
        }
        let value = match kind {
            DataType::Int8 => of!(Int8Type),
            DataType::Int16 => of!(Int16Type),
            DataType::Int32 => of!(Int32Type),
            DataType::Int64 => of!(Int64Type),
            DataType::UInt8 => of!(UInt8Type),
            DataType::UInt16 => of!(UInt16Type),
            DataType::UInt32 => of!(UInt32Type),
            DataType::UInt64 => of!(UInt64Type),
            DataType::Decimal32(..) => of!(Decimal32Type),
            DataType::Decimal64(..) => of!(Decimal64Type),
            DataType::Decimal128(..) => of!(Decimal128Type),
            DataType::Decimal256(..) => {
                Some(one(PrimitiveArray::<Decimal256Type>::from_value(self.floor, 1).with_data_type(kind.clone())))
            }
            DataType::Date32 => of!(Date32Type),
            DataType::Date64 => of!(Date64Type),
            DataType::Timestamp(TimeUnit::Second, _) => of!(TimestampSecondType),
            DataType::Timestamp(TimeUnit::Millisecond, _) => of!(TimestampMillisecondType),
            DataType::Timestamp(TimeUnit::Microsecond, _) => of!(TimestampMicrosecondType),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => of!(TimestampNanosecondType),
            other => return Err(format!("{other} cannot be compared with a value")),
        };
        // Outside the type: above all of its values, or below.
        let above = !self.floor.is_negative();
        Ok(value.map_or_else(
            || match compare {
                Compare::Equal => Test::Constant(false),
                Compare::NotEqual => Test::Constant(true),
                Compare::Less | Compare::LessOrEqual => Test::Constant(above),
                Compare::Greater | Compare::GreaterOrEqual => Test::Constant(!above),
            },
            |value| Test::Value(compare, value),
        ))
    }
}
