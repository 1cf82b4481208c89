//! `cargo xtask bench`: the tables of `benches/`, a workspace of its own.

use anyhow::{Result, bail};

use crate::python;
use crate::report::check;
use crate::test::file_stems;
use crate::workspace::Workspace;

/// The table whose peers are writers of arrays in Python.
const WRITERS: &str = "record";

/// The table whose peer is DuckDB.
const GROUPS: &str = "aggregate";

/// Measures every table.
///
/// # Errors
/// When something does not build or a benchmark fails.
pub(crate) fn run_all(workspace: &Workspace) -> Result<()> {
    for name in tables(workspace)? {
        run(workspace, &name, &[])?;
    }
    Ok(())
}

/// Measures one table; `args` go to the benchmark.
///
/// # Errors
/// When there is no such table, something does not build, or the benchmark fails.
pub(crate) fn run(workspace: &Workspace, name: &str, args: &[&str]) -> Result<()> {
    let tables = tables(workspace)?;
    if !tables.iter().any(|table| table == name) {
        bail!("no table is called `{name}`; there are: {}", tables.join(", "));
    }
    // The program that a person installs: some tables run it.
    check(workspace.cargo("build --quiet --release -p forebay-cli"))?;
    let mut bench = workspace.cargo("run --quiet --release --manifest-path benches/Cargo.toml --bin");
    bench.arg(name).arg("--").args(args);
    bench.env("FOREBAY", workspace.target().join("release/forebay"));
    match name {
        WRITERS => bench.env(python::VARIABLE, python::readers_and_writers(workspace)?),
        GROUPS => bench.env(python::VARIABLE, python::readers(workspace)?),
        _ => &mut bench,
    };
    check(bench)
}

fn tables(workspace: &Workspace) -> Result<Vec<String>> {
    file_stems(&workspace.path("benches/src/bin"))
}
