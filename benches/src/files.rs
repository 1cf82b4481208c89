//! Files and directories that commands are measured on.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use anyhow::{Context, Result, ensure};

use crate::harness::{Cost, measure_command};
use crate::items;

/// A file system in memory.
pub const MEMORY: &str = "/dev/shm";

/// A directory of our own, removed at the end.
#[derive(Debug)]
pub struct Room(PathBuf);

impl Room {
    /// Makes it in `parent`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new(parent: &Path) -> Result<Self> {
        let path = parent.join(format!("forebay-bench-{}", process::id()));
        fs::create_dir(&path).with_context(|| format!("create {}", path.display()))?;
        Ok(Room(path))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("remove {}: {error}", self.0.display());
        }
    }
}

/// An XFS in a file of a room, on which files can share what they have on disk. Unmounted at the end.
#[derive(Debug)]
pub struct Disk(PathBuf);

impl Disk {
    /// Makes one of `len` bytes, for which it takes root and `mkfs.xfs`.
    ///
    /// # Errors
    /// When it cannot be made or mounted.
    pub fn new(room: &Room, len: u64) -> Result<Self> {
        let (image, path) = (room.path().join("image"), room.path().join("disk"));
        File::create(&image)?.set_len(len)?;
        fs::create_dir(&path)?;
        measure_command(Command::new("mkfs.xfs").arg("-q").arg(&image))?;
        measure_command(Command::new("mount").args(["-o", "loop"]).args([&image, &path]))?;
        Ok(Disk(path))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Err(error) = measure_command(Command::new("umount").arg("-l").arg(&self.0)) {
            eprintln!("{error:#}");
        }
    }
}

/// Makes a file of `len` bytes, a multiple of 1 MiB, that do not compress, always the same ones.
///
/// # Errors
/// When it cannot be written.
pub fn make(path: &Path, len: u64) -> Result<()> {
    let mut file = File::create(path)?;
    for seq in 0..len >> 20 {
        file.write_all(&items::generate(seq, 1 << 20))?;
    }
    Ok(())
}

/// Changes a hundredth of a file in place, 4 KiB at a time.
///
/// # Errors
/// When it cannot be written.
pub fn change(path: &Path) -> Result<()> {
    let file = File::options().write(true).open(path)?;
    let len = file.metadata()?.len();
    for change in 0..len / 100 / 4096 {
        let at = change.wrapping_mul(2_654_435_761 << 8) % (len - 4096);
        file.write_all_at(&items::generate(change + 1, 4096), at)?;
    }
    Ok(())
}

/// Runs a command once what earlier ones have written is on disk, so that it does not pay for it.
///
/// # Errors
/// When it cannot be started or fails.
pub fn quietly(command: &mut Command) -> Result<Cost> {
    nix::unistd::sync();
    measure_command(command)
}

/// A command of words that are apart by one space.
#[must_use]
pub fn command_line(words: &str) -> Command {
    let mut words = words.split(' ');
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words);
    command
}

/// Whether a copy is one; a benchmark of a tool that copies nothing would be the fastest.
///
/// # Errors
/// When it is not.
pub fn same(source: &Path, copy: &Path) -> Result<()> {
    let status = Command::new("diff").arg("-rq").args([source, copy]).status().context("run diff")?;
    ensure!(status.success(), "{} is not a copy of {}", copy.display(), source.display());
    Ok(())
}
