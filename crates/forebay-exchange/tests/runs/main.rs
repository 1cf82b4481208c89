//! Sorted runs: their merge, the sealed batch, and the levels.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod levels;
mod merge;
mod support;
