//! `forebay sync`.

use std::ffi::OsString;
use std::process::ExitCode;

/// Mirrors trees.
pub(crate) fn main(_args: impl Iterator<Item = OsString>) -> ExitCode {
    ExitCode::FAILURE
}
