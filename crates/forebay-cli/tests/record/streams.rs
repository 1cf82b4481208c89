//! Raw elements on standard input.

use std::process::{Command, Stdio};

use crate::harness::{Bench, FOREBAY, Running, end, frames, number};
use crate::reader::read;

const ARGS: &str = "--shape t,32,48 --dtype uint16 --chunk 4,16,16 --shard 8,32,48";
const FRAME: usize = 32 * 48 * 2;

#[test]
fn frames_from_standard_input_are_in_the_array() {
    let bench = Bench::new();
    let input = frames(0, 21, FRAME);
    let did = bench.record(&format!("{ARGS} --stats"), &input).well();
    let seen = read(&bench.out());
    assert_eq!((seen.shape, seen.chunk), (vec![21, 32, 48], vec![8, 32, 48]));
    assert_eq!(seen.bytes, input);
    assert!(
        did.err.starts_with(
            "forebay: recording into out.zarr: uint16 frames of 32,48; chunks 4,16,16, shards 8,32,48, blosc-zstd:1"
        ),
        "{}",
        did.err
    );
    assert!(did.err.contains("forebay: recorded 21 frames in "), "{}", did.err);
    assert_eq!(number(&did.out, " frames in,"), 21);
}

#[test]
fn quiet_says_nothing() {
    let bench = Bench::new();
    let did = bench.record(&format!("{ARGS} -q"), &frames(0, 9, FRAME)).well();
    assert_eq!((did.out.as_str(), did.err.as_str()), ("", ""));
}

#[test]
fn chunks_and_shards_are_suggested_and_said() {
    let bench = Bench::new();
    let input = frames(0, 40, 300 * 400);
    let did = bench.record("--shape t,300,400 --dtype uint8 --chunk-mib 1 --shard-mib 4", &input).well();
    assert!(did.err.contains("; suggested chunks "), "{}", did.err);
    let seen = read(&bench.out());
    assert_eq!(seen.shape, [40, 300, 400]);
    assert_eq!(seen.bytes, input);
    // The shard is in the order of 4 MiB.
    let shard: u64 = seen.chunk.iter().product();
    assert!((1 << 20..=16 << 20).contains(&shard), "{:?}", seen.chunk);
}

#[test]
fn every_codec_order_and_name_that_can_be_asked_for() {
    for codec in [
        "none",
        "zstd:3",
        "gzip:1",
        "blosc-zstd:1:noshuffle",
        "blosc-lz4:5:bitshuffle",
        "blosc-lz4hc:3",
        "blosc-zlib:2",
    ] {
        let bench = Bench::new();
        let input = frames(0, 10, 6 * 8 * 10 * 4);
        let args = "--shape t,6,8,10 --dtype float32 --chunk 2,3,4,10 --shard 4,6,8,10 --checksum --fill -1.5";
        bench.record(&format!("{args} --dims t,z,y,x --codec {codec}"), &input).well();
        assert_eq!(read(&bench.out()).bytes, input, "{codec}");
        let text = std::fs::read_to_string(bench.out().join("zarr.json")).unwrap();
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["dimension_names"], serde_json::json!(["t", "z", "y", "x"]));
        assert_eq!(document["fill_value"], serde_json::json!(-1.5));
        assert!(text.contains("crc32c"));
    }
}

#[test]
fn dimensions_may_be_stored_in_another_order() {
    let bench = Bench::new();
    let input = frames(0, 3, 4 * 6 * 5);
    bench
        .record("--shape t,4,6,5 --dtype uint8 --chunk 1,2,3,5 --shard 1,4,6,5 --storage-order 0,2,1,3", &input)
        .well();
    let seen = read(&bench.out());
    assert_eq!(seen.shape, [3, 6, 4, 5]);
    let mut stored = Vec::new();
    for frame in input.chunks(4 * 6 * 5) {
        for b in 0..6 {
            for a in 0..4 {
                stored.extend_from_slice(&frame[(a * 6 + b) * 5..][..5]);
            }
        }
    }
    assert_eq!(seen.bytes, stored);
}

#[test]
fn attributes_come_from_a_file() {
    let bench = Bench::new();
    std::fs::write(bench.path("attrs.json"), r#"{"exposure": 0.5, "stage": ["a", 1]}"#).unwrap();
    bench.record(&format!("{ARGS} --attrs attrs.json"), &frames(0, 2, FRAME)).well();
    let seen: serde_json::Value = serde_json::from_str(&read(&bench.out()).attributes).unwrap();
    assert_eq!(seen["exposure"], 0.5);
    assert_eq!(seen["stage"], serde_json::json!(["a", 1]));
}

#[test]
fn an_input_that_ends_within_a_frame_keeps_the_frames_that_are_whole() {
    let bench = Bench::new();
    let input = frames(0, 11, FRAME);
    let did = bench.record(ARGS, &input[..10 * FRAME + 100]);
    assert_eq!(
        did.failed(1),
        "forebay: standard input ends in the middle of frame 10: 100 of its 3072 bytes are there; 10 frames are safe in out.zarr"
    );
    assert_eq!(read(&bench.out()).bytes, input[..10 * FRAME]);
}

#[test]
fn the_frame_that_is_cut_off_has_the_arrays_number_when_an_array_is_gone_on_with() {
    let bench = Bench::new();
    bench.record(ARGS, &frames(0, 6, FRAME)).well();
    let did = bench.record("--resume", &frames(6, 9, FRAME)[..2 * FRAME + 7]);
    assert!(did.failed(1).contains("; 8 frames are safe in out.zarr"), "{}", did.err);
    assert!(did.err.contains("forebay: resuming at frame 6 of out.zarr"), "{}", did.err);
    assert_eq!(read(&bench.out()).bytes, frames(0, 8, FRAME));
}

#[test]
fn an_input_without_frames_makes_an_array_without_frames() {
    // Empty, and closed.
    let bench = Bench::new();
    bench.record(ARGS, &[]).well();
    assert_eq!(crate::reader::frames(&bench.out()), 0);
    let bench = Bench::new();
    let line = format!("exec {FOREBAY} record {ARGS} {} <&-", bench.out().display());
    let child = Command::new("sh").args(["-c", &line]).stderr(Stdio::piped()).spawn().unwrap();
    end(child).well();
    assert_eq!(crate::reader::frames(&bench.out()), 0);
}

#[test]
fn frames_that_come_slowly_are_taken_as_they_come() {
    use std::io::Write;
    let bench = Bench::new();
    let mut running = Running::start(bench.command(ARGS));
    let input = frames(0, 8, FRAME);
    // A row of shards is published although the stream goes on.
    for piece in input.chunks(1000) {
        running.stdin.write_all(piece).unwrap();
    }
    crate::harness::wait_until("a row of shards", || crate::reader::frames(&bench.out()) == 8);
    assert_eq!(read(&bench.out()).bytes, input);
    drop(running.stdin);
    end(running.child).well();
}
