//! `forebay aggregate`, run as people run it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod changes;
mod cluster;
mod duckdb;
mod full_disk;
mod harness;
mod messages;
mod oracle;
mod refused;
mod results;
mod signalled;
