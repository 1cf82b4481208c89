//! What holds for every store.

use bytes::Bytes;
use forebay_zarr::Store;
use forebay_zarr::store::{Discard, Files, Memory, Stalling, Throttled};
use tempfile::TempDir;

/// All bytes of object `key`, if there is one.
pub(crate) fn object(store: &dyn Store, key: &str) -> Option<Vec<u8>> {
    let mut bytes = vec![0; store.size(key).unwrap()? as usize];
    store.read(key, 0, &mut bytes).unwrap();
    Some(bytes)
}

/// Bytes that tell where they are.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// Lands a shard that is written in `parts` of such lengths.
pub(crate) fn land(store: &dyn Store, key: &str, bytes: &[u8], parts: &[usize]) {
    let mut shard = store.begin(key).unwrap();
    let mut rest = bytes;
    for &part in parts {
        let (now, later) = rest.split_at(part);
        shard.write(&[Bytes::copy_from_slice(now)]).unwrap();
        rest = later;
    }
    shard.write(&[Bytes::copy_from_slice(rest)]).unwrap();
    shard.land().unwrap();
}

fn names(store: &dyn Store, key: &str) -> Vec<String> {
    let mut names = store.list(key).unwrap();
    names.sort_unstable();
    names
}

fn small_objects_are_replaced_whole(store: &dyn Store) {
    assert_eq!(store.size("zarr.json").unwrap(), None);
    store.read("zarr.json", 0, &mut [0]).unwrap_err();
    store.put("zarr.json", b"the first").unwrap();
    assert_eq!(object(store, "zarr.json").unwrap(), b"the first");
    store.put("zarr.json", b"2nd").unwrap();
    assert_eq!(object(store, "zarr.json").unwrap(), b"2nd");
    store.put("frames/0.ndjson", b"").unwrap();
    assert_eq!(object(store, "frames/0.ndjson").unwrap(), b"");
}

fn reading_begins_and_ends_where_it_is_told(store: &dyn Store) {
    store.put("ranges", b"0123456789").unwrap();
    let mut out = [0; 3];
    store.read("ranges", 7, &mut out).unwrap();
    assert_eq!(&out, b"789");
    store.read("ranges", 10, &mut []).unwrap();
    for offset in [8, 10, 11, u64::MAX] {
        store.read("ranges", offset, &mut out).unwrap_err();
    }
}

fn removing_takes_what_is_beneath_and_nothing_else(store: &dyn Store) {
    for key in ["r/1", "r/1x", "r/10/0", "r/2/0", "r/2/1/0", "r/20"] {
        store.put(key, b"x").unwrap();
    }
    assert_eq!(names(store, "r"), ["1", "10", "1x", "2", "20"]);
    store.remove("r/1").unwrap();
    store.remove("r/2").unwrap();
    store.remove("r/3").unwrap();
    store.remove("never/there").unwrap();
    assert_eq!(names(store, "r"), ["10", "1x", "20"]);
    assert_eq!(names(store, "r/10"), ["0"]);
    assert_eq!(names(store, "never"), [""; 0]);
    assert_eq!(names(store, "r/20"), [""; 0], "an object has nothing beneath it");
    assert_eq!(store.size("r/10").unwrap(), None, "what is above an object is none");
}

fn a_shard_is_seen_when_it_has_landed(store: &dyn Store) {
    let bytes = pattern(100_000);
    let mut shard = store.begin("c/0/0").unwrap();
    let parts: Vec<Bytes> = bytes.chunks(37).map(Bytes::copy_from_slice).collect();
    assert!(parts.len() > 2000, "more than the system takes at once");
    shard.write(&parts[..1000]).unwrap();
    shard.write(&[]).unwrap();
    shard.write(&[Bytes::new(), Bytes::new()]).unwrap();
    shard.write(&parts[1000..]).unwrap();
    assert_eq!(store.size("c/0/0").unwrap(), None);
    assert_eq!(names(store, "c"), [""; 0]);
    shard.land().unwrap();
    assert_eq!(object(store, "c/0/0").unwrap(), bytes);
    assert_eq!(names(store, "c"), ["0"]);
}

