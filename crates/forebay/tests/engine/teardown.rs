//! Invariants 9 and 10: however a run ends, it ends: what runs is waited for, nothing more is delivered, every thread is joined.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use forebay::spill::faulty::{Fault, FaultyFs, Operation};
use forebay::{Budget, CancelToken, Cause, MemoryStore, OrderedMapExt, Pipeline, SegmentOptions, SegmentStore};

use crate::support::{Gate, bytes_of, until, within};

#[cfg(target_os = "linux")]
use crate::support::{alone, threads};

fn numbers(items: u64) -> impl Iterator<Item = Result<u64, io::Error>> + Send {
    (0..items).map(Ok)
}

#[test]
fn an_iterator_dropped_in_mid_stream_ends_its_threads_and_gives_its_memory_back() {
    within(60, || {
        for taken in [0, 1, 77] {
            let budget = Budget::new(256 << 10);
            let pipeline = Pipeline::new().workers(2).budget(&budget).spill(MemoryStore::new(u64::MAX));
            let given = Arc::new(AtomicU64::new(0));
            let counter = Arc::clone(&given);
            let endless = (0u64..).inspect(move |_| {
                counter.fetch_add(1, Ordering::Relaxed);
            });
            let mut map = endless.ordered_map_with(pipeline, |n| bytes_of(n, 2000));
            assert!(map.by_ref().take(taken).eq((0..taken as u64).map(|n| bytes_of(n, 2000))));
            until("the source is far ahead", || given.load(Ordering::Relaxed) > 200);
            drop(map);
            assert_eq!(budget.used(), 0);
            assert_eq!(Arc::strong_count(&given), 1, "the source was dropped with its thread");
        }
    });
}

#[test]
fn who_waits_for_something_else_is_called_once_when_a_token_is_cancelled() {
    let (token, calls) = (CancelToken::new(), Arc::new(AtomicU64::new(0)));
    let call = || {
        let calls = Arc::clone(&calls);
        move || {
            calls.fetch_add(1, Ordering::Relaxed);
        }
    };
    let called = token.on_cancel(call());
    drop(token.on_cancel(call()));
    token.clone().cancel();
    token.cancel();
    assert_eq!(calls.load(Ordering::Relaxed), 1, "not who has gone, and once");
    let late = token.on_cancel(call());
    assert_eq!(calls.load(Ordering::Relaxed), 2, "at once");
    drop((called, late));
}

/// The sink's call in progress is waited for, and it is the last one.
#[test]
fn a_sink_that_hangs_while_the_run_is_cancelled_is_waited_for_and_gets_nothing_more() {
    within(60, || {
        let (token, gate) = (CancelToken::new(), Gate::default());
        let pipeline = Pipeline::new().workers(2).cancel(&token);
        let worked = AtomicU64::new(0);
        let mut sunk = 0;
        thread::scope(|scope| {
            scope.spawn(|| {
                gate.await_waiters(1);
                // Many results are ready behind the one that hangs.
                until("many are finished", || worked.load(Ordering::Relaxed) > 1000);
                token.cancel();
                gate.open();
            });
            let error = pipeline.run(
                numbers(3000),
                |n| {
                    worked.fetch_add(1, Ordering::Relaxed);
                    Ok(n)
                },
                |n| {
                    sunk += 1;
                    if n == 500 {
                        gate.pass();
                    }
                    Ok(())
                },
            );
            let error = error.unwrap_err();
            assert!(matches!(error.cause, Cause::Cancelled), "{error}");
            assert_eq!(error.snapshot.delivered, 501, "the one in the sink's hands counts");
            assert_eq!(error.snapshot.submitted, 501 + error.snapshot.cancelled);
        });
        assert_eq!(sunk, 501);
    });
}

/// The error stays: the producer sees it at its next call, and does not go on for ever.
#[test]
fn a_sinks_error_reaches_a_source_that_waits_for_room() {
    within(60, || {
        let given = AtomicU64::new(0);
        let (gate, refused) = (Gate::default(), Gate::default());
        let error = thread::scope(|scope| {
            scope.spawn(|| {
                refused.pass();
                gate.open();
            });
            let source = (0u64..).map(|n| {
                given.store(n + 1, Ordering::Relaxed);
                Ok(n)
            });
            Pipeline::new().workers(2).batch(1).window(16).run(
                source,
                |n| {
                    if n > 0 {
                        gate.pass();
                    }
                    Ok(n)
                },
                |_| {
                    until("the window is full", || given.load(Ordering::Relaxed) > 16);
                    refused.open();
                    Err(io::Error::other("full"))
                },
            )
        });
        let error = error.unwrap_err();
        assert!(matches!(&error.cause, Cause::Sink { seq: 0, error } if error.to_string() == "full"));
        // That the run has ended says that the source was stopped: it has no end of its own.
    });
}

