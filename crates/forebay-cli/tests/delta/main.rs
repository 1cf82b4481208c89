//! `forebay signature`, `delta` and `patch` beside rdiff.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod harness;
mod malformed;
mod outputs;
mod peers;
mod shared;
