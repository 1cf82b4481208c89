//! `--stats` says what was done.

use crate::harness::{Bench, frames, number};

const FRAME: usize = 256 * 256 * 2;

#[test]
fn the_numbers_add_up_and_the_workers_worked() {
    let bench = Bench::new();
    let args = "--shape t,256,256 --dtype uint16 --chunk 4,64,64 --shard 8,128,128 --workers 3 --stats -q";
    // The last row is all fill value.
    let mut input = frames(0, 64, FRAME);
    input.extend(vec![0; 8 * FRAME]);
    let did = bench.record(args, &input).well();
    let stats = &did.out;
    assert!(stats.lines().all(|line| line.starts_with("forebay: ")), "{stats}");
    assert_eq!(number(stats, " frames in,"), 72);
    assert_eq!(number(stats, " in the array;"), 72);
    assert_eq!(number(stats, " bytes in,"), input.len() as u64);
    let stored: u64 = walk(&bench.out().join("c"));
    assert_eq!(number(stats, " bytes out,"), stored, "{stats}");
    assert_eq!(number(stats, " workers,"), 3);
    assert!(number(stats, " used;") >= 2, "{stats}");
    // 16 layers of 16 chunks, and two layers that are left out.
    assert_eq!(number(stats, " chunks compressed,"), 256, "{stats}");
    assert_eq!(number(stats, " left out"), 32, "{stats}");
    assert_eq!(number(stats, " shards landed"), 32, "{stats}");
    assert!(number(stats, " delivery jobs,") > 32, "{stats}");
    assert!(stats.contains("forebay: 0 bytes, 0 frames taken and not in the array"), "{stats}");
    let estimate = stats.lines().find(|line| line.starts_with("forebay: memory estimate ")).unwrap();
    let numbers: Vec<f64> = estimate.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [steady, stalled, most] = numbers[..] else { panic!("{estimate}") };
    assert!(12.0 < steady && steady < stalled && stalled < most, "{estimate}");
    assert!(estimate.ends_with("blocks of the input, 12.0, included"), "{estimate}");
}

#[test]
fn files_that_are_written_past_the_page_cache_are_the_same() {
    let args = "--shape t,256,256 --dtype uint16 --chunk 4,64,64 --shard 8,128,128 --stats -q";
    let input = frames(0, 20, FRAME);
    let plain = Bench::new();
    assert!(plain.record(args, &input).well().out.contains("forebay: written through the page cache"));
    let direct = Bench::new();
    let did = direct.record(&format!("{args} --unbuffered"), &input).well();
    assert!(
        did.out.contains("forebay: written past the page cache") || did.out.contains("page cache, because"),
        "{}",
        did.out
    );
    let same = std::process::Command::new("diff").arg("-r").args([plain.out(), direct.out()]).status().unwrap();
    assert!(same.success());
}

#[test]
fn chunks_that_are_stored_as_they_are_go_past_the_page_cache_unless_they_shall_not() {
    let args = "--shape t,256,256 --dtype uint16 --chunk 8,256,256 --shard 8,256,256 --codec none --stats -q";
    let input = frames(0, 16, 256 * 256 * 2);
    let never = Bench::new();
    let did = never.record(&format!("{args} --unbuffered=never"), &input).well();
    assert!(did.out.contains("forebay: written through the page cache\n"), "{}", did.out);
    let usual = Bench::new();
    let did = usual.record(args, &input).well();
    assert!(
        did.out.contains("forebay: written past the page cache") || did.out.contains("page cache, because"),
        "{}",
        did.out
    );
    let same = std::process::Command::new("diff").arg("-r").args([never.out(), usual.out()]).status().unwrap();
    assert!(same.success());
}

/// Bytes of the files beneath `dir`.
fn walk(dir: &std::path::Path) -> u64 {
    let size = |entry: std::io::Result<std::fs::DirEntry>| {
        let (path, kind) = entry.map(|entry| (entry.path(), entry.file_type().unwrap())).unwrap();
        if kind.is_dir() { walk(&path) } else { path.metadata().unwrap().len() }
    };
    std::fs::read_dir(dir).unwrap().map(size).sum()
}
