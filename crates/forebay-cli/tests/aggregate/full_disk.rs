//! A spill directory that is full.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Bench, names};
use crate::oracle::Oracle;

/// A file system in memory, for as long as this lives.
struct Mounted(PathBuf);

impl Mounted {
    fn new(path: PathBuf, size: &str) -> Self {
        fs::create_dir_all(&path).unwrap();
        let options = format!("size={size}");
        let output = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(&path).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "this test mounts a file system and needs root: {said}");
        Mounted(path)
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_spill_directory_ends_the_run_and_nothing_is_left() {
    let bench = Bench::new();
    Oracle::start().pairs(&bench, 500_000);
    let small = Mounted::new(bench.path("small"), "4m");
    for (limit, text) in [("--spill-limit 1G", "No space left on device"), ("--spill-limit 1M", "")] {
        for workers in [1, 3] {
            let args =
                format!("--by k --agg count,sum:n in.parquet -w {workers} --memory 8M --spill-dir small {limit}");
            let did = bench.run(&format!("{args} -o out.parquet"));
            assert_eq!(did.code, Some(1), "{limit}: {}", did.err);
            let line = did.err.lines().last().unwrap();
            let help = "a larger --spill-limit or another --spill-dir would help";
            assert!(
                line.starts_with("forebay: ") && line.contains(text) && line.contains(help),
                "{limit}: {}",
                did.err
            );
            assert!(!did.err.contains("panic"), "{limit}: {}", did.err);
            assert_eq!(bench.names(), ["in.parquet", "small"], "{limit}");
            assert!(names(small.path()).is_empty(), "{limit}: {:?}", names(small.path()));
        }
    }
}
