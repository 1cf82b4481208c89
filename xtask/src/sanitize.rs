//! `cargo xtask sanitize`: the engine's tests with the compiler's sanitizers.
//!
//! They are unstable options, which a stable toolchain takes from `RUSTC_BOOTSTRAP=1`. ThreadSanitizer has to see the
//! standard library's locks as well, which is therefore built from its sources; AddressSanitizer does with the library
//! as it comes.

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::report::Report;
use crate::workspace::Workspace;

/// A sanitizer, and the tests that cannot run under it.
struct Sanitizer {
    name: &'static str,
    whole_library: bool,
    /// Tests that hold a size of this process against a limit: the sanitizer's own memory is many times as large.
    skipped: &'static [&'static str],
}

const SANITIZERS: &[Sanitizer] = &[
    Sanitizer { name: "thread", whole_library: true, skipped: &["the_process_stays_within_the_formula"] },
    Sanitizer { name: "address", whole_library: false, skipped: &["the_process_stays_within_the_formula"] },
];

/// Runs the engine's tests with the sanitizer `only`, or with each.
///
/// # Errors
/// When there is no such sanitizer, the standard library's sources are not installed, or a test fails.
pub(crate) fn run(workspace: &Workspace, only: Option<&str>) -> Result<()> {
    let chosen: Vec<&Sanitizer> = SANITIZERS.iter().filter(|one| only.is_none_or(|name| name == one.name)).collect();
    if chosen.is_empty() {
        bail!("no such sanitizer; there are: {}", SANITIZERS.iter().map(|one| one.name).collect::<Vec<_>>().join(", "));
    }
    let host = ask(workspace, "-vV")?;
    let host = host.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc does not say its host")?;
    let mut report = Report::default();
    for Sanitizer { name, whole_library, skipped } in chosen {
        let mut tests = workspace.cargo("test --package forebay --all-features --tests --no-fail-fast --target");
        // Named also where it is the host: else build scripts and macros would be instrumented.
        tests.arg(host).arg("--target-dir").arg(workspace.target().join("sanitize").join(name));
        if *whole_library {
            let sources = ask(workspace, "--print=sysroot")?.trim().to_owned() + "/lib/rustlib/src/rust/library";
            ensure!(
                std::path::Path::new(&sources).is_dir(),
                "the standard library's sources are not in {sources}: rustup component add rust-src"
            );
            tests.arg("-Zbuild-std");
        }
        tests.arg("--").args(skipped.iter().flat_map(|test| ["--skip", *test]));
        tests.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", format!("-Zsanitizer={name}"));
        report.tests(name, tests);
    }
    report.finish()
}

/// What rustc answers.
fn ask(workspace: &Workspace, question: &str) -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command: Command = workspace.command(rustc, question);
    let output = command.output().with_context(|| format!("run {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
