//! What is particular to files.

use std::fs;

use bytes::Bytes;
use forebay_zarr::Store;
use forebay_zarr::store::Files;
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The tail that is carried from write to write ends up where it belongs, whatever the lengths.
    #[test]
    fn pieces_of_any_length_make_the_same_shard(
        parts in proptest::collection::vec(
            prop_oneof![0..10usize, 4090..4102usize, 8185..8200usize, 0..3_000_000usize, Just(1 << 20)], 0..12),
        split in 1..5000usize,
        open in prop::sample::select(vec![0, 128]),
    ) {
        let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let bytes = pattern(parts.iter().sum());
        for unbuffered in [false, true] {
            let store = Files::create(dir.path().join(unbuffered.to_string()), false).unwrap();
            let store = store.unbuffered(unbuffered).open_files(open);
            let mut shard = store.begin("c/0").unwrap();
            let mut rest = Bytes::from(bytes.clone());
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
