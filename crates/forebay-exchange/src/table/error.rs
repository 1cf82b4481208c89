//! `TableError`: what can go wrong between a file of rows and a file of groups.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::DataType;
use forebay::OverBudget;

use crate::error::ExchangeError;

use super::input::MalformedRow;
use super::output::OutputError;
use super::query_error::QueryError;

/// Why a table cannot be read, filtered, grouped or written. Cloning is cheap.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TableError {
    /// The system refused an operation on a file.
    Io {
        /// The file; `-` is standard input.
        path: PathBuf,
        /// What was tried: `open`, `read`, ...
        operation: &'static str,
        /// Why not.
        cause: Arc<io::Error>,
    },
    /// A file cannot be an input.
    Refused {
        /// The file; `-` is standard input.
        path: PathBuf,
        /// Why not, and what to do instead.
        reason: String,
    },
    /// A file's contents do not decode.
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What the decoder says.
        cause: String,
    },
    /// An option has a value that cannot be used.
    Option {
        /// Its name.
        option: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A column of one input is missing in another.
    MissingColumn {
        /// The input without it.
        path: PathBuf,
        /// The column.
        column: String,
        /// An input that has it.
        other: PathBuf,
    },
    /// A column has one type in one input and another in another.
    ColumnType {
        /// The input that does not fit.
        path: PathBuf,
        /// The column.
        column: String,
        /// Its type there.
        found: DataType,
        /// Its type in `other`.
        expected: DataType,
        /// The input that came first.
        other: PathBuf,
    },
    /// A quoted field of CSV has more lines than one and does not end before the file does.
    OpenQuote {
        /// The file; `-` is standard input.
        path: PathBuf,
        /// The line that the quote is in.
        line: u64,
        /// How many lines there are from that one to the end.
        lines: u64,
    },
    /// A row does not decode, and the first such row was to end the run.
    Malformed(MalformedRow),
    /// Results cannot be written.
    Output(OutputError),
    /// The workers cannot go on.
    Exchange(ExchangeError),
    /// The run ended when this process had published its part already, which is taken back.
    Withdrawn {
        /// Why it ended.
        cause: Box<ExchangeError>,
        /// The part.
        path: PathBuf,
        /// A process that was lost, and whose part may be published where only that process sees it.
        other: Option<usize>,
    },
    /// A query cannot be answered.
    Query(QueryError),
    /// A query cannot be answered because a column that is to be numbers has something else in it.
    NoNumbers {
        /// The query's error.
        error: Box<TableError>,
        /// The first row that says so.
        row: Box<MalformedRow>,
    },
    /// A filter cannot be understood.
    Filter {
        /// Where in its text: the first character is 1.
        at: usize,
        /// What is wrong there.
        reason: String,
        /// The column that is named there and is not, if that is what is wrong.
        unknown: Option<String>,
    },
    /// A filter cannot be applied to a batch.
    Apply {
        /// Why not.
        cause: String,
    },
    /// A decoder panicked.
    Panicked {
        /// The file that it read.
        path: PathBuf,
        /// What it said.
        message: String,
    },
    /// The memory that was given is not enough to begin with.
    Memory(OverBudget),
    /// A thread cannot be started.
    Thread {
        /// Why not.
        cause: Arc<io::Error>,
    },
    /// The run was cancelled from outside.
    Cancelled,
}

impl TableError {
    /// An error of the system at `operation` on `path`.
    pub(crate) fn io(path: &Path, operation: &'static str, cause: io::Error) -> Self {
        Self::Io { path: path.to_owned(), operation, cause: Arc::new(cause) }
    }

    /// `path` cannot be an input, for `reason`.
    pub(crate) fn refused(path: &Path, reason: impl Into<String>) -> Self {
        Self::Refused { path: path.to_owned(), reason: reason.into() }
    }

    /// What `path` holds does not decode.
    pub(crate) fn corrupt(path: &Path, cause: impl fmt::Display) -> Self {
        Self::Corrupt { path: path.to_owned(), cause: cause.to_string() }
    }
}

/// A path as it is shown: `-` is standard input.
pub(crate) fn shown(path: &Path) -> impl fmt::Display {
    if path == Path::new("-") { Path::new("standard input").display() } else { path.display() }
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { path, operation, cause } => write!(f, "{operation} {}: {cause}", shown(path)),
            Self::Refused { path, reason } => write!(f, "{}: {reason}", shown(path)),
            Self::Corrupt { path, cause } => write!(f, "{} does not decode: {cause}", shown(path)),
            Self::Option { option, reason } => write!(f, "{option}: {reason}"),
            Self::MissingColumn { path, column, other } => {
                write!(f, "{} has no column {column}, which {} has", shown(path), shown(other))
            }
            Self::ColumnType { path, column, found, expected, other } => {
                write!(f, "column {column} is {found} in {}, but {expected} in {}", shown(path), shown(other))
            }
            Self::OpenQuote { path, line, lines } => {
                let path = shown(path);
                write!(
                    f,
                    "{path}:{line}: a quote in this line is not closed, and all {lines} lines from there to the end "
                )?;
                f.write_str("would be in it")
            }
            Self::Malformed(row) => row.fmt(f),
            Self::Query(error) => error.fmt(f),
            Self::NoNumbers { error, row } => write!(f, "{error}; {row}"),
            Self::Output(error) => error.fmt(f),
            Self::Exchange(error) => error.fmt(f),
            Self::Withdrawn { cause, path, other } => {
                write!(f, "{cause}; {} was published and is withdrawn", path.display())?;
                match other {
                    Some(process) => write!(f, ", and a part of process {process} may have been left where it runs"),
                    None => Ok(()),
                }
            }
            Self::Filter { at, reason, .. } => write!(f, "the filter, at character {at}: {reason}"),
            Self::Apply { cause } => write!(f, "the filter cannot be applied: {cause}"),
            Self::Panicked { path, message } => write!(f, "{}: the decoder panicked: {message}", shown(path)),
            Self::Memory(error) => error.fmt(f),
            Self::Thread { cause } => write!(f, "cannot start a thread: {cause}"),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}

impl std::error::Error for TableError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { cause, .. } | Self::Thread { cause } => Some(cause),
            Self::Memory(error) => Some(error),
            Self::Query(error) => Some(error),
            Self::NoNumbers { error, .. } => Some(&**error),
            Self::Output(error) => Some(error),
            Self::Exchange(error) => Some(error),
            Self::Withdrawn { cause, .. } => Some(&**cause),
            _ => None,
        }
    }
}

impl From<OverBudget> for TableError {
    fn from(error: OverBudget) -> Self {
        Self::Memory(error)
    }
}

impl From<QueryError> for TableError {
    fn from(error: QueryError) -> Self {
        Self::Query(error)
    }
}

impl From<OutputError> for TableError {
    fn from(error: OutputError) -> Self {
        match error {
            OutputError::Cancelled => Self::Cancelled,
            error => Self::Output(error),
        }
    }
}

impl From<ExchangeError> for TableError {
    fn from(error: ExchangeError) -> Self {
        Self::Exchange(error)
    }
}
