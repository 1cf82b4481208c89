//! `InputError`: what is wrong with frames that were to be read.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What is wrong with frames that were to be read. Pages are counted from 0.
#[derive(Debug)]
#[non_exhaustive]
pub enum InputError {
    /// A file could not be read.
    Io {
        /// What was to be done: `open`, `read`, ...
        operation: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it failed.
        error: io::Error,
    },
    /// A pattern is malformed.
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A pattern matches no file.
    NoMatch {
        /// The pattern.
        pattern: String,
    },
    /// Nothing says what the elements are, or how many are a frame.
    NotKnown {
        /// What was to be read.
        path: PathBuf,
        /// The data type is missing.
        dtype: bool,
        /// The shape is missing.
        shape: bool,
    },
    /// A frame of this shape has no elements, or too many to count.
    NoFrame {
        /// The file that was opened first.
        path: PathBuf,
        /// The shape.
        shape: Vec<u64>,
    },
    /// A file, or a page of it, is not what its format asks for.
    Damaged {
        /// The file.
        path: PathBuf,
        /// The page, if one is to blame.
        page: Option<u64>,
        /// What is wrong.
        reason: String,
    },
    /// A file, or a page of it, has what is not read here.
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The page, if one is to blame.
        page: Option<u64>,
        /// What it has.
        what: String,
    },
    /// A file, or a page of it, is not like the array.
    Differs {
        /// The file.
        path: PathBuf,
        /// The page, if one is to blame.
        page: Option<u64>,
        /// In what: `shape`, `data type`.
        what: &'static str,
        /// What the array has.
        expected: String,
        /// What the file has.
        found: String,
    },
    /// The frames end before the last one is whole.
    EndsInFrame {
        /// Where they end.
        path: PathBuf,
        /// Whole frames before that, of all files: the number of the one that is not whole.
        frame: u64,
        /// Bytes of it that were there.
        bytes: u64,
        /// Bytes that it should have.
        frame_bytes: u64,
    },
    /// There is not enough memory for a page.
    Memory {
        /// The file.
        path: PathBuf,
        /// The page.
        page: u64,
        /// Bytes that it takes.
        bytes: u64,
    },
}

impl InputError {
    pub(super) fn io(operation: &'static str, path: &Path, error: io::Error) -> Self {
        InputError::Io { operation, path: path.to_owned(), error }
    }

    pub(super) fn damaged(path: &Path, page: Option<u64>, reason: impl Into<String>) -> Self {
        InputError::Damaged { path: path.to_owned(), page, reason: reason.into() }
    }

    pub(super) fn unsupported(path: &Path, page: Option<u64>, what: impl Into<String>) -> Self {
        InputError::Unsupported { path: path.to_owned(), page, what: what.into() }
    }
}

/// `path`, or `path, page 3`.
struct Place<'a>(&'a Path, Option<u64>);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.display())?;
        self.1.map_or(Ok(()), |page| write!(f, ", page {page}"))
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InputError::Io { operation, path, error } => write!(f, "{operation} {}: {error}", path.display()),
            InputError::Pattern { pattern, reason } => write!(f, "the pattern '{pattern}' is malformed: {reason}"),
            InputError::NoMatch { pattern } => write!(f, "no file matches '{pattern}'"),
            InputError::NotKnown { path, dtype, shape } => {
                let what = match (dtype, shape) {
                    (true, true) => "neither the data type nor the shape of a frame",
                    (true, false) => "no data type",
                    _ => "no shape of a frame",
                };
                write!(f, "{} holds raw elements, and {what} is given", path.display())
            }
            InputError::NoFrame { path, shape } => {
                write!(f, "{}: a frame cannot have the shape {}", path.display(), Shape(shape))
            }
            InputError::Damaged { path, page, reason } => write!(f, "{}: {reason}", Place(path, *page)),
            InputError::Unsupported { path, page, what } => {
                write!(f, "{} has {what}, which is not supported", Place(path, *page))
            }
            InputError::Differs { path, page, what, expected, found } => {
                write!(f, "{}: the {what} is {found}, but the array's is {expected}", Place(path, *page))
            }
            InputError::EndsInFrame { path, frame, bytes, frame_bytes } => write!(
                f,
                "{} ends in the middle of frame {frame}: {bytes} of its {frame_bytes} bytes are there",
                path.display()
            ),
            InputError::Memory { path, page, bytes } => {
                write!(f, "{}: there is no memory for its {bytes} bytes", Place(path, Some(*page)))
            }
        }
    }
}

impl std::error::Error for InputError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            InputError::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// A shape as it is written: `2048,2048`.
pub(super) struct Shape<'a>(pub(super) &'a [u64]);

impl fmt::Display for Shape<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("of single elements");
        }
        self.0.iter().enumerate().try_for_each(|(at, extent)| write!(f, "{}{extent}", if at == 0 { "" } else { "," }))
    }
}
