//! Something is where the array is to be.

use std::io::Write;

use crate::harness::{Bench, Running, end, frames, names};
use crate::reader::read;

const ARGS: &str = "--shape t,32,48 --dtype uint16 --chunk 4,16,16 --shard 8,32,48";
const FRAME: usize = 32 * 48 * 2;

#[test]
fn an_array_is_neither_written_over_nor_appended_to_unasked() {
    let bench = Bench::new();
    bench.record(ARGS, &frames(0, 10, FRAME)).well();
    let did = bench.record(ARGS, &frames(50, 60, FRAME));
    assert_eq!(did.failed(1), "forebay: out.zarr exists already: --resume appends to it, --overwrite replaces it");
    assert_eq!(read(&bench.out()).bytes, frames(0, 10, FRAME));
    bench.record(&format!("{ARGS} --overwrite"), &frames(50, 53, FRAME)).well();
    assert_eq!(read(&bench.out()).bytes, frames(50, 53, FRAME));
    assert_eq!(names(&bench.out()), ["c", "zarr.json"]);
}

#[test]
fn nothing_but_an_array_is_replaced() {
    let bench = Bench::new();
    std::fs::create_dir(bench.out()).unwrap();
    std::fs::write(bench.out().join("thesis.txt"), "years").unwrap();
    for option in ["", "--overwrite", "--resume"] {
        let did = bench.record(&format!("{ARGS} {option}"), &frames(0, 1, FRAME));
        assert!(did.failed(1).contains("out.zarr"), "{}", did.err);
        assert_eq!(names(&bench.out()), ["thesis.txt"]);
    }
}

#[test]
fn an_array_is_not_replaced_for_one_that_cannot_be_written() {
    let bench = Bench::new();
    bench.record(ARGS, &frames(0, 10, FRAME)).well();
    for (args, code) in [
        (format!("{ARGS} --memory 1M"), 1),
        (ARGS.replace("--shard 8", "--shard 9"), 2),
        (ARGS.replace("--dtype uint16", ""), 2),
        (format!("{ARGS} --from none.tif"), 1),
    ] {
        bench.record(&format!("{args} --overwrite"), &frames(0, 1, FRAME)).failed(code);
        assert_eq!(read(&bench.out()).bytes, frames(0, 10, FRAME), "{args}");
    }
}

#[test]
fn there_is_one_writer_at_a_time() {
    let bench = Bench::new();
    let mut first = Running::start(bench.command(ARGS));
    first.stdin.write_all(&frames(0, 8, FRAME)).unwrap();
    crate::harness::wait_until("the first row", || crate::reader::frames(&bench.out()) == 8);
    for option in ["--resume", "--overwrite"] {
        let did = bench.record(&format!("{ARGS} {option}"), &frames(0, 1, FRAME));
        assert!(did.failed(1).contains("out.zarr is being written"), "{}", did.err);
    }
    first.stdin.write_all(&frames(8, 12, FRAME)).unwrap();
    drop(first.stdin);
    end(first.child).well();
    assert_eq!(read(&bench.out()).bytes, frames(0, 12, FRAME));
}

#[test]
fn going_on_with_nothing_is_an_error() {
    let bench = Bench::new();
    let did = bench.record("--resume", &[]);
    assert!(did.failed(1).contains("out.zarr"), "{}", did.err);
}
