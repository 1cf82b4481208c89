//! Group-by over Parquet, CSV and NDJSON: what `forebay aggregate` runs.

mod error;
mod filter;
mod input;
mod output;

pub use error::TableError;
pub use filter::Filter;
pub use input::{Format, InputOptions, Inputs, MalformedRow, Piece, ReadReport, Reading, Share};
pub use output::{Output, OutputError, OutputFormat, OutputOptions, Part, Written};
