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

/// The writer waits for the changes of each row before it writes the next one.
#[test]
fn a_slow_pipe_is_grouped_row_by_row_if_few_rows_say_the_types() {
    let bench = Bench::new();
    let args = ["--by", "user", "--agg", "count", "--commit-every", "1", "--changes", "--sample-rows", "1"];
    for (head, row) in [("user\n", "ada\n"), ("", "{\"user\":\"ada\"}\n")] {
        let mut child = bench.command(&args).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        stdin.write_all(head.as_bytes()).unwrap();
        let mut seen = Vec::new();
        for commit in 0..3 {
            stdin.write_all(row.as_bytes()).unwrap();
            seen.extend(lines.by_ref().take(2));
            assert_eq!(seen.len(), 2 * commit + 2);
        }
        drop(stdin);
        assert_eq!(seen[..2], ["commit,user,count,change", "0,ada,1,1"]);
        assert_eq!(seen.len() + lines.count(), 6);
        end(child).well();
    }
}
