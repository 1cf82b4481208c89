//! `cargo xtask soak`: tests that take long or need much room, and therefore run on demand.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::report::Report;
use crate::workspace::{Workspace, on_path};
use crate::{packages, python};

/// Runs the ignored tests whose names contain `soak_`, in release: once, and again until `minutes`
/// are over or a round fails.
///
/// # Errors
/// When a test fails.
pub(crate) fn run(workspace: &Workspace, minutes: u64) -> Result<()> {
    packages::ensure()?;
    let python = python::readers(workspace)?;
    let start = Instant::now();
    let mut report = Report::default();
    for round in 1.. {
        let name = format!("soak, round {round}");
        let mut tests = if on_path("cargo-nextest") {
            workspace.cargo(
                "nextest run --workspace --all-features --release --profile soak --run-ignored only -E test(soak_)",
            )
        } else {
            workspace.cargo("test --workspace --all-targets --all-features --release --no-fail-fast soak_ -- --ignored")
        };
        tests.env(python::VARIABLE, &python);
        report.tests(&name, tests);
        if report.has_failed(&name) || start.elapsed() >= Duration::from_secs(60 * minutes) {
            break;
        }
    }
    report.finish()
}
