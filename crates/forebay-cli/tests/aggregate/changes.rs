//! What each commit changes.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use crate::harness::{Bench, end};

const ARGS: [&str; 10] =
    ["--by", "user", "--agg", "count", "--commit-every", "2", "--changes", "--input-format", "csv", "-"];

#[test]
fn changes_are_retracted_and_replaced() {
    let bench = Bench::new();
    let did = bench.feed(&ARGS.join(" "), "user\nada\nbob\nada\nada\n").well();
    let expected = ["commit,user,count,change", "0,ada,1,1", "0,bob,1,1", "1,ada,1,-1", "1,ada,3,1"];
    assert_eq!(did.sorted(), expected);
}

#[test]
fn a_commit_appears_while_the_input_goes_on() {
    let bench = Bench::new();
    let mut child = bench.command(&ARGS).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // More than what is looked at to find the types.
    let rows: String = (0..400_000).map(|n| format!("user{n:08}\n")).collect();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let seen = std::thread::scope(|scope| {
        let writer = scope.spawn(move || {
            let _ = stdin.write_all(format!("user\n{rows}").as_bytes());
            stdin
        });
        let mut seen = String::new();
        for _ in 0..3 {
            out.read_line(&mut seen).unwrap();
        }
        drop(out);
        // The input is still open.
        let stdin = writer.join().unwrap();
        drop(stdin);
        seen
    });
    let mut lines: Vec<_> = seen.lines().collect();
    lines[1..].sort_unstable();
    assert_eq!(lines, ["commit,user,count,change", "0,user00000000,1,1", "0,user00000001,1,1"]);
    end(child).well();
}
