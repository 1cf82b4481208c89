//! [`SpillError`]: what can go wrong between memory and a spill store.
//!
//! The error is cheap to clone, because one failed block write fails every page in the block. Every variant names the
//! place (a path, or a range of a segment), so that a message can be acted upon without a debugger.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why bytes could not be spilled or read back.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SpillError {
    /// The system refused an operation.
    Io {
        /// What was tried, as a verb: "write", "read", "create a segment in".
        operation: &'static str,
        /// The directory or segment it was tried on.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// Storing the bytes would have exceeded the store's quota. Nothing was changed.
    QuotaExceeded {
        /// Where the store keeps its bytes.
        place: String,
        /// Bytes that were to be stored.
        requested: u64,
        /// Bytes that the store holds allocated.
        allocated: u64,
        /// The most it may hold.
        quota: u64,
    },
    /// A read that does not lie within its extent. Nothing was read.
    OutOfRange {
        /// The extent.
        place: String,
        /// First byte wanted, counted from the start of the extent.
        offset: u64,
        /// Bytes wanted.
        requested: u64,
        /// Bytes in the extent.
        len: u64,
    },
    /// A record's bytes are not those that were written.
    ChecksumMismatch {
        /// Where the record lies.
        place: String,
        /// The checksum of the bytes that were read.
        got: u64,
        /// The checksum in the record's header.
        expected: u64,
    },
    /// The bytes are not a record of this version.
    BadRecord {
        /// Where the record lies.
        place: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A record's payload is larger than a record, or its reader, allows. Nothing was allocated for it.
    RecordTooLarge {
        /// Where the record lies or was to go.
        place: String,
        /// Bytes in the payload.
        len: u64,
        /// The most that is allowed.
        max: u64,
    },
}

impl SpillError {
    /// The error of a failed system call: `operation` is a verb, `path` its object.
    pub fn io(operation: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        SpillError::Io { operation, path: path.into(), source: Arc::new(source) }
    }
}

impl fmt::Display for SpillError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpillError::Io { operation, path, source } => {
                write!(f, "cannot {operation} {}: {source}", Path::display(path))
            }
            SpillError::QuotaExceeded { place, requested, allocated, quota } => {
                write!(f, "cannot spill {requested} bytes to {place}: {allocated} of at most {quota} bytes are in use")
            }
            SpillError::OutOfRange { place, offset, requested, len } => {
                write!(f, "cannot read {requested} bytes at {offset} of {place}: it has {len} bytes")
            }
            SpillError::ChecksumMismatch { place, got, expected } => write!(
                f,
                "cannot use the record in {place}: its checksum is {got:016x}, it was written with {expected:016x}"
            ),
            SpillError::BadRecord { place, problem } => {
                write!(f, "cannot use the record in {place}: {problem}")
            }
            SpillError::RecordTooLarge { place, len, max } => {
                write!(f, "cannot handle a record of {len} bytes in {place}: at most {max} bytes are allowed")
            }
        }
    }
}

impl Error for SpillError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            SpillError::Io { source, .. } => Some(&**source),
            _ => None,
        }
    }
}
