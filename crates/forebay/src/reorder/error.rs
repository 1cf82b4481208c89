//! What can be wrong with a result, on its way in and on its way out.

use std::fmt;

use crate::item::DecodeError;
use crate::spill::SpillError;

/// A result that was not taken: one of this number is stored already, or has gone out.
#[derive(Debug, PartialEq, Eq)]
pub struct InsertError<T> {
    /// The number.
    pub seq: u64,
    /// The rejected item.
    pub item: T,
}

impl<T> fmt::Display for InsertError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "result {} was stored twice", self.seq)
    }
}

impl<T: fmt::Debug> std::error::Error for InsertError<T> {}

/// Why there is no next result.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum DeliverError {
    /// Item `seq` failed ([`ReorderBuffer::fail`](crate::ReorderBuffer::fail)); everything before it went out.
    Failed {
        /// The number of the failed item.
        seq: u64,
    },
    /// Result `seq` could not be spilled ([`OnSpillError::Fail`](crate::OnSpillError::Fail)) or read back.
    Spill {
        /// The number of the first result concerned.
        seq: u64,
        /// What the store said.
        error: SpillError,
    },
    /// Result `seq` was read back and does not decode.
    Decode {
        /// The number of the first result concerned.
        seq: u64,
        /// What its `decode` said.
        error: DecodeError,
    },
    /// An item's `encode` or the spill policy panicked.
    Panicked {
        /// The number of the first result concerned.
        seq: u64,
        /// What the panic said.
        message: String,
    },
    /// The run was cancelled.
    Cancelled,
}

impl fmt::Display for DeliverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeliverError::Failed { seq } => write!(f, "item {seq} failed"),
            DeliverError::Spill { seq, error } => write!(f, "result {seq}: {error}"),
            DeliverError::Decode { seq, error } => write!(f, "result {seq}: {error}"),
            DeliverError::Panicked { seq, message } => {
                write!(f, "result {seq}: spilling it panicked: {message}")
            }
            DeliverError::Cancelled => f.write_str("the run was cancelled"),
        }
    }
}

impl std::error::Error for DeliverError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            DeliverError::Spill { error, .. } => Some(error),
            DeliverError::Decode { error, .. } => Some(error),
            _ => None,
        }
    }
}
