//! Three ways to bring the results of several workers back to one thread, in order: each worker
//! keeps a vector, and they are put in order at the end; one channel; the ring. Beside them the
//! engine, which uses what this table shows to be best.
//!
//! Workers take their items from one counter (the ring from its source). What differs is how the
//! results come back.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use forebay::Pipeline;
use forebay_benches::harness::{Variant, alternate, calibrate, heading, measure, spin, variant};
use forebay_benches::ring;

const WINDOW: usize = 1024;
const RING: &str = "ring, batches of 64";

fn main() -> Result<()> {
    let spins = calibrate(Duration::from_micros(1));
    for items in [10_000, 100_000] {
        for workers in [4, 8, 16] {
            heading(&format!("Collecting {items} results of 1 us of work from {workers} workers"));
            println!("{}", table(items, workers, move |seq| spin(seq, spins))?);
        }
    }
    Ok(())
}

fn table(items: u64, workers: usize, work: impl Fn(u64) -> u64 + Sync + Copy) -> Result<String> {
    let expected = (0..items).map(work).fold(0, digest);
    let checked = |run: &dyn Fn() -> u64| {
        let (cost, got) = measure(|| Ok(run()))?;
        ensure!(got == expected, "other results than a plain loop's");
        Ok(cost)
    };
    let mut variants: Vec<Variant<'_>> = Vec::new();
    for batch in [1, 64] {
        let named = |way| {
            if batch == 1 { format!("{way}, one by one") } else { format!("{way}, batches of {batch}") }
        };
        variants.push(variant(named("vectors"), move |_| checked(&|| vectors(items, workers, batch, work))));
        variants.push(variant(named("channel"), move |_| checked(&|| channel(items, workers, batch, work))));
        variants.push(variant(named("ring"), move |_| {
            checked(&|| {
                let mut sum = 0;
                ring::run(0..items, workers, WINDOW, batch as usize, work, |result| sum = digest(sum, result));
                sum
            })
        }));
    }
    variants.push(variant("forebay", move |_| {
        let (cost, got) = measure(|| {
            let mut sum = 0;
            let source = (0..items).map(Ok::<_, io::Error>);
            let sink = |result| {
                sum = digest(sum, result);
                Ok(())
            };
            Pipeline::new().workers(workers).run(source, |seq| Ok(work(seq)), sink)?;
            Ok(sum)
        })?;
        ensure!(got == expected, "other results than a plain loop's");
        Ok(cost)
    }));
    Ok(alternate(variants)?.table(RING))
}

/// Depends on the order.
fn digest(sum: u64, result: u64) -> u64 {
    sum.rotate_left(5) ^ result
}

/// The numbers of the next items to work on, `batch` at a time, until there are no more.
fn batches(next: &AtomicU64, items: u64, batch: u64) -> impl Iterator<Item = std::ops::Range<u64>> {
    std::iter::from_fn(move || {
        let first = next.fetch_add(batch, Ordering::Relaxed);
        (first < items).then(|| first..items.min(first + batch))
    })
}

fn vectors(items: u64, workers: usize, batch: u64, work: impl Fn(u64) -> u64 + Sync) -> u64 {
    let (next, work) = (&AtomicU64::new(0), &work);
    let mut all: Vec<(u64, u64)> = thread::scope(|scope| {
        let worker = || batches(next, items, batch).flatten().map(|seq| (seq, work(seq))).collect::<Vec<_>>();
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("the work does not panic")).collect()
    });
    all.sort_unstable_by_key(|&(seq, _)| seq);
    all.into_iter().fold(0, |sum, (_, result)| digest(sum, result))
}

fn channel(items: u64, workers: usize, batch: u64, work: impl Fn(u64) -> u64 + Sync) -> u64 {
    let (next, work) = (&AtomicU64::new(0), &work);
    let mut all = vec![0; items as usize];
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..workers {
            let sender = sender.clone();
            scope.spawn(move || {
                for seqs in batches(next, items, batch) {
                    let done: Vec<(u64, u64)> = seqs.map(|seq| (seq, work(seq))).collect();
                    sender.send(done).expect("the receiver outlives the workers");
                }
            });
        }
        drop(sender);
        for (seq, result) in receiver.iter().flatten() {
            all[seq as usize] = result;
        }
    });
    all.into_iter().fold(0, digest)
}
