//! Invariants 1 and 3: results go out in the order of the items, each once, and whatever happens to an item leaves no hole that
//! somebody waits for.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use forebay::{Budget, CancelToken, Cause, MemoryStore, Pipeline, RunError, Snapshot};

use crate::support::{Gate, Gates, Random, bytes_of, within};

fn counted(items: std::ops::Range<u64>) -> impl Iterator<Item = Result<u64, io::Error>> + Send {
    items.map(Ok)
}

fn assert_all_accounted_for(report: &Snapshot) {
    assert_eq!(report.submitted, report.delivered + report.cancelled, "{report:?}");
}

/// A reorder buffer that hands on whatever is finished is not seen by a test in which work takes the same time for all: here the test
/// chooses which of the items in work is finished next, mostly the farthest.
#[test]
fn results_go_out_in_order_in_whatever_order_they_are_finished() {
    within(60, || {
        const ITEMS: u64 = 300;
        const WORKERS: usize = 5;
        let gates = Gates::default();
        let finished = Mutex::new(Vec::new());
        let mut seen = Vec::new();
        let report = std::thread::scope(|scope| {
            let scheduler = gates.clone();
            scope.spawn(move || {
                let mut random = Random(0x0bad_5eed);
                for left in (1..=ITEMS).rev() {
                    let waiting = scheduler.await_waiters(WORKERS.min(left as usize));
                    let farthest = waiting.len() - 1;
                    let chosen =
                        if random.below(4) == 0 { random.below(waiting.len() as u64) as usize } else { farthest };
                    scheduler.open(waiting[chosen]);
                    // The opened gate is left before the next is chosen.
                    crate::support::until("the gate is left", || {
                        !scheduler.await_waiters(0).contains(&waiting[chosen])
                    });
                }
            });
            let pipeline = Pipeline::new().workers(WORKERS).batch(1);
            pipeline
                .run(
                    counted(0..ITEMS),
                    |n| {
                        gates.pass(n);
                        finished.lock().unwrap().push(n);
                        Ok(n)
                    },
                    |n| {
                        seen.push(n);
                        Ok(())
                    },
                )
                .unwrap()
        });
        assert!(seen.into_iter().eq(0..ITEMS));
        let finished = finished.into_inner().unwrap();
        assert!(!finished.is_sorted(), "the scenario finished everything in order");
        assert_eq!((report.delivered, report.cancelled), (ITEMS, 0));
        assert!(report.head_stalls > 0, "the sink never waited for the head: {report:?}");
    });
}

#[test]
fn what_is_submitted_is_delivered_or_cancelled_however_the_run_ends() {
    within(60, || {
        type Ending = fn(u64) -> Result<u64, io::Error>;
        let none: Ending = Ok;
        let fails: Ending = |n| if n == 500 { Err(io::Error::other("work")) } else { Ok(n) };
        for batch in [1, 7, 64] {
            for spilling in [false, true] {
                let run = |source_end: u64, work: Ending, sink_end: u64| -> Result<Snapshot, RunError<io::Error>> {
                    let source = (0..2000).map(|n| if n == source_end { Err(io::Error::other("dry")) } else { Ok(n) });
                    let mut next = 0;
                    let sink = |n: u64| {
                        assert_eq!(n, next);
                        next += 1;
                        if n == sink_end { Err(io::Error::other("full")) } else { Ok(()) }
                    };
                    let pipeline = Pipeline::new().workers(3).batch(batch).budget(&Budget::new(8 << 10));
                    match spilling {
                        true => pipeline.spill(MemoryStore::new(u64::MAX)).run(source, work, sink),
                        false => pipeline.run(source, work, sink),
                    }
                };
                let whole = run(u64::MAX, none, u64::MAX).unwrap();
                assert_eq!((whole.submitted, whole.delivered, whole.cancelled), (2000, 2000, 0));

                let dry = run(700, none, u64::MAX).unwrap_err();
                assert!(matches!(&dry.cause, Cause::Source(error) if error.to_string() == "dry"), "{dry}");
                assert_eq!((dry.snapshot.submitted, dry.snapshot.delivered), (700, 700));

                let failed = run(u64::MAX, fails, u64::MAX).unwrap_err();
                assert!(matches!(failed.cause, Cause::Work { seq: 500, .. }), "{failed}");
                assert_eq!(failed.snapshot.delivered, 500);
                assert_all_accounted_for(&failed.snapshot);

                let refused = run(u64::MAX, none, 300).unwrap_err();
                assert!(matches!(refused.cause, Cause::Sink { seq: 300, .. }), "{refused}");
                assert_eq!(refused.snapshot.delivered, 301);
                assert_all_accounted_for(&refused.snapshot);

                let first = run(600, fails, u64::MAX).unwrap_err();
                assert!(matches!(first.cause, Cause::Work { seq: 500, .. }), "the first error is told: {first}");
            }
        }
    });
}

