//! Random arrays, appended in random pieces by one or more writers after each other, as every reader sees them.

use std::path::Path;
use std::thread;

use forebay::SegmentStore;
use forebay_zarr::store::Files;
use forebay_zarr::{ArraySpec, ArrayWriter, DataType, WriteError, WriterOptions, WriterSnapshot};
use serde_json::{Map, Value};
use tempfile::TempDir;

use crate::content::Content;
use crate::objects::{notes, objects, only_an_array};
use crate::random::{Case, Random, attributes, seeds};
use crate::readers::Readers;

#[test]
fn random_arrays_are_read_back_by_every_reader() {
    let seen = round_trips(seeds(40));
    assert!(seen.chunks_compressed > 0 && seen.chunks_left_out > 0 && seen.shards_landed > 0, "{seen:?}");
}

#[test]
#[ignore = "minutes; run by `cargo xtask soak`"]
fn soak_random_arrays_are_read_back_by_every_reader() {
    round_trips(seeds(3000));
}

#[test]
fn notes_of_a_frame_that_was_lost_do_not_come_back() {
    let room = TempDir::new().expect("a directory");
    let path = room.path().join("array.zarr");
    let spec = ArraySpec::new(DataType::UInt8, &[4], &[3, 4], &[3, 4]);
    let mut writer = ArrayWriter::create(Files::create(&path, false).expect("a store"), spec).expect("a writer");
    writer.append(&[1; 4]).expect("a frame");
    writer.annotate(Map::from_iter([("lost".to_owned(), Value::from(true))])).expect("a note");
    writer.append(&[1; 3]).expect("most of a frame");
    let closed = writer.close();
    assert!(matches!(closed, Err(WriteError::Partial { frame: 1, .. })), "{closed:?}");

    let mut writer = ArrayWriter::open_append(Files::open(&path).expect("a store")).expect("a writer");
    writer.append(&[2; 4]).expect("a frame");
    writer.close().expect("it lands");
    assert_eq!(notes(&objects(&path)), []);
}

fn round_trips(seeds: impl Iterator<Item = u64>) -> WriterSnapshot {
    let mut readers = Readers::start();
    let mut seen = WriterSnapshot::default();
    for seed in seeds {
        let mut random = Random::new(seed);
        let case = Case::random(&mut random);
        let _named = Named { seed, case: &case };
        let room = TempDir::new().expect("a directory");
        let path = room.path().join("array.zarr");
        let mut recording = Recording { case: &case, path: &path, content_attributes: None, notes: Vec::new() };
        let result = recording.record(&mut random, &mut seen).map_err(|error| error.to_string()).and_then(|()| {
            let mut content = Content::of(&case.spec, &case.frames);
            if let Some(attributes) = recording.content_attributes.take() {
                content.set_attributes(&case.spec, attributes);
            }
            readers.check(&path, &content)?;
            let objects = objects(&path);
            only_an_array(&objects)?;
            let got = notes(&objects);
            if got == recording.notes { Ok(()) } else { Err(format!("notes: {got:?}, not {:?}", recording.notes)) }
        });
        result.unwrap_or_else(|error| panic!("{error}"));
    }
    seen
}

/// Says which case a test has failed with.
struct Named<'a> {
    seed: u64,
    case: &'a Case,
}

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("seed {}, {:?}", self.seed, self.case);
        }
    }
}

/// Writes a case and keeps in mind what readers should see besides the elements.
struct Recording<'a> {
    case: &'a Case,
    path: &'a Path,
    content_attributes: Option<Map<String, Value>>,
    notes: Vec<Map<String, Value>>,
}

impl Recording<'_> {
    fn record(&mut self, random: &mut Random, seen: &mut WriterSnapshot) -> Result<(), WriteError> {
        let store = Files::create(self.path, false)?.unbuffered(random.one_in(2));
        let mut writer = options(random).create(store, self.case.spec.clone())?;
        // Sometimes the writer ends in between, perhaps within a frame, and another one goes on behind the last whole
        // frame.
        let frame_bytes = self.case.spec.frame_bytes() as usize;
        while random.one_in(3) && !self.case.frames.is_empty() {
            let begin = writer.next_frame() as usize * frame_bytes;
            let end = random.range(begin as u64, self.case.frames.len() as u64) as usize;
            self.append(&mut writer, random, &self.case.frames[begin..end])?;
            match writer.close() {
                Err(WriteError::Partial { bytes, .. }) if bytes == (end % frame_bytes) as u64 => {}
                closed => assert_eq!((closed?.frames as usize * frame_bytes, 0), (end, end % frame_bytes)),
            }
            writer = options(random).open_append(Files::open(self.path)?.unbuffered(random.one_in(2)))?;
            let frames = (end / frame_bytes) as u64;
            assert_eq!(writer.next_frame(), frames);
            assert_eq!(writer.spec().frame, self.case.spec.frame);
            self.notes.retain(|note| note["frame"].as_u64() < Some(frames));
        }
        let begin = writer.next_frame() as usize * frame_bytes;
        self.append(&mut writer, random, &self.case.frames[begin..])?;
        let recorded = writer.close()?;
        seen.chunks_compressed += recorded.snapshot.chunks_compressed;
        seen.chunks_left_out += recorded.snapshot.chunks_left_out;
        seen.shards_landed += recorded.snapshot.shards_landed;
        Ok(())
    }

    fn append(&mut self, writer: &mut ArrayWriter, random: &mut Random, data: &[u8]) -> Result<(), WriteError> {
        if random.one_in(4) {
            let attributes = attributes(random);
            writer.set_attributes(attributes.clone())?;
            self.content_attributes = Some(attributes);
        }
        let annotate = random.one_in(2);
        for piece in self.case.pieces(random, data) {
            if annotate && !piece.is_empty() && random.one_in(8) {
                let note = attributes(random);
                writer.annotate(note.clone())?;
                let mut line = Map::from_iter([("frame".to_owned(), Value::from(writer.next_frame()))]);
                line.extend(note);
                self.notes.push(line);
            }
            if random.one_in(16) {
                let published = writer.flush()?;
                assert!(published <= writer.next_frame());
            }
            if random.one_in(4) {
                let left = writer.try_append(piece)?;
                writer.append(left)?;
            } else {
                writer.append(piece)?;
            }
        }
        Ok(())
    }
}

fn options(random: &mut Random) -> WriterOptions {
    let options = WriterOptions::new().workers(random.range(1, 3) as usize);
    if random.one_in(2) { options.spill(SegmentStore::temp().expect("a spill store")) } else { options }
}
