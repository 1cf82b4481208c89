//! What can be said about an array from its metadata and indexes.

use std::fs;

use forebay_zarr::metadata::encode;
use forebay_zarr::store::{Activity, Files, Memory};
use forebay_zarr::{ArraySpec, DataType, IndexError, InspectError, ShardIndex, Store, inspect};
use tempfile::TempDir;

/// 2 x 2 x 2 chunks of 2 x 3 x 4 elements in a shard; 2 x 2 shards in a row, the last ones half outside the frame.
fn spec() -> ArraySpec {
    ArraySpec::new(DataType::UInt16, &[9, 12], &[2, 3, 4], &[4, 6, 8])
}

fn array(frames: u64) -> Memory {
    let store = Memory::new();
    store.put("zarr.json", &encode(&spec(), frames)).unwrap();
    store
}

/// A shard of 8 chunks, of which those in `stored` are stored, with 10 bytes each.
fn put(store: &dyn Store, key: &str, stored: &[usize]) {
    let mut index = ShardIndex::new(8);
    for (number, &chunk) in stored.iter().enumerate() {
        index.set(chunk, number as u64 * 10, 10);
    }
    store.put(key, &[vec![0; stored.len() * 10], index.encode()].concat()).unwrap();
}

#[test]
fn an_array_that_is_whole() {
    let store = array(6);
    for row in 0..2 {
        put(&store, &format!("c/{row}/0/0"), &[0, 1, 2, 3, 4, 5, 6, 7]);
        // The frame ends within these.
        put(&store, &format!("c/{row}/0/1"), &[0, 2, 4, 6]);
        put(&store, &format!("c/{row}/1/0"), &[0, 1, 4, 5]);
        put(&store, &format!("c/{row}/1/1"), &[0]);
    }
    let found = inspect(&store).unwrap();
    assert_eq!((found.frames, found.activity), (6, Activity::Unknown));
    assert_eq!((found.rows, found.rows_whole, found.rows_incomplete.len()), (2, 2, 0));
    assert_eq!((found.shards_expected, found.shards_present), (8, 8));
    assert_eq!((found.shards_damaged, found.shards_beyond), (0, 0));
    // Of the second row, only the first layer of chunks is within 6 frames.
    assert_eq!((found.chunks_stored, found.chunks_left_out), (17 + 9, 1));
    assert_eq!((found.bytes_stored, found.bytes_raw), (34 * 10 + 8 * 132, 6 * 9 * 12 * 2));
    let text = found.to_string();
    assert!(text.contains("uint16 6 x 9 x 12") && text.contains("whole     all 2 rows"), "{text}");
    assert!(text.contains("26 chunks stored, 1 left out"), "{text}");
    assert!(text.lines().count() <= 12, "{text}");
}

#[test]
fn what_is_missing_is_named_and_said_to_be_ambiguous() {
    let store = array(100);
    for row in [0, 2] {
        for key in ["0/0", "0/1", "1/0", "1/1"] {
            put(&store, &format!("c/{row}/{key}"), &[0]);
        }
    }
    store.remove("c/2/1/0").unwrap();
    let found = inspect(&store).unwrap();
    assert_eq!((found.rows, found.rows_whole, found.shards_expected, found.shards_present), (25, 1, 100, 7));
    let rows: Vec<(u64, u64)> = found.rows_incomplete.iter().map(|row| (row.row, row.present)).collect();
    assert_eq!(rows[..4], [(1, 0), (2, 3), (3, 0), (4, 0)]);
    let text = found.to_string();
    assert!(text.contains("row 2, frames 8 to 11: 3 of 4 shards are good"), "{text}");
    assert!(text.contains("and 8 rows more"), "{text}");
    assert!(text.contains("the array does not tell which"), "{text}");
}

