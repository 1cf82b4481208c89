//! Fill values: the bytes of one element as Zarr v3 writes them in JSON, and back.
//!
//! Integers and booleans are themselves. Floats are numbers where JSON has them; `"NaN"` is the quiet NaN with no
//! other bit set, any other NaN is a string of its bits (`"0x7fc00001"`). Numbers of a smaller float are written as the
//! double that they are, which every reader rounds back to the same bits.

use half::f16;
use serde_json::Value;

use crate::dtype::{DataType, FillValue};

/// `fill` of an array of `dtype`, in JSON.
pub(super) fn encode(dtype: DataType, fill: &FillValue) -> Value {
    let mut wide = [0; 8];
    let bytes = fill.bytes(dtype);
    wide[..bytes.len()].copy_from_slice(bytes);
    let bits = u64::from_le_bytes(wide);
    match dtype {
        DataType::Bool => Value::from(bits != 0),
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => Value::from(bits),
        DataType::Int8 => Value::from(bits as i8),
        DataType::Int16 => Value::from(bits as i16),
        DataType::Int32 => Value::from(bits as i32),
        DataType::Int64 => Value::from(bits as i64),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            let value = match dtype {
                DataType::Float16 => f16::from_bits(bits as u16).to_f64(),
                DataType::Float32 => f64::from(f32::from_bits(bits as u32)),
                _ => f64::from_bits(bits),
            };
            if value.is_finite() {
                Value::from(value)
            } else if value == f64::INFINITY {
                Value::from("Infinity")
            } else if value == f64::NEG_INFINITY {
                Value::from("-Infinity")
            } else if bits == quiet_nan(dtype) {
                Value::from("NaN")
            } else {
                Value::from(format!("0x{bits:0digits$x}", digits = 2 * dtype.size()))
            }
        }
    }
}

/// The fill value of an array of `dtype` that `value` says; `None` if it is none.
pub(super) fn decode(dtype: DataType, value: &Value) -> Option<FillValue> {
    let bits = match dtype {
        DataType::Bool => u64::from(value.as_bool()?),
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => {
            value.as_u64().filter(|&number| dtype.size() == 8 || number >> (8 * dtype.size()) == 0)?
        }
        DataType::Int8 => i8::try_from(value.as_i64()?).ok()? as u64,
        DataType::Int16 => i16::try_from(value.as_i64()?).ok()? as u64,
        DataType::Int32 => i32::try_from(value.as_i64()?).ok()? as u64,
        DataType::Int64 => value.as_i64()? as u64,
        DataType::Float16 | DataType::Float32 | DataType::Float64 => float(dtype, value)?,
    };
    FillValue::from_bytes(&bits.to_le_bytes()[..dtype.size()])
}

fn float(dtype: DataType, value: &Value) -> Option<u64> {
    let round = |number: f64| match dtype {
        DataType::Float16 => (u64::from(f16::from_f64(number).to_bits()), f16::from_f64(number).is_finite()),
        DataType::Float32 => (u64::from((number as f32).to_bits()), (number as f32).is_finite()),
        _ => (number.to_bits(), number.is_finite()),
    };
    match value {
        // A number that is too large for the type is a mistake, not infinity.
        Value::Number(number) => Some(round(number.as_f64()?)).filter(|rounded| rounded.1).map(|rounded| rounded.0),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(quiet_nan(dtype)),
            "Infinity" => Some(round(f64::INFINITY).0),
            "-Infinity" => Some(round(f64::NEG_INFINITY).0),
            _ => {
                let digits = text.strip_prefix("0x").filter(|digits| digits.len() == 2 * dtype.size())?;
                // `from_str_radix` would take a sign.
                digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(())?;
                u64::from_str_radix(digits, 16).ok()
            }
        },
        _ => None,
    }
}

/// The bits that `"NaN"` stands for.
fn quiet_nan(dtype: DataType) -> u64 {
    match dtype {
        DataType::Float16 => 0x7e00,
        DataType::Float32 => 0x7fc0_0000,
        _ => 0x7ff8_0000_0000_0000,
    }
}
