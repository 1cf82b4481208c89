//! What a helper is worth to a scatter: frames of 4 KiB rows cut into slabs of 512 bytes wide, as the array writer does
//! it, by the caller alone and with one helper of a [`CopyPool`]. The pool's threshold is to be where the helper begins
//! to pay.
//!
//! Every scatter begins with a helper that sleeps: between two of them there is a pause, as between the frames of a
//! camera. Targets go round through more memory than the caches hold. The last line says how long a helper takes from
//! the call to its first item.

use std::hint::black_box;
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use forebay::CopyPool;
use forebay_benches::harness::{Spread, heading, rounds};

const ROW: usize = 4096;
/// Width of a slab.
const PART: usize = 512;
/// Rows of a slab, at most.
const ROWS: usize = 256;
const SIZES: [usize; 8] = [256, 512, 1024, 2048, 3072, 4096, 8192, 16384];
/// Targets go round through so many bytes: an epoch of slabs.
const TARGETS: usize = 256 << 20;
const PAUSE: Duration = Duration::from_micros(500);

fn main() -> Result<()> {
    let rounds = rounds()? * 20;
    let mut pool = CopyPool::new(1).with_threshold(0);
    heading("Scattering a frame into slabs: the caller alone, and with one helper");
    println!("| frame KiB | alone us, median | GB/s | helped us, median | GB/s | alone / helped | helper came |");
    println!("|---:|---:|---:|---:|---:|---:|---:|");
    for size in SIZES {
        row(&mut pool, size << 10, rounds);
    }
    let latency = Spread::of((0..rounds).map(|_| latency(&mut pool)));
    println!(
        "\nFrom the call to a helper's first item: {:.0} us at best, {:.0} us median.",
        latency.min, latency.median
    );
    Ok(())
}

fn row(pool: &mut CopyPool, size: usize, rounds: usize) {
    let frame: Vec<u8> = (0..size).map(|n| (n / 7) as u8).collect();
    let mut targets: Vec<Vec<u8>> = (0..(TARGETS / size).max(2)).map(|_| vec![1; size]).collect();
    let mut alone = CopyPool::new(0);
    let (mut serial, mut helped, mut came) = (Vec::new(), Vec::new(), 0);
    for round in 0..rounds {
        let count = targets.len();
        for turn in 0..2 {
            let target = &mut targets[(2 * round + turn) % count];
            thread::sleep(PAUSE);
            if (round + turn) % 2 == 0 {
                serial.push(scatter(&mut alone, &frame, target).0);
            } else {
                let (micros, helper) = scatter(pool, &frame, target);
                helped.push(micros);
                came += usize::from(helper);
            }
        }
    }
    let [serial, helped] = [serial, helped].map(|micros| Spread::of(micros.into_iter()).median);
    let rate = |micros: f64| size as f64 / micros / 1e3;
    println!(
        "| {} | {serial:.0} | {:.1} | {helped:.0} | {:.1} | {:.2} | {} % |",
        size >> 10,
        rate(serial),
        rate(helped),
        serial / helped,
        came * 100 / rounds,
    );
}

/// Microseconds, and whether a helper came.
fn scatter(pool: &mut CopyPool, frame: &[u8], target: &mut [u8]) -> (f64, bool) {
    let rows = (frame.len() / ROW).min(ROWS);
    let mut slabs: Vec<_> = target.chunks_mut(rows * PART).enumerate().collect();
    let start = Instant::now();
    let helper = pool.for_each(frame.len(), &mut slabs, |(n, slab)| {
        let first = *n / (ROW / PART) * rows * ROW + *n % (ROW / PART) * PART;
        for (row, part) in slab.chunks_exact_mut(PART).enumerate() {
            part.copy_from_slice(&frame[first + row * ROW..][..PART]);
        }
    });
    let micros = start.elapsed().as_secs_f64() * 1e6;
    black_box(target);
    (micros, helper)
}

/// Microseconds.
fn latency(pool: &mut CopyPool) -> f64 {
    thread::sleep(PAUSE);
    let (both, caller, came) = (Barrier::new(2), thread::current().id(), Mutex::new(None));
    let start = Instant::now();
    // The first item is waited with for whoever takes the second.
    pool.for_each(usize::MAX, &mut [(), ()], |()| {
        if thread::current().id() != caller {
            *came.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(start.elapsed());
        }
        both.wait();
    });
    let came = came.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    came.unwrap_or_default().as_secs_f64() * 1e6
}
