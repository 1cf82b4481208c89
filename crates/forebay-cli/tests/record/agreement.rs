//! What is said of an array that is gone on with must be true of it.

use crate::harness::{Bench, frames};
use crate::reader::read;

const FRAME: usize = 32 * 48 * 2;

#[test]
fn options_that_are_true_are_taken_and_others_are_refused_by_name() {
    let bench = Bench::new();
    let args = "--shape t,32,48 --dtype uint16 --chunk 4,16,16 --shard 8,32,48 --dims t,y,x --fill 3 --codec zstd:2";
    bench.record(args, &frames(0, 5, FRAME)).well();
    bench.record(&format!("{args} --storage-order 0,1,2 --resume"), &frames(5, 7, FRAME)).well();
    for (option, text) in [
        ("--shape t,48,32", "--shape t,"),
        ("--shape t,32,48,1", "--shape t,"),
        ("--dtype int16", "--dtype is int16, but out.zarr has uint16"),
        ("--chunk 2,16,16", "--chunk is 2,16,16, but out.zarr has 4,16,16"),
        ("--shard 16,32,48", "--shard is 16,32,48, but out.zarr has 8,32,48"),
        ("--codec none", "--codec is none, but out.zarr has zstd:2"),
        ("--checksum", "--checksum"),
        ("--dims t,x,y", "--dims is t,x,y, but out.zarr has t,y,x"),
        ("--fill 4", "--fill is 4"),
        ("--storage-order 0,2,1", "--storage-order is 0,2,1, but out.zarr has 0,1,2"),
    ] {
        let did = bench.record(&format!("--resume {option}"), &frames(7, 8, FRAME));
        assert!(did.failed(2).contains(text), "{}", did.err);
    }
    let seen = read(&bench.out());
    assert_eq!(seen.bytes, frames(0, 7, FRAME));
}

#[test]
fn attributes_may_be_replaced() {
    let bench = Bench::new();
    std::fs::write(bench.path("a.json"), r#"{"day": 1}"#).unwrap();
    std::fs::write(bench.path("b.json"), r#"{"day": 2}"#).unwrap();
    let args = "--shape t,32,48 --dtype uint16 --chunk 4,16,16 --shard 8,32,48 --attrs a.json";
    bench.record(args, &frames(0, 5, FRAME)).well();
    bench.record("--resume --attrs b.json", &frames(5, 6, FRAME)).well();
    let seen = read(&bench.out());
    assert!(seen.attributes.contains(r#""day":2"#), "{}", seen.attributes);
    assert_eq!(seen.bytes, frames(0, 6, FRAME));
}
