//! A sink that stops for two seconds while the source cannot.
//!
//! An instrument gives a frame of 64 KiB each millisecond, workers process the frames, and the sink takes them in
//! order: until, after the first second, it hangs for two. With a budget of 16 MiB the frames fill memory after a
//! quarter of a second; what comes then goes to disk, and is read back when the sink goes on. Another thread prints
//! the counters meanwhile.
//!
//! How to read the figures: *frames* must go on rising during the stall, and *late*, the longest time that the
//! instrument had to wait to get rid of a frame, stays far below the stall. *Leased* is what the budget counted at
//! most, the resident size what the system counted, above what the process had before; the difference is the frames
//! that are being worked on, the blocks on their way to the disk, and stacks.
//!
//! ```sh
//! cargo run --release --example stalled_sink [--quick]
//! ```

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

use forebay::{Budget, Monitor, Pipeline, SegmentStore};

const FRAME: usize = 64 << 10;
const PACE: Duration = Duration::from_millis(1);

fn main() -> Result<(), Box<dyn Error>> {
    let quick = env::args().any(|arg| arg == "--quick");
    let (frames, stalls_at, stall) = if quick { (1_200, 200, 700) } else { (5_000, 1_000, 2_000) };
    let budget = Budget::new(16 << 20);
    let pipeline = Pipeline::new().budget(&budget).spill(SegmentStore::temp()?);
    let monitor = pipeline.monitor();
    let base = resident("VmRSS").unwrap_or_default();

    let (taken, latest) = (AtomicU64::new(0), AtomicU64::new(0));
    let start = Instant::now();
    let instrument = (0..frames).map(|n: u32| {
        let due = PACE * n;
        thread::sleep(due.saturating_sub(start.elapsed()));
        let late = start.elapsed().saturating_sub(due);
        latest.fetch_max(late.as_millis() as u64, Ordering::Relaxed);
        taken.fetch_add(1, Ordering::Relaxed);
        Ok::<_, io::Error>(frame(n))
    });
    let differences = |mut frame: Vec<u8>| {
        for at in (4..frame.len()).rev() {
            frame[at] = frame[at].wrapping_sub(frame[at - 1]);
        }
        Ok(frame)
    };
    let mut next = 0_u32;
    let sink = |frame: Vec<u8>| {
        if next == stalls_at {
            println!("        the sink stops for {stall} ms");
            thread::sleep(Duration::from_millis(stall));
            println!("        the sink goes on");
        }
        assert_eq!(frame[..4], next.to_le_bytes(), "frames come in order, each once");
        next += 1;
        Ok(())
    };
    let did = thread::scope(|scope| {
        // Its end is dropped when the run returns or panics, and the watcher goes.
        let (_running, over) = mpsc::channel::<()>();
        scope.spawn(|| watch(&monitor, &taken, over));
        pipeline.run(instrument, differences, sink)
    })?;

    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!("{} frames delivered, the instrument was late by at most {} ms", did.delivered, latest.into_inner());
    println!("spilled {:.0} MiB, reloaded {:.0} MiB", mib(did.spilled_bytes), mib(did.reloaded_bytes));
    println!("leased at most {:.1} MiB of {:.0} MiB", mib(budget.peak() as u64), mib(budget.limit() as u64));
    if let Some(peak) = resident("VmHWM") {
        println!("resident at most {:.1} MiB above the base of {:.1} MiB", mib(peak - base), mib(base));
    }
    assert!(did.spilled_bytes > 0 && next == frames, "the stall cost disk and no frames");
    Ok(())
}

/// Prints a line four times a second until the other end of `over` is dropped.
fn watch(monitor: &Monitor, taken: &AtomicU64, over: mpsc::Receiver<()>) {
    println!("   ms   frames  delivered  spilled MiB  reloaded MiB");
    let start = Instant::now();
    while over.recv_timeout(Duration::from_millis(250)) == Err(RecvTimeoutError::Timeout) {
        let now = monitor.snapshot();
        let (ms, taken) = (start.elapsed().as_millis(), taken.load(Ordering::Relaxed));
        let (out, back) = (now.spilled_bytes >> 20, now.reloaded_bytes >> 20);
        println!("{ms:5} {taken:8} {:10} {out:12} {back:13}", now.delivered);
    }
}

/// Frame `n`: its number, then a pattern.
fn frame(n: u32) -> Vec<u8> {
    let pattern = (4..FRAME as u32).map(|at| (at.wrapping_mul(n | 1) >> 7) as u8);
    n.to_le_bytes().into_iter().chain(pattern).collect()
}

/// Resident bytes now (`VmRSS`) or at most (`VmHWM`), where the system says so.
fn resident(field: &str) -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}
