//! `cargo xtask soak`: tests that take long or need much room, and therefore run on demand.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::report::Report;
use crate::workspace::{Workspace, on_path};
use crate::{packages, python};

/// For how many minutes, where nothing else is said.
pub(crate) const MINUTES: u64 = 30;

/// Runs the ignored tests whose names contain `soak_`, in release, of one package or of all: once, and again until
/// `minutes` are over or a round fails. The engine's random pipelines run for so long in one go.
///
/// # Errors
/// When a test fails.
pub(crate) fn run(workspace: &Workspace, minutes: u64, package: Option<&str>) -> Result<()> {
    packages::ensure()?;
    let python = python::readers(workspace)?;
    let start = Instant::now();
    let mut report = Report::default();
    let of = package.map_or("--workspace".to_owned(), |package| format!("--package {package}"));
    for round in 1.. {
        let name = format!("soak, round {round}");
        let mut tests = if on_path("cargo-nextest") {
            workspace.cargo(&format!(
                "nextest run {of} --all-features --release --profile soak --run-ignored only -E test(soak_)"
            ))
        } else {
            workspace
                .cargo(&format!("test {of} --all-targets --all-features --release --no-fail-fast soak_ -- --ignored"))
        };
        tests.env(python::VARIABLE, &python).env("FOREBAY_SOAK_MINUTES", minutes.to_string());
        report.tests(&name, tests);
        if report.has_failed(&name) || start.elapsed() >= Duration::from_secs(60 * minutes) {
            break;
        }
    }
    report.finish()
}
