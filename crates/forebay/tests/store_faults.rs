//! Segment files on a file system that fails: nothing is lost, nothing half-written is visible, space comes back.

#![cfg(all(feature = "conformance", target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod support;

use std::io::{ErrorKind, IoSlice};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use bytes::Bytes;
use forebay::spill::faulty::{Errno, Fault, FaultyFs, Operation};
use forebay::spill::record::{self, Compressor};
use forebay::{Extent, SegmentOptions, SegmentStore, SpillError, SpillStore};
use tempfile::TempDir;

use crate::support::{Tmpfs, within};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

fn store_on(fs: &FaultyFs) -> (SegmentStore, TempDir) {
    let dir = TempDir::new().unwrap();
    let options = SegmentOptions::new().quota(64 * MIB as u64).file_system(Arc::new(fs.clone()));
    (options.open(dir.path()).unwrap(), dir)
}

fn append(store: &SegmentStore, owner: u64, data: &[u8]) -> Result<Extent, SpillError> {
    store.append(owner, &[IoSlice::new(data)])
}

fn read(extent: &Extent) -> Vec<u8> {
    let mut buf = vec![0; extent.len() as usize];
    extent.read(0, &mut buf).unwrap();
    buf
}

#[track_caller]
fn assert_io<T: std::fmt::Debug>(result: Result<T, SpillError>, operation: &str, kind: ErrorKind, dir: &Path) {
    match result {
        Err(SpillError::Io { operation: o, path, source }) => {
            assert_eq!((o, &*path, source.kind()), (operation, dir, kind));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_disk_that_is_full_at_any_write_of_an_append_undoes_the_append() {
    // 3,000 parts take three vectored writes.
    let data: Vec<u8> = (0..3000 * 100).map(|n| (n / 100) as u8).collect();
    let parts: Vec<IoSlice<'_>> = data.chunks(100).map(IoSlice::new).collect();
    for failing in 0..3 {
        let fs = FaultyFs::new();
        let (store, dir) = store_on(&fs);
        let earlier = append(&store, 1, b"earlier").unwrap();
        let before = store.usage();
        fs.inject(Operation::Write, failing..failing + 1, Fault::Error(Errno::NOSPC));
        assert_io(store.append(1, &parts), "write a segment in", ErrorKind::StorageFull, dir.path());
        assert_eq!((fs.fired(), fs.calls(Operation::Punch)), (1, 1));
        assert_eq!(store.usage(), before);

        let later = store.append(1, &parts).unwrap();
        assert!(read(&later) == data);
        assert_eq!(read(&earlier), b"earlier");
        drop((earlier, later));
        assert_eq!((store.usage().allocated, fs.open_files()), (0, 0));
    }
}

#[test]
fn short_writes_and_reads_are_continued() {
    let fs = FaultyFs::new();
    let (store, _dir) = store_on(&fs);
    let data: Vec<u8> = (0..5000).map(|n| (n % 251) as u8).collect();
    let parts: Vec<IoSlice<'_>> = data.chunks(13).map(IoSlice::new).collect();
    fs.inject(Operation::Write, .., Fault::Short(7));
    fs.inject(Operation::Read, .., Fault::Short(9));
    let extent = store.append(1, &parts).unwrap();
    assert!(read(&extent) == data);
    assert!(fs.calls(Operation::Write) >= 5000 / 7 && fs.calls(Operation::Read) >= 5000 / 9);
}

#[test]
fn a_write_that_gets_nowhere_is_an_error_not_a_hang() {
    within(20, || {
        let fs = FaultyFs::new();
        let (store, dir) = store_on(&fs);
        fs.inject(Operation::Write, .., Fault::Short(0));
        assert_io(append(&store, 1, b"x"), "write a segment in", ErrorKind::WriteZero, dir.path());
        assert_eq!(store.usage().allocated, 0);
    });
}

#[test]
fn interrupted_calls_are_repeated() {
    let fs = FaultyFs::new();
    let (store, _dir) = store_on(&fs);
    for operation in [Operation::Write, Operation::Read, Operation::Punch] {
        fs.inject(operation, 0..3, Fault::Error(Errno::INTR));
    }
    let extent = append(&store, 1, &[5; MIB]).unwrap();
    let _holds_the_segment = append(&store, 1, b"x").unwrap();
    assert!(read(&extent) == [5; MIB]);
    drop(extent);
    assert_eq!(fs.fired(), 9);
    assert_eq!((store.usage().allocated, store.usage().failures), (1, 0));
}

#[test]
fn a_read_error_is_reported_and_the_extent_stays() {
    let fs = FaultyFs::new();
    let (store, dir) = store_on(&fs);
    let extent = append(&store, 1, b"still there").unwrap();
    fs.inject(Operation::Read, 0..1, Fault::Error(Errno::IO));
    let error = extent.read(0, &mut [0; 11]).unwrap_err();
    let SpillError::Io { operation, path, source } = &error else { panic!("{error}") };
    assert_eq!((*operation, &**path), ("read a segment in", dir.path()));
    assert_eq!(source.raw_os_error(), Some(Errno::IO.raw_os_error()));
    assert_eq!(read(&extent), b"still there");
}

#[test]
fn a_byte_flipped_on_the_disk_is_found_by_the_record() {
    let fs = FaultyFs::new();
    let (store, _dir) = store_on(&fs);
    let sealed = record::seal(vec![Bytes::from(vec![9; 4096])], &mut Compressor::off()).unwrap();
    let extent = store.append(1, &sealed.slices().collect::<Vec<_>>()).unwrap();
    fs.inject(Operation::Read, 0..1, Fault::Flip(1000));
    let error = record::open(&read(&extent).into(), 4096, &extent).unwrap_err();
    assert!(matches!(error, SpillError::ChecksumMismatch { .. }), "{error}");
    assert!(error.to_string().contains("bytes 0..4120 of segment 0 in /"), "{error}");
    assert_eq!(record::open(&read(&extent).into(), 4096, &extent).unwrap(), vec![9; 4096]);
}

#[test]
fn a_segment_that_cannot_be_made_charges_nothing() {
    let fs = FaultyFs::new();
    let (store, dir) = store_on(&fs);
    let before = store.usage();
    fs.inject(Operation::Create, 0..1, Fault::Error(Errno::MFILE));
    let error = append(&store, 1, b"x").unwrap_err();
    assert!(matches!(&error, SpillError::Io { operation: "create a segment in", path, .. } if path == dir.path()));
    assert_eq!(store.usage(), before);
    append(&store, 1, b"x").unwrap();
}

#[test]
fn without_holes_space_comes_back_with_the_segment() {
    let fs = FaultyFs::new();
    let (store, _dir) = store_on(&fs);
    fs.inject(Operation::Punch, .., Fault::Error(Errno::OPNOTSUPP));
    let mut extents: Vec<Extent> = (0..8).map(|_| append(&store, 1, &[1; MIB]).unwrap()).collect();
    extents.truncate(1);
    assert_eq!((store.usage().live, store.usage().allocated), (MIB as u64, 8 * MIB as u64));
    assert_eq!(fs.calls(Operation::Punch), 1, "asked once");
    extents.clear();
    assert_eq!((store.usage().allocated, store.usage().failures, fs.open_files()), (0, 1, 0));
}

#[test]
fn space_that_cannot_be_given_back_is_counted_and_comes_back_with_the_segment() {
    let fs = FaultyFs::new();
    let (store, _dir) = store_on(&fs);
    let keep = append(&store, 1, &[1; MIB]).unwrap();
    let drops: Vec<Extent> = (0..3).map(|_| append(&store, 1, &[2; MIB]).unwrap()).collect();
    fs.inject(Operation::Punch, 0..2, Fault::Error(Errno::IO));
    drop(drops);
    assert_eq!((store.usage().live, store.usage().allocated), (MIB as u64, 3 * MIB as u64));
    assert_eq!(store.usage().failures, 2);
    assert_eq!(fs.calls(Operation::Punch), 3, "each is tried");
    drop(keep);
    assert_eq!(store.usage().allocated, 0);
}

#[test]
fn a_failed_append_whose_space_cannot_be_given_back_stays_charged_until_the_segment_goes() {
    let fs = FaultyFs::new();
    let (store, dir) = store_on(&fs);
    let keep = append(&store, 1, b"x").unwrap();
    fs.inject(Operation::Write, .., Fault::Error(Errno::IO));
    fs.inject(Operation::Punch, .., Fault::Error(Errno::IO));
    let error = append(&store, 1, &[1; KIB]).unwrap_err();
    assert!(matches!(&error, SpillError::Io { path, .. } if path == dir.path()), "{error}");
    assert_eq!((store.usage().live, store.usage().allocated), (1, 1 + KIB as u64));
    drop(keep);
    assert_eq!(store.usage().allocated, 0);
}

#[test]
fn a_write_that_hangs_stops_nobody_else() {
    within(20, || {
        let fs = FaultyFs::new();
        let (store, _dir) = store_on(&fs);
        let early = append(&store, 1, &[1; MIB]).unwrap();
        let other = append(&store, 1, &[2; MIB]).unwrap();
        fs.inject(Operation::Write, 0..1, Fault::Hang);
        thread::scope(|scope| {
            let hanging = scope.spawn(|| append(&store, 1, &[3; MIB]));
            fs.wait_until_hanging(1);
            // The same owner, in the same segment: append, read, give back.
            let late = append(&store, 1, &[4; MIB]).unwrap();
            assert!(read(&early) == [1; MIB] && read(&late) == [4; MIB]);
            drop(other);
            assert_eq!(store.usage().allocated, 3 * MIB as u64);
            assert!(!hanging.is_finished());
            fs.release();
            assert!(read(&hanging.join().unwrap().unwrap()) == [3; MIB]);
        });
        assert_eq!(fs.fired(), 1);
    });
}

#[test]
fn a_give_back_that_hangs_stops_nobody_else() {
    within(20, || {
        let fs = FaultyFs::new();
        let (store, _dir) = store_on(&fs);
        let extents = [1, 2].map(|n| append(&store, 1, &[n; MIB]).unwrap());
        let [first, second] = extents;
        fs.inject(Operation::Punch, 0..1, Fault::Hang);
        thread::scope(|scope| {
            scope.spawn(|| drop(first));
            fs.wait_until_hanging(1);
            assert!(read(&second) == [2; MIB]);
            let third = append(&store, 1, &[3; MIB]).unwrap();
            assert!(read(&third) == [3; MIB]);
            assert_eq!(store.usage().allocated, 3 * MIB as u64, "charged until it is given back");
            fs.release();
        });
        assert_eq!(store.usage().allocated, MIB as u64);
    });
}

/// Fills the disk under the store, and goes on once something was dropped.
fn fill_the_disk(store: &SegmentStore, dir: &Path) {
    let mut kept = Vec::new();
    let error = loop {
        match append(store, 1, &[kept.len() as u8; 256 * KIB]) {
            Ok(extent) => kept.push(extent),
            Err(error) => break error,
        }
    };
    assert_io::<()>(Err(error), "write a segment in", ErrorKind::StorageFull, dir);
    assert!(kept.len() >= 12, "{} blocks", kept.len());
    assert_eq!(store.usage().allocated, (kept.len() * 256 * KIB) as u64);
    let all_there = |kept: &[Extent]| kept.iter().enumerate().all(|(n, extent)| read(extent) == [n as u8; 256 * KIB]);
    assert!(all_there(&kept));
    // The last whole MiB of what is stored makes room for as much.
    kept.truncate((kept.len() - 5) / 4 * 4);
    for _ in 0..4 {
        kept.push(append(store, 1, &[kept.len() as u8; 256 * KIB]).unwrap());
    }
    assert!(all_there(&kept));
}

#[test]
fn a_full_disk_refuses_and_goes_on_after_a_drop() {
    let fs = FaultyFs::new().capacity(4 * MIB as u64 + 100 * KIB as u64);
    let (store, dir) = store_on(&fs);
    fill_the_disk(&store, dir.path());
    assert_eq!(fs.open_files(), 0);
}

#[test]
fn the_same_on_a_real_file_system_of_4_mib() {
    let own = Tmpfs::mount("4m");
    let store = SegmentOptions::new().quota(64 * MIB as u64).open(own.path()).unwrap();
    assert!(store.location().in_memory, "it is a tmpfs");
    fill_the_disk(&store, own.path());
}

#[test]
fn a_directory_in_memory_is_said_loudly() {
    static WARNINGS: AtomicU64 = AtomicU64::new(0);
    struct Count;
    impl tracing::Subscriber for Count {
        fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
            *metadata.level() == tracing::Level::WARN
        }
        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }
        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
        fn event(&self, _: &tracing::Event<'_>) {
            WARNINGS.fetch_add(1, Ordering::Relaxed);
        }
        fn enter(&self, _: &tracing::span::Id) {}
        fn exit(&self, _: &tracing::span::Id) {}
    }
    tracing::subscriber::with_default(Count, || {
        let (store, dir) = store_on(&FaultyFs::new().in_memory());
        assert!(store.location().in_memory);
        assert_eq!(store.location().to_string(), dir.path().display().to_string());
    });
    assert_eq!(WARNINGS.load(Ordering::Relaxed), 1);
}
