//! What a writer takes, held against what was said before the first frame. Each in a process of its own.

use std::thread;
use std::time::Duration;

use forebay::SegmentStore;
use forebay_zarr::store::{Discard, Stalling};
use forebay_zarr::{ArraySpec, Codec, DataType, WriterOptions, memory_estimate};

use crate::reading::noise;
use crate::support::{alone, memory, reset_peak, until};

const WORKERS: usize = 2;

/// The resident size grows by what was estimated, within a tenth or 8 MiB, when everything fills up that may: the
/// store stands still until nothing moves any more. With a spill store, until all frames are in.
fn takes_what_was_estimated(spec: ArraySpec, bytes: u64, spill: bool) {
    let frames = bytes / spec.frame_bytes();
    let per_append = ((1 << 20) / spec.frame_bytes()).max(1);
    let bytes_per_append = (per_append * spec.frame_bytes()) as usize;
    // So many that no chunk holds the same noise twice, which would compress.
    let data = noise(61 * bytes_per_append, 1);
    let estimate = memory_estimate(&spec, WORKERS).unwrap();

    let before = memory("VmRSS");
    reset_peak();
    let (store, stall) = Stalling::new(Discard::new());
    let mut options = WriterOptions::new().workers(WORKERS);
    if spill {
        options = options.spill(SegmentStore::temp().unwrap());
    }
    let mut writer = options.create(store, spec).unwrap();
    let monitor = writer.monitor();
    stall.stall();
    let producer = thread::spawn(move || {
        for part in data.chunks(bytes_per_append).cycle().take((frames / per_append) as usize) {
            writer.append(part).unwrap();
        }
        writer
    });
    if spill {
        until("all frames are in", || producer.is_finished());
        assert!(monitor.snapshot().engine.spilled_items > 0);
    } else {
        // Looked at for a second: a thread may not get its turn for a while.
        let (mut last, mut looks) = ((0, 0), 0);
        until("nothing moves", || {
            thread::sleep(Duration::from_millis(100));
            let now = monitor.snapshot();
            let still = now.append_waits > 0 && (now.bytes_in, now.packed_in) == last;
            looks = if still { looks + 1 } else { 0 };
            last = (now.bytes_in, now.packed_in);
            looks == 10
        });
        assert!(!producer.is_finished());
    }
    stall.go_on();
    producer.join().unwrap().close().unwrap();

    let used = memory("VmHWM") - before;
    let margin = (estimate.total() / 10).max(8 << 20);
    println!("used {:.1} MiB of {estimate}", used as f64 / f64::from(1 << 20));
    assert!(used.abs_diff(estimate.total()) <= margin, "used {} of {estimate}", used >> 20);
}

#[test]
fn of_a_camera() {
    alone("memory::of_a_camera", 240, || {
        let spec = ArraySpec::new(DataType::UInt16, &[1024, 1024], &[32, 256, 256], &[64, 512, 512]);
        takes_what_was_estimated(spec, 400 << 20, false);
    });
}

#[test]
fn of_a_camera_without_a_codec() {
    alone("memory::of_a_camera_without_a_codec", 240, || {
        let mut spec = ArraySpec::new(DataType::UInt16, &[1024, 1024], &[32, 256, 256], &[64, 512, 512]);
        spec.codec = Codec::None;
        takes_what_was_estimated(spec, 400 << 20, true);
    });
}

#[test]
fn of_chunks_that_are_whole_large_frames() {
    alone("memory::of_chunks_that_are_whole_large_frames", 240, || {
        let mut spec = ArraySpec::new(DataType::UInt8, &[4096, 4096], &[1, 4096, 4096], &[8, 4096, 4096]);
        spec.codec = Codec::Zstd { level: 1 };
        takes_what_was_estimated(spec, 800 << 20, false);
    });
}

#[test]
fn of_small_frames() {
    alone("memory::of_small_frames", 240, || {
        let spec = ArraySpec::new(DataType::UInt16, &[16, 16], &[512, 16, 16], &[4096, 16, 16]);
        takes_what_was_estimated(spec, 200 << 20, false);
    });
}
