//! A signal in the middle of a large file.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{Bench, Did, FOREBAY, did};

/// Copies a large file, and has it end by a signal as soon as something is written. What is left at the destination.
fn interrupted(signal: &str, workers: &str) -> (Output, Vec<OsString>) {
    let bench = Bench::new();
    let (output, dst) = interrupt(&bench, signal, &[&format!("--workers={workers}")], |dst| written(dst).is_some());
    assert_eq!(fs::read(dst.join("large")).unwrap(), b"old");
    (output, left(&dst))
}

/// Starts to copy a file of 20 GiB, which begins with `new`, over an old one, and sends `signal` as soon as it has `begun` in the
/// destination, which is returned. Several signals come one by one.
pub(crate) fn interrupt(
    bench: &Bench,
    signal: &str,
    options: &[&str],
    begun: impl Fn(&Path) -> bool,
) -> (Output, PathBuf) {
    let large = File::create(bench.src().join("large")).unwrap();
    large.set_len(20 << 30).unwrap();
    large.write_all_at(b"new", 0).unwrap();
    let dst = bench.places()[1].join("dst");
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
    while !begun(&dst) {
        assert!(Instant::now() < deadline, "{options:?}: nothing is written");
        std::thread::yield_now();
    }
    for signal in signal.split(' ') {
        let killed = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap();
        assert!(killed.success());
    }
    (child.wait_with_output().unwrap(), dst)
}

/// What there is of the file under a temporary name.
pub(crate) fn written(dst: &Path) -> Option<Metadata> {
    let hidden = left(dst).into_iter().find(|name| name.as_encoded_bytes().starts_with(b".large."))?;
    dst.join(hidden).metadata().ok()
}

fn left(dst: &Path) -> Vec<OsString> {
    fs::read_dir(dst).unwrap().map(|entry| entry.unwrap().file_name()).collect()
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

/// Who ends a process by its group may send it a signal of its own as well.
#[test]
fn a_signal_that_comes_twice_is_one() {
    let bench = Bench::new();
    let much = |dst: &Path| written(dst).is_some_and(|file| file.blocks() * 512 >= 6 << 20);
    let options = ["--partial", "--bwlimit=30M", "-W"];
    let (output, dst) = interrupt(&bench, "TERM TERM", &options, much);
    assert_eq!((output.status.code(), &left(&dst)[..]), (Some(20), &["large".into()][..]));
    assert!(fs::metadata(dst.join("large")).unwrap().len() >= 1 << 20);
}

#[test]
fn what_has_come_of_a_large_file_is_kept() {
    for workers in ["1", "3"] {
        let bench = Bench::new();
        let options = ["--partial", "--bwlimit=30M", "-W", &format!("--workers={workers}")];
        let much = |dst: &Path| written(dst).is_some_and(|file| file.blocks() * 512 >= 6 << 20);
        let (output, dst) = interrupt(&bench, "INT", &options, much);
        assert_eq!((output.status.code(), &left(&dst)[..]), (Some(20), &["large".into()][..]));
        // Of what the workers have written, the first of them a part of.
        let kept = fs::metadata(dst.join("large")).unwrap().len();
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
