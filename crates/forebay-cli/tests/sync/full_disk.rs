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

/// What is written under its own name is the source's from the beginning on, however far it came: it may be appended to.
#[test]
fn what_a_full_disk_keeps_of_a_large_file_in_place_is_its_beginning() {
    assert!(rustix_is_root(), "this test mounts a small file system and needs root");
    let bench = Bench::new();
    let [place, _] = bench.places();
    let mounted = Mounted::new(&place, "100m");
    let content: Vec<u8> = (1..25_000_000u64).flat_map(u64::to_le_bytes).collect();
    fs::write(bench.src().join("large"), &content).unwrap();
    let there = mounted.path.join("large");
    for option in ["--append", "--inplace", "--append-verify"] {
        for program in [&["rsync"][..], &[FOREBAY, "sync"]] {
            fs::write(&there, &content[..1000]).unwrap();
            let output = Command::new(program[0])
                .args(&program[1..])
                .args(["-a", option])
                .arg(format!("{}/", bench.src().display()))
                .arg(&mounted.path)
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(11), "{program:?} {option}: {output:?}");
            let kept = fs::read(&there).unwrap();
            assert!(kept.len() > 50_000_000, "{program:?} {option}: {}", kept.len());
            assert!(content.starts_with(&kept), "{program:?} {option}: something else than the beginning");
        }
    }
}
