//! `forebay aggregate`, run as people run it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod changes;
mod harness;
mod messages;
mod refused;
mod results;
mod signalled;
