//! What could wait for ever and must not: each with a time limit.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use forebay::{Budget, CancelToken, MemoryStore, Pipeline, Reclaim, SegmentStore, WorkQueue};

use crate::support::{Gate, Gates, bytes_of, until, within};

fn numbers(items: u64) -> impl Iterator<Item = Result<u64, io::Error>> + Send {
    (0..items).map(Ok)
}

#[test]
fn two_pipelines_that_cannot_spill_share_one_budget() {
    within(60, || {
        let budget = Budget::new(64 << 10);
        let gate = Gate::default();
        let withheld = Pipeline::new().name("withheld").workers(2).budget(&budget);
        let going = Pipeline::new().name("going").workers(2).budget(&budget);
        thread::scope(|scope| {
            let slow = scope.spawn(|| {
                withheld.run(
                    numbers(500),
                    |n| {
                        if n == 0 {
                            gate.pass();
                        }
                        Ok(bytes_of(n, 2000))
                    },
                    |_| Ok(()),
                )
            });
            until("the first holds the whole budget", || budget.used() > 60 << 10);
            let mut next = 0;
            let report = going.run(
                numbers(200),
                |n| Ok(bytes_of(n, 5000)),
                |bytes| {
                    assert_eq!(bytes, bytes_of(next, 5000));
                    next += 1;
                    Ok(())
                },
            );
            let report = report.unwrap();
            assert_eq!(report.delivered, 200);
            assert!(report.overdraft_peak > 0);
            assert!(!slow.is_finished(), "the first still holds the budget");
            gate.open();
            assert_eq!(slow.join().unwrap().unwrap().delivered, 500);
        });
        assert_eq!(budget.used(), 0);
    });
}

/// In completion order the number of delivered results says nothing about which items they were of: two workers that both hold begun
/// batches must not both wait to become the head.
#[test]
fn begun_batches_in_completion_order_go_on_although_another_consumer_overdraws_the_budget() {
    within(60, || {
        let budget = Budget::new(1 << 20);
        let other = budget.consumer("other", 0).unwrap();
        let gates = Gates::default();
        let submitted = AtomicU64::new(0);
        let mut seen = Vec::new();
        thread::scope(|scope| {
            let scheduler = gates.clone();
            let (submitted, budget) = (&submitted, &budget);
            scope.spawn(move || {
                until("both workers hold an item and the rest is queued", || {
                    scheduler.await_waiters(2);
                    submitted.load(Ordering::Relaxed) == 300
                });
                // Both now take a batch of eight.
                scheduler.open_below(2);
                until("both hold the first of a batch", || {
                    let waiting = scheduler.await_waiters(2);
                    waiting.iter().all(|n| *n >= 2)
                });
                let hog = other.lease_head(4 << 20);
                scheduler.open_below(u64::MAX);
                until("the budget is used by the other alone", || budget.used() == 4 << 20);
                drop(hog);
            });
            let source = (0..300u64).map(|n| {
                submitted.store(n + 1, Ordering::Relaxed);
                Ok::<_, io::Error>(n)
            });
            Pipeline::new()
                .workers(2)
                .batch(8)
                .budget(budget)
                .unordered()
                .run(
                    source,
                    |n| {
                        gates.pass(n);
                        Ok(vec![n as u8; 2000])
                    },
                    |bytes| {
                        seen.push(bytes[0]);
                        Ok(())
                    },
                )
                .unwrap();
        });
        assert_eq!(seen.len(), 300);
    });
}

