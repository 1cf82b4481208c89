//! `execute` in one process.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use forebay_exchange::{ExchangeError, Failure, Runtime, execute};
use timely::dataflow::operators::generic::operator::source;
use timely::dataflow::operators::probe::Probe;
use timely::dataflow::operators::vec::ToStream;
use timely::worker::Worker;

use crate::support::within;

fn error() -> ExchangeError {
    ExchangeError::Thread { name: "merger".to_owned(), cause: "the disk is full".to_owned() }
}

fn is_ours(error: &ExchangeError) -> bool {
    matches!(error, ExchangeError::Thread { name, .. } if name == "merger")
}

/// A dataflow that never ends by itself; its operator holds `token` as long as it lives.
fn endless<T: 'static>(worker: &mut Worker, token: T) {
    worker.dataflow::<u64, _, _>(|scope| {
        source::<_, timely::container::CapacityContainerBuilder<Vec<u64>>, _, _>(scope, "endless", |capability, _| {
            move |_| {
                let _ = (&token, &capability);
            }
        })
        .probe();
    });
}

#[test]
fn returns_what_each_worker_returns() {
    for workers in [1, 3] {
        let runtime = Runtime::Process { workers };
        let indexes = execute(runtime, &Failure::new(), |worker| {
            worker.dataflow::<u64, _, _>(|scope| (0..10u64).to_stream(scope).probe().0);
            worker.index()
        });
        assert_eq!(indexes.unwrap(), (0..workers).collect::<Vec<_>>());
    }
}

#[test]
fn a_failure_wakes_parked_workers_and_all_leave() {
    within(|| {
        for workers in [1, 3] {
            let (failure, built) = (Failure::new(), Arc::new(Barrier::new(workers + 1)));
            let token = Arc::new(());
            let setter = {
                let (failure, built) = (failure.clone(), Arc::clone(&built));
                std::thread::spawn(move || {
                    built.wait();
                    failure.set(error());
                })
            };
            let held = Arc::clone(&token);
            let result = execute(Runtime::Process { workers }, &failure, move |worker| {
                endless(worker, Arc::clone(&held));
                built.wait();
            });
            assert!(is_ours(&result.unwrap_err()));
            setter.join().unwrap();
            // The dataflows are gone, and with them what they held.
            assert_eq!(Arc::strong_count(&token), 1);
        }
    });
}

#[test]
fn a_failure_that_was_there_before_is_returned() {
    within(|| {
        let failure = Failure::new();
        failure.set(error());
        let result = execute(Runtime::Process { workers: 2 }, &failure, |worker| endless(worker, ()));
        assert!(is_ours(&result.unwrap_err()));
    });
}

#[test]
fn a_worker_in_a_long_operator_is_waited_for() {
    within(|| {
        let (failure, finished) = (Failure::new(), Arc::new(AtomicUsize::new(0)));
        let inside = Arc::new(Barrier::new(2));
        let (set, ended) = (failure.clone(), Arc::clone(&finished));
        let result = execute(Runtime::Process { workers: 2 }, &failure, move |worker| {
            if worker.index() == 1 {
                let (inside, set) = (Arc::clone(&inside), set.clone());
                worker.dataflow::<u64, _, _>(|scope| {
                    source::<_, timely::container::CapacityContainerBuilder<Vec<u64>>, _, _>(
                        scope,
                        "fails",
                        |held, _| {
                            move |_| {
                                let _ = &held;
                                inside.wait();
                                set.set(error());
                            }
                        },
                    )
                    .probe();
                });
            } else {
                let (inside, set, ended) = (Arc::clone(&inside), set.clone(), Arc::clone(&ended));
                worker.dataflow::<u64, _, _>(|scope| {
                    source::<_, timely::container::CapacityContainerBuilder<Vec<u64>>, _, _>(
                        scope,
                        "long",
                        |held, _| {
                            move |_| {
                                let _ = &held;
                                inside.wait();
                                while set.get().is_none() {
                                    std::thread::yield_now();
                                }
                                // What an operator is in the middle of is not cut short.
                                std::thread::sleep(Duration::from_millis(300));
                                ended.fetch_add(1, Ordering::SeqCst);
                            }
                        },
                    )
                    .probe();
                });
            }
        });
        assert!(is_ours(&result.unwrap_err()));
        assert_eq!(finished.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_panic_of_one_worker_is_an_error_and_the_others_leave() {
    within(|| {
        let result = execute(Runtime::Process { workers: 3 }, &Failure::new(), |worker| {
            assert!(worker.index() != 1, "worker 1 has a bug");
            endless(worker, ());
        });
        match result.unwrap_err() {
            ExchangeError::Panicked { message } => assert!(message.contains("worker 1 has a bug"), "{message}"),
            other => panic!("{other}"),
        }
    });
}

#[test]
fn what_failed_counts_more_than_the_panic_that_it_led_to() {
    within(|| {
        let failure = Failure::new();
        let set = failure.clone();
        let result = execute(Runtime::Process { workers: 2 }, &failure, move |worker| {
            endless(worker, ());
            set.set(error());
            panic!("and so this");
        });
        let result: Result<Vec<()>, _> = result;
        assert!(is_ours(&result.unwrap_err()));
    });
}
