//! Reading tables: what comes out of the files, in which order, in which commit, and what is said about what does not.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod commits;
mod csv;
mod filter;
mod malformed;
mod ndjson;
mod opening;
mod parquet;
mod pieces;
mod support;
