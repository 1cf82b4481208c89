//! The pipeline against a plain loop, and how it ends.

mod support;

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use forebay::{Budget, CancelToken, Cause, MemoryStore, OrderedMapExt, Pipeline, SegmentStore};
use support::{Gate, bytes_of, until, within};

type Nothing = io::Error;

#[test]
fn results_come_in_the_order_of_the_items() {
    within(60, || {
        for (workers, batch) in [(1, None), (4, None), (3, Some(1)), (2, Some(64))] {
            let mut seen = Vec::new();
            let mut pipeline = Pipeline::new().workers(workers);
            if let Some(size) = batch {
                pipeline = pipeline.batch(size);
            }
            let report = pipeline
                .run(
                    (0..50_000u64).map(Ok::<_, Nothing>),
                    |n| Ok(n * 2),
                    |n| {
                        seen.push(n);
                        Ok(())
                    },
                )
                .unwrap();
            assert!(seen.iter().copied().eq((0..50_000).map(|n| n * 2)));
            assert_eq!((report.submitted, report.delivered, report.cancelled), (50_000, 50_000, 0));
            assert_eq!(report.workers, workers as u64);
        }
    });
}

#[test]
fn unordered_results_come_as_they_are_finished() {
    within(60, || {
        let gate = Gate::default();
        let mut seen = Vec::new();
        let report = Pipeline::new()
            .workers(2)
            .batch(1)
            .unordered()
            .run(
                (0..100u64).map(Ok::<_, Nothing>),
                |n| {
                    if n == 0 {
                        gate.pass();
                    }
                    Ok(n)
                },
                |n| {
                    seen.push(n);
                    if seen.len() == 99 {
                        gate.open();
                    }
                    Ok(())
                },
            )
            .unwrap();
        assert_eq!(seen.last(), Some(&0));
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..100));
        assert_eq!(report.delivered, 100);
    });
}

#[test]
fn a_withheld_head_spills_and_nothing_is_lost() {
    within(60, || {
        const ITEMS: u64 = 20_000;
        let budget = Budget::new(1 << 20);
        let gate = Gate::default();
        let pipeline = Pipeline::new().workers(2).budget(&budget).spill(SegmentStore::temp().unwrap());
        let monitor = pipeline.monitor();
        let mut next = 0;
        let report = std::thread::scope(|scope| {
            scope.spawn(|| {
                until("something is spilled", || monitor.snapshot().spilled_items > ITEMS / 2);
                gate.open();
            });
            pipeline
                .run(
                    (0..ITEMS).map(Ok::<_, Nothing>),
                    |n| {
                        if n == 0 {
                            gate.pass();
                        }
                        Ok(bytes_of(n, 4096))
                    },
                    |bytes| {
                        assert_eq!(bytes, bytes_of(next, 4096), "result {next}");
                        next += 1;
                        Ok(())
                    },
                )
                .unwrap()
        });
        assert_eq!(report.delivered, ITEMS);
        assert!(report.spilled_items > ITEMS / 2 && report.reloaded_items == report.spilled_items, "{report:?}");
        assert!(report.spilled_bytes > report.spilled_items * 4096, "{report:?}");
        assert!(report.spilled_blocks < report.spilled_items / 16, "small blocks: {report:?}");
        assert!(budget.peak() <= (1 << 20) + (256 << 10) + 3 * 8192, "peak {}", budget.peak());
        assert_eq!(budget.used(), 0);
    });
}

#[test]
fn a_failing_item_ends_the_run_in_its_place() {
    within(60, || {
        for batch in [1, 7, 64] {
            let mut seen = 0;
            let error = Pipeline::new()
                .workers(4)
                .batch(batch)
                .run(
                    (0u64..).map(Ok),
                    |n| {
                        if n == 1234 { Err(io::Error::other("twelve")) } else { Ok(n) }
                    },
                    |n| {
                        assert_eq!(n, seen);
                        seen += 1;
                        Ok(())
                    },
                )
                .map(|_| ())
                .unwrap_err();
            assert!(
                matches!(&error.cause, Cause::Work { seq: 1234, error } if error.to_string() == "twelve"),
                "{error}"
            );
            assert_eq!(seen, 1234);
            assert_eq!(error.snapshot.delivered, 1234);
            assert_eq!(error.snapshot.submitted, error.snapshot.delivered + error.snapshot.cancelled);
        }
    });
}

#[test]
fn a_panicking_item_is_a_panic_of_the_run_after_everything_before_it() {
    within(60, || {
        let seen = Mutex::new(0);
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            Pipeline::new().workers(4).run(
                (0..10_000u64).map(Ok::<_, Nothing>),
                |n| {
                    assert!(n != 777, "seven");
                    Ok(n)
                },
                |_| {
                    *seen.lock().unwrap() += 1;
                    Ok(())
                },
            )
        }))
        .unwrap_err();
        assert_eq!(*panic.downcast_ref::<&str>().unwrap(), "seven");
        assert_eq!(*seen.lock().unwrap(), 777);
    });
}

