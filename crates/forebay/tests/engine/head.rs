//! Invariant 2: the head of the line always gets in, at submission, storing and reloading, and what that costs beyond the budget is
//! bounded: one head, one result a worker, one reloaded block.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use forebay::{Budget, MemoryStore, Pipeline, SegmentStore};

use crate::support::{Gate, bytes_of, until, within};

/// What a queued item or a stored result costs beside its weight.
const SLOT: usize = 48;
const VEC: usize = size_of::<Vec<u8>>();
const BLOCK: usize = 256 << 10;

#[test]
fn a_budget_of_one_byte_is_enough() {
    within(60, || {
        for workers in [1, 4] {
            for spilling in [false, true] {
                for limit in [0, 1, 15, 100] {
                    let budget = Budget::new(limit);
                    let mut next = 0;
                    let sink = |bytes: Vec<u8>| {
                        assert_eq!(bytes, bytes_of(next, 1000));
                        next += 1;
                        Ok::<_, io::Error>(())
                    };
                    let pipeline = Pipeline::new().workers(workers).budget(&budget);
                    let (source, work) = ((0..500u64).map(Ok), |n| Ok(bytes_of(n, 1000)));
                    let report = match spilling {
                        true => pipeline.spill(MemoryStore::new(u64::MAX)).run(source, work, sink),
                        false => pipeline.run(source, work, sink),
                    }
                    .unwrap();
                    assert_eq!(report.delivered, 500);
                    assert!(report.overdraft_peak > 0, "nothing was overdrawn: {report:?}");
                    assert_eq!(budget.used(), 0);
                }
            }
        }
    });
}

#[test]
fn an_item_larger_than_the_budget_gets_in_when_it_is_the_head() {
    within(60, || {
        for batch in [1, 64] {
            let budget = Budget::new(64 << 10);
            let size = |n: u64| if n % 5 == 2 { 300 << 10 } else { 10 };
            let mut next = 0;
            let report = Pipeline::new()
                .workers(3)
                .batch(batch)
                .budget(&budget)
                .spill(MemoryStore::new(u64::MAX))
                .run(
                    (0..100u64).map(|n| Ok::<_, io::Error>(bytes_of(n, size(n)))),
                    |mut bytes| {
                        bytes.reverse();
                        Ok(bytes)
                    },
                    |mut bytes| {
                        bytes.reverse();
                        assert_eq!(bytes, bytes_of(next, size(next)));
                        next += 1;
                        Ok(())
                    },
                )
                .unwrap();
            assert_eq!(report.delivered, 100);
            assert!(report.overdraft_peak > 200 << 10, "{report:?}");
        }
    });
}

/// The reserve of a buffer that "must accept" is where such programs grow to gigabytes: everything is leased at every point.
#[test]
fn leases_peak_at_the_budget_and_one_head_and_one_result_a_worker_and_one_reloaded_block() {
    within(90, || {
        for (limit, size, workers, spilling) in [
            (64 << 10, 20_000, 4, true),
            (1 << 20, 50_000, 3, true),
            (1 << 20, 50_000, 3, false),
            (1, 3000, 5, true),
            (200_000, 150_000, 2, true),
        ] {
            let budget = Budget::new(limit);
            let gate = Gate::default();
            let pipeline = Pipeline::new().workers(workers).budget(&budget);
            let items = 400u64;
            let mut next = 0;
            // Everything that can get ahead of the head does, before the head goes on.
            let open = gate.clone();
            let monitor = pipeline.monitor();
            // Where a few items fill the budget, the head in work leaves nothing to finish ahead of it.
            let spills = spilling && limit >= 5 * (size + VEC + SLOT);
            let watcher = std::thread::spawn(move || {
                match spills {
                    true => until("nearly all is spilled", || monitor.snapshot().spilled_items > items / 2),
                    // Any moment will do: what must hold does at each.
                    false => open.await_waiters(1),
                }
                open.open();
            });
            // A result is far larger than its item: it is what the item did not pay for that may overdraw.
            let work = |n: u64| {
                if n == 0 {
                    gate.pass();
                }
                Ok(bytes_of(n, size))
            };
            let sink = |bytes| {
                assert_eq!(bytes, bytes_of(next, size));
                next += 1;
                Ok(())
            };
            let source = (0..items).map(Ok::<_, io::Error>);
            let report = match spilling {
                true => pipeline.spill(MemoryStore::new(u64::MAX)).run(source, work, sink),
                false => pipeline.run(source, work, sink),
            }
            .unwrap();
            watcher.join().unwrap();
            let item = size + VEC + SLOT;
            let block = if spilling { item.max(BLOCK) + 1024 } else { 0 };
            let formula = limit + item + workers * item + block;
            assert!(budget.peak() <= formula, "peak {} of {formula}: {report:?}", budget.peak());
            assert_eq!(report.peak_resident as usize, budget.peak());
            assert_eq!(budget.used(), 0);
            assert!(!spills || report.reloaded_items > 0, "{report:?}");
        }
    });
}

