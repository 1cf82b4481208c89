//! Shards that take minutes.

use std::io::{BufRead, BufReader, Write};

use crate::harness::{Bench, Running, end, frames};

#[test]
fn a_shard_that_takes_minutes_is_warned_of_once_and_a_smaller_one_is_named() {
    let bench = Bench::new();
    let frame = 32 * 48 * 2;
    let args = "--shape t,32,48 --dtype uint16 --chunk 4,16,16 --shard 4000,32,48";
    let mut running = Running::start(bench.command(args));
    running.stdin.write_all(&frames(0, 1, frame)).unwrap();
    let mut err = BufReader::new(running.child.stderr.take().unwrap()).lines();
    let first = err.next().unwrap().unwrap();
    assert!(first.starts_with("forebay: recording"), "{first}");
    // It comes although nothing more does.
    let line = err.next().unwrap().unwrap();
    assert!(
        line.starts_with("forebay: warning: a shard holds 4000 frames, and nothing of it is visible or safe"),
        "{line}"
    );
    assert!(line.contains("--shard 4,32,48"), "{line}");
    running.stdin.write_all(&frames(1, 3, frame)).unwrap();
    drop(running.stdin);
    end(running.child).well();
    let rest: Vec<String> = err.map(Result::unwrap).collect();
    assert!(matches!(&rest[..], [last] if last.starts_with("forebay: recorded 3 frames")), "{rest:?}");
}
