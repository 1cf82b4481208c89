//! A signal in the middle of a large file.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{Bench, Did, FOREBAY, did};

/// Copies a large file, and has it end by a signal as soon as something is written. What is left at the destination.
fn interrupted(signal: &str, workers: &str) -> (Output, Vec<OsString>) {
    let bench = Bench::new();
    let (output, left) = interrupted_in(&bench, signal, &[&format!("--workers={workers}")], 0);
    assert_eq!(fs::read(bench.places()[1].join("dst/large")).unwrap(), b"old");
    (output, left)
}

/// As [`interrupted`], as soon as so many bytes are written.
fn interrupted_in(bench: &Bench, signal: &str, options: &[&str], bytes: u64) -> (Output, Vec<OsString>) {
    let [_, place] = bench.places();
    File::create(bench.src().join("large")).unwrap().set_len(20 << 30).unwrap();
    let dst = place.join("dst");
    fs::create_dir(&dst).unwrap();
    fs::write(dst.join("large"), "old").unwrap();
    // Shells have some signals ignored where something runs in the background.
    let child = Command::new("env")
        .args(["--default-signal", FOREBAY, "sync", "-a"])
        .args(options)
        .arg(format!("{}/", bench.src().display()))
        .arg(&dst)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let begun = || {
        let entries: Vec<_> = fs::read_dir(&dst).unwrap().map(|entry| entry.unwrap().metadata().unwrap()).collect();
        entries.len() > 1 && entries.iter().any(|entry| entry.blocks() * 512 >= bytes)
    };
    while !begun() {
        assert!(Instant::now() < deadline, "no temporary file appears");
        std::thread::yield_now();
    }
    let killed = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let output = child.wait_with_output().unwrap();
    (output, fs::read_dir(&dst).unwrap().map(|entry| entry.unwrap().file_name()).collect())
}

#[test]
fn a_signal_leaves_the_old_file_and_no_temporary_one() {
    for (signal, workers) in [("INT", "1"), ("TERM", "4"), ("HUP", "2"), ("USR1", "2")] {
        let (output, left) = interrupted(signal, workers);
        let (code, text) = match signal {
            "USR1" => (19, "rsync error: received SIGUSR1 (code 19) at "),
            _ => (20, "rsync error: received SIGINT, SIGTERM, or SIGHUP (code 20) at "),
        };
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{errors}");
        assert!(errors.contains(text), "{errors}");
        assert_eq!(left, ["large"]);
    }
}

#[test]
fn what_has_come_of_a_large_file_is_kept() {
    for workers in ["1", "3"] {
        let bench = Bench::new();
        let options = ["--partial", "--bwlimit=30M", "-W", &format!("--workers={workers}")];
        let (output, left) = interrupted_in(&bench, "INT", &options, 6 << 20);
        assert_eq!((output.status.code(), &left[..]), (Some(20), &["large".into()][..]));
        // Of what the workers have written, the first of them a part of.
        let kept = fs::metadata(bench.places()[1].join("dst/large")).unwrap().len();
        assert!((1 << 20..20 << 30).contains(&kept), "{workers}: {kept}");
    }
}

#[test]
fn a_signal_that_it_dies_of_leaves_no_temporary_file() {
    for (signal, number) in [("QUIT", 3), ("ALRM", 14), ("USR2", 12)] {
        let (output, left) = interrupted(signal, "2");
        assert_eq!((output.status.signal(), &left[..]), (Some(number), &["large".into()][..]), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    }
}

#[test]
fn a_file_that_is_larger_than_is_allowed_fails() {
    let bench = Bench::new();
    File::create(bench.src().join("large")).unwrap().set_len(1 << 20).unwrap();
    let [theirs, ours] = [("rsync", ""), (FOREBAY, "sync")].map(|(program, first)| {
        let place = &bench.places()[usize::from(program == FOREBAY)];
        let script = "ulimit -f 100; exec \"$@\"";
        let mut limited = Command::new("sh");
        limited.args(["-c", script, "sh", program]).args(Some(first).filter(|first| !first.is_empty()));
        did(
            limited.args(["-a".as_ref(), bench.src().join("").as_os_str()]).arg("dst").current_dir(place).output(),
            place,
        )
    });
    let errors = |did: &Did| did.errors.iter().filter(|line| line.contains("receiver]")).cloned().collect::<Vec<_>>();
    assert_eq!((ours.code, errors(&ours)), (theirs.code, errors(&theirs)));
    assert_eq!(ours.code, Some(11), "{ours:?}");
    assert_eq!(fs::read_dir(bench.places()[1].join("dst")).unwrap().count(), 0);
}
