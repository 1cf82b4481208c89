//! `forebay inspect`: what there is, and whether it is whole.

use std::fs;
use std::process::Command;

use crate::harness::{Bench, Did, FOREBAY, frames};

fn inspect(bench: &Bench) -> Did {
    let output = Command::new(FOREBAY).args(["inspect"]).arg(bench.out()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Did { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

#[test]
fn an_array_is_whole_until_a_shard_is_missing_or_cut_off() {
    let bench = Bench::new();
    bench.record("--shape t,32,48 --dtype uint16 --chunk 4,16,16 --shard 8,32,48", &frames(0, 21, 32 * 48 * 2)).well();
    let did = inspect(&bench).well();
    for text in ["uint16 21 x 32 x 48", "4 x 16 x 16", "8 x 32 x 48", "blosc-zstd:1", "36 chunks stored"] {
        assert!(did.out.contains(text), "{text}: {}", did.out);
    }
    let shard = bench.out().join("c/1/0/0");
    let bytes = fs::read(&shard).unwrap();
    fs::write(&shard, &bytes[..bytes.len() - 10]).unwrap();
    assert_eq!(inspect(&bench).code, Some(1));
    fs::write(&shard, bytes).unwrap();
    inspect(&bench).well();
}

#[test]
fn what_is_no_array_is_an_error_with_its_name() {
    let bench = Bench::new();
    let did = inspect(&bench);
    assert!(did.failed(1).contains("out.zarr"), "{}", did.err);
}
