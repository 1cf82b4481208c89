//! The repository's own tasks: `cargo xtask help`.
//!
//! Everything is run through the toolchain that built this program and in one build profile, so
//! that clippy, tests, doctests, documentation and examples share `target/`. Only the loom models
//! and the sanitizers, which need other flags, have target directories of their own.
#![forbid(unsafe_code)]

mod bench;
mod interop;
mod packages;
mod python;
mod report;
mod sanitize;
mod soak;
mod test;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};

use workspace::Workspace;

const HELP: &str = "\
The repository's tasks.

usage: cargo xtask TASK [OPTION]...

  test [--only STEP,...]  Install what the tests need, then run every step: fmt, clippy, build, test,
                          doctest, doc, examples, loom, interop. The last line is `N passed, N failed`.
  interop                 The interop step alone: what other programs make of forebay's output.
  soak [--minutes N] [PACKAGE]
                          The slow tests (`#[ignore]`, named `soak_...`) of a package or of all, in release: the engine's
                          random pipelines for N minutes (30), the others once, and again until these are over.
  sanitize [NAME]         The engine's tests under ThreadSanitizer (`thread`, which builds the standard library from its
                          sources: `rustup component add rust-src`) and AddressSanitizer (`address`).
  bench [NAME [ARG]...]   Measure against peers: one table, or all of them.
  bench record [ARG]...   Writers of arrays: [--dir DIR] [--rounds N] [--only TABLE]... (about ten minutes). Installs the
                          peers in `target/python`.
  bench sync_wire [ARG].. Both ends of a connection: [--rounds N] [--only TABLE]...
  bench aggregate [ARG].. Groups beside DuckDB: [--rounds N] [--rows N]. Installs DuckDB in `target/python`.
  python                  Make `target/python`, where the tests find other readers of Zarr, and DuckDB. (`test` and
                          `soak` do so themselves; this is for `cargo nextest run` by hand.)
  help                    This text.
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let workspace = Workspace::find()?;
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["test"] => test::run(&workspace, &test::all()),
        ["test", "--only", steps] => test::run(&workspace, &steps.split(',').collect::<Vec<_>>()),
        ["interop"] => test::run(&workspace, &["interop"]),
        ["soak", "--minutes", minutes] => soak::run(&workspace, minutes.parse()?, None),
        ["soak", "--minutes", minutes, package] => soak::run(&workspace, minutes.parse()?, Some(package)),
        ["soak"] => soak::run(&workspace, soak::MINUTES, None),
        ["soak", package] if !package.starts_with('-') => soak::run(&workspace, soak::MINUTES, Some(package)),
        ["sanitize"] => sanitize::run(&workspace, None),
        ["sanitize", name] if !name.starts_with('-') => sanitize::run(&workspace, Some(name)),
        ["python"] => {
            println!("{}", python::readers(&workspace)?.display());
            Ok(())
        }
        ["bench"] => bench::run_all(&workspace),
        ["bench", name, args @ ..] => bench::run(&workspace, name, args),
        [] | ["help" | "--help" | "-h"] | [_, "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        other => bail!("cannot make sense of `{}`; see `cargo xtask help`", other.join(" ")),
    }
}
