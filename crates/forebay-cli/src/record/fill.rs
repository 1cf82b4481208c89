//! `--fill`: a number, as the bytes of one element.

use forebay_zarr::{DataType, FillValue};
use half::f16;

/// The fill value that `text` says, if an element of `dtype` can have it.
pub(crate) fn parse(text: &str, dtype: DataType) -> Option<FillValue> {
    macro_rules! bytes {
        ($kind:ty) => {
            FillValue::from_bytes(&text.parse::<$kind>().ok()?.to_le_bytes())
        };
    }
    match dtype {
        DataType::Bool => match text {
            "true" | "1" => FillValue::from_bytes(&[1]),
            "false" | "0" => FillValue::from_bytes(&[0]),
            _ => None,
        },
        DataType::Int8 => bytes!(i8),
        DataType::Int16 => bytes!(i16),
        DataType::Int32 => bytes!(i32),
        DataType::Int64 => bytes!(i64),
        DataType::UInt8 => bytes!(u8),
        DataType::UInt16 => bytes!(u16),
        DataType::UInt32 => bytes!(u32),
        DataType::UInt64 => bytes!(u64),
        DataType::Float16 => FillValue::from_bytes(&f16::from_f64(text.parse().ok()?).to_le_bytes()),
        DataType::Float32 => bytes!(f32),
        DataType::Float64 => bytes!(f64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fill_value_is_one_that_an_element_can_have() {
        for (text, dtype, bytes) in [
            ("7", DataType::UInt16, Some(&[7, 0][..])),
            ("-1", DataType::Int32, Some(&[255; 4])),
            ("1.5", DataType::Float16, Some(&[0, 0x3e])),
            ("NaN", DataType::Float32, Some(&[0, 0, 0xc0, 0x7f])),
            ("true", DataType::Bool, Some(&[1])),
            ("65536", DataType::UInt16, None),
            ("-1", DataType::UInt8, None),
            ("1.5", DataType::Int64, None),
            ("2", DataType::Bool, None),
            ("x", DataType::Float64, None),
        ] {
            let fill = parse(text, dtype);
            assert_eq!(fill.as_ref().map(|fill| fill.bytes(dtype)), bytes, "{text} of {dtype}");
        }
    }
}
