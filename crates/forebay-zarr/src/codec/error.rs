//! `CodecError`: a chunk cannot be encoded or decoded.

use std::fmt;
use std::io;

use crate::spec::SpecError;

/// A chunk cannot be encoded or decoded.
#[derive(Debug)]
#[non_exhaustive]
pub enum CodecError {
    /// There is no such codec, or it cannot be used on such chunks.
    Refused {
        /// The name of the codec.
        codec: &'static str,
        /// Why.
        reason: String,
    },
    /// Something is shorter or longer than it must be.
    Length {
        /// The name of the codec.
        codec: &'static str,
        /// What it is.
        what: &'static str,
        /// How many bytes it has.
        got: usize,
        /// How many it must have.
        expected: usize,
    },
    /// The bytes were not written by this codec, or are damaged.
    Malformed {
        /// The name of the codec.
        codec: &'static str,
        /// How many bytes were to be decoded.
        stored: usize,
        /// What is wrong with them.
        reason: String,
    },
    /// The stored bytes are not those that the checksum was made of.
    ChecksumMismatch {
        /// How many bytes it covers.
        bytes: usize,
        /// The checksum of the bytes.
        got: u32,
        /// The checksum that is stored with them.
        expected: u32,
    },
    /// The library behind a codec failed.
    Library {
        /// The name of the codec.
        codec: &'static str,
        /// What it was to do.
        what: &'static str,
        /// How many bytes were given to it.
        bytes: usize,
        /// What it says.
        source: io::Error,
    },
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CodecError::Refused { codec, reason } => write!(f, "{codec}: {reason}"),
            CodecError::Length { codec, what, got, expected } => {
                write!(f, "{codec}: {what} has {got} bytes and should have {expected}")
            }
            CodecError::Malformed { codec, stored, reason } => {
                write!(f, "{codec}: cannot decode {stored} bytes: {reason}")
            }
            CodecError::ChecksumMismatch { bytes, got, expected } => {
                write!(f, "crc32c: {bytes} bytes have the checksum {got:08x}, but {expected:08x} is stored with them")
            }
            CodecError::Library { codec, what, bytes, source } => {
                write!(f, "{codec}: cannot {what} {bytes} bytes: {source}")
            }
        }
    }
}

impl std::error::Error for CodecError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            CodecError::Library { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<SpecError> for CodecError {
    fn from(error: SpecError) -> Self {
        CodecError::Refused { codec: "codec", reason: error.to_string() }
    }
}
