//! `Query` and `Aggregate`: what is asked, as a person writes it.

use std::fmt;
use std::str::FromStr;

use super::query_error::QueryError;

/// A group-by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// The columns whose values make a group. At least one.
    pub by: Vec<String>,
    /// What is told about each group. None: only the groups themselves.
    pub aggregates: Vec<Aggregate>,
    /// Which rows count: a comparison, as [`Filter`](super::Filter) reads it.
    pub filter: Option<String>,
    /// Sums of integers are `Decimal128(38, 0)` and not `Int64`.
    pub wide_sums: bool,
    /// A column of integers that says whether a row comes (+1) or goes again (-1).
    pub diff: Option<String>,
}

/// What is told about a group. Written `count`, or the function, a colon and the column: `sum:amount`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aggregate {
    /// What is computed.
    pub function: Function,
    /// Of which column; none for the number of rows.
    pub column: Option<String>,
}

/// What is computed of a column. Nulls are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// How many rows, or values.
    Count,
    /// The sum; null if there is no value.
    Sum,
    /// The smallest value; null if there is none. NaN is larger than every number.
    Min,
    /// The largest value.
    Max,
    /// The mean, as `Float64`; null if there is no value.
    Avg,
    /// How many different values.
    Distinct,
}

impl Function {
    const ALL: [Self; 6] = [Self::Count, Self::Sum, Self::Min, Self::Max, Self::Avg, Self::Distinct];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Min => "min",
            Self::Max => "max",
            Self::Avg => "avg",
            Self::Distinct => "distinct",
        }
    }
}

impl Aggregate {
    /// The name of its column in the result: `count`, `sum_amount`.
    pub fn output_name(&self) -> String {
        match &self.column {
            Some(column) => format!("{}_{column}", self.function.name()),
            None => self.function.name().to_owned(),
        }
    }
}

impl FromStr for Aggregate {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        let (function, column) = match text.split_once(':') {
            Some((function, column)) => (function, Some(column)),
            None => (text, None),
        };
        let function = Function::ALL.into_iter().find(|known| known.name() == function);
        match (function, column) {
            (Some(function), Some(column)) if !column.is_empty() => {
                Ok(Aggregate { function, column: Some(column.to_owned()) })
            }
            (Some(Function::Count), None) => Ok(Aggregate { function: Function::Count, column: None }),
            _ => Err(QueryError::Aggregate { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.column {
            Some(column) => write!(f, "{}:{column}", self.function.name()),
            None => f.write_str(self.function.name()),
        }
    }
}
