//! Stores: what holds for all of them, and what only for files.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "../../../forebay/tests/support/mod.rs"]
mod support;

mod claim;
mod conformance;
mod faults;
mod faulty_fs;
mod files;
mod index;
mod inspect;
mod suggest;
mod wrappers;
