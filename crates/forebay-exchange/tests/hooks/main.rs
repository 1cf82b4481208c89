//! Timely's byte queues with the hooks of this crate: a module per subject, a test per scenario. A receiver that is
//! to be slow is withheld until everything was sent; nothing here sleeps to provoke a race.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "../../../forebay/tests/support/mod.rs"]
mod support;

mod blocks;

mod backlog;
mod cluster;
mod failures;
mod queue;
mod refused;
