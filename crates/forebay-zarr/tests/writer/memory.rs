//! What a writer takes, held against what was said before the first frame. Each in a process of its own.

use std::thread;
use std::time::Duration;

use forebay::SegmentStore;
use forebay_zarr::store::{Discard, Stalling};
use forebay_zarr::{ArraySpec, ArrayWriter, Codec, DataType, WriterMonitor, WriterOptions, memory_estimate};

use crate::reading::noise;
use crate::support::{alone, memory, reset_peak, until};

const WORKERS: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Situation {
    /// An append comes when no chunk waits for a worker, and the store has what was compressed.
    Steady,
    /// An append comes when no chunk waits for a worker; the store stands still, and what finds no room spills.
    Stalled,
    /// Appends come as fast as they can, the store stands still, and nothing spills: until nothing moves any more.
    Full,
    /// The same, but everything spills.
    FullAndSpilling,
}
use Situation::*;

/// Bytes that do not become smaller, or do: of two, one holds three bits of noise.
fn content(bytes: usize, compressible: bool) -> Vec<u8> {
    let mut data = noise(bytes, 1);
    if compressible {
        data.chunks_mut(2).for_each(|pair| {
            pair[0] &= 7;
            pair[1..].fill(0);
        });
    }
    data
}

/// The resident size grows by what was estimated for `situation`, within a tenth or 8 MiB.
fn takes_what_was_estimated(spec: ArraySpec, bytes: u64, compressible: bool, situation: Situation) {
    let frames_per_append = ((1 << 20) / spec.frame_bytes()).max(1);
    let bytes_per_append = (frames_per_append * spec.frame_bytes()) as usize;
    let appends = (bytes / bytes_per_append as u64) as usize;
    // So many that no chunk holds the same noise twice, which would compress.
    let data = content(61 * bytes_per_append, compressible);
    let estimate = memory_estimate(&spec, WORKERS).unwrap();

    let before = memory("VmRSS");
    reset_peak();
    let (store, stall) = Stalling::new(Discard::new());
    let mut options = WriterOptions::new().workers(WORKERS);
    if matches!(situation, Stalled | FullAndSpilling) {
        options = options.spill(SegmentStore::temp().unwrap());
    }
    let mut writer = options.create(store, spec.clone()).unwrap();
    let monitor = writer.monitor();
    if situation != Steady {
        stall.stall();
    }
    let producer = thread::spawn({
        let monitor = monitor.clone();
        move || {
            for (n, part) in data.chunks(bytes_per_append).cycle().take(appends).enumerate() {
                withhold(&spec, &monitor, n as u64 * frames_per_append, situation);
                writer.append(part).unwrap();
            }
            // With the data: what is freed before the end would hide what is taken there.
            (writer, data)
        }
    });
    if situation == Full {
        until_nothing_moves(&monitor);
        assert!(!producer.is_finished());
        stall.go_on();
    }
    let (writer, _data): (ArrayWriter, _) = producer.join().unwrap();
    if matches!(situation, Stalled | FullAndSpilling) {
        assert!(monitor.snapshot().engine.spilled_items > 0);
        stall.go_on();
    }
    let waits = monitor.snapshot().append_waits;
    assert!(waits == 0 || matches!(situation, Full | FullAndSpilling), "{waits} appends waited");
    writer.close().unwrap();

    let used = memory("VmHWM") - before;
    let snapshot = monitor.snapshot();
    let ratio = snapshot.packed_in as f64 / snapshot.packed_out as f64;
    assert!(compressible == (ratio > 3.0), "{ratio}");
    let expected = match situation {
        Steady => estimate.steady(ratio),
        Stalled => estimate.stalled(ratio),
        Full => estimate.full(ratio),
        FullAndSpilling => estimate.full(ratio) + estimate.reload,
    };
    let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
    let slabs = mib(snapshot.slab_bytes_peak as usize);
    println!(
        "used {:.1} of {:.1} MiB, slabs {slabs:.1}, {situation:?}, ratio {ratio:.2}; {estimate}",
        mib(used),
        mib(expected)
    );
    let slack = (expected / 10).max(8 << 20);
    assert!(used.abs_diff(expected) <= slack, "used {:.1}, said {:.1}", mib(used), mib(expected));
}