#[test]
fn a_failing_source_ends_the_run_after_everything_it_gave() {
    within(60, || {
        for batch in [1, 64] {
            let mut seen = 0;
            let source = (0..1000u64).map(|n| if n == 100 { Err(io::Error::other("dry")) } else { Ok(n) });
            let error = Pipeline::new().batch(batch).run(source, Ok, |_| {
                seen += 1;
                Ok(())
            });
            let error = error.unwrap_err();
            assert!(matches!(&error.cause, Cause::Source(error) if error.to_string() == "dry"));
            assert_eq!((seen, error.snapshot.submitted), (100, 100));
        }
    });
}

#[test]
fn a_failing_sink_ends_the_run_and_stops_the_source() {
    within(60, || {
        let taken = AtomicUsize::new(0);
        let source = (0u64..).map(|n| {
            taken.fetch_add(1, Ordering::Relaxed);
            Ok::<_, Nothing>(n)
        });
        let error = Pipeline::new().run(source, Ok, |n| if n == 5 { Err(io::Error::other("full")) } else { Ok(()) });
        let error = error.unwrap_err();
        assert!(matches!(error.cause, Cause::Sink { seq: 5, .. }));
        assert_eq!(error.snapshot.submitted, error.snapshot.delivered + error.snapshot.cancelled);
        assert_eq!(error.snapshot.delivered, 6, "the refused one was handed over");
    });
}

#[test]
fn a_panicking_sink_leaves_no_thread_behind() {
    within(60, || {
        let panic = std::panic::catch_unwind(|| {
            Pipeline::new().run((0u64..).map(Ok::<_, Nothing>), Ok, |n| {
                assert!(n < 3, "no more");
                Ok(())
            })
        });
        assert!(panic.is_err());
    });
}

#[test]
fn a_cancelled_run_ends_although_everything_sleeps() {
    within(60, || {
        let token = CancelToken::new();
        let (send, receive) = std::sync::mpsc::channel::<u64>();
        let pipeline = Pipeline::new().cancel(&token);
        let monitor = pipeline.monitor();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                send.send(7).unwrap();
                until("it is delivered", || monitor.snapshot().delivered == 1);
                token.cancel();
                drop(send);
            });
            let error = pipeline.run(receive.into_iter().map(Ok::<_, Nothing>), Ok, |_| Ok(())).unwrap_err();
            assert!(matches!(error.cause, Cause::Cancelled));
        });
        let again = Pipeline::new().cancel(&token).run((0..5u64).map(Ok::<_, Nothing>), Ok, |_| Ok(()));
        assert!(matches!(again.unwrap_err().cause, Cause::Cancelled), "a token stays cancelled");
    });
}

#[test]
fn an_item_is_worked_on_although_the_source_pauses_after_it() {
    within(60, || {
        // The source gives an item only when the sink has seen the one before.
        let (ask, asked) = std::sync::mpsc::channel();
        ask.send(()).unwrap();
        let source = (0..200u64).map(move |n| {
            asked.recv().unwrap();
            Ok::<_, Nothing>(n)
        });
        let report = Pipeline::new().workers(2).run(source, Ok, |_| {
            let _ = ask.send(());
            Ok(())
        });
        assert_eq!(report.unwrap().delivered, 200);
    });
}

#[test]
fn workers_have_a_state_of_their_own() {
    within(60, || {
        let made = AtomicUsize::new(0);
        let mut sum = 0;
        Pipeline::new()
            .workers(3)
            .worker_init(|| {
                made.fetch_add(1, Ordering::Relaxed);
                Vec::with_capacity(16)
            })
            .run(
                (0..1000u64).map(Ok::<_, Nothing>),
                |scratch: &mut Vec<u64>, n| {
                    scratch.clear();
                    scratch.extend([n, 1]);
                    Ok(scratch.iter().sum::<u64>())
                },
                |n| {
                    sum += n;
                    Ok(())
                },
            )
            .unwrap();
        assert_eq!(sum, 1000 * 999 / 2 + 1000);
        assert!((1..=3).contains(&made.load(Ordering::Relaxed)));
    });
}

#[test]
fn an_ordered_map_is_a_map() {
    within(60, || {
        let lengths: Vec<usize> = (0..5000u64).ordered_map(|n| bytes_of(n, (n % 50) as usize).len()).collect();
        assert!(lengths.into_iter().eq((0..5000).map(|n| n % 50)));
        let spilling = Pipeline::new().budget(&Budget::new(64 << 10)).spill(MemoryStore::new(u64::MAX));
        let mut map = (0..5000u64).ordered_map_with(spilling, |n| bytes_of(n, 100));
        assert_eq!(map.by_ref().take(10).last(), Some(bytes_of(9, 100)));
        drop(map); // Ends its threads although most of it was not asked for.
        assert_eq!((0..0u64).ordered_map(|n| n).next(), None);
    });
}

#[test]
fn every_budget_is_enough_to_go_on() {
    within(60, || {
        for limit in (0..100).chain([1000, 10_000]) {
            let budget = Budget::new(limit);
            let pipeline = Pipeline::new().workers(2).batch(1).budget(&budget);
            let report = pipeline.run((0..50u64).map(Ok::<_, Nothing>), Ok, |_| Ok(())).unwrap();
            assert_eq!(report.delivered, 50, "budget of {limit} bytes");
        }
    });
}
