//! How content gets to its name: plan, write, commit.
//!
//! ```text
//!  Plan ──► Draft: a temporary file beside the name, in --temp-dir, ──► Copier ──► attributes ──► commit: backup, rename
//!           or the file itself (--inplace, --append)                                 (or wait for --delay-updates)
//! ```
//!
//! A draft that is not committed is removed, unless it is the user's file or `--partial` asks to keep it.

pub(crate) mod building;
pub(crate) mod copy;
mod delta;
pub(crate) mod draft;
pub(crate) mod partial;
mod parts;
mod plan;
pub(crate) mod rate;
mod sparse;
pub(crate) mod temp;
mod turns;
mod write;

pub(crate) use plan::{Plan, Way};
pub(crate) use turns::{Turn, Turns};
pub(crate) use write::{Parked, Written};

#[cfg(test)]
mod tests;