/// Waits until the append that begins with frame `frame` may come.
fn withhold(spec: &ArraySpec, monitor: &WriterMonitor, frame: u64, situation: Situation) {
    if matches!(situation, Full | FullAndSpilling) {
        return;
    }
    // Chunks that are one deep are begun one after the other here, all others side by side.
    let side_by_side = if spec.chunk[0] == 1 { 1 } else { chunks_of_a_layer(spec) };
    let append = spec.frame_bytes().max(1 << 20);
    let most = ((side_by_side + WORKERS as u64) * spec.chunk_bytes()).max(append);
    until("the workers have compressed what they must", || {
        let now = monitor.snapshot();
        let compressed = frame * spec.frame_bytes() - now.packed_in + append <= most;
        // Less than a write waits for more.
        let written = now.packed_out.saturating_sub(now.bytes_out) < 1 << 20;
        compressed && (written || situation != Steady)
    });
}

fn chunks_of_a_layer(spec: &ArraySpec) -> u64 {
    spec.frame.iter().zip(&spec.chunk[1..]).map(|(frame, chunk)| frame.div_ceil(*chunk)).product()
}

fn until_nothing_moves(monitor: &WriterMonitor) {
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
}

/// 16 chunks of 4 MiB at a time.
fn camera() -> ArraySpec {
    ArraySpec::new(DataType::UInt16, &[1024, 1024], &[32, 256, 256], &[64, 512, 512])
}

fn camera_without_a_codec() -> ArraySpec {
    let mut spec = camera();
    spec.codec = Codec::None;
    spec
}

/// One chunk of 16 MiB at a time.
fn large_frames() -> ArraySpec {
    let mut spec = ArraySpec::new(DataType::UInt8, &[4096, 4096], &[1, 4096, 4096], &[8, 4096, 4096]);
    spec.codec = Codec::Zstd { level: 1 };
    spec
}

/// One chunk of 256 KiB at a time.
fn small_frames() -> ArraySpec {
    ArraySpec::new(DataType::UInt16, &[16, 16], &[512, 16, 16], &[4096, 16, 16])
}

macro_rules! estimates {
    ($($name:ident: $spec:ident, $mib:literal MiB, compressible $compressible:literal, $situation:ident;)*) => {$(
        #[test]
        fn $name() {
            alone(concat!("memory::", stringify!($name)), 240, || {
                takes_what_was_estimated($spec(), $mib << 20, $compressible, $situation);
            });
        }
    )*};
}

estimates! {
    camera_steady: camera, 300 MiB, compressible false, Steady;
    camera_steady_compressible: camera, 300 MiB, compressible true, Steady;
    camera_stalled: camera, 400 MiB, compressible false, Stalled;
    camera_stalled_compressible: camera, 900 MiB, compressible true, Stalled;
    camera_full: camera, 400 MiB, compressible false, Full;
    camera_full_compressible: camera, 900 MiB, compressible true, Full;
    camera_without_a_codec_steady: camera_without_a_codec, 300 MiB, compressible false, Steady;
    camera_without_a_codec_stalled: camera_without_a_codec, 800 MiB, compressible false, Stalled;
    camera_without_a_codec_full: camera_without_a_codec, 400 MiB, compressible false, FullAndSpilling;
    large_frames_steady: large_frames, 400 MiB, compressible false, Steady;
    large_frames_steady_compressible: large_frames, 400 MiB, compressible true, Steady;
    large_frames_stalled: large_frames, 1000 MiB, compressible false, Stalled;
    large_frames_full: large_frames, 800 MiB, compressible false, Full;
    small_frames_steady: small_frames, 100 MiB, compressible false, Steady;
    small_frames_steady_compressible: small_frames, 100 MiB, compressible true, Steady;
    small_frames_stalled: small_frames, 100 MiB, compressible false, Stalled;
    small_frames_full: small_frames, 200 MiB, compressible false, Full;
}
