//! Command lines that make no sense.

use crate::harness::{Bench, frames};

const FRAME: usize = 32 * 48 * 2;

#[test]
fn impossible_arrays_are_refused_with_the_code_for_usage() {
    let whole = "--shape t,32,48 --dtype uint16 --chunk 4,16,16 --shard 8,32,48";
    for (from, to, text) in [
        ("--shard 8,32,48", "--shard 8,32,40", "no multiple of the chunk's 16"),
        ("--shard 8,32,48", "--shard 8,32", "--shard has 2 dimensions, the data 3"),
        ("--chunk 4,16,16", "--chunk 4,16,16,2", "--chunk has 4 dimensions, the data 3"),
        ("--chunk 4,16,16", "--chunk 4,0,16", "`0` is no number of elements"),
        ("--shape t,32,48", "--shape 32,48", "the first dimension must be `t`"),
        ("--dtype uint16", "--dtype u16", "'u16' is no data type"),
        ("--dtype uint16", "--dtype uint16 --codec lzma", "'lzma' is no codec"),
        ("--dtype uint16", "--dtype uint16 --codec zstd:99", "zstd has no level 99"),
        ("--dtype uint16", "--dtype uint16 --fill 70000", "--fill: an element of uint16 cannot be 70000"),
        ("--dtype uint16", "--dtype uint16 --dims t,y", "2 names for 3 dimensions"),
        ("--dtype uint16", "--dtype uint16 --storage-order 1,0,2", "must keep the first and the last dimension"),
        ("--dtype uint16", "--dtype uint16 --resume --overwrite", "cannot be used with"),
        ("--dtype uint16", "--dtype uint16 --memory much", "a size is a number and a unit"),
        ("--dtype uint16", "--dtype uint16 --spill-limit 1G", "--spill-dir"),
        ("--dtype uint16", "--dtype uint16 --workers 0", "--workers"),
        ("--dtype uint16", "--dtype uint16 --attrs none.json", "none.json"),
        ("--dtype uint16", "", "no data type is given: --shape t,Y,X and --dtype TYPE say it"),
        (whole, "", "neither the data type nor the shape of a frame is given"),
    ] {
        let bench = Bench::new();
        let did = bench.record(&whole.replace(from, to), &frames(0, 1, FRAME));
        assert_eq!(did.code, Some(2), "{to}: {}", did.err);
        assert!(did.err.contains(text), "{to}: {}", did.err);
        assert!(!bench.out().exists(), "{to}");
    }
}

#[test]
fn too_little_memory_is_refused_with_the_number_that_does() {
    let bench = Bench::new();
    let args = "--shape t,32,48 --dtype uint16 --chunk 4,16,16 --shard 8,32,48";
    let did = bench.record(&format!("{args} --memory 1M"), &frames(0, 1, FRAME));
    let line = did.failed(1);
    let needed = line.split("the array needs ").nth(1).unwrap().split(' ').next().unwrap();
    assert!(line.starts_with("forebay: --memory is "), "{line}");
    assert!(!bench.out().exists(), "nothing is left behind");
    bench.record(&format!("{args} --memory {needed}M"), &frames(0, 1, FRAME)).well();
}
