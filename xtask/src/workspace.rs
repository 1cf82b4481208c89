//! Where things are, and how cargo is called.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// The checked-out repository and the directory that its dev profile builds into.
pub(crate) struct Workspace {
    root: PathBuf,
    built: PathBuf,
}

impl Workspace {
    /// # Errors
    /// When this program does not know where its own executable is.
    pub(crate) fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask has no parent directory")?;
        // This program was built by the same profile into the same directory as everything that it
        // runs: so `--target-dir`, `CARGO_TARGET_DIR` and cargo's configuration are all honoured.
        let exe = env::current_exe().context("find this program's own executable")?;
        let built = exe.parent().context("this program's executable lies in no directory")?;
        Ok(Self { root: root.to_owned(), built: built.to_owned() })
    }

    /// `path` beneath the root of the repository.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// A program that the workspace's build has left, such as `forebay` or `examples/compress`.
    pub(crate) fn built(&self, name: &str) -> PathBuf {
        self.built.join(name)
    }

    /// The target directory, above that of the profile.
    pub(crate) fn target(&self) -> &Path {
        self.built.parent().unwrap_or(&self.built)
    }

    /// `cargo ARGS`, to be run in the root.
    pub(crate) fn cargo(&self, args: &str) -> Command {
        self.command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), args)
    }

    /// `program ARGS`, to be run in the root; `args` are split at spaces.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>, args: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root).args(args.split_whitespace());
        command
    }
}

/// Whether a program of this name is on the search path.
pub(crate) fn on_path(program: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}