#[test]
fn a_pipeline_inside_anothers_worker_goes_on_while_the_outer_holds_the_whole_budget() {
    within(60, || {
        let budget = Budget::new(32 << 10);
        let gate = Gate::default();
        let inner_done = AtomicU64::new(0);
        let open = gate.clone();
        let outer = Pipeline::new().name("outer").workers(3).batch(1).budget(&budget);
        let full = budget.clone();
        let report = thread::scope(|scope| {
            scope.spawn(move || {
                until("the outer one has overdrawn the budget", || full.used() > full.limit());
                open.open();
            });
            outer.run(
                numbers(60),
                |n| {
                    if n < 2 {
                        gate.pass();
                    }
                    let mut sum = 0;
                    let inner = Pipeline::new().name("inner").workers(2).budget(&budget);
                    inner
                        .run(
                            numbers(20),
                            |m| Ok(bytes_of(m, 3000).len() as u64),
                            |len| {
                                sum += len;
                                Ok(())
                            },
                        )
                        .map_err(|error| io::Error::other(error.to_string()))?;
                    inner_done.fetch_add(1, Ordering::Relaxed);
                    assert_eq!(sum, 20 * 3000);
                    Ok(bytes_of(n, 20_000))
                },
                |_| Ok(()),
            )
        });
        assert_eq!(report.unwrap().delivered, 60);
        assert_eq!(inner_done.into_inner(), 60);
        assert_eq!(budget.used(), 0);
    });
}

/// The sink stands, the source stands, every worker sleeps: only the one who needs memory can have the finished results spilled.
#[test]
fn a_pipeline_that_stands_still_gives_memory_back_when_it_is_asked() {
    within(60, || {
        let budget = Budget::new(1 << 20);
        let sink_gate = Gate::default();
        let (feed, fed) = mpsc::channel();
        let pipeline =
            Pipeline::new().name("still").workers(2).batch(1).budget(&budget).spill(SegmentStore::temp().unwrap());
        let monitor = pipeline.monitor();
        let holder = |budget: &Budget| budget.holdings().iter().find(|h| h.name == "still").map(|h| h.used);
        thread::scope(|scope| {
            let run = scope.spawn(|| {
                pipeline.run(
                    fed.into_iter().map(Ok::<u64, io::Error>),
                    |n| Ok(bytes_of(n, 4000)),
                    |_| {
                        sink_gate.pass();
                        Ok(())
                    },
                )
            });
            // Less than three quarters of the budget, so that nothing is spilled on its own account.
            (0..150).for_each(|n| feed.send(n).unwrap());
            until("everything is finished", || holder(&budget).is_some_and(|used| used > 150 * 4000));
            assert_eq!(monitor.snapshot().spilled_items, 0);
            let other = budget.consumer("other", 0).unwrap();
            let lease = other.lease(700 << 10).unwrap();
            assert!(monitor.snapshot().spilled_items > 50, "{:?}", monitor.snapshot());
            assert!(budget.used() <= budget.limit(), "resident bytes fell: {}", budget.used());
            assert!(holder(&budget).unwrap() >= 1 << 20 >> 4, "the reserve of the head stays");
            drop(lease);
            sink_gate.open();
            drop(feed);
            let report = run.join().unwrap().unwrap();
            assert_eq!(report.delivered, 150);
            assert_eq!(report.overdraft_peak, 0, "{report:?}");
        });
    });
}

/// The reload of the head's block needs memory that only further writes free: it overdraws, it does not wait.
#[test]
fn a_reload_does_not_wait_for_writes_that_free_memory() {
    within(60, || {
        use forebay::spill::faulty::{Fault, FaultyFs, Operation};
        const ITEMS: u64 = 4000;
        let fs = FaultyFs::new();
        let dir = tempfile::tempdir().unwrap();
        let store = forebay::SegmentOptions::new().file_system(Arc::new(fs.clone())).open(dir.path()).unwrap();
        let budget = Budget::new(512 << 10);
        let gate = Gate::default();
        let pipeline = Pipeline::new().workers(2).budget(&budget).spill(store);
        let monitor = pipeline.monitor();
        let mut next = 0;
        let report = thread::scope(|scope| {
            scope.spawn(|| {
                until("the first half is spilled", || monitor.snapshot().spilled_items > ITEMS / 2);
                fs.inject(Operation::Write, .., Fault::Hang);
                fs.wait_until_hanging(1);
                gate.open();
                // Nothing is written any more, and yet what was written comes back.
                until("something is read back and delivered", || {
                    let now = monitor.snapshot();
                    now.reloaded_items > 300 && now.delivered > 300
                });
                fs.release();
            });
            pipeline
                .run(
                    numbers(ITEMS),
                    |n| {
                        if n == 0 {
                            gate.pass();
                        }
                        Ok(bytes_of(n, 2000))
                    },
                    |bytes| {
                        assert_eq!(bytes, bytes_of(next, 2000));
                        next += 1;
                        Ok(())
                    },
                )
                .unwrap()
        });
        assert_eq!(report.delivered, ITEMS);
    });
}

