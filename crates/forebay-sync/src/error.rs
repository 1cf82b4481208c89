//! What ends a mirror before its time. Everything else is a line in the log and a count.

use std::{fmt, io};

use crate::filter::FilterError;

/// Why a mirror could not begin or go on.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The options do not fit what is there. The text is rsync's.
    Usage(String),
    /// The destination does not fit the sources, or cannot be entered. The text is rsync's.
    Select(String),
    /// A file system operation without which nothing more can be done: the destination directory cannot be made, or
    /// writing failed. The text is rsync's and names operation, path and cause.
    Io(String),
    /// A per-directory filter file has a rule that makes no sense, or names a file that cannot be read.
    Filter(FilterError),
    /// The other side, or the way to it: what is said, and rsync's exit code.
    Remote {
        /// A line; nothing, where the other side has said it.
        text: String,
        /// The exit code.
        code: u8,
    },
    /// The log could not be written.
    Log(io::Error),
    /// The engine failed: a report could not be spilled or read back.
    Engine(String),
    /// [`Options::cancel`](crate::Options::cancel) was used.
    Cancelled,
}

impl Error {
    /// rsync's exit code for it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Usage(_) => 1,
            Error::Select(_) => 3,
            Error::Io(_) => 11,
            Error::Filter(error) => error.exit_code(),
            Error::Remote { code, .. } => *code,
            Error::Log(_) => 13,
            Error::Engine(_) => 14,
            Error::Cancelled => 20,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Usage(text) | Error::Select(text) | Error::Io(text) | Error::Engine(text) => f.write_str(text),
            Error::Remote { text, .. } => f.write_str(text),
            Error::Filter(error) => error.fmt(f),
            Error::Log(error) => write!(f, "cannot write the log: {error}"),
            Error::Cancelled => f.write_str("cancelled"),
        }
    }
}

impl From<FilterError> for Error {
    fn from(error: FilterError) -> Self {
        Error::Filter(error)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Log(error) => Some(error),
            Error::Filter(error) => Some(error),
            _ => None,
        }
    }
}
