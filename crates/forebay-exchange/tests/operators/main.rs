//! Operators on sealed batches, against a model of a few lines.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

#[path = "../../../forebay/tests/support/mod.rs"]
mod engine;
mod faults;
mod model;
#[path = "../runs/support.rs"]
#[allow(dead_code, reason = "shared with the tests of runs, which use all of it")]
mod support;
mod waiting;
