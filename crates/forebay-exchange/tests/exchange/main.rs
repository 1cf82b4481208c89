//! The streaming exchange in one process, against a model of five lines.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod cluster;
mod commits;
#[path = "../../../forebay/tests/support/mod.rs"]
mod engine;
mod faults;
mod memory;
mod support;