/// A producer that has its number but not yet its item in the queue would hold up everybody behind it.
#[test]
fn a_producer_that_is_delayed_before_or_between_its_sends_delays_nobody_else() {
    within(60, || {
        let budget = Budget::new(1 << 20);
        let consumer = budget.consumer("queue", 0).unwrap();
        for delayed_after in [0, 1, 5] {
            let (sender, receiver) = WorkQueue::new::<u64>(&consumer, 8);
            let gate = Gate::default();
            let shared = sender.share();
            let mut seqs = thread::scope(|scope| {
                let mut producers = Vec::new();
                for producer in 0..4u64 {
                    let (mut sender, gate) = (shared.clone(), gate.clone());
                    producers.push(scope.spawn(move || {
                        let mut seqs = Vec::new();
                        for n in 0..200 {
                            if producer == 0 && n == delayed_after {
                                gate.pass();
                            }
                            seqs.push(sender.send(producer * 1000 + n).unwrap());
                        }
                        sender.finish();
                        seqs
                    }));
                }
                shared.finish();
                let mut next = 0;
                let mut from = [0; 4];
                loop {
                    // Everything of the other three is received although the first stands at its gate.
                    if from[1..] == [200; 3] {
                        gate.open();
                    }
                    let Ok(job) = receiver.recv() else { break };
                    assert_eq!(job.seq, next, "numbers come without a gap");
                    next += 1;
                    let (producer, n) = (job.item / 1000, job.item % 1000);
                    assert_eq!(n, from[producer as usize], "each producer's items stay in order");
                    from[producer as usize] += 1;
                }
                assert_eq!((from, next), ([200; 4], 800));
                producers.into_iter().flat_map(|producer| producer.join().unwrap()).collect::<Vec<u64>>()
            });
            seqs.sort_unstable();
            assert!(seqs.into_iter().eq(0..800), "each number was given once");
        }
        assert_eq!(budget.used(), 0);
    });
}

/// Small windows and caps turn every missing wake-up into a hang, and a source whose next item depends on the delivery of the one
/// before turns every result that is held back into one.
#[test]
fn a_source_that_waits_for_the_delivery_of_its_last_item_goes_on() {
    within(60, || {
        for (window, outstanding, limit) in [(1, 1, 1), (1, 16, 1 << 20), (4096, 1, 1 << 20), (2, 2, 1), (64, 64, 100)]
        {
            let (tell, told) = mpsc::channel();
            let source = (0..300u64).map(move |n| {
                if n > 0 {
                    assert_eq!(told.recv().unwrap(), n - 1);
                }
                Ok::<_, io::Error>(n)
            });
            let report = Pipeline::new()
                .workers(2)
                .window(window)
                .outstanding(outstanding)
                .budget(&Budget::new(limit))
                .spill(MemoryStore::new(u64::MAX))
                .run(source, Ok, |n| {
                    let _ = tell.send(n);
                    Ok(())
                });
            assert_eq!(report.unwrap().delivered, 300);
        }
    });
}

#[test]
fn a_window_of_one_goes_through() {
    within(60, || {
        for (workers, batch) in [(1, 1), (4, 1), (4, 64)] {
            let mut seen = Vec::new();
            let report = Pipeline::new().workers(workers).batch(batch).window(1).run(numbers(2000), Ok, |n| {
                seen.push(n);
                Ok(())
            });
            assert_eq!(report.unwrap().delivered, 2000);
            assert!(seen.into_iter().eq(0..2000));
        }
    });
}

