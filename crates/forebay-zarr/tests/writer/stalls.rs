//! Stores that stop: with a spill store frames go on, without one appends wait.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use forebay::{MemoryStore, SegmentStore};
use forebay_zarr::store::{Memory, Stall, Stalling};
use forebay_zarr::{ArraySpec, ArrayWriter, Codec, DataType, WriteError, WriterOptions, memory_estimate};

use crate::reading::{memory, noise, objects, read};
use crate::support::within;

/// Frames of 128 KiB.
fn spec() -> ArraySpec {
    ArraySpec::new(DataType::UInt16, &[256, 256], &[8, 64, 64], &[16, 128, 256])
}

fn stalling() -> (Arc<Memory>, Stalling<Arc<Memory>>, Stall) {
    let store = memory();
    let (stalling, stall) = Stalling::new(Arc::clone(&store));
    (store, stalling, stall)
}

/// What the array is when nothing stalls.
fn undisturbed(data: &[u8], spec: ArraySpec) -> Arc<Memory> {
    let store = memory();
    let mut writer = ArrayWriter::create(Arc::clone(&store), spec).unwrap();
    writer.append(data).unwrap();
    writer.close().unwrap();
    store
}

fn stalled_with_spill(codec: Codec) {
    within(120, move || {
        let spec = ArraySpec { codec, ..spec() };
        let (store, stalling, stall) = stalling();
        let options = WriterOptions::new().workers(2).spill(SegmentStore::temp().unwrap());
        let mut writer = options.create(stalling, spec.clone()).unwrap();
        let monitor = writer.monitor();
        stall.stall();
        // Ten times what fits into memory, all of it while the store stands still.
        let most = memory_estimate(&spec, 2).unwrap().total();
        let frames = 10 * most as u64 / spec.frame_bytes();
        let block: Vec<u8> = noise(16 * spec.frame_bytes() as usize, 3);
        let mut data = Vec::new();
        for part in block.chunks(spec.frame_bytes() as usize).cycle().take(frames as usize) {
            writer.append(part).unwrap();
            data.extend_from_slice(part);
        }
        let snapshot = monitor.snapshot();
        assert_eq!((snapshot.frames_appended, snapshot.frames_landed), (frames, 0));
        assert_eq!(snapshot.bytes_at_risk, data.len() as u64);
        assert!(snapshot.engine.spilled_items > 0, "{snapshot:?}");
        assert!(snapshot.frames_spilled > frames / 4, "{snapshot:?}");
        assert!(snapshot.slab_bytes_peak <= most as u64);
        stall.go_on();
        let recorded = writer.close().unwrap();
        assert_eq!(recorded.frames, frames);
        assert_eq!(recorded.snapshot.engine.spilled_items, recorded.snapshot.engine.reloaded_items);
        assert_eq!((recorded.snapshot.bytes_at_risk, recorded.snapshot.frames_spilled), (0, 0));
        assert!(objects(&store, "c") == objects(&undisturbed(&data, spec), "c"), "spilling changes no byte");
    });
}

#[test]
fn a_store_that_stops_costs_disk_and_not_frames() {
    stalled_with_spill(Codec::default());
}

#[test]
fn slabs_that_nobody_compresses_spill_as_well() {
    stalled_with_spill(Codec::None);
}

#[test]
fn without_a_spill_store_appends_wait_until_the_store_goes_on() {
    within(120, || {
        let spec = ArraySpec { codec: Codec::None, ..spec() };
        let (store, stalling, stall) = stalling();
        let mut writer = WriterOptions::new().workers(2).create(stalling, spec.clone()).unwrap();
        let monitor = writer.monitor();
        stall.stall();
        let data = noise(48 << 20, 5);
        let appended = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&appended);
        let producer = thread::spawn(move || {
            writer.append(&data).unwrap();
            done.store(true, Ordering::SeqCst);
            writer.close().unwrap();
            data
        });
        while monitor.snapshot().append_waits == 0 {
            thread::yield_now();
        }
        assert!(stall.waited_more_than(0, Duration::from_secs(60)));
        assert!(!appended.load(Ordering::SeqCst));
        let most = memory_estimate(&spec, 2).unwrap();
        assert!(monitor.snapshot().slab_bytes_peak <= most.total() as u64);
        stall.go_on();
        let data = producer.join().unwrap();
        let (_, frames, found) = read(&store);
        assert_eq!(frames, 384);
        assert!(found == data);
    });
}

#[test]
fn try_append_gives_back_what_there_is_no_memory_for() {
    within(120, || {
        let spec = ArraySpec { codec: Codec::None, ..spec() };
        let (store, stalling, stall) = stalling();
        let mut writer = WriterOptions::new().workers(2).create(stalling, spec).unwrap();
        stall.stall();
        let data = noise(48 << 20, 7);
        let rest = writer.try_append(&data).unwrap();
        assert!(!rest.is_empty() && rest.len() < data.len());
        stall.go_on();
        writer.append(rest).unwrap();
        writer.close().unwrap();
        assert!(read(&store).2 == data);
    });
}

#[test]
fn a_full_spill_store_is_a_typed_end_and_what_had_landed_stays() {
    within(120, || {
        let (store, stalling, stall) = stalling();
        let options = WriterOptions::new().workers(2).spill(MemoryStore::new(4 << 20));
        let mut writer = options.create(stalling, spec()).unwrap();
        let row = noise(16 * spec().frame_bytes() as usize, 9);
        writer.append(&row).unwrap();
        assert_eq!(writer.flush().unwrap(), 16);
        stall.stall();
        let error = (0..1000).find_map(|_| writer.append(&row).err()).unwrap();
        // The one call that the store has in progress must come back before the threads can end.
        stall.go_on();
        assert!(matches!(error, WriteError::Spill(_)), "{error}");
        assert!(error.to_string().contains("cannot spill"), "{error}");
        let again = writer.append(&row).unwrap_err();
        assert!(matches!(again, WriteError::Spill(_)), "{again}");
        drop(writer);
        let (_, frames, found) = read(&store);
        assert_eq!(frames % 16, 0);
        assert!(found.chunks(row.len()).all(|found| found == row));
    });
}

#[test]
fn a_writer_that_is_dropped_while_the_store_stands_still_waits_for_one_call_and_leaves_nothing() {
    within(120, || {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.zarr");
        let (stalling, stall) = Stalling::new(forebay_zarr::store::Files::create(&path, false).unwrap());
        let spec = spec();
        let mut writer = WriterOptions::new().workers(2).create(stalling, spec.clone()).unwrap();
        let row = noise(16 * spec.frame_bytes() as usize, 9);
        stall.stall();
        writer.append(&row).unwrap();
        writer.append(&row[..row.len() / 2]).unwrap();
        assert!(stall.waited_more_than(0, Duration::from_secs(60)));
        let (dropped, is_dropped) = mpsc::channel();
        let dropper = thread::spawn(move || {
            drop(writer);
            dropped.send(()).unwrap();
        });
        assert!(is_dropped.recv_timeout(Duration::from_millis(50)).is_err(), "the call in progress is waited for");
        stall.go_on();
        dropper.join().unwrap();
        let store = forebay_zarr::store::Files::open(&path).unwrap();
        assert_eq!(read(&store).1, 0);
        assert_eq!(std::fs::read_dir(path.join(".forebay")).unwrap().count(), 1, "the new lock");
    });
}
