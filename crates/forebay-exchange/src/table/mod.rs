//! Group-by over Parquet, CSV and NDJSON: what `forebay aggregate` runs.

mod error;
mod filter;
mod input;

pub use error::TableError;
pub use filter::Filter;
pub use input::{Format, InputOptions, Inputs, MalformedRow, Piece, ReadReport, Reading, Share};
