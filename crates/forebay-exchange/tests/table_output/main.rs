//! Results written by several threads, and read back.
#![cfg(feature = "table")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod changes;
mod failures;
mod formats;
mod harness;
mod order;
mod places;