/// A bounded channel in front of workers that take whatever is there bounds nothing: the source would go on for as long as they do.
#[test]
fn the_window_bounds_what_is_queued_and_in_work_together() {
    within(60, || {
        const WINDOW: u64 = 8;
        for batch in [1, 4] {
            let (given, done) = (AtomicU64::new(0), AtomicU64::new(0));
            let gate = Gate::default();
            thread::scope(|scope| {
                scope.spawn(|| {
                    // Every worker holds an item, and the source has given as many as it may.
                    gate.await_waiters(2);
                    until("the window is full", || given.load(Ordering::SeqCst) > WINDOW);
                    gate.open();
                });
                let source = (0..2000u64).map(|n| {
                    // The one that is given now waits for a place, with the source.
                    let ahead = given.fetch_add(1, Ordering::SeqCst) + 1 - done.load(Ordering::SeqCst);
                    assert!(ahead <= WINDOW + batch, "{ahead} items are given and not finished");
                    Ok::<_, io::Error>(n)
                });
                let work = |n| {
                    gate.pass();
                    done.fetch_add(1, Ordering::SeqCst);
                    Ok(n)
                };
                let pipeline = Pipeline::new().workers(2).window(WINDOW as usize).batch(batch as usize);
                assert_eq!(pipeline.run(source, work, |_| Ok(())).unwrap().delivered, 2000);
            });
        }
    });
}

/// The cap on outstanding items is what bounds the index of what is spilled. It is exact, and reaching it ends when the head goes.
#[test]
fn the_cap_on_outstanding_items_holds_the_source_and_lets_it_go() {
    within(60, || {
        for batch in [1, 64] {
            let gate = Gate::default();
            let pipeline = Pipeline::new().workers(2).batch(batch).outstanding(100).spill(MemoryStore::new(u64::MAX));
            let worked = AtomicU64::new(0);
            let mut sunk = 0;
            thread::scope(|scope| {
                scope.spawn(|| {
                    gate.await_waiters(1);
                    until("all that may be is worked on", || worked.load(Ordering::SeqCst) >= 100);
                    gate.open();
                });
                let source = (0..1000u64).map(Ok::<_, io::Error>);
                let work = |n| {
                    worked.fetch_add(1, Ordering::SeqCst);
                    Ok(n)
                };
                let report = pipeline.run(source, work, |_| {
                    // The first result is not delivered before the sink returns.
                    gate.pass();
                    let ahead = worked.load(Ordering::SeqCst) - sunk;
                    assert!(ahead <= 100, "{ahead} items were worked on and not delivered");
                    sunk += 1;
                    Ok(())
                });
                assert_eq!(report.unwrap().delivered, 1000);
            });
        }
    });
}

/// A pool that steals work holds the thread that would unblock it; on one core that is a deadlock at once.
#[cfg(target_os = "linux")]
#[test]
fn everything_works_on_one_core() {
    within(90, || {
        // The threads of the pipeline inherit it.
        let mut one = rustix::thread::CpuSet::new();
        let mine = rustix::thread::sched_getaffinity(None).unwrap();
        one.set((0..rustix::thread::CpuSet::MAX_CPU).find(|cpu| mine.is_set(*cpu)).unwrap());
        rustix::thread::sched_setaffinity(None, &one).unwrap();
        for workers in [1, 3] {
            let budget = Budget::new(128 << 10);
            let gate = Gate::default();
            let pipeline = Pipeline::new().workers(workers).budget(&budget).spill(SegmentStore::temp().unwrap());
            let monitor = pipeline.monitor();
            let open = gate.clone();
            let (mut next, mut sum) = (0, 0);
            let report = thread::scope(|scope| {
                if workers > 1 {
                    scope.spawn(move || {
                        until("something is spilled", || monitor.snapshot().spilled_items > 100);
                        open.open();
                    });
                } else {
                    open.open();
                }
                pipeline
                    .run(
                        numbers(3000),
                        |n| {
                            if n == 0 {
                                gate.pass();
                            }
                            Ok(bytes_of(n, 500))
                        },
                        |bytes| {
                            assert_eq!(bytes, bytes_of(next, 500));
                            next += 1;
                            sum += bytes.len();
                            Ok(())
                        },
                    )
                    .unwrap()
            });
            assert_eq!((report.delivered, sum), (3000, 1_500_000));
        }
    });
}

