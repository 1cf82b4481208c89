//! What is stored depends on the data alone: not on the number of workers, the sizes of appends, or spilling.

use std::collections::BTreeMap;

use forebay::SegmentStore;
use forebay_zarr::store::{Files, Stalling};
use forebay_zarr::{ArraySpec, Codec, DataType, WriterOptions};
use tempfile::TempDir;

use crate::objects::objects;
use crate::random::{Case, Random, seeds};

#[test]
fn the_bytes_do_not_depend_on_workers_and_appends() {
    for seed in seeds(40) {
        let mut random = Random::new(seed);
        let case = Case::random(&mut random);
        let expected = stored(&case, 1, &[&case.frames]);
        for workers in [2, 3] {
            let pieces = case.pieces(&mut random, &case.frames);
            assert!(stored(&case, workers, &pieces) == expected, "seed {seed}, {workers} workers, {case:?}");
        }
    }
}

/// Several times more than what waits in memory.
#[test]
fn the_bytes_do_not_depend_on_spilling() {
    let mut random = Random::new(1);
    let frames: Vec<u8> = (0..80 * 300 * 260).flat_map(|_| random.next().to_le_bytes()).collect();
    for codec in [Codec::None, Codec::default()] {
        let mut spec = ArraySpec::new(DataType::UInt64, &[300, 260], &[4, 64, 128], &[16, 128, 256]);
        spec.codec = codec;
        let case = Case { spec, frames: frames.clone() };
        let expected = stored(&case, 1, &[&case.frames]);
        for workers in [1, 3] {
            let got = stored_with_spilling(&case, workers);
            assert!(got == expected, "{workers} workers, {codec:?}");
        }
    }
}

fn stored(case: &Case, workers: usize, pieces: &[&[u8]]) -> BTreeMap<String, Vec<u8>> {
    let room = TempDir::new().expect("a directory");
    let store = Files::create(room.path(), false).expect("a store");
    let mut writer = WriterOptions::new().workers(workers).create(store, case.spec.clone()).expect("a writer");
    for piece in pieces {
        writer.append(piece).expect("the array takes it");
    }
    writer.close().expect("it lands");
    objects(room.path())
}

/// The store stands still until everything has been appended.
fn stored_with_spilling(case: &Case, workers: usize) -> BTreeMap<String, Vec<u8>> {
    let room = TempDir::new().expect("a directory");
    let (store, stall) = Stalling::new(Files::create(room.path(), false).expect("a store"));
    let spill = SegmentStore::temp().expect("a spill store");
    let options = WriterOptions::new().workers(workers).spill(spill);
    let mut writer = options.create(store, case.spec.clone()).expect("a writer");
    stall.stall();
    writer.append(&case.frames).expect("the array takes it");
    stall.go_on();
    let snapshot = writer.close().expect("it lands").snapshot;
    let engine = &snapshot.engine;
    assert!(engine.spilled_items > 0 && engine.reloaded_items == engine.spilled_items, "{engine:?}");
    objects(room.path())
}
