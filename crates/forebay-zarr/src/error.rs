//! `WriteError`: why an array could not be written.

use std::fmt;
use std::io;
use std::sync::Arc;

use forebay::{Cause, DeliverError, DeliveryError, RunError};

use crate::codec::CodecError;
use crate::metadata::MetadataError;
use crate::shard::IndexError;
use crate::spec::SpecError;
use crate::store::StoreError;

/// Why an array could not be written. Once a writer has failed, every further call returns the same error; what was
/// [published](crate::ArrayWriter::flush) before stays readable.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum WriteError {
    /// Such an array cannot be written.
    Spec(SpecError),
    /// The array needs more memory than it was given.
    Memory {
        /// The least it needs, in bytes.
        needed: usize,
        /// What it was given, in bytes.
        given: usize,
    },
    /// The store failed.
    Store(Arc<StoreError>),
    /// There is no array to go on with.
    NoArray,
    /// The array is none that can be gone on with.
    Metadata(Arc<MetadataError>),
    /// A shard of the array cannot be gone on with.
    Index(Arc<IndexError>),
    /// A chunk could not be compressed, or, when an array is opened again, not be read.
    Codec(Arc<CodecError>),
    /// Compressed chunks could not be spilled or read back.
    Spill(DeliverError),
    /// A thread could not be started.
    Thread(Arc<io::Error>),
    /// An element of an array of `bool` is neither 0 nor 1.
    NotBool {
        /// The frame that it belongs to.
        frame: u64,
        /// What it is.
        value: u8,
    },
    /// The data ended within a frame. Every whole frame is published; this is what was left over.
    Partial {
        /// The frame that is not whole.
        frame: u64,
        /// How many of its bytes there were.
        bytes: u64,
        /// How many it should have.
        of: u64,
    },
    /// The writer has ended without an error of its own: a panic passed through it.
    Ended,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WriteError::Spec(error) => error.fmt(f),
            WriteError::Memory { needed, given } => {
                let mib = |bytes: &usize| bytes.div_ceil(1 << 20);
                write!(f, "the array needs {} MiB of memory and was given {} MiB", mib(needed), given >> 20)
            }
            WriteError::Store(error) => error.fmt(f),
            WriteError::NoArray => f.write_str("there is no array to append to"),
            WriteError::Metadata(error) => error.fmt(f),
            WriteError::Index(error) => error.fmt(f),
            WriteError::Codec(error) => error.fmt(f),
            WriteError::Spill(error) => error.fmt(f),
            WriteError::Thread(error) => write!(f, "a thread could not be started: {error}"),
            WriteError::NotBool { frame, value } => {
                write!(f, "frame {frame}: an element of a bool array is {value}, neither 0 nor 1")
            }
            WriteError::Partial { frame, bytes, of } => {
                write!(f, "the data ends within frame {frame}: {bytes} of its {of} bytes")
            }
            WriteError::Ended => f.write_str("the writer has ended"),
        }
    }
}

impl std::error::Error for WriteError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            WriteError::Spec(error) => Some(error),
            WriteError::Store(error) => Some(&**error),
            WriteError::Metadata(error) => Some(&**error),
            WriteError::Index(error) => Some(&**error),
            WriteError::Codec(error) => Some(&**error),
            WriteError::Spill(error) => Some(error),
            WriteError::Thread(error) => Some(&**error),
            _ => None,
        }
    }
}

impl From<SpecError> for WriteError {
    fn from(error: SpecError) -> Self {
        WriteError::Spec(error)
    }
}

impl From<StoreError> for WriteError {
    fn from(error: StoreError) -> Self {
        WriteError::Store(Arc::new(error))
    }
}

impl From<MetadataError> for WriteError {
    fn from(error: MetadataError) -> Self {
        WriteError::Metadata(Arc::new(error))
    }
}

impl From<IndexError> for WriteError {
    fn from(error: IndexError) -> Self {
        WriteError::Index(Arc::new(error))
    }
}

impl From<CodecError> for WriteError {
    fn from(error: CodecError) -> Self {
        WriteError::Codec(Arc::new(error))
    }
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> Self {
        WriteError::Thread(Arc::new(error))
    }
}

/// What a stage behind has failed with is what this stage fails with.
impl From<DeliveryError<WriteError>> for WriteError {
    fn from(error: DeliveryError<WriteError>) -> Self {
        match error {
            DeliveryError::Sink(error) => (*error).clone(),
            _ => WriteError::Ended,
        }
    }
}

impl From<RunError<WriteError>> for WriteError {
    fn from(error: RunError<WriteError>) -> Self {
        match error.cause {
            Cause::Source(error) | Cause::Work { error, .. } | Cause::Sink { error, .. } => error,
            Cause::Spill(error) => WriteError::Spill(error),
            Cause::Thread(error) => error.into(),
            _ => WriteError::Ended,
        }
    }
}
