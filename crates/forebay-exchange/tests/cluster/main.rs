//! Several processes: they find each other, refuse strangers, notice losses, and end together.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod execute;
mod failure;
mod handshake;
mod impostor;
mod loss;
mod member;
mod options;
mod publish;
mod run;
mod strangers;
mod support;
