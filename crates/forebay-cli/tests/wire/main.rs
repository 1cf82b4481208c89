//! `forebay sync` and stock rsync at the two ends of a connection: whoever is at which end, the same comes of it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod arguments;
mod attributes;
mod behaviour;
mod choices;
mod copy_as;
mod counted;
mod cut;
mod endings;
mod ends;
mod harness;
mod incremental;
mod listing;
mod moved;
mod names;
mod never_a_hang;
mod paths;
mod progress;
mod shells;
mod swapped;
#[path = "../sync/tree.rs"]
#[allow(dead_code, reason = "shared with the tests of local mirrors")]
mod tree;
mod unreadable;
