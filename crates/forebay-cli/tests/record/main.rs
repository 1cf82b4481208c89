//! `forebay record`, run as people run it, and read back by another library.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod agreement;
mod files;
mod harness;
mod in_the_way;
mod inspecting;
mod killed;
mod reader;
mod refused;
mod signalled;
mod slow_shards;
mod statistics;
mod storage;
mod streams;
