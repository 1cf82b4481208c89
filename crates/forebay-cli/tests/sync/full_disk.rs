//! The destination is full: rsync's exit code, nothing existing damaged, no temporary file.

use std::fs;
use std::process::Command;

use crate::harness::{Bench, FOREBAY};
use crate::tree::{Mounted, rustix_is_root};

#[test]
fn a_full_disk_ends_the_mirror_and_damages_nothing() {
    assert!(rustix_is_root(), "this test mounts a small file system and needs root");
    let bench = Bench::new();
    let [place, _] = bench.places();
    let mounted = Mounted::new(&place, "1m");
    fs::write(bench.src().join("large"), vec![7; 3 << 20]).unwrap();
    fs::write(mounted.path.join("large"), "old").unwrap();
    for program in [&["rsync"][..], &[FOREBAY, "sync"]] {
        let output = Command::new(program[0])
            .args(&program[1..])
            .arg("-a")
            .arg(format!("{}/", bench.src().display()))
            .arg(&mounted.path)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(11), "{program:?}: {errors}");
        assert!(errors.contains("rsync: [receiver] write failed on \""), "{program:?}: {errors}");
        assert!(errors.contains("No space left on device (28)"), "{program:?}: {errors}");
        assert!(errors.contains("rsync error: error in file IO (code 11) at "), "{program:?}: {errors}");
        let left: Vec<_> = fs::read_dir(&mounted.path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["large"], "{program:?}");
        assert_eq!(fs::read(mounted.path.join("large")).unwrap(), b"old");
    }
}
