//! `QueryError`: why a group-by cannot be answered.

use std::fmt;

use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use forebay::DecodeError;

/// What is wrong with a query, or with the rows that it met.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueryError {
    /// An aggregate is not written as one.
    Aggregate {
        /// As it is written.
        text: String,
    },
    /// There are no key columns.
    NoKeys,
    /// The input has no such column.
    UnknownColumn {
        /// The column that is asked for.
        column: String,
        /// The columns that there are.
        known: Vec<String>,
    },
    /// A column's type does not fit what it is asked for.
    Type {
        /// The column.
        column: String,
        /// Its type.
        found: DataType,
        /// What it is asked for: `a key`, `sum`.
        wanted: &'static str,
        /// The types that it can have.
        allowed: &'static str,
    },
    /// Two columns of the result would have the same name.
    SameName {
        /// The name.
        name: String,
    },
    /// More columns below the key (of `distinct`, or of `min` and `max` with a column of changes) than rows can tell
    /// apart.
    TooManyValues {
        /// How many there can be.
        limit: usize,
    },
    /// A sum does not fit its type.
    Overflow {
        /// The column that is added up.
        column: String,
        /// The group: its keys, as `city=Ulm, year=2024`.
        group: String,
        /// The type of the sum.
        data_type: DataType,
    },
    /// A decimal of 256 bits has more digits than those of 128 bits, which are computed with.
    Digits {
        /// The column.
        column: String,
        /// Its type.
        found: DataType,
    },
    /// A row neither comes nor goes.
    Diff {
        /// The column that says so.
        column: String,
        /// What it says; none for a null.
        value: Option<i64>,
    },
    /// A row's keys and values are too long.
    RowTooLong {
        /// How many bytes they take.
        bytes: usize,
        /// How many they can take.
        limit: usize,
    },
    /// Rows are not those of this query.
    Rows(DecodeError),
    /// Columns cannot be made into keys, or keys into columns.
    Arrow {
        /// What was tried.
        operation: &'static str,
        /// Why not.
        cause: String,
    },
}

impl QueryError {
    /// Arrow refuses `operation`.
    pub(super) fn arrow(operation: &'static str, cause: ArrowError) -> Self {
        Self::Arrow { operation, cause: cause.to_string() }
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aggregate { text } => write!(
                f,
                "{text} is not an aggregate: write count, or count:COLUMN, sum:COLUMN, min:COLUMN, max:COLUMN, \
                 avg:COLUMN or distinct:COLUMN"
            ),
            Self::NoKeys => f.write_str("a group-by needs at least one column to group by"),
            Self::UnknownColumn { column, known } => {
                write!(f, "there is no column {column}; there are {}", known.join(", "))
            }
            Self::Type { column, found, wanted, allowed } => {
                write!(f, "column {column} is {found}, which cannot be used for {wanted}: that takes {allowed}")
            }
            Self::SameName { name } => write!(f, "two columns of the result are called {name}"),
            Self::TooManyValues { limit } => {
                write!(f, "values of at most {limit} columns can be kept apart in one query")
            }
            Self::Overflow { column, group, data_type } => {
                write!(f, "the sum of {column} does not fit {data_type} in the group {group}")?;
                if *data_type == DataType::Int64 { f.write_str("; wide sums would hold it") } else { Ok(()) }
            }
            Self::Digits { column, found } => {
                write!(
                    f,
                    "column {column} is {found}, and one of its values has more than 38 digits, which is the most"
                )
            }
            Self::Diff { column, value: Some(value) } => {
                write!(f, "column {column} says {value} where a row comes (+1) or goes (-1)")
            }
            Self::Diff { column, value: None } => {
                write!(f, "column {column} is null where a row comes (+1) or goes (-1)")
            }
            Self::RowTooLong { bytes, limit } => {
                write!(f, "the keys and values of a row take {bytes} bytes, of at most {limit}")
            }
            Self::Rows(error) => write!(f, "rows of the group-by: {error}"),
            Self::Arrow { operation, cause } => write!(f, "{operation}: {cause}"),
        }
    }
}

impl std::error::Error for QueryError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Rows(error) => Some(error),
            _ => None,
        }
    }
}

impl From<DecodeError> for QueryError {
    fn from(error: DecodeError) -> Self {
        Self::Rows(error)
    }
}