/// Whether this is a worker's thread of the pipeline of this name.
#[cfg(target_os = "linux")]
fn own_thread(pipeline: &str) -> bool {
    let name = thread::current().name().map(str::to_owned);
    name.is_some_and(|name| name.starts_with(&format!("{pipeline}-work-")))
}

#[cfg(target_os = "linux")]
#[test]
fn every_thread_has_a_name_and_is_joined_however_the_run_ends() {
    alone("teardown::every_thread_has_a_name_and_is_joined_however_the_run_ends", 60, || {
        let before = threads("");
        let name = |ending: &str| format!("t-{ending}");
        for ending in ["whole", "work", "panic", "source", "sink", "sinkpanic", "cancel"] {
            let token = CancelToken::new();
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                Pipeline::new()
                    .name(&name(ending))
                    .workers(3)
                    .cancel(&token)
                    .budget(&Budget::new(64 << 10))
                    .spill(SegmentStore::temp().unwrap())
                    .run(
                        (0..20_000u64).map(|n| match ending {
                            "source" if n == 15_000 => Err(io::Error::other("source")),
                            _ => Ok(n),
                        }),
                        |n| match ending {
                            _ if !own_thread(&name(ending)) => panic!("a worker without the pipeline's name"),
                            "work" if n == 15_000 => Err(io::Error::other("work")),
                            "panic" if n == 15_000 => panic!("work"),
                            _ => Ok(bytes_of(n, 50)),
                        },
                        |bytes| {
                            if bytes == bytes_of(10_000, 50) {
                                match ending {
                                    "sink" => return Err(io::Error::other("sink")),
                                    "sinkpanic" => panic!("sink"),
                                    "cancel" => token.cancel(),
                                    _ => {}
                                }
                            }
                            Ok(())
                        },
                    )
                    .is_ok()
            }));
            assert_eq!(outcome.is_ok_and(|good| good), ending == "whole", "{ending}");
            // A thread that was joined may show for a moment longer.
            until(&format!("{ending}: all threads have ended"), || threads("").len() <= before.len());
        }
    });
}

/// The threads are joined also while the store hangs: the write in progress is waited for, not left behind with the run's memory.
#[cfg(target_os = "linux")]
#[test]
fn a_write_in_progress_is_waited_for() {
    alone("teardown::a_write_in_progress_is_waited_for", 60, || {
        let fs = FaultyFs::new();
        let dir = tempfile::tempdir().unwrap();
        let store = SegmentOptions::new().file_system(Arc::new(fs.clone())).open(dir.path()).unwrap();
        fs.inject(Operation::Write, 3.., Fault::Hang);
        let budget = Budget::new(256 << 10);
        let returned = Arc::new(AtomicU64::new(0));
        let pipeline = Pipeline::new().workers(2).budget(&budget).spill(store);
        let run = {
            let (fs, returned) = (fs.clone(), Arc::clone(&returned));
            thread::spawn(move || {
                let outcome = pipeline.run(
                    numbers(100_000),
                    |n| Ok(bytes_of(n, 1000)),
                    |bytes| {
                        if bytes == bytes_of(0, 1000) {
                            until("a write hangs", || fs.calls(Operation::Write) > 3);
                            return Err(io::Error::other("sink"));
                        }
                        Ok(())
                    },
                );
                returned.store(1, Ordering::SeqCst);
                (outcome.unwrap_err(), threads("forebay-spill"))
            })
        };
        fs.wait_until_hanging(1);
        until("the workers have ended", || threads("forebay-work").is_empty());
        // It cannot be seen that nothing happens; a run that does not wait returns at once.
        thread::sleep(std::time::Duration::from_millis(100));
        assert_eq!(returned.load(Ordering::SeqCst), 0, "the run returned while its I/O thread hangs");
        fs.release();
        let (error, left) = run.join().unwrap();
        assert!(matches!(error.cause, Cause::Sink { seq: 0, .. }), "{error}");
        assert_eq!(left, Vec::<String>::new());
        assert_eq!(budget.used(), 0, "everything was given back before the run returned");
        assert_eq!(fs.open_files(), 0);
    });
}

#[test]
fn work_in_progress_is_waited_for() {
    within(60, || {
        let gate = Gate::default();
        let ended = AtomicU64::new(0);
        let refused = Gate::default();
        thread::scope(|scope| {
            scope.spawn(|| {
                refused.pass();
                gate.open();
            });
            let error = Pipeline::new().workers(3).batch(1).run(
                numbers(1000),
                |n| {
                    if (1..3).contains(&n) {
                        gate.pass();
                        ended.fetch_add(1, Ordering::SeqCst);
                    }
                    Ok(n)
                },
                |_| {
                    gate.await_waiters(2);
                    refused.open();
                    Err(io::Error::other("sink"))
                },
            );
            assert!(error.is_err());
            assert_eq!(ended.load(Ordering::SeqCst), 2, "the run returned before its workers");
        });
    });
}
