//! What it costs to hand an item to a worker, with one producer and with four.
//!
//! One `Sender` that cannot be cloned is the default: its items are numbered in the order in which it sends them,
//! which is the order in which a pipeline delivers, and the end of the stream is one call of one owner, so that no
//! clone that is forgotten or dropped early can end it or keep it open. `Sender::share` is for producers that have no
//! common order. Workers take an item and drop it with its permit.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::{Result, ensure};
use forebay::{Budget, Receiver, SharedSender, WorkQueue};
use forebay_benches::harness::{Cost, Spread, alternate, heading, measure, variant};

const ITEMS: u64 = 100_000;
const WORKERS: usize = 2;
const WINDOW: usize = 4096;
const OWNER: &str = "one `Sender`";

fn main() -> Result<()> {
    heading("Work queue: 100,000 numbers to 2 workers, window 4,096");
    let variants = vec![
        variant(OWNER, |_| one_owner()),
        variant("one `SharedSender`", |_| shared(1)),
        variant("four `SharedSender`s", |_| shared(4)),
    ];
    let results = alternate(variants)?;
    println!("| | CPU ns an item, min | median | wall ns an item, min | median |\n|---|---:|---:|---:|---:|");
    for (name, costs) in results.rows() {
        let each = |of: fn(&Cost) -> f64| Spread::of(costs.iter().map(|cost| of(cost) / ITEMS as f64 * 1e9));
        let (cpu, wall) = (each(|cost| cost.cpu), each(|cost| cost.wall));
        println!("| {name} | {:.0} | {:.0} | {:.0} | {:.0} |", cpu.min, cpu.median, wall.min, wall.median);
    }
    println!("\n{}", results.table(OWNER));
    Ok(())
}

fn one_owner() -> Result<Cost> {
    let consumer = Budget::new(64 << 20).consumer("queue", 0)?;
    let (mut sender, receiver) = WorkQueue::new(&consumer, WINDOW);
    checked(receiver, |_| {
        (0..ITEMS).try_for_each(|item| sender.send(item).map(drop))?;
        ensure!(sender.finish() == Some(ITEMS), "items were lost on the way in");
        Ok(())
    })
}

fn shared(producers: u64) -> Result<Cost> {
    let consumer = Budget::new(64 << 20).consumer("queue", 0)?;
    let (sender, receiver) = WorkQueue::new(&consumer, WINDOW);
    let first = sender.share();
    let others: Vec<_> = (1..producers).map(|_| first.clone()).collect();
    let senders: Vec<SharedSender<u64>> = others.into_iter().chain([first]).collect();
    checked(receiver, |scope| {
        let each = ITEMS / producers;
        for (producer, mut sender) in (0..).zip(senders) {
            scope.spawn(move || {
                let sent = (producer * each..(producer + 1) * each).try_for_each(|item| sender.send(item).map(drop));
                if sent.is_ok() {
                    sender.finish();
                }
            });
        }
        Ok(())
    })
}

/// Runs `produce` beside the workers, and makes sure that they got every number once.
fn checked(
    receiver: Receiver<u64>,
    produce: impl for<'s> FnOnce(&'s thread::Scope<'s, '_>) -> Result<()>,
) -> Result<Cost> {
    let (sum, count) = (AtomicU64::new(0), AtomicU64::new(0));
    let (cost, ()) = measure(|| {
        thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(|| {
                    let (mut items, mut total) = (0, 0);
                    while let Ok(job) = receiver.recv() {
                        items += 1;
                        total += job.item;
                    }
                    count.fetch_add(items, Ordering::Relaxed);
                    sum.fetch_add(total, Ordering::Relaxed);
                });
            }
            produce(scope)
        })
    })?;
    let got = (count.into_inner(), sum.into_inner());
    ensure!(got == (ITEMS, ITEMS * (ITEMS - 1) / 2), "the workers got {got:?}");
    Ok(cost)
}