fn a_shard_takes_the_place_of_an_older_one_when_it_lands(store: &dyn Store) {
    land(store, "c/1/0", b"the older one", &[]);
    let mut shard = store.begin("c/1/0").unwrap();
    shard.write(&[Bytes::from_static(b"newer")]).unwrap();
    assert_eq!(object(store, "c/1/0").unwrap(), b"the older one");
    shard.land().unwrap();
    assert_eq!(object(store, "c/1/0").unwrap(), b"newer");
}

fn a_shard_that_is_dropped_leaves_nothing(store: &dyn Store) {
    let mut shard = store.begin("c/2/0").unwrap();
    shard.write(&[Bytes::from(pattern(10_000))]).unwrap();
    drop(shard);
    assert_eq!(store.size("c/2/0").unwrap(), None);
    assert!(!names(store, "c").contains(&"2".to_owned()));
}

fn shards_are_written_at_the_same_time(store: &dyn Store) {
    let mut shards: Vec<_> = (0..10).map(|at| (at, store.begin(&format!("c/3/{at}")).unwrap())).collect();
    for round in 0..7 {
        for (at, shard) in &mut shards {
            shard.write(&[Bytes::from(vec![*at * 10 + round; 1000])]).unwrap();
        }
    }
    for (at, shard) in shards {
        shard.land().unwrap();
        let expected: Vec<u8> = (0..7).flat_map(|round| vec![at * 10 + round; 1000]).collect();
        assert_eq!(object(store, &format!("c/3/{at}")).unwrap(), expected);
    }
}

fn an_empty_shard_lands_too(store: &dyn Store) {
    store.begin("c/4/0").unwrap().land().unwrap();
    assert_eq!(object(store, "c/4/0").unwrap(), b"");
}

/// All of it, for a store that is empty.
fn conforms(store: &dyn Store) {
    small_objects_are_replaced_whole(store);
    reading_begins_and_ends_where_it_is_told(store);
    removing_takes_what_is_beneath_and_nothing_else(store);
    a_shard_is_seen_when_it_has_landed(store);
    a_shard_takes_the_place_of_an_older_one_when_it_lands(store);
    a_shard_that_is_dropped_leaves_nothing(store);
    shards_are_written_at_the_same_time(store);
    an_empty_shard_lands_too(store);
}

#[test]
fn files_conform() {
    let dir = TempDir::new().unwrap();
    conforms(&Files::create(dir.path(), false).unwrap());
}

#[test]
fn unbuffered_files_conform() {
    let dir = TempDir::new().unwrap();
    conforms(&Files::create(dir.path(), false).unwrap().unbuffered(true));
}

#[test]
fn files_that_are_not_kept_open_conform() {
    let dir = TempDir::new().unwrap();
    for (open, unbuffered) in [(0, false), (1, false), (0, true), (3, true)] {
        let path = dir.path().join(format!("{open}-{unbuffered}"));
        conforms(&Files::create(path, false).unwrap().open_files(open).unbuffered(unbuffered));
    }
}

#[test]
fn memory_conforms() {
    conforms(&Memory::new());
}

#[test]
fn wrappers_conform() {
    conforms(&Throttled::new(Memory::new(), 100 << 20));
    let (store, stall) = Stalling::new(Memory::new());
    conforms(&store);
    assert_eq!(stall.waits(), 0);
}

#[test]
fn discard_keeps_what_is_small_and_counts_the_rest() {
    let store = Discard::new();
    small_objects_are_replaced_whole(&store);
    reading_begins_and_ends_where_it_is_told(&store);
    removing_takes_what_is_beneath_and_nothing_else(&store);
    land(&store, "c/0", &pattern(1000), &[1, 10, 100]);
    drop(store.begin("c/1").unwrap());
    assert_eq!((store.bytes(), store.shards(), store.size("c/0").unwrap()), (1000, 1, None));
}
