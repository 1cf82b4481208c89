//! The streaming exchange in one process, against a model of five lines.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod commits;
#[path = "../../../forebay/tests/support/mod.rs"]
#[allow(dead_code, reason = "shared with the engine's tests, which use all of it")]
mod engine;
mod faults;
mod memory;
mod support;
