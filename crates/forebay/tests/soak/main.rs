//! What takes long: `cargo xtask soak`.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;

mod behind_a_head;
mod killed;
mod random;