#[test]
fn damaged_shards_are_named() {
    let store = array(4);
    for key in ["c/0/0/0", "c/0/0/1"] {
        put(&store, key, &[0, 1]);
    }
    store.put("c/0/1/0", b"short").unwrap();
    let mut bytes = vec![0; 20 + 132];
    store.read("c/0/0/0", 0, &mut bytes).unwrap();
    bytes[30] ^= 1;
    store.put("c/0/1/1", &bytes).unwrap();
    let found = inspect(&store).unwrap();
    assert_eq!((found.shards_present, found.shards_damaged, found.rows_whole), (4, 2, 0));
    let damaged: Vec<&str> = found.damaged.iter().map(|damaged| damaged.key.as_str()).collect();
    assert_eq!(damaged, ["c/0/1/0", "c/0/1/1"]);
    assert!(matches!(found.damaged[1].error, IndexError::ChecksumMismatch { .. }));
    let text = found.to_string();
    assert!(text.contains("c/0/1/1 is damaged: the checksum of the index is"), "{text}");
}

#[test]
fn what_is_beyond_the_shape_is_counted_apart() {
    let store = array(4);
    for key in ["c/0/0/0", "c/0/0/1", "c/0/1/0", "c/0/1/1", "c/1/0/0", "c/0/2/0", "c/7/9/9"] {
        put(&store, key, &[0]);
    }
    for key in ["c/00/0/0", "c/x", "c/0/0/2/9", "c/0/0/-1"] {
        store.put(key, b"no shard at all").unwrap();
    }
    let found = inspect(&store).unwrap();
    assert_eq!((found.shards_present, found.shards_beyond, found.rows_whole), (4, 3, 1));
    assert_eq!(found.bytes_stored, 4 * 142);
}

#[test]
fn a_shape_from_outside_costs_nothing() {
    let store = array(u64::MAX);
    put(&store, "c/0/0/0", &[0]);
    put(&store, &format!("c/{}/1/1", u64::MAX / 4), &[0]);
    let found = inspect(&store).unwrap();
    assert_eq!((found.rows, found.rows_whole), (1 << 62, 0));
    assert_eq!((found.shards_expected, found.bytes_raw), (u64::MAX, u64::MAX));
    assert_eq!((found.chunks_stored, found.rows_incomplete.len()), (2, 16));
    found.to_string();
}

#[test]
fn shards_are_found_in_storage_order() {
    let mut spec = ArraySpec::new(DataType::UInt8, &[3, 50, 60], &[1, 1, 50, 60], &[1, 1, 50, 60]);
    spec.storage_order = vec![0, 2, 1, 3];
    let store = Memory::new();
    store.put("zarr.json", &encode(&spec, 1)).unwrap();
    for channel in 0..3 {
        let index = ShardIndex::new(1);
        store.put(&format!("c/0/0/{channel}/0"), &index.encode()).unwrap();
    }
    let found = inspect(&store).unwrap();
    assert_eq!((found.shards_present, found.shards_beyond, found.rows_whole), (3, 0, 1));
    assert_eq!((found.chunks_stored, found.chunks_left_out), (0, 3));
}

#[test]
fn an_array_of_one_dimension() {
    let store = Memory::new();
    store.put("zarr.json", &encode(&ArraySpec::new(DataType::UInt8, &[], &[4], &[8]), 12)).unwrap();
    let mut index = ShardIndex::new(2);
    index.set(1, 0, 3);
    store.put("c/0", &[vec![0; 3], index.encode()].concat()).unwrap();
    let found = inspect(&store).unwrap();
    assert_eq!((found.rows, found.rows_whole, found.chunks_stored, found.chunks_left_out), (2, 1, 1, 1));
}

#[test]
fn the_writer_is_seen() {
    let dir = TempDir::new().unwrap();
    let writer = Files::create(dir.path(), false).unwrap();
    assert!(matches!(inspect(&writer), Err(InspectError::NoArray)));
    writer.put("zarr.json", &encode(&spec(), 0)).unwrap();
    put(&writer, "c/0/0/0", &[0]);
    let reader = Files::read_only(dir.path());
    let found = inspect(&reader).unwrap();
    assert_eq!((found.activity, found.shards_beyond), (Activity::Active, 1));
    assert!(found.to_string().contains("not published yet"), "{found}");
    drop(writer);
    assert_eq!(inspect(&reader).unwrap().activity, Activity::Idle);
    fs::create_dir(dir.path().join(".forebay")).unwrap();
    fs::write(dir.path().join(".forebay/3"), "half").unwrap();
    let found = inspect(&reader).unwrap();
    assert_eq!(found.activity, Activity::Died { unfinished: 1 });
    assert!(found.to_string().contains("died, with 1 files unfinished"), "{found}");
}
