//! NumPy's `.npy` files, in C order.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use npyz::{DType, Endianness, NpyHeader, Order, TypeChar, TypeStr};

use super::elements::Elements;
use super::error::Shape;
use super::{Frame, InputError, product};
use crate::dtype::DataType;

/// Most bytes of a header. NumPy itself refuses larger ones.
const MAX_HEADER: usize = 10_000;

/// Brackets within brackets in a header; an array of numbers has two.
const MAX_DEPTH: usize = 4;

/// A file of which the header has been read.
pub(super) struct Header {
    file: File,
    path: PathBuf,
    dtype: DataType,
    big_endian: bool,
    shape: Vec<u64>,
}

impl Header {
    pub(super) fn open(path: &Path) -> Result<Self, InputError> {
        let mut file = File::open(path).map_err(|error| InputError::io("open", path, error))?;
        let damaged = |reason: String| InputError::damaged(path, None, reason);
        let text = header_bytes(&mut file).map_err(|error| InputError::io("read the header of", path, error))?;
        let text = text.ok_or_else(|| damaged("this is no .npy file".into()))?;
        bound(&text).map_err(|reason| damaged(reason.into()))?;
        let header = NpyHeader::from_reader(&text[..]).map_err(|error| damaged(format!("its header: {error}")))?;
        if header.order() == Order::Fortran && header.shape().len() > 1 {
            return Err(InputError::unsupported(path, None, "Fortran order (save numpy.ascontiguousarray of it)"));
        }
        let DType::Plain(element) = header.dtype() else {
            return Err(InputError::unsupported(path, None, format!("elements of type {}", header.dtype().descr())));
        };
        let dtype = data_type(&element)
            .ok_or_else(|| InputError::unsupported(path, None, format!("elements of type {element}")))?;
        if header.shape().is_empty() {
            return Err(InputError::unsupported(path, None, "no dimension"));
        }
        let big_endian = element.endianness() == Endianness::Big;
        Ok(Header { file, path: path.to_owned(), dtype, big_endian, shape: header.shape().to_vec() })
    }

    /// The frames, if nobody says how many dimensions the array has.
    pub(super) fn frame(&self) -> Frame {
        let frame = if self.shape.len() == 2 { &self.shape[..] } else { &self.shape[1..] };
        Frame { dtype: self.dtype, shape: frame.to_vec() }
    }

    /// The elements, if they are frames of an array.
    pub(super) fn elements(self, frame: &Frame) -> Result<Elements, InputError> {
        let differs = |what, expected: String, found: String| InputError::Differs {
            path: self.path.clone(),
            page: None,
            what,
            expected,
            found,
        };
        if self.dtype != frame.dtype {
            return Err(differs("data type", frame.dtype.to_string(), self.dtype.to_string()));
        }
        if self.shape != frame.shape && self.shape.get(1..) != Some(&frame.shape) {
            let expected = format!("{} of each frame", Shape(&frame.shape));
            return Err(differs("shape", expected, Shape(&self.shape).to_string()));
        }
        let size = self.dtype.size();
        let bytes = product(&self.shape).and_then(|elements| elements.checked_mul(size as u64));
        let bytes = bytes.ok_or_else(|| InputError::damaged(&self.path, None, "its shape is impossible"))?;
        let reversed = if self.big_endian { size } else { 1 };
        Ok(Elements::exactly(Box::new(self.file), &self.path, bytes, reversed))
    }
}

/// Everything before the elements, and `file` behind it; `None` if that is not a header or too long.
fn header_bytes(file: &mut File) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    file.by_ref().take(MAX_HEADER as u64).read_to_end(&mut bytes)?;
    let (head, len) = match bytes.get(6) {
        Some(1) => (10, bytes.get(8..10).map(|len| usize::from(u16::from_le_bytes([len[0], len[1]])))),
        _ => (12, bytes.get(8..12).map(|len| u32::from_le_bytes([len[0], len[1], len[2], len[3]]) as usize)),
    };
    let Some(end) = len.and_then(|len| len.checked_add(head)).filter(|&end| end <= bytes.len()) else {
        return Ok(None);
    };
    bytes.truncate(end);
    file.seek(SeekFrom::Start(end as u64))?;
    Ok(bytes.starts_with(b"\x93NUMPY").then_some(bytes))
}

/// Refuses what the parser would pay for: it recurses at each bracket, and multiplies extents without a check.
fn bound(header: &[u8]) -> Result<(), &'static str> {
    let mut depth = 0usize;
    for byte in header {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err("its header is nested too deeply");
        }
    }
    let numbers = header.split(|byte| !byte.is_ascii_digit()).filter(|digits| !digits.is_empty());
    let number = |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse::<u64>().ok();
    let all = numbers.map(number).try_fold(1u64, |all, number| all.checked_mul(number?.max(1)));
    all.map(drop).ok_or("its shape is impossible")
}

/// The data type of NumPy's name.
fn data_type(element: &TypeStr) -> Option<DataType> {
    Some(match (element.type_char(), element.size_field()) {
        (TypeChar::Bool, 1) => DataType::Bool,
        (TypeChar::Int, 1) => DataType::Int8,
        (TypeChar::Int, 2) => DataType::Int16,
        (TypeChar::Int, 4) => DataType::Int32,
        (TypeChar::Int, 8) => DataType::Int64,
        (TypeChar::Uint, 1) => DataType::UInt8,
        (TypeChar::Uint, 2) => DataType::UInt16,
        (TypeChar::Uint, 4) => DataType::UInt32,
        (TypeChar::Uint, 8) => DataType::UInt64,
        (TypeChar::Float, 2) => DataType::Float16,
        (TypeChar::Float, 4) => DataType::Float32,
        (TypeChar::Float, 8) => DataType::Float64,
        _ => return None,
    })
}
