//! `DataType` and `FillValue`: what the elements of an array are.

use std::fmt;
use std::str::FromStr;

/// The type of an array's elements, under its name in Zarr v3. Elements are little-endian wherever they are bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the names say it")]
pub enum DataType {
    /// One byte, 0 or 1.
    Bool,
    Int8,
    Int16,
    Int32,
    Int64,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    /// IEEE 754 binary16.
    Float16,
    Float32,
    Float64,
}

impl DataType {
    /// All of them.
    pub const ALL: [DataType; 12] = [
        DataType::Bool,
        DataType::Int8,
        DataType::Int16,
        DataType::Int32,
        DataType::Int64,
        DataType::UInt8,
        DataType::UInt16,
        DataType::UInt32,
        DataType::UInt64,
        DataType::Float16,
        DataType::Float32,
        DataType::Float64,
    ];

    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            DataType::Bool | DataType::Int8 | DataType::UInt8 => 1,
            DataType::Int16 | DataType::UInt16 | DataType::Float16 => 2,
            DataType::Int32 | DataType::UInt32 | DataType::Float32 => 4,
            DataType::Int64 | DataType::UInt64 | DataType::Float64 => 8,
        }
    }

    /// The name in Zarr v3, `uint16` for instance.
    pub fn name(self) -> &'static str {
        match self {
            DataType::Bool => "bool",
            DataType::Int8 => "int8",
            DataType::Int16 => "int16",
            DataType::Int32 => "int32",
            DataType::Int64 => "int64",
            DataType::UInt8 => "uint8",
            DataType::UInt16 => "uint16",
            DataType::UInt32 => "uint32",
            DataType::UInt64 => "uint64",
            DataType::Float16 => "float16",
            DataType::Float32 => "float32",
            DataType::Float64 => "float64",
        }
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no data type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownDataType(pub String);

impl fmt::Display for UnknownDataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' is no data type; there are", self.0)?;
        DataType::ALL.iter().try_for_each(|dtype| write!(f, " {dtype}"))
    }
}

impl std::error::Error for UnknownDataType {}

impl FromStr for DataType {
    type Err = UnknownDataType;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        DataType::ALL.into_iter().find(|dtype| dtype.name() == text).ok_or_else(|| UnknownDataType(text.to_owned()))
    }
}

/// The value of elements that nobody wrote: the bytes of one element, little-endian.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FillValue([u8; 8]);

impl FillValue {
    /// The value whose bytes are `element`, at most eight.
    pub fn from_bytes(element: &[u8]) -> Option<Self> {
        let mut bytes = [0; 8];
        bytes.get_mut(..element.len())?.copy_from_slice(element);
        Some(FillValue(bytes))
    }

    /// The bytes of one element of type `dtype`.
    pub fn bytes(&self, dtype: DataType) -> &[u8] {
        &self.0[..dtype.size()]
    }
}
