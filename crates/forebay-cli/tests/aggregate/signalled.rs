//! A signal in the middle.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{Bench, Did, end, wait_until};

/// Less than what a run is given to end in good order.
const SOON: Duration = Duration::from_millis(2500);

/// Sends `signal`, and sees it end: at once, although its input gives nothing.
fn signalled(child: Child, signal: &str) -> Did {
    let begun = Instant::now();
    let status = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
    let did = end(child);
    assert!(begun.elapsed() < SOON, "{:?}: {did:?}", begun.elapsed());
    did
}

/// It reads nothing yet, and says all the same that there is nothing.
#[test]
fn a_signal_while_standard_input_gives_nothing_says_that_nothing_was_published() {
    let bench = Bench::new();
    let args = ["--by", "n", "--agg", "count", "--input-format", "csv", "-o", "out.parquet"];
    let mut child = bench.command(&args).stdin(Stdio::piped()).spawn().unwrap();
    let stdin = child.stdin.take().unwrap();
    let watches = format!("/proc/{}/status", child.id());
    // It catches the signal as soon as this is set.
    wait_until("it watches for signals", || {
        let status = std::fs::read_to_string(&watches).unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0").trim().to_owned();
        u64::from_str_radix(&caught, 16).unwrap_or(0) & (1 << 14) != 0
    });
    let did = signalled(child, "TERM");
    drop(stdin);
    assert_eq!((did.code, did.err.as_str()), (Some(143), "forebay: ended by SIGTERM; nothing was published\n"));
    assert!(bench.names().is_empty(), "{:?}", bench.names());
}

#[test]
fn a_signal_ends_it_and_nothing_is_left() {
    for (signal, code) in [("HUP", 129), ("INT", 130), ("TERM", 143)] {
        let bench = Bench::new();
        let args = ["--by", "n", "--agg", "count", "--input-format", "csv", "-o", "out.parquet"];
        let mut child = bench.command(&args).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // More than what is looked at to find the types; the end does not come.
        let rows: String = (0..400_000).map(|n| format!("{n:08}\n")).collect();
        stdin.write_all(format!("n\n{rows}").as_bytes()).unwrap();
        wait_until("the temporary file", || !bench.names().is_empty());
        let did = signalled(child, signal);
        drop(stdin);
        assert_eq!(did.code, Some(code), "{}", did.err);
        assert!(bench.names().is_empty(), "{:?}", bench.names());
    }
}
