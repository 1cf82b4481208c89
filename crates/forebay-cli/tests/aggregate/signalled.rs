//! A signal in the middle.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::harness::{Bench, end, wait_until};

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
        let status = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap();
        assert!(status.success());
        let did = end(child);
        drop(stdin);
        assert_eq!(did.code, Some(code), "{}", did.err);
        assert!(bench.names().is_empty(), "{:?}", bench.names());
    }
}
