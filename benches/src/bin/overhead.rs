//! What an item costs in CPU over a plain loop: 1 us of work, two workers, delivered in order.
//!
//! The plain loop is one thread; two hardware threads of one core slow each other down, which is
//! nobody's overhead: the row of two loops that exchange nothing shows how much of it there is.

use std::hint::black_box;
use std::io;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use forebay::Pipeline;
use forebay_benches::harness::{Cost, Spread, Variant, alternate, calibrate, heading, measure, spin, variant};
use forebay_benches::ring;
use futures::StreamExt;
use orx_parallel::{IntoParIter, Par};
use par_stream::{NumWorkers, ParParamsConfig, ParStreamExt};
use pariter::IteratorExt;
use rayon::iter::{IntoParallelIterator, ParallelIterator};

const ITEMS: u64 = 200_000;
const WORKERS: usize = 2;
const WINDOW: usize = 1024;

const PLAIN: &str = "plain loop";
const RING: &str = "mutex ring, window 1,024";
const RING_64: &str = "mutex ring, batches of 64";

fn main() -> Result<()> {
    heading("Overhead: CPU per item over the plain loop, 1 us of work, 2 workers");
    let spins = calibrate(Duration::from_micros(1));
    let work = move |seq: u64| spin(seq, spins);
    let expected = (0..ITEMS).map(work).fold(0, digest);

    let pool = rayon::ThreadPoolBuilder::new().num_threads(WORKERS).build()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).build()?;

    // Every variant hands its results, in order, to `digest`: whoever loses or swaps one is found out.
    let checked = |name: &str, run: &dyn Fn() -> Result<u64>| -> Result<Cost> {
        let (cost, got) = measure(run)?;
        ensure!(got == expected, "{name} delivered other results than the plain loop");
        Ok(cost)
    };
    let on_ring = |batch| {
        let mut sum = 0;
        ring::run(0..ITEMS, WORKERS, WINDOW, batch, work, |result| sum = digest(sum, result));
        Ok(sum)
    };
    let on_forebay = |batch: Option<usize>| {
        let mut pipeline = Pipeline::new().workers(WORKERS);
        if let Some(batch) = batch {
            pipeline = pipeline.batch(batch);
        }
        let mut sum = 0;
        pipeline.run(
            (0..ITEMS).map(Ok::<_, io::Error>),
            |seq| Ok(work(seq)),
            |result| {
                sum = digest(sum, result);
                Ok(())
            },
        )?;
        Ok(sum)
    };
    // (name, whether what waits is bounded, how it runs)
    type Run<'a> = Box<dyn Fn() -> Result<u64> + 'a>;
    let ways: Vec<(&str, &str, Run<'_>)> = vec![
        (PLAIN, "", Box::new(|| Ok((0..ITEMS).map(|seq| black_box(work(seq))).fold(0, digest)))),
        ("two plain loops", "", Box::new(|| Ok(two_loops(expected, work)))),
        (RING, "items", Box::new(|| on_ring(1))),
        (RING_64, "items", Box::new(|| on_ring(64))),
        ("forebay, batches of 1", "items and bytes", Box::new(|| on_forebay(Some(1)))),
        ("forebay, as it comes", "items and bytes", Box::new(|| on_forebay(None))),
        ("forebay, batches of 64", "items and bytes", Box::new(|| on_forebay(Some(64)))),
        (
            "rayon, collect",
            "no",
            Box::new(|| {
                let all: Vec<u64> = pool.install(|| (0..ITEMS).into_par_iter().map(work).collect());
                Ok(all.into_iter().fold(0, digest))
            }),
        ),
        (
            "orx-parallel, collect",
            "no",
            Box::new(|| {
                let all: Vec<u64> =
                    (0..ITEMS as usize).into_par().num_threads(WORKERS).map(|seq| work(seq as u64)).collect();
                Ok(all.into_iter().fold(0, digest))
            }),
        ),
        (
            "pariter",
            "items",
            Box::new(|| {
                let results =
                    (0..ITEMS).parallel_map_custom(|options| options.threads(WORKERS).buffer_size(WINDOW), work);
                Ok(results.fold(0, digest))
            }),
        ),
        (
            "tokio, buffered",
            "items",
            Box::new(|| {
                let tasks = futures::stream::iter(0..ITEMS).map(|seq| tokio::spawn(async move { work(seq) }));
                Ok(runtime
                    .block_on(tasks.buffered(WINDOW).fold(0, async |sum, result| digest(sum, result.unwrap_or(0)))))
            }),
        ),
        (
            "par-stream",
            "no",
            Box::new(|| {
                let params =
                    ParParamsConfig::Manual { num_workers: NumWorkers::Fixed(WORKERS), buf_size: WINDOW.into() };
                let _entered = runtime.enter();
                let results = futures::stream::iter(0..ITEMS).par_map(params, move |seq| move || work(seq));
                Ok(runtime.block_on(results.fold(0, async |sum, result| digest(sum, result))))
            }),
        ),
    ];
    let variants: Vec<Variant<'_>> = ways.iter().map(|(name, _, run)| variant(*name, |_| checked(name, run))).collect();
    let results = alternate(variants)?;

    println!("| | CPU ns per item over the plain loop, min | median | of the ring's | bounds what waits |");
    println!("|---|---:|---:|---:|---|");
    for ((name, costs), (_, bounds, _)) in results.rows().zip(&ways) {
        let over = |costs: &[Cost]| {
            let rounds = costs.iter().zip(results.of(PLAIN));
            Spread::of(rounds.map(|(cost, plain)| (cost.cpu - plain.cpu) / ITEMS as f64 * 1e9))
        };
        let (own, ring) = (over(costs), over(results.of(RING)));
        println!("| {name} | {:.0} | {:.0} | {:.2} | {bounds} |", own.min, own.median, own.median / ring.median);
    }
    println!("\n{}", results.table(PLAIN));
    Ok(())
}

/// Depends on the order.
fn digest(sum: u64, result: u64) -> u64 {
    sum.rotate_left(5) ^ result
}

/// The same work on two threads that exchange nothing, and therefore in no order: gives
/// `expected` when as many items were worked on.
fn two_loops(expected: u64, work: impl Fn(u64) -> u64 + Sync) -> u64 {
    let (work, half) = (&work, ITEMS / 2);
    thread::scope(|scope| {
        for from in [0, half] {
            scope.spawn(move || {
                (from..from + half).for_each(|seq| {
                    black_box(work(seq));
                })
            });
        }
    });
    expected
}
