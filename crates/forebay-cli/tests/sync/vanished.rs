//! A source file that disappears while the mirror runs.

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{Bench, FOREBAY};

#[test]
fn a_vanished_file_is_a_warning_and_the_rest_is_copied() {
    let bench = Bench::new();
    let [_, place] = bench.places();
    // One item: the worker is busy with the first name for seconds while the second goes.
    File::create(bench.src().join("a")).unwrap().set_len(3 << 20).unwrap();
    fs::write(bench.src().join("b"), "goes").unwrap();
    fs::write(bench.src().join("c"), "stays").unwrap();
    let child = Command::new(FOREBAY)
        .args(["sync", "-a", "--workers=1", "--bwlimit=1m"])
        .arg(format!("{}/", bench.src().display()))
        .arg(place.join("dst"))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let begun = || fs::read_dir(place.join("dst")).is_ok_and(|mut entries| entries.next().is_some());
    while !begun() {
        assert!(Instant::now() < deadline, "nothing appears at the destination");
        std::thread::yield_now();
    }
    fs::remove_file(bench.src().join("b")).unwrap();
    assert!(!place.join("dst/a").exists(), "the first file was copied before the other could go");
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(24), "{errors}");
    assert!(errors.contains("file has vanished: \"") && errors.contains("/src/b\""), "{errors}");
    assert!(errors.contains("rsync warning: some files vanished before they could be transferred (code 24) at "));
    assert_eq!(fs::read(place.join("dst/c")).unwrap(), b"stays");
}