/// A "byte budget" that counts buffers instead of bytes, or leaves five buffers of eight out, never shows in its own counters: the
/// process is asked, not the budget.
#[cfg(target_os = "linux")]
/// A worker is late with a batch, of whose numbers the sink has long taken as many: it has no more of them than another.
#[test]
fn leases_peak_there_in_completion_order_too() {
    within(60, || {
        const SIZE: usize = 3000;
        const BATCH: u64 = 32;
        let item = SIZE + VEC + SLOT;
        let (limit, workers) = (10 * item, 2);
        let budget = Budget::new(limit);
        let (late, of_its_batch) = (Gate::default(), AtomicU64::new(0));
        let work = |n: u64| {
            if n == 0 {
                late.pass();
            }
            of_its_batch.fetch_add(u64::from(n < BATCH / 4), Ordering::SeqCst);
            Ok(bytes_of(n, SIZE))
        };
        let mut taken = 0;
        let sink = |_| {
            taken += 1;
            if taken == BATCH {
                // The other one fills the memory, and then waits.
                late.await_waiters(1);
                until("the memory is full", || budget.overdraft_peak() > 0);
                late.open();
                // What it must not do cannot be waited for.
                let begun = Instant::now();
                while of_its_batch.load(Ordering::SeqCst) < BATCH / 4 && begun.elapsed() < Duration::from_millis(300) {
                    std::thread::yield_now();
                }
            }
            Ok(())
        };
        let pipeline = Pipeline::new().workers(workers).budget(&budget).batch(BATCH as usize).unordered();
        let source = (0..8 * BATCH).map(Ok::<_, io::Error>);
        let report = pipeline.run(source, work, sink).unwrap();
        let formula = limit + item + workers * item;
        assert!(budget.peak() <= formula, "peak {} of {formula}: {report:?}", budget.peak());
        assert_eq!(taken, 8 * BATCH);
    });
}

#[test]
fn the_process_stays_within_the_formula_while_the_head_is_withheld() {
    use crate::support::{alone, memory, reset_peak};
    alone("head::the_process_stays_within_the_formula_while_the_head_is_withheld", 90, || {
        const ITEMS: u64 = 40_000;
        const SIZE: usize = 4096;
        const WORKERS: usize = 2;
        let run = |items: u64, budget: &Budget| {
            let gate = Gate::default();
            let pipeline = Pipeline::new().workers(WORKERS).budget(budget).spill(SegmentStore::temp().unwrap());
            let open = gate.clone();
            let source = (0..items).map(move |n| {
                if n == items - 1 {
                    open.open();
                }
                Ok::<_, io::Error>(n)
            });
            let work = |n: u64| {
                if n == 0 {
                    gate.pass();
                }
                Ok(vec![n as u8; SIZE])
            };
            let mut next = 0u64;
            pipeline
                .run(source, work, |bytes| {
                    assert!(bytes.len() == SIZE && bytes.iter().all(|byte| *byte == next as u8));
                    next += 1;
                    Ok(())
                })
                .unwrap()
        };
        // Code pages, thread stacks: what a process of this kind has anyway.
        run(100, &Budget::new(1 << 20));
        for limit in [1 << 20, 8 << 20] {
            let budget = Budget::new(limit);
            let base = memory("VmRSS");
            reset_peak();
            let report = run(ITEMS, &budget);
            let grown = memory("VmHWM").saturating_sub(base);
            let item = SIZE + VEC + SLOT;
            let formula = limit + item + WORKERS * item + BLOCK + 2 * BLOCK + (8 << 20);
            assert!(report.spilled_items > ITEMS / 2, "{report:?}");
            assert!(grown <= formula, "{grown} bytes above the base, the formula allows {formula}: {report:?}");
            assert!((grown as u64) < ITEMS * SIZE as u64 / 4, "the scenario is too small to show anything: {grown}");
        }
    });
}

/// A nested pipeline or another user may hold the whole budget: what was spilled is still read back, one block at a time.
#[test]
fn what_was_spilled_is_read_back_while_another_consumer_holds_the_whole_budget() {
    within(60, || {
        const ITEMS: u64 = 3000;
        let budget = Budget::new(256 << 10);
        let other = budget.consumer("other", 0).unwrap();
        let gate = Gate::default();
        let pipeline = Pipeline::new().workers(2).budget(&budget).spill(SegmentStore::temp().unwrap());
        let monitor = pipeline.monitor();
        let mut next = 0;
        let report = std::thread::scope(|scope| {
            scope.spawn(|| {
                until("most is spilled", || monitor.snapshot().spilled_items > ITEMS * 9 / 10);
                let hog = other.lease_head(1 << 20);
                gate.open();
                until("half is delivered", || monitor.snapshot().delivered > ITEMS / 2);
                assert!(budget.used() >= 1 << 20);
                drop(hog);
            });
            pipeline
                .run(
                    (0..ITEMS).map(Ok::<_, io::Error>),
                    |n| {
                        if n == 0 {
                            gate.pass();
                        }
                        Ok(bytes_of(n, 1000))
                    },
                    |bytes| {
                        assert_eq!(bytes, bytes_of(next, 1000));
                        next += 1;
                        Ok(())
                    },
                )
                .unwrap()
        });
        assert_eq!(report.delivered, ITEMS);
        assert!(report.head_reads > 0, "{report:?}");
    });
}
