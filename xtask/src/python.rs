//! The Python environment in `target/python`: other people's readers and writers of Zarr, and DuckDB,
//! at versions that are fixed here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::packages;
use crate::report::check;
use crate::workspace::Workspace;

/// The variable that tells the tests which interpreter to use.
pub(crate) const VARIABLE: &str = "FOREBAY_PYTHON";

/// What the tests open arrays with, and the parts of it that are compiled; and what they compare
/// groups with.
const READERS: &[&str] = &[
    "numpy==2.4.6",
    "zarr==3.1.6",
    "numcodecs==0.16.6",
    "google-crc32c==1.9.0",
    "tensorstore==0.1.86",
    "ml_dtypes==0.6.0",
    "duckdb==2.0.0",
    "pytz==2026.6",
    "pyarrow==26.0.1",
];

/// What only the benchmarks need: writers that forebay is measured against.
const WRITERS: &[&str] = &["acquire-zarr==0.10.0", "zarrs==0.2.3"];

/// Makes an environment with what the tests need, and gives its interpreter.
///
/// # Errors
/// When it cannot be made or a package cannot be installed.
pub(crate) fn readers(workspace: &Workspace) -> Result<PathBuf> {
    ensure(workspace, READERS)
}

/// As [`readers`], with what the benchmarks need besides.
///
/// # Errors
/// When it cannot be made or a package cannot be installed.
pub(crate) fn readers_and_writers(workspace: &Workspace) -> Result<PathBuf> {
    ensure(workspace, &[READERS, WRITERS].concat())
}

/// Does nothing where all of `wanted` is installed already, which the file `installed` in the
/// environment says: it is written after everything else, so it vouches for nothing that was
/// interrupted.
fn ensure(workspace: &Workspace, wanted: &[&str]) -> Result<PathBuf> {
    let dir = workspace.target().join("python");
    let python = dir.join("bin/python");
    let stamp = dir.join("installed");
    let works = runs(&python);
    let installed = if works { fs::read_to_string(&stamp).unwrap_or_default() } else { String::new() };
    if wanted.iter().all(|package| installed.lines().any(|line| line == *package)) {
        return Ok(python);
    }
    if !works {
        packages::ensure()?;
        remove(&dir)?; // another interpreter's, or half made
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv"]).arg(&dir);
        check(venv)?;
    }
    println!("==> python: {}", wanted.join(" "));
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]).args(wanted);
    check(pip).with_context(|| format!("install {}", wanted.join(" ")))?;
    // The longer list stays installed beside the shorter one, as long as its versions are today's.
    let all = [READERS, WRITERS].concat();
    let now: Vec<&str> = all
        .into_iter()
        .filter(|package| wanted.contains(package) || installed.lines().any(|line| line == *package))
        .collect();
    fs::write(&stamp, now.join("\n")).with_context(|| format!("write {}", stamp.display()))?;
    Ok(python)
}

/// Whether there is such an interpreter and it starts: one that belonged to a Python that is gone
/// is a dangling link.
fn runs(python: &Path) -> bool {
    let mut command = Command::new(python);
    command.args(["-c", "import pip"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn remove(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => bail!("remove {}: {error}", dir.display()),
        _ => Ok(()),
    }
}
