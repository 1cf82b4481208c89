//! Group-by over files: what `forebay aggregate` runs.

pub mod output;

pub use output::{Output, OutputError, OutputFormat, OutputOptions, Part, Written};
