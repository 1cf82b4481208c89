//! What is particular to files.

use std::fs;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use forebay_zarr::store::Files;
use forebay_zarr::{ArraySpec, ArrayWriter, Codec, DataType, Store};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::conformance::{land, object, pattern};
use crate::faulty_fs::{Fault, FaultyFs};

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let dir = TempDir::new().unwrap();
    let store = Files::create(dir.path().join("array"), false).unwrap();
    for key in ["", "/", "/etc/passwd", "..", "c/../../x", "c//0", "c/./0", "c/", ".forebay", ".forebay/lock", "a\0b"] {
        store.begin(key).unwrap_err();
        store.put(key, b"").unwrap_err();
        store.remove(key).unwrap_err();
        store.size(key).unwrap_err();
        store.list(key).unwrap_err();
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_row_of_more_shards_than_files_may_be_open_is_written() {
    let dir = TempDir::new().unwrap();
    for unbuffered in [false, true] {
        let counting = FaultyFs::new(usize::MAX, Fault::Short(0)).only("open");
        let store = Files::create(dir.path().join(unbuffered.to_string()), false).unwrap();
        let store = store.open_files(4).unbuffered(unbuffered).file_system(counting);
        let before = fs::read_dir("/proc/self/fd").unwrap().count();
        let mut shards: Vec<_> = (0..200).map(|at| store.begin(&format!("c/0/{at}")).unwrap()).collect();
        for round in 0..3u8 {
            for (at, shard) in shards.iter_mut().enumerate() {
                shard.write(&[Bytes::from(vec![round + at as u8; 3000])]).unwrap();
            }
        }
        let open = fs::read_dir("/proc/self/fd").unwrap().count() - before;
        // Other tests of this process may have opened some.
        assert!(open < 100, "{open} files are open");
        shards.into_iter().for_each(|shard| shard.land().unwrap());
        for at in 0..200 {
            let bytes = object(&store, &format!("c/0/{at}")).unwrap();
            let expected: Vec<u8> = (0..3u8).flat_map(|round| vec![round + at as u8; 3000]).collect();
            assert_eq!(bytes, expected);
        }
    }
}

#[test]
fn a_shard_is_written_past_the_page_cache_where_that_is_possible() {
    // The temporary directory may be in memory; the one of the build is not.
    let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let counting = FaultyFs::new(usize::MAX, Fault::Error(0)).only("bypass_cache");
    let store = Files::create(dir.path(), false).unwrap().unbuffered(true).file_system(counting.clone());
    land(&store, "c/0", &pattern(3 << 20), &[100, 1 << 20, 5000]);
    assert_eq!(counting.calls(), 1);
    assert_eq!(store.unbuffered_refused(), None);
    assert!(object(&store, "c/0").unwrap() == pattern(3 << 20));
}

/// `pattern(len)`, which begins at a page of memory.
fn in_pages(len: usize) -> Bytes {
    let mut memory = BytesMut::zeroed(len + 4096);
    let _before = memory.split_to(memory.as_ptr().align_offset(4096));
    memory.truncate(len);
    memory.copy_from_slice(&pattern(len));
    memory.freeze()
}

#[test]
fn a_shard_that_begins_with_much_that_lies_in_pages_goes_past_the_page_cache_by_itself() {
    let bytes = in_pages((3 << 20) + 100);
    for (begins_with, past) in [(1 << 20, 3 << 20), ((1 << 20) - 4096, 0), ((1 << 20) + 1, 0)] {
        let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let store = Files::create(dir.path(), false).unwrap();
        let mut shard = store.begin("c/0").unwrap();
        let mut rest = bytes.clone();
        let halves = rest.split_to(begins_with).split_to(begins_with);
        let (one, other) = (halves.slice(..4096), halves.slice(4096..));
        shard.write(&[one, other]).unwrap();
        shard.write(&[rest]).unwrap();
        shard.land().unwrap();
        assert!(object(&store, "c/0").unwrap() == bytes);
        assert_eq!(store.bytes_past_cache(), past, "{:?}", store.unbuffered_refused());
    }
}

#[test]
fn chunks_that_are_stored_as_they_are_go_past_the_page_cache_and_compressed_ones_do_not() {
    for (codec, past) in [(Codec::None, 4 << 20), (Codec::default(), 0)] {
        let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let store = Arc::new(Files::create(dir.path(), false).unwrap());
        let mut spec = ArraySpec::new(DataType::UInt16, &[512, 512], &[8, 256, 256], &[8, 512, 512]);
        spec.codec = codec;
        let mut writer = ArrayWriter::create(Arc::clone(&store), spec).unwrap();
        writer.append(&pattern(4 << 20)).unwrap();
        writer.close().unwrap();
        assert_eq!(store.bytes_past_cache(), past, "{codec}: {:?}", store.unbuffered_refused());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The tail that is carried from write to write ends up where it belongs, whatever the lengths.
    #[test]
    fn pieces_of_any_length_make_the_same_shard(
        parts in proptest::collection::vec(
            prop_oneof![0..10usize, 4090..4102usize, 8185..8200usize, 0..3_000_000usize, (0..600usize).prop_map(|pages| pages << 12), Just(1 << 20)], 0..12),
        split in prop_oneof![1..5000usize, Just(4096), Just(8192)],
        aligned: bool,
        open in prop::sample::select(vec![0, 128]),
    ) {
        let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let bytes = pattern(parts.iter().sum());
        for unbuffered in [Some(false), Some(true), None] {
            let mut store = Files::create(dir.path().join(format!("{unbuffered:?}")), false).unwrap().open_files(open);
            if let Some(unbuffered) = unbuffered {
                store = store.unbuffered(unbuffered);
            }
            let mut shard = store.begin("c/0").unwrap();
            let mut rest = if aligned { in_pages(bytes.len()) } else { Bytes::from(bytes.clone()) };
            for part in &parts {
                let mut now = rest.split_to(*part);
                let head = now.split_to(split.min(now.len()));
                shard.write(&[head, now]).unwrap();
            }
            shard.land().unwrap();
            prop_assert!(object(&store, "c/0").unwrap() == bytes);
            prop_assert_eq!(store.unbuffered_refused(), None);
        }
    }
}
