//! The destination is full: rsync's exit code, nothing existing damaged, no temporary file.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::{Bench, FOREBAY};
use crate::tree::rustix_is_root;

/// A file system of a megabyte, for as long as this lives.
struct Mounted<'p>(&'p Path);

impl<'p> Mounted<'p> {
    fn new(path: &'p Path) -> Self {
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "none"]).arg(path).status().unwrap();
        assert!(status.success(), "cannot mount a small file system");
        Mounted(path)
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_ends_the_mirror_and_damages_nothing() {
    assert!(rustix_is_root(), "this test mounts a small file system and needs root");
    let bench = Bench::new();
    let [place, _] = bench.places();
    let mounted = Mounted::new(&place);
    fs::write(bench.src().join("large"), vec![7; 3 << 20]).unwrap();
    fs::write(mounted.0.join("large"), "old").unwrap();
    for program in [&["rsync"][..], &[FOREBAY, "sync"]] {
        let output = Command::new(program[0])
            .args(&program[1..])
            .arg("-a")
            .arg(format!("{}/", bench.src().display()))
            .arg(mounted.0)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(11), "{program:?}: {errors}");
        assert!(errors.contains("rsync: [receiver] write failed on \""), "{program:?}: {errors}");
        assert!(errors.contains("No space left on device (28)"), "{program:?}: {errors}");
        assert!(errors.contains("rsync error: error in file IO (code 11) at "), "{program:?}: {errors}");
        let left: Vec<_> = fs::read_dir(mounted.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["large"], "{program:?}");
        assert_eq!(fs::read(mounted.0.join("large")).unwrap(), b"old");
    }
}
