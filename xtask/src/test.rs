//! `cargo xtask test`: everything that must hold before a change is taken in.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::report::{Report, check, check_within};
use crate::workspace::{Workspace, on_path};
use crate::{interop, packages, python};

struct Step {
    name: &'static str,
    /// Runs what the build step has built.
    built: bool,
    /// Calls programs that come from packages.
    packages: bool,
    run: fn(&Workspace, &mut Report),
}

/// In the order in which they run. The build is a step of its own so that a failing build is told
/// apart from failing tests; the steps after it find everything fresh.
const STEPS: &[Step] = &[
    Step { name: "fmt", built: false, packages: false, run: fmt },
    Step { name: "clippy", built: false, packages: false, run: clippy },
    Step { name: "build", built: false, packages: false, run: build },
    Step { name: "test", built: true, packages: true, run: tests },
    Step { name: "doctest", built: true, packages: false, run: doctests },
    Step { name: "doc", built: false, packages: false, run: doc },
    Step { name: "examples", built: true, packages: false, run: examples },
    Step { name: "loom", built: false, packages: false, run: loom },
    Step { name: "interop", built: true, packages: true, run: interop::run },
];

/// The names of all steps.
pub(crate) fn all() -> Vec<&'static str> {
    STEPS.iter().map(|step| step.name).collect()
}

/// Runs the steps that `wanted` names, and the build where one of them needs it. A step that fails
/// does not stop the others, except that nothing runs what could not be built.
///
/// # Errors
/// When a step is unknown, a package cannot be installed, or anything failed.
pub(crate) fn run(workspace: &Workspace, wanted: &[&str]) -> Result<()> {
    if let Some(unknown) = wanted.iter().find(|name| !all().contains(name)) {
        bail!("no step is called `{unknown}`; there are: {}", all().join(", "));
    }
    let steps: Vec<&Step> = STEPS.iter().filter(|step| wanted.contains(&step.name)).collect();
    let need_build = steps.iter().any(|step| step.built);
    if steps.iter().any(|step| step.packages) {
        packages::ensure()?;
    }
    let mut report = Report::default();
    for step in STEPS {
        let chosen = wanted.contains(&step.name) || (step.name == "build" && need_build);
        if chosen && step.built && report.has_failed("build") {
            report.left_out(step.name, "the build failed");
        } else if chosen {
            (step.run)(workspace, &mut report);
        }
    }
    report.finish()
}

fn fmt(workspace: &Workspace, report: &mut Report) {
    report.step("fmt", || {
        check(workspace.cargo("fmt --all --check"))?;
        check(workspace.cargo("fmt --manifest-path benches/Cargo.toml --check"))
    });
}

fn clippy(workspace: &Workspace, report: &mut Report) {
    let command = workspace.cargo("clippy --workspace --all-targets --all-features -- -D warnings");
    report.step("clippy", || check(command));
}

fn build(workspace: &Workspace, report: &mut Report) {
    report.step("build", || check(workspace.cargo("build --workspace --all-targets --all-features")));
}

/// All tests, through nextest where it is installed.
fn tests(workspace: &Workspace, report: &mut Report) {
    let mut command = if on_path("cargo-nextest") {
        workspace.cargo("nextest run --workspace --all-features")
    } else {
        workspace.cargo("test --workspace --all-targets --all-features --no-fail-fast")
    };
    match python::readers(workspace) {
        Ok(python) => command.env(python::VARIABLE, python),
        // The other tests can still tell something.
        Err(error) => {
            report.step("python", || Err(error));
            command.env(python::VARIABLE, "")
        }
    };
    report.tests("test", command);
}

fn doctests(workspace: &Workspace, report: &mut Report) {
    report.tests("doctest", workspace.cargo("test --workspace --all-features --no-fail-fast --doc"));
}

fn doc(workspace: &Workspace, report: &mut Report) {
    let mut command = workspace.cargo("doc --workspace --all-features --no-deps");
    command.env("RUSTDOCFLAGS", "-Dwarnings");
    report.step("doc", || check(command));
}

/// Runs each example once, with sizes that take seconds at most.
fn examples(workspace: &Workspace, report: &mut Report) {
    // Of the exchange: thousands of lines.
    for (examples, size) in [("crates/forebay/examples", "--quick"), ("crates/forebay-exchange/examples", "20")] {
        match file_stems(&workspace.path(examples)) {
            Ok(names) => {
                for name in names {
                    let example = workspace.command(workspace.built(&format!("examples/{name}")), size);
                    report.step(&format!("example {name}"), || check_within(Duration::from_secs(120), example));
                }
            }
            Err(error) => report.step("examples", || Err(error)),
        }
    }
}

/// The engine's models of its lock protocols, where there are any: other flags, hence another
/// target directory.
fn loom(workspace: &Workspace, report: &mut Report) {
    let source = workspace.path("crates/forebay/src");
    if !contains(&source, "fn loom_") {
        return report.left_out("loom", "the engine has no models");
    }
    let flags = env::var("RUSTFLAGS").unwrap_or_default();
    let mut command = workspace.cargo("test -p forebay --lib --release loom_ --target-dir");
    command.arg(workspace.target().join("loom")).env("RUSTFLAGS", format!("{flags} --cfg loom"));
    report.tests("loom", command);
}

/// Whether a Rust file beneath `dir` contains `text`.
fn contains(dir: &Path, text: &str) -> bool {
    Command::new("grep").args(["-rqF", "--include=*.rs", text]).arg(dir).status().is_ok_and(|status| status.success())
}

/// The names of the Rust files in `dir`, sorted, without their ending.
///
/// # Errors
/// When the directory cannot be listed.
pub(crate) fn file_stems(dir: &Path) -> Result<Vec<String>> {
    let mut stems = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("list {}", dir.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|ext| ext == "rs") {
            stems.extend(path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned));
        }
    }
    stems.sort();
    Ok(stems)
}