/// A worker's panic leaves a hole in front of finished results; with a window, producer and sink then wait for each other for ever, or
/// the run ends "successfully" without them.
#[test]
fn a_panic_behind_a_withheld_head_is_told_after_everything_before_it() {
    within(60, || {
        let gate = Gate::default();
        let delivered = Mutex::new(Vec::new());
        let pipeline = Pipeline::new().workers(3).batch(1).window(16);
        let monitor = pipeline.monitor();
        let panic = catch_unwind(AssertUnwindSafe(|| {
            pipeline.run(
                counted(0..100_000),
                |n| {
                    if n == 0 {
                        gate.pass();
                    }
                    if n == 9 {
                        // Items behind it may be finished, the head is not.
                        gate.open();
                        std::panic::panic_any("nine");
                    }
                    Ok(n)
                },
                |n| {
                    delivered.lock().unwrap().push(n);
                    Ok(())
                },
            )
        }))
        .unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"nine"));
        assert!(delivered.into_inner().unwrap().into_iter().eq(0..9));
        let report = monitor.snapshot();
        assert_eq!(report.delivered, 9);
        assert_all_accounted_for(&report);
    });
}

/// Several items fail, the farthest first. The one that a plain loop would have met is told, under its own number.
#[test]
fn of_several_failures_the_first_in_order_is_told_with_its_number() {
    within(60, || {
        let gates = Gates::default();
        let scheduler = gates.clone();
        let taken = AtomicU64::new(0);
        let error = std::thread::scope(|scope| {
            scope.spawn(move || {
                assert_eq!(scheduler.await_waiters(4), [0, 1, 2, 3]);
                for n in [3, 2, 1, 0] {
                    scheduler.open(n);
                    crate::support::until("the gate is left", || !scheduler.await_waiters(0).contains(&n));
                }
            });
            Pipeline::new()
                .workers(4)
                .batch(1)
                .run(
                    counted(0..1000),
                    |n| {
                        gates.pass(n);
                        match n {
                            0 => Ok(n),
                            _ => Err(io::Error::other(format!("item {n}"))),
                        }
                    },
                    |_| {
                        taken.fetch_add(1, Ordering::Relaxed);
                        Ok(())
                    },
                )
                .unwrap_err()
        });
        match error.cause {
            Cause::Work { seq, error } => assert_eq!((seq, error.to_string()), (1, "item 1".to_owned())),
            other => panic!("{other:?}"),
        }
        assert_eq!(taken.into_inner(), 1);
    });
}

#[test]
fn a_worker_whose_state_cannot_be_made_ends_the_run_with_its_panic() {
    within(60, || {
        for workers in [1, 4] {
            let panic = catch_unwind(AssertUnwindSafe(|| {
                Pipeline::new()
                    .workers(workers)
                    .window(2)
                    .worker_init(|| -> u64 { std::panic::panic_any("no context") })
                    .run(counted(0..1000), |_, n| Ok(n), |_| Ok(()))
            }))
            .unwrap_err();
            assert_eq!(panic.downcast_ref::<&str>(), Some(&"no context"));
        }
    });
}

#[test]
fn a_panicking_source_is_told_after_everything_that_it_gave() {
    within(60, || {
        let mut seen = 0;
        let source =
            (0..1000u64).map(|n| if n == 321 { std::panic::panic_any("source") } else { Ok::<_, io::Error>(n) });
        let panic = catch_unwind(AssertUnwindSafe(|| {
            Pipeline::new().run(source, Ok, |_| {
                seen += 1;
                Ok(())
            })
        }))
        .unwrap_err();
        assert_eq!((panic.downcast_ref::<&str>(), seen), (Some(&"source"), 321));
    });
}

#[test]
fn the_only_worker_fails_in_the_middle_of_a_batch() {
    within(60, || {
        let gate = Gate::default();
        let mut seen = Vec::new();
        let open = gate.clone();
        let source = (0..500u64).inspect(move |n| {
            if *n == 499 {
                open.open();
            }
        });
        let error = Pipeline::new()
            .workers(1)
            .batch(64)
            .run(
                source.map(Ok),
                |n| {
                    gate.pass();
                    if n % 100 == 99 { Err(io::Error::other("99")) } else { Ok(bytes_of(n, 100)) }
                },
                |bytes| {
                    seen.push(bytes);
                    Ok(())
                },
            )
            .unwrap_err();
        assert!(matches!(error.cause, Cause::Work { seq: 99, .. }), "{error}");
        assert!(seen.into_iter().eq((0..99).map(|n| bytes_of(n, 100))));
        let longest = error.snapshot.delivered_runs.buckets().len();
        assert!(longest > 2, "batches were delivered: {:?}", error.snapshot.delivered_runs);
    });
}

#[test]
fn a_cancelled_run_counts_what_it_did_not_deliver() {
    within(60, || {
        let token = CancelToken::new();
        let error = Pipeline::new()
            .workers(2)
            .cancel(&token)
            .run(counted(0..1_000_000), Ok, |n| {
                if n == 1000 {
                    token.cancel();
                }
                Ok(())
            })
            .unwrap_err();
        assert!(matches!(error.cause, Cause::Cancelled));
        assert!(error.snapshot.submitted > 1000 && error.snapshot.submitted < 1_000_000);
        assert_all_accounted_for(&error.snapshot);
    });
}
