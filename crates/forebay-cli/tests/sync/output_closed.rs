//! Standard output that nobody reads, and one that is closed: the copy goes on.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{Bench, FOREBAY};

const FILES: usize = 6000;

/// Enough files for lines that fill a pipe several times.
fn fill(bench: &Bench) {
    for i in 0..FILES {
        fs::write(bench.src().join(format!("{}-{i:06}", "long".repeat(20))), "x").unwrap();
    }
}

#[test]
fn a_reader_that_has_gone_away_does_not_end_the_copy() {
    let bench = Bench::new();
    fill(&bench);
    let dst = bench.places()[1].join("dst");
    let mut child = Command::new(FOREBAY)
        .args(["sync", "-ai"])
        .arg(format!("{}/", bench.src().display()))
        .arg(&dst)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty());
    assert_eq!(fs::read_dir(&dst).unwrap().count(), FILES);
}

#[test]
fn a_reader_that_does_not_read_does_not_stall_the_copy() {
    let bench = Bench::new();
    fill(&bench);
    let dst = bench.places()[1].join("dst");
    let mut command = Command::new(FOREBAY);
    command.args(["sync", "-ai", "--stats", "--memory=100K"]).arg(format!("{}/", bench.src().display())).arg(&dst);
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    // Nothing is read until everything is copied.
    while fs::read_dir(&dst).map_or(0, |entries| {
        entries.filter(|entry| !entry.as_ref().unwrap().file_name().as_encoded_bytes().starts_with(b".")).count()
    }) < FILES
    {
        assert!(Instant::now() < deadline, "the copy waits for its reader");
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().filter(|line| line.starts_with(">f+++++++++ ")).count(), FILES);
    let spilled = text.lines().find(|line| line.starts_with("forebay: spilled ")).unwrap();
    assert!(!spilled.starts_with("forebay: spilled 0 "), "{spilled}");
}
