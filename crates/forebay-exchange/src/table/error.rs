//! `TableError`: what can go wrong between a file of rows and a file of groups.

use std::fmt;

use super::query_error::QueryError;

/// Why a table cannot be read, filtered, grouped or written. Cloning is cheap.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TableError {
    /// A query cannot be answered.
    Query(QueryError),
    /// A filter cannot be understood.
    Filter {
        /// Where in its text: the first character is 1.
        at: usize,
        /// What is wrong there.
        reason: String,
    },
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Query(error) => error.fmt(f),
            Self::Filter { at, reason } => write!(f, "the filter, at character {at}: {reason}"),
        }
    }
}

impl std::error::Error for TableError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Query(error) => Some(error),
            _ => None,
        }
    }
}

impl From<QueryError> for TableError {
    fn from(error: QueryError) -> Self {
        Self::Query(error)
    }
}
