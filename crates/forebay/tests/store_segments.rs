//! Segment files on the real file system: names, space, descriptors, vanished directories.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::VecDeque;
use std::error::Error;
use std::io::IoSlice;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use forebay::{Extent, SegmentOptions, SegmentStore, SpillError, SpillStore};
use tempfile::TempDir;

const MIB: usize = 1 << 20;

fn append(store: &SegmentStore, owner: u64, data: &[u8]) -> Result<Extent, SpillError> {
    store.append(owner, &[IoSlice::new(data)])
}

fn read(extent: &Extent) -> Vec<u8> {
    let mut buf = vec![0; extent.len() as usize];
    extent.read(0, &mut buf).unwrap();
    buf
}

fn names_in(dir: &Path) -> usize {
    dir.read_dir().unwrap().count()
}

/// The segment files of this process in `dir`: what `fstat` says of each descriptor.
fn segments_in(dir: &Path) -> Vec<std::fs::Metadata> {
    let descriptors = Path::new("/proc/self/fd").read_dir().unwrap();
    descriptors
        .filter_map(|entry| {
            let path = entry.unwrap().path();
            // Other tests' descriptors come and go meanwhile.
            let target = path.read_link().ok()?;
            (target.parent()? == dir).then(|| path.metadata().ok()).flatten()
        })
        .collect()
}

fn on_disk(dir: &Path) -> u64 {
    segments_in(dir).iter().map(|segment| segment.blocks() * 512).sum()
}

#[test]
fn a_store_in_use_leaves_no_name_in_its_directory() {
    let dir = TempDir::new().unwrap();
    let store = SegmentStore::in_dir(dir.path()).unwrap();
    let extent = append(&store, 1, b"spilled").unwrap();
    assert_eq!(names_in(dir.path()), 0);
    let segments = segments_in(dir.path());
    assert_eq!(segments.len(), 1);
    assert_eq!((segments[0].nlink(), segments[0].mode() & 0o777), (0, 0o600));
    assert_eq!(read(&extent), b"spilled");
}

#[test]
fn owners_never_share_a_file_and_a_file_goes_with_its_last_extent() {
    let dir = TempDir::new().unwrap();
    let store = SegmentStore::in_dir(dir.path()).unwrap();
    let one = append(&store, 1, &[1; 1000]).unwrap();
    let again = append(&store, 1, &[1; 1000]).unwrap();
    assert_eq!(segments_in(dir.path()).len(), 1);
    let two = append(&store, 2, &[2; 1000]).unwrap();
    assert_eq!(segments_in(dir.path()).len(), 2);
    drop(one);
    assert_eq!(segments_in(dir.path()).len(), 2);
    drop(again);
    assert_eq!(segments_in(dir.path()).len(), 1);
    assert_eq!(store.usage().allocated, 1000);
    assert_eq!(read(&two), [2; 1000]);
}

#[test]
fn space_on_disk_falls_as_extents_are_dropped() {
    let dir = TempDir::new().unwrap();
    let store = SegmentStore::in_dir(dir.path()).unwrap();
    let mut extents: VecDeque<Extent> = (0..64).map(|_| append(&store, 1, &[7; MIB / 4]).unwrap()).collect();
    assert!(on_disk(dir.path()) >= 16 * MIB as u64);
    for left in [12, 4, 1] {
        extents.drain(..extents.len() - left * 4);
        assert_eq!(store.usage().allocated, (left * MIB) as u64);
        // The file system keeps a few blocks of its own for the file.
        assert!(on_disk(dir.path()) <= (left * MIB + MIB / 2) as u64, "{} bytes", on_disk(dir.path()));
        assert_eq!(segments_in(dir.path()).len(), 1);
        assert!(extents.iter().all(|extent| read(extent) == [7; MIB / 4]));
    }
}

#[test]
fn ten_times_the_quota_passes_through() {
    let dir = TempDir::new().unwrap();
    let quota = 16 * MIB;
    let store = SegmentOptions::new().quota(quota as u64).segment_size(4 * MIB as u64).open(dir.path()).unwrap();
    let mut live = VecDeque::new();
    for round in 0..10 * quota / (MIB / 4) {
        live.push_back((round as u8, append(&store, 1, &[round as u8; MIB / 4]).unwrap()));
        if live.len() > quota / 2 / (MIB / 4) {
            let (value, oldest) = live.pop_front().unwrap();
            assert_eq!(read(&oldest), [value; MIB / 4]);
        }
        if round % 40 == 0 {
            assert!(on_disk(dir.path()) <= quota as u64);
        }
    }
    drop(live);
    assert_eq!((store.usage().allocated, segments_in(dir.path()).len()), (0, 0));
}

#[test]
fn an_append_larger_than_a_segment_gets_one_of_its_own_size() {
    let dir = TempDir::new().unwrap();
    let store = SegmentOptions::new().segment_size(MIB as u64).open(dir.path()).unwrap();
    let small = append(&store, 1, &[1; 100]).unwrap();
    let large = append(&store, 1, &[2; 3 * MIB + 5]).unwrap();
    let after = append(&store, 1, &[3; 100]).unwrap();
    assert_eq!(segments_in(dir.path()).len(), 3);
    assert_eq!(read(&small), [1; 100]);
    assert_eq!(read(&large), [2; 3 * MIB + 5]);
    assert_eq!(read(&after), [3; 100]);
}

#[test]
fn a_vanished_directory_fails_new_segments_and_loses_nothing() {
    let parent = TempDir::new().unwrap();
    let dir = parent.path().join("spill");
    std::fs::create_dir(&dir).unwrap();
    let store = SegmentStore::in_dir(&dir).unwrap();
    let first = append(&store, 1, b"first").unwrap();
    std::fs::remove_dir(&dir).unwrap();

    let second = append(&store, 1, b"second").expect("the open segment needs no directory");
    let before = store.usage();
    let error = append(&store, 2, b"third").unwrap_err();
    let SpillError::Io { operation, path, source } = &error else { panic!("{error}") };
    assert_eq!((*operation, path), ("create a segment in", &dir));
    assert_eq!(source.kind(), std::io::ErrorKind::NotFound);
    assert!(error.to_string().contains(dir.to_str().unwrap()) && error.source().is_some());
    assert_eq!(store.usage(), before);

    // Made again by somebody: new segments go there, earlier extents are still what they were.
    std::fs::create_dir(&dir).unwrap();
    let third = append(&store, 2, b"third").unwrap();
    assert_eq!(read(&first), b"first");
    assert_eq!(read(&second), b"second");
    assert_eq!(read(&third), b"third");
}

#[test]
fn a_directory_that_cannot_be_used_is_refused_when_the_store_is_opened() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    for path in [dir.path().join("missing"), file] {
        let error = SegmentStore::in_dir(&path).unwrap_err();
        assert!(matches!(&error, SpillError::Io { path: p, .. } if *p == path), "{error}");
    }
}

#[test]
fn the_default_quota_is_a_quarter_of_the_free_space() {
    let dir = TempDir::new().unwrap();
    let free = || {
        let stat = rustix::fs::statvfs(dir.path()).unwrap();
        stat.f_bavail * stat.f_frsize
    };
    let (before, quota, after) = (free(), SegmentStore::in_dir(dir.path()).unwrap().usage().quota, free());
    // Others write to the same file system meanwhile.
    let slack = 256 * MIB as u64;
    assert!(quota >= before.min(after).saturating_sub(slack) / 4 && quota <= (before.max(after) + slack) / 4);
}
