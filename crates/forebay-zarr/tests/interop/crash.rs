//! `kill -9`, again and again: after each, readers see every frame that was published, and another writer goes on.
//!
//! The writer is this test program once more, as a process of its own: see [`child`].

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use forebay::SegmentStore;
use forebay_zarr::store::Files;
use forebay_zarr::{ArraySpec, DataType, WriterOptions};
use serde_json::{Map, Value};
use tempfile::TempDir;

use crate::content::Content;
use crate::objects::{notes, objects, only_an_array};
use crate::random::Random;
use crate::readers::Readers;

const FRAMES: u64 = 400;

/// Where the child writes, and how.
const PATH: &str = "FOREBAY_CRASH_PATH";
const UNBUFFERED: &str = "FOREBAY_CRASH_UNBUFFERED";

#[test]
fn what_was_published_survives_kill_9() {
    kill_and_resume(1, 8);
}

#[test]
#[ignore = "minutes; run by `cargo xtask soak`"]
fn soak_what_was_published_survives_kill_9() {
    for seed in 2..40 {
        kill_and_resume(seed, 40);
    }
}

fn kill_and_resume(seed: u64, kills: u64) {
    let mut random = Random::new(seed);
    let mut readers = Readers::start();
    let room = TempDir::new().expect("a directory");
    let path = room.path().join("array.zarr");
    let mut published = 0;
    for round in 0..kills {
        let mut child = start(&path, random.one_in(2));
        // Far enough to publish something, as a rule, and not as far as the end.
        let appends = random.range(0, 2 * FRAMES / kills);
        let promised = follow(&mut child, appends);
        child.kill().expect("kill the writer");
        child.wait().expect("the writer's end");
        let now = check(&mut readers, &path, round);
        assert!(now >= published.max(promised), "round {round}: {now} frames, after {published} and {promised}");
        published = now;
    }
    let mut child = start(&path, false);
    follow(&mut child, u64::MAX);
    assert!(child.wait().expect("the writer's end").success());
    assert_eq!(check(&mut readers, &path, kills), FRAMES);
    only_an_array(&objects(&path)).expect("nothing else is there");
}

/// How many frames are published; every reader has seen them, and the attributes of each are there.
fn check(readers: &mut Readers, path: &Path, round: u64) -> u64 {
    if !path.exists() {
        return 0; // killed before it did anything
    }
    let objects = objects(path);
    let Some(metadata) = objects.get("zarr.json") else {
        return 0; // killed before there was an array
    };
    let metadata: Value = serde_json::from_slice(metadata).expect("metadata is never half written");
    let frames = metadata["shape"][0].as_u64().expect("a number of frames");
    let data: Vec<u8> = (0..frames).flat_map(frame).collect();
    readers.check(path, &Content::of(&spec(), &data)).unwrap_or_else(|error| panic!("round {round}: {error}"));
    let annotated: Vec<_> = notes(&objects).into_iter().filter(|note| note["frame"].as_u64() < Some(frames)).collect();
    assert_eq!(annotated, (0..frames).map(note_line).collect::<Vec<_>>(), "round {round}");
    frames
}

fn start(path: &Path, unbuffered: bool) -> Child {
    let mut child = Command::new(env::current_exe().expect("this program"));
    child.args(["--exact", "crash::child", "--ignored", "--nocapture"]).env(PATH, path);
    if unbuffered {
        child.env(UNBUFFERED, "1");
    }
    child.stdout(Stdio::piped()).spawn().expect("this program starts")
}

/// Reads what the child says until it has appended `appends` frames; gives the number of frames that it was told are
/// published.
fn follow(child: &mut Child, appends: u64) -> u64 {
    let (mut appended, mut promised) = (0, 0);
    let output = child.stdout.take().expect("its output is a pipe");
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        match line.split_once(' ') {
            Some(("appended", _)) => appended += 1,
            Some(("published", frames)) => promised = frames.parse().expect("a number"),
            _ => {} // the test runner's
        }
        if appended >= appends {
            break;
        }
    }
    promised
}

/// Chunks of 3 frames in shards of 9, four of these in a row.
fn spec() -> ArraySpec {
    ArraySpec::new(DataType::UInt16, &[70, 90], &[3, 20, 30], &[9, 40, 60])
}

/// Noise on a slope; every fifth frame is empty, and so are its chunks where all their frames are.
fn frame(number: u64) -> Vec<u8> {
    let mut random = Random::new(number);
    let empty = number % 9 < 3;
    let element = |at: u64| if empty { 0 } else { (at + random.next() % 64) as u16 };
    (0..70 * 90).map(element).flat_map(u16::to_le_bytes).collect()
}

fn note(number: u64) -> Map<String, Value> {
    Map::from_iter([("twice".to_owned(), Value::from(2 * number))])
}

fn note_line(number: u64) -> Map<String, Value> {
    Map::from_iter([("frame".to_owned(), Value::from(number)), ("twice".to_owned(), Value::from(2 * number))])
}

/// Not a test: the writer that the tests kill. Begins the array or goes on with it, and says on its standard output how
/// far it is.
#[test]
#[ignore = "the process that the tests above start"]
fn child() {
    let Some(path) = env::var_os(PATH) else { return };
    let unbuffered = env::var_os(UNBUFFERED).is_some();
    let options = WriterOptions::new().workers(2).spill(SegmentStore::temp().expect("a spill store"));
    let mut writer = if Path::new(&path).join("zarr.json").exists() {
        options
            .open_append(Files::open(path).expect("an array").unbuffered(unbuffered))
            .expect("it can be gone on with")
    } else {
        options
            .create(Files::create(path, true).expect("a directory").unbuffered(unbuffered), spec())
            .expect("an array")
    };
    let mut output = std::io::stdout();
    for number in writer.next_frame()..FRAMES {
        writer.annotate(note(number)).expect("a note");
        writer.append(&frame(number)).expect("a frame");
        writeln!(output, "appended {number}").expect("somebody reads");
        if number % 32 == 31 {
            let published = writer.flush().expect("it lands");
            writeln!(output, "published {published}").expect("somebody reads");
        }
    }
    writer.close().expect("it lands");
}
