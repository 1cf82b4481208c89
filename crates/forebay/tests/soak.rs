//! What takes minutes: `cargo xtask soak`.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::io;
use std::time::Duration;

use forebay::{Budget, MemoryStore, Pipeline, SegmentStore};
use support::{Gate, Random, bytes_of, until, within};

/// Random settings, sizes, delays, errors and cancellations, two pipelines at a time on one budget, against a plain loop.
#[test]
#[ignore = "takes minutes: cargo xtask soak"]
fn soak_random_pipelines_give_what_a_plain_loop_gives() {
    within(1200, || {
        let mut random = Random(0x5eed_f0ba);
        for round in 0..2000 {
            let budget = Budget::new(random.below(4 << 20) as usize + 1);
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    let (seed, budget) = (random.next(), &budget);
                    scope.spawn(move || one_pipeline(seed, budget));
                }
            });
            assert_eq!(budget.used(), 0, "round {round}");
        }
    });
}

fn one_pipeline(seed: u64, budget: &Budget) {
    let mut random = Random(seed | 1);
    let items = random.below(5000) + 1;
    let size = 1 << random.below(15);
    let fails = (random.below(4) == 0).then(|| random.below(items));
    let result = move |n: u64| bytes_of(n ^ seed, (n.wrapping_mul(seed) % size) as usize);
    let work = move |n: u64| {
        if n.wrapping_mul(0x9e37_79b9).is_multiple_of(211) {
            std::thread::sleep(Duration::from_micros(n % 3000));
        }
        if fails == Some(n) { Err(io::Error::other("as told")) } else { Ok(result(n)) }
    };
    let mut seen = 0;
    let sink = |bytes: Vec<u8>| {
        assert_eq!(bytes, result(seen), "result {seen} of seed {seed}");
        seen += 1;
        Ok(())
    };
    let mut pipeline =
        Pipeline::new().workers(random.below(5) as usize + 1).window(random.below(200) as usize + 1).budget(budget);
    if random.below(2) == 0 {
        pipeline = pipeline.batch(random.below(64) as usize + 1);
    }
    let source = (0..items).map(Ok);
    let outcome = match random.below(3) {
        0 => pipeline.run(source, work, sink),
        1 => pipeline.spill(MemoryStore::new(random.below(64 << 20))).run(source, work, sink),
        _ => pipeline.spill(SegmentStore::temp().unwrap()).compress(true).run(source, work, sink),
    };
    assert_eq!(outcome.is_ok(), fails.is_none(), "seed {seed}: {outcome:?}");
    assert_eq!(seen, fails.unwrap_or(items), "seed {seed}");
}

/// A head that is withheld for half a minute costs disk, and neither memory nor results.
#[test]
#[ignore = "takes a minute: cargo xtask soak"]
fn soak_a_long_stall_costs_disk_and_not_memory() {
    within(300, || {
        const LIMIT: usize = 16 << 20;
        let budget = Budget::new(LIMIT);
        let mut seen = 0;
        let report = Pipeline::new()
            .workers(2)
            .budget(&budget)
            .spill(SegmentStore::temp().unwrap())
            .run(
                (0..1_000_000u64).map(Ok::<_, io::Error>),
                |n| {
                    if n == 0 {
                        std::thread::sleep(Duration::from_secs(30));
                    }
                    Ok(n.to_le_bytes().repeat(128))
                },
                |bytes| {
                    assert_eq!(bytes, u64::to_le_bytes(seen).repeat(128));
                    seen += 1;
                    Ok(())
                },
            )
            .unwrap();
        assert_eq!(report.delivered, 1_000_000);
        assert!(report.spilled_items > 900_000, "{report:?}");
        assert!(budget.peak() <= LIMIT + (1 << 20), "{}", budget.peak());
    });
}

/// Ten million small results behind a withheld head: the index stays small.
#[test]
#[ignore = "takes a minute: cargo xtask soak"]
fn soak_ten_million_results_behind_a_head() {
    within(600, || {
        const ITEMS: u64 = 10_000_000;
        let budget = Budget::new(32 << 20);
        let gate = Gate::default();
        let pipeline = Pipeline::new().workers(2).budget(&budget).spill(SegmentStore::temp().unwrap());
        let monitor = pipeline.monitor();
        let mut sum = 0u64;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                until("most of it is spilled", || monitor.snapshot().spilled_items > ITEMS / 10 * 9);
                gate.open();
            });
            let work = |n| {
                if n == 0 {
                    gate.pass();
                }
                Ok(n)
            };
            let sink = |n| {
                sum += n;
                Ok(())
            };
            let report = pipeline.run((0..ITEMS).map(Ok::<_, io::Error>), work, sink).unwrap();
            assert_eq!(report.delivered, ITEMS);
        });
        assert_eq!(sum, ITEMS * (ITEMS - 1) / 2);
        assert!(budget.peak() <= 33 << 20);
    });
}
