//! `OutputError`: why results cannot be written.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::error::ArrowError;
use forebay::OverBudget;
use parquet::errors::ParquetError;

/// Why results cannot be written. What was there under the name stays, and nothing else is left.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum OutputError {
    /// The system refused an operation.
    Io {
        /// What was worked on.
        path: PathBuf,
        /// What was tried, as in "cannot OPERATION PATH".
        operation: &'static str,
        /// What the system says.
        error: Arc<io::Error>,
    },
    /// Whoever read standard output has gone. No failure of ours.
    Closed,
    /// A directory is in the file's place.
    IsDirectory(PathBuf),
    /// The directory for parts has something in it.
    NotEmpty(PathBuf),
    /// The name does not say which format is meant.
    UnknownFormat(PathBuf),
    /// A table is for people to read; it goes to standard output, and not with changes.
    Table,
    /// The rows have a column of the name that the changes need for their own.
    Reserved {
        /// The name.
        column: &'static str,
    },
    /// Rows cannot be written in this format.
    Encode {
        /// The format's name.
        format: &'static str,
        /// Why not.
        cause: String,
    },
    /// The memory that was given is not enough.
    Memory(OverBudget),
    /// A thread cannot be started.
    Thread(Arc<io::Error>),
    /// A part went away before it was finished: its rows would be missing.
    Unfinished,
    /// The run was cancelled.
    Cancelled,
}

impl OutputError {
    /// What to say of a failed `operation` on `path`.
    pub(crate) fn io(path: &Path, operation: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| OutputError::Io { path: path.to_owned(), operation, error: Arc::new(error) }
    }

    pub(crate) fn csv(error: ArrowError) -> Self {
        Self::encode("CSV", error)
    }

    pub(crate) fn ndjson(error: ArrowError) -> Self {
        Self::encode("NDJSON", error)
    }

    pub(crate) fn parquet(error: ParquetError) -> Self {
        Self::encode("Parquet", error)
    }

    pub(crate) fn encode(format: &'static str, error: impl fmt::Display) -> Self {
        OutputError::Encode { format, cause: error.to_string() }
    }
}

impl fmt::Display for OutputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, operation, error } => write!(f, "cannot {operation} {}: {error}", path.display()),
            Self::Closed => f.write_str("standard output was closed"),
            Self::IsDirectory(path) => write!(f, "{} is a directory", path.display()),
            Self::NotEmpty(path) => write!(f, "the directory {} is not empty", path.display()),
            Self::UnknownFormat(path) => write!(f, "the name {} says no format", path.display()),
            Self::Table => f.write_str("a table goes to standard output only, and cannot hold changes"),
            Self::Reserved { column } => {
                write!(f, "the result has a column `{column}`, and changes have one of that name beside it")
            }
            Self::Encode { format, cause } => write!(f, "the rows cannot be written as {format}: {cause}"),
            Self::Memory(error) => write!(f, "the output: {error}"),
            Self::Thread(error) => write!(f, "cannot start a thread for the output: {error}"),
            Self::Unfinished => f.write_str("a part of the output was not finished"),
            Self::Cancelled => f.write_str("the output was cancelled"),
        }
    }
}

impl std::error::Error for OutputError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } | Self::Thread(error) => Some(&**error),
            Self::Memory(error) => Some(error),
            _ => None,
        }
    }
}