/// After an error of the source the run is over, yet everything before it is still worked on: the workers that wait for memory then
/// sleep like at any other time.
#[cfg(target_os = "linux")]
#[test]
fn workers_that_wait_for_memory_sleep_after_an_error_of_the_source() {
    use crate::support::{alone, rests};
    let name = "liveness::workers_that_wait_for_memory_sleep_after_an_error_of_the_source";
    alone(name, 60, || {
        let budget = Budget::new(64 << 10);
        let other = budget.consumer("other", 0).unwrap();
        let gates = Gates::default();
        let submitted = AtomicU64::new(0);
        let scheduler = gates.clone();
        let error = thread::scope(|scope| {
            scope.spawn(|| {
                let scheduler = scheduler;
                until("all workers hold an item and the source has failed", || {
                    submitted.load(Ordering::Relaxed) == 200 && scheduler.await_waiters(3) == [0, 1, 2]
                });
                let _hog = other.lease_head(1 << 20);
                // Their workers want the next items, which are still wanted, and have to wait for memory.
                scheduler.open(1);
                scheduler.open(2);
                until("two workers have let go", || scheduler.await_waiters(1) == [0]);
                rests(
                    "while everybody waits",
                    std::time::Duration::from_millis(300),
                    std::time::Duration::from_millis(60),
                );
                scheduler.open_below(u64::MAX);
            });
            let source = (0..=200u64).map(|n| {
                submitted.store(n, Ordering::Relaxed);
                if n == 200 { Err(io::Error::other("dry")) } else { Ok(n) }
            });
            let work = |n| {
                gates.pass(n);
                Ok(n)
            };
            let pipeline = Pipeline::new().workers(3).batch(1).budget(&budget);
            pipeline.run(source, work, |_| Ok(())).unwrap_err()
        });
        assert!(matches!(error.cause, forebay::Cause::Source(_)), "{error}");
        assert_eq!(error.snapshot.delivered, 200);
    });
}

#[test]
fn a_token_ends_a_pipeline_in_which_every_thread_waits_for_memory() {
    within(60, || {
        let budget = Budget::new(32 << 10);
        let other = budget.consumer("other", 0).unwrap();
        let (token, gate) = (CancelToken::new(), Gate::default());
        thread::scope(|scope| {
            scope.spawn(|| {
                until("the budget is full", || budget.used() > 28 << 10);
                let _hog = other.lease_head(1 << 20);
                gate.await_waiters(1);
                token.cancel();
                gate.open();
            });
            let error = Pipeline::new().workers(3).budget(&budget).cancel(&token).run(
                numbers(1_000_000),
                |n| {
                    if n == 0 {
                        gate.pass();
                    }
                    Ok(bytes_of(n, 1000))
                },
                |_| Ok(()),
            );
            assert!(matches!(error.unwrap_err().cause, forebay::Cause::Cancelled));
        });
        assert_eq!(budget.used(), 0);
    });
}

/// Who must not wait is told when there is room, once, and the largest consumer that can spill is asked to make it.
#[test]
fn who_must_not_wait_is_called_when_there_is_room() {
    struct Asked(AtomicUsize);
    impl Reclaim for Asked {
        fn reclaim(&self, bytes: usize) {
            self.0.fetch_add(bytes, Ordering::SeqCst);
        }
    }
    let budget = Budget::new(100);
    let (holder, hungry) = (budget.consumer("holder", 0).unwrap(), budget.consumer("hungry", 0).unwrap());
    let asked = Arc::new(Asked(AtomicUsize::new(0)));
    holder.can_spill(Arc::downgrade(&(Arc::clone(&asked) as Arc<dyn Reclaim>)));
    let mut held = holder.try_lease(90).unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let call = || {
        let calls = Arc::clone(&calls);
        move || {
            calls.fetch_add(1, Ordering::SeqCst);
        }
    };
    assert!(hungry.when_room(10, call()), "it fits");
    assert!(!hungry.when_room(30, call()));
    assert_eq!(asked.0.load(Ordering::SeqCst), 30);
    held.shrink_to(80);
    assert_eq!(calls.load(Ordering::SeqCst), 0, "not enough yet");
    held.shrink_to(70);
    held.shrink_to(60);
    assert_eq!(calls.load(Ordering::SeqCst), 1, "once");
}
