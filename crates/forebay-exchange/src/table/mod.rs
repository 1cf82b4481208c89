//! Group-by over Parquet, CSV and NDJSON: what `forebay aggregate` runs.

mod accumulator;
mod changed;
mod changes;
mod error;
mod filter;
mod finish;
mod float_sum;
mod groups;
mod input;
mod intake;
mod job;
mod keyed;
mod keys;
mod number;
mod output;
mod plan;
mod query;
mod query_error;
mod results;
mod run;
mod values;
mod watch;
mod weight;

pub use changes::{ChangeFinisher, ChangeReduce};
pub use error::TableError;
pub use filter::Filter;
pub use finish::Finisher;
pub use input::{Format, InputOptions, Inputs, MalformedRow, Piece, ReadReport, Reading, Share};
pub use intake::{Intake, IntakeCounters};
pub use job::{Job, Observer, OperatorTimes, Processes, Progress, Report, Wait};
pub use keyed::{KeyedRow, KeyedRows};
pub use output::{Left, Output, OutputError, OutputFormat, OutputOptions, Part, Written};
pub use plan::Plan;
pub use query::{Aggregate, Function, Query};
pub use query_error::QueryError;
pub use run::run;
