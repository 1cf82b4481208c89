//! The engine held against its invariants: a module per subject, a test per scenario. Nothing here sleeps to provoke a race; what has
//! to come late is withheld at a gate. Scenarios that could hang have a time limit.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[path = "../support/mod.rs"]
mod support;

mod copy;
mod delivery;
mod feed;
mod head;
mod index;
mod items;
mod liveness;
mod loading;
mod models;
mod order;
mod pager;
mod properties;
mod spill_faults;
mod spilling;
mod teardown;
mod wakes;
