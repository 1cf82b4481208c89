//! [`Delivery`]: strictly oldest first, a slot refilled only after it was delivered, and an end however it comes.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use forebay::{Delivery, DeliveryError, DeliveryMonitor};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{Gate, Random, bytes_of, until, within};

/// A sink that keeps what it was given.
fn keep(kept: &Arc<Mutex<Vec<u64>>>) -> impl FnMut(&mut u64) -> Result<(), String> + Send + 'static {
    let kept = Arc::clone(kept);
    move |job| {
        kept.lock().unwrap().push(*job);
        Ok(())
    }
}

fn put(delivery: &mut Delivery<u64, String>, number: u64) {
    let mut job = delivery.fill().unwrap();
    *job = number;
    delivery.enqueue(job, 10).unwrap();
}

#[test]
fn jobs_are_delivered_in_the_order_in_which_they_were_enqueued() {
    within(60, || {
        for slots in [1, 2, 3, 7] {
            let kept = Arc::default();
            let mut delivery = Delivery::start("delivery", vec![0; slots], keep(&kept)).unwrap();
            (0..5000).for_each(|number| put(&mut delivery, number));
            let monitor = delivery.monitor();
            delivery.finish().unwrap();
            assert!(kept.lock().unwrap().iter().copied().eq(0..5000));
            let seen = monitor.snapshot();
            assert_eq!((seen.jobs, seen.bytes, seen.queued_jobs, seen.queued_bytes), (5000, 50_000, 0, 0));
            assert!(seen.longest_nanos > 0);
        }
    });
}

/// The order is that of `enqueue`, whatever the order in which the slots were given out.
#[test]
fn slots_filled_out_of_turn_are_delivered_in_the_order_of_enqueue() {
    within(60, || {
        let kept = Arc::default();
        let mut delivery = Delivery::start("delivery", vec![0; 3], keep(&kept)).unwrap();
        for round in 0..100 {
            delivery.drain().unwrap();
            let mut jobs: Vec<_> = (0..3).map(|_| delivery.fill().unwrap()).collect();
            jobs.rotate_left(round % 3);
            for (n, mut job) in jobs.into_iter().enumerate() {
                *job = (3 * round + n) as u64;
                delivery.enqueue(job, 0).unwrap();
            }
        }
        delivery.finish().unwrap();
        assert!(kept.lock().unwrap().iter().copied().eq(0..300));
    });
}

#[test]
fn a_full_delivery_gives_a_slot_out_only_after_its_job_was_delivered() {
    within(60, || {
        let gate = Gate::default();
        let passed = Arc::new(AtomicU64::new(0));
        let (inner, counter) = (gate.clone(), Arc::clone(&passed));
        let sink = move |job: &mut u64| {
            inner.pass();
            counter.store(*job, Ordering::SeqCst);
            Ok::<_, String>(())
        };
        let mut delivery = Delivery::start("delivery", vec![0; 3], sink).unwrap();
        (1..=3).for_each(|number| put(&mut delivery, number));
        gate.await_waiters(1);
        assert!(delivery.try_fill().unwrap().is_none());
        let monitor = delivery.monitor();
        assert_eq!((monitor.snapshot().queued_jobs, monitor.snapshot().queued_bytes), (3, 30));
        let filler = thread::spawn(move || {
            let job = delivery.fill().unwrap();
            assert!(*job <= passed.load(Ordering::SeqCst), "job {} is not delivered", *job);
            (*job, delivery.try_fill().is_ok())
        });
        until("the filler waits", || monitor.snapshot().waits == 1);
        assert!(!filler.is_finished() && monitor.snapshot().jobs == 0);
        gate.open();
        let (oldest, _) = filler.join().unwrap();
        assert!((1..=3).contains(&oldest));
        assert!(monitor.snapshot().wait_nanos > 0);
    });
}

/// Each buffer is written over and over while others are in the sink's hands.
#[test]
fn nobody_writes_to_a_buffer_that_is_being_delivered() {
    within(60, || {
        let mut expected = 0;
        let sink = move |job: &mut Vec<u8>| {
            let pattern = bytes_of(expected, 2000);
            for _ in 0..3 {
                assert!(*job == pattern, "job {expected} is another one");
                thread::yield_now();
            }
            expected += 1;
            Ok::<_, String>(())
        };
        let mut delivery = Delivery::start("delivery", vec![vec![0; 2000]; 2], sink).unwrap();
        for number in 0..3000 {
            let mut job = delivery.fill().unwrap();
            job.fill(0xee);
            job.copy_from_slice(&bytes_of(number, 2000));
            delivery.enqueue(job, 2000).unwrap();
        }
        delivery.finish().unwrap();
    });
}

#[test]
fn draining_waits_for_the_job_in_the_sink_as_well() {
    within(60, || {
        let (gate, done) = (Gate::default(), Arc::new(AtomicBool::new(false)));
        let (inner, finished) = (gate.clone(), Arc::clone(&done));
        let sink = move |_: &mut u64| {
            inner.pass();
            finished.store(true, Ordering::SeqCst);
            Ok::<_, String>(())
        };
        let mut delivery = Delivery::start("delivery", vec![0; 2], sink).unwrap();
        put(&mut delivery, 0);
        gate.await_waiters(1);
        let monitor = delivery.monitor();
        let drainer = thread::spawn(move || {
            delivery.drain().unwrap();
            assert!(done.load(Ordering::SeqCst), "it was not delivered");
            let seen = delivery.monitor().snapshot();
            assert_eq!((seen.jobs, seen.queued_jobs, seen.queued_bytes), (1, 0, 0));
            put(&mut delivery, 1); // It goes on.
            delivery.finish().unwrap();
        });
        until("the producer waits", || monitor.snapshot().waits == 1 || drainer.is_finished());
        gate.open();
        drainer.join().unwrap();
        assert_eq!(monitor.snapshot().jobs, 2);
    });
}

/// Says how often jobs were dropped, each at most once.
struct Dropped {
    number: u64,
    drops: Arc<Mutex<Vec<u64>>>,
}

impl Drop for Dropped {
    fn drop(&mut self) {
        self.drops.lock().unwrap().push(self.number);
    }
}

#[test]
fn dropped_in_mid_stream_it_waits_for_the_one_call_in_progress_and_cancels_the_rest() {
    within(60, || {
        let (gate, drops) = (Gate::default(), Arc::new(Mutex::new(Vec::new())));
        let calls = Arc::new(AtomicU64::new(0));
        let (inner, counter, dropped) = (gate.clone(), Arc::clone(&calls), Arc::clone(&drops));
        let sink = move |_: &mut Dropped| {
            counter.fetch_add(1, Ordering::SeqCst);
            inner.pass();
            assert!(dropped.lock().unwrap().is_empty(), "a job was freed while the sink was running");
            Ok::<_, String>(())
        };
        let slots = (0..4).map(|number| Dropped { number, drops: Arc::clone(&drops) }).collect();
        let mut delivery = Delivery::start("delivery", slots, sink).unwrap();
        for _ in 0..3 {
            let job = delivery.fill().unwrap();
            delivery.enqueue(job, 1).unwrap();
        }
        gate.await_waiters(1);
        let monitor = delivery.monitor();
        let held = delivery.fill().unwrap();
        let (ended, end) = channel();
        let dropper = thread::spawn(move || {
            drop(delivery);
            ended.send(()).unwrap();
        });
        assert_eq!(end.recv_timeout(Duration::from_millis(50)), Err(RecvTimeoutError::Timeout), "the sink still runs");
        gate.open();
        dropper.join().unwrap();
        assert_eq!(calls.load(Ordering::SeqCst), 1, "nothing is delivered after the call in progress");
        assert_eq!(drops.lock().unwrap().len(), 3, "the slots are gone, whoever still holds a monitor");
        let seen = monitor.snapshot();
        assert_eq!((seen.jobs, seen.queued_jobs, seen.queued_bytes), (1, 0, 0));
        // Nobody is left to take it.
        drop(held);
        let mut all = drops.lock().unwrap().clone();
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3], "each once");
        assert_eq!(Arc::strong_count(&calls), 1, "the sink went with its thread");
    });
}

#[test]
fn a_delivery_that_was_finished_leaves_no_slot_behind() {
    within(60, || {
        for slots in [1, 3] {
            let drops = Arc::default();
            let jobs = (0..slots).map(|number| Dropped { number, drops: Arc::clone(&drops) }).collect();
            let mut delivery = Delivery::start("delivery", jobs, |_: &mut Dropped| Ok::<_, String>(())).unwrap();
            for _ in 0..10 {
                let job = delivery.fill().unwrap();
                delivery.enqueue(job, 1).unwrap();
            }
            let monitor = delivery.monitor();
            delivery.finish().unwrap();
            assert_eq!(drops.lock().unwrap().len() as u64, slots);
            assert_eq!(monitor.snapshot().jobs, 10);
        }
    });
}

/// A delivery whose sink fails at job 2, after that job has failed, and a slot that was being filled before.
fn failed(slots: usize) -> (Delivery<u64, String>, forebay::Filling<u64>, DeliveryMonitor) {
    let sink = |job: &mut u64| if *job == 2 { Err("no space".to_owned()) } else { Ok(()) };
    let mut delivery = Delivery::start("delivery", vec![0; slots], sink).unwrap();
    let monitor = delivery.monitor();
    put(&mut delivery, 1);
    delivery.drain().unwrap();
    let held = delivery.fill().unwrap();
    put(&mut delivery, 2);
    until("it failed", || monitor.snapshot().queued_jobs == 0);
    (delivery, held, monitor)
}

#[test]
fn an_error_of_the_sink_reaches_the_next_call_whichever_it_is_and_every_later_one() {
    type Call = fn(&mut Delivery<u64, String>, forebay::Filling<u64>) -> Result<(), DeliveryError<String>>;
    let calls: [Call; 4] = [
        |delivery, _| delivery.fill().map(drop),
        |delivery, _| delivery.try_fill().map(drop),
        |delivery, held| delivery.enqueue(held, 1),
        |delivery, _| delivery.drain(),
    ];
    within(60, move || {
        for call in calls {
            let (mut delivery, held, monitor) = failed(3);
            let error = call(&mut delivery, held).unwrap_err();
            assert!(matches!(&error, DeliveryError::Sink(error) if **error == "no space"), "{error:?}");
            assert_eq!(error.to_string(), "delivery stopped: no space");
            // Every call again.
            assert!(matches!(delivery.fill(), Err(DeliveryError::Sink(_))));
            assert!(matches!(delivery.try_fill(), Err(DeliveryError::Sink(_))));
            assert!(matches!(delivery.drain(), Err(DeliveryError::Sink(_))));
            assert!(matches!(delivery.finish(), Err(DeliveryError::Sink(_))));
            assert_eq!(monitor.snapshot().jobs, 1);
        }
        let (delivery, held, _) = failed(3);
        assert!(matches!(delivery.finish(), Err(DeliveryError::Sink(_))));
        drop(held);
    });
}

#[test]
fn what_is_queued_behind_a_job_that_fails_is_not_delivered() {
    within(60, || {
        let (gate, kept) = (Gate::default(), Arc::new(Mutex::new(Vec::new())));
        let (inner, seen) = (gate.clone(), Arc::clone(&kept));
        let sink = move |job: &mut u64| {
            inner.pass();
            seen.lock().unwrap().push(*job);
            if *job == 1 { Err("broken".to_owned()) } else { Ok(()) }
        };
        let mut delivery = Delivery::start("delivery", vec![0; 4], sink).unwrap();
        (0..4).for_each(|number| put(&mut delivery, number));
        let monitor = delivery.monitor();
        gate.open();
        assert!(matches!(delivery.drain(), Err(DeliveryError::Sink(_))));
        assert_eq!(*kept.lock().unwrap(), [0, 1]);
        let seen = monitor.snapshot();
        assert_eq!((seen.jobs, seen.queued_jobs, seen.queued_bytes), (1, 0, 0), "the rest is cancelled");
    });
}

#[test]
fn an_error_ends_a_producer_that_waits_for_a_slot() {
    within(60, || {
        let gate = Gate::default();
        let inner = gate.clone();
        let sink = move |_: &mut u64| {
            inner.pass();
            Err("broken".to_owned())
        };
        let mut delivery = Delivery::start("delivery", vec![0; 2], sink).unwrap();
        (0..2).for_each(|number| put(&mut delivery, number));
        let monitor = delivery.monitor();
        let filler = thread::spawn(move || matches!(delivery.fill(), Err(DeliveryError::Sink(_))));
        until("the filler waits", || monitor.snapshot().waits == 1);
        gate.open();
        assert!(filler.join().unwrap());
    });
}

fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic.downcast_ref::<&str>().copied().unwrap_or_default()
}

#[test]
fn a_panic_of_the_sink_is_raised_at_the_next_call_and_named_at_later_ones() {
    within(60, || {
        for slots in [1, 2] {
            let mut delivery = Delivery::start("delivery", vec![0u64; slots], |job| match *job {
                1 => panic!("a broken sink"),
                _ => Ok::<_, String>(()),
            })
            .unwrap();
            put(&mut delivery, 0);
            let panic = catch_unwind(AssertUnwindSafe(|| {
                put(&mut delivery, 1);
                drop(delivery.fill().map(drop));
                delivery.drain()
            }));
            assert_eq!(message(&*panic.unwrap_err()), "a broken sink");
            assert!(matches!(delivery.fill(), Err(DeliveryError::Panicked)));
            assert!(matches!(delivery.try_fill(), Err(DeliveryError::Panicked)));
            assert!(matches!(delivery.drain(), Err(DeliveryError::Panicked)));
            assert_eq!(delivery.monitor().snapshot().queued_jobs, 0);
            let error = delivery.finish().unwrap_err();
            assert_eq!(error.to_string(), "delivery stopped: the sink panicked");
        }
    });
}

#[test]
fn finishing_raises_the_panic_of_the_sink_and_dropping_does_not() {
    within(60, || {
        let start = || {
            let mut delivery =
                Delivery::<u64, String>::start("delivery", vec![0; 2], |_| panic!("a broken sink")).unwrap();
            let job = delivery.fill().unwrap();
            delivery.enqueue(job, 1).unwrap();
            until("it panicked", || delivery.monitor().snapshot().queued_jobs == 0);
            delivery
        };
        let delivery = start();
        assert!(catch_unwind(AssertUnwindSafe(|| delivery.finish())).is_err());
        drop(start());
    });
}

#[test]
fn one_slot_is_delivered_on_the_callers_thread_before_enqueue_returns() {
    within(60, || {
        let caller = thread::current().id();
        let kept = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&kept);
        let sink = move |job: &mut u64| {
            assert_eq!(thread::current().id(), caller);
            if *job == 3 {
                return Err("broken".to_owned());
            }
            seen.lock().unwrap().push(*job);
            Ok(())
        };
        let mut delivery = Delivery::start("alone", vec![0], sink).unwrap();
        for number in 0..3 {
            put(&mut delivery, number);
            assert_eq!(kept.lock().unwrap().len() as u64, number + 1);
            assert_eq!(delivery.monitor().snapshot().queued_jobs, 0);
        }
        assert_eq!(delivery.monitor().snapshot().waits, 3, "it waited for each");
        let mut job = delivery.try_fill().unwrap().unwrap();
        *job = 3;
        assert!(matches!(delivery.enqueue(job, 1), Err(DeliveryError::Sink(_))), "at once");
        assert!(matches!(delivery.fill(), Err(DeliveryError::Sink(_))));
        assert!(matches!(delivery.finish(), Err(DeliveryError::Sink(_))));
    });
}

#[cfg(target_os = "linux")]
#[test]
fn several_slots_have_one_thread_of_that_name_until_the_end_and_one_slot_has_none() {
    use crate::support::{alone, threads};
    alone("delivery::several_slots_have_one_thread_of_that_name_until_the_end_and_one_slot_has_none", 60, || {
        let sink = |_: &mut u64| Ok::<_, String>(());
        let lone = Delivery::start("write-one", vec![0; 1], sink).unwrap();
        let several = Delivery::start("write-several", vec![0; 3], sink).unwrap();
        until("the thread has its name", || threads("write-several").len() == 1);
        assert_eq!(threads("write-one").len(), 0);
        several.finish().unwrap();
        assert_eq!(threads("write-several").len(), 0);
        lone.finish().unwrap();
    });
}

#[test]
fn a_slot_that_is_not_enqueued_is_free_again() {
    within(60, || {
        for slots in [1, 2] {
            let kept = Arc::default();
            let mut delivery = Delivery::start("delivery", vec![0; slots], keep(&kept)).unwrap();
            for number in 0..100 {
                for _ in 0..3 {
                    let unused = delivery.fill().unwrap();
                    drop(unused);
                }
                put(&mut delivery, number);
            }
            delivery.finish().unwrap();
            assert!(kept.lock().unwrap().iter().copied().eq(0..100));
        }
    });
}

/// The oldest job is withheld; the slot that another thread drops is the one that comes.
#[test]
fn a_slot_dropped_on_another_thread_ends_the_wait_for_one() {
    within(60, || {
        let gate = Gate::default();
        let inner = gate.clone();
        let sink = move |_: &mut u64| {
            inner.pass();
            Ok::<_, String>(())
        };
        let mut delivery = Delivery::start("delivery", vec![0; 2], sink).unwrap();
        put(&mut delivery, 1);
        gate.await_waiters(1);
        let other = delivery.fill().unwrap();
        let monitor = delivery.monitor();
        let filler = thread::spawn(move || {
            let job = delivery.fill().unwrap();
            assert_eq!(delivery.monitor().snapshot().jobs, 0);
            drop(job);
            delivery
        });
        until("the filler waits", || monitor.snapshot().waits == 1);
        drop(other);
        let delivery = filler.join().unwrap();
        gate.open();
        delivery.finish().unwrap();
    });
}

#[test]
fn what_can_only_be_a_mistake_is_refused_and_does_not_hang() {
    within(60, || {
        let sink = |_: &mut u64| Ok::<_, String>(());
        let error = Delivery::start("empty", Vec::new(), sink).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        for slots in [1, 2] {
            let [mut one, mut other] = [(); 2].map(|()| Delivery::start("delivery", vec![0; slots], sink).unwrap());
            let held: Vec<_> = (0..slots).map(|_| one.fill().unwrap()).collect();
            let panic = catch_unwind(AssertUnwindSafe(|| one.fill())).unwrap_err();
            assert_eq!(message(&*panic), "the caller holds every slot of this delivery already");
            for job in held {
                let panic = catch_unwind(AssertUnwindSafe(|| other.enqueue(job, 1))).unwrap_err();
                assert_eq!(message(&*panic), "the slot belongs to another delivery");
            }
            // They went back to where they belong.
            assert!((0..slots).map(|_| one.try_fill().unwrap()).collect::<Vec<_>>().iter().all(Option::is_some));
            other.finish().unwrap();
        }
    });
}

/// What back-pressure reads: it never wraps below zero, never exceeds what the slots can hold, and ends at zero.
#[test]
fn what_is_queued_is_never_more_than_the_slots_hold_and_never_less_than_nothing() {
    within(60, || {
        let mut delivery = Delivery::start("delivery", vec![0u64; 3], |_| Ok::<_, String>(())).unwrap();
        let (monitor, over) = (delivery.monitor(), Arc::new(AtomicBool::new(false)));
        let end = Arc::clone(&over);
        let watcher = thread::spawn(move || {
            let mut last = 0;
            while !end.load(Ordering::Relaxed) {
                let seen = monitor.snapshot();
                assert!(seen.queued_jobs <= 3 && seen.queued_bytes <= 3 * 999, "{seen:?}");
                assert!(seen.queued_jobs > 0 || seen.queued_bytes == 0, "{seen:?}");
                assert!(seen.jobs >= last);
                last = seen.jobs;
                thread::yield_now();
            }
        });
        let mut random = Random(77);
        for _ in 0..20_000 {
            let job = delivery.fill().unwrap();
            delivery.enqueue(job, random.below(1000) as usize).unwrap();
        }
        delivery.drain().unwrap();
        assert_eq!(delivery.monitor().snapshot().queued_bytes, 0);
        over.store(true, Ordering::Relaxed);
        watcher.join().unwrap();
    });
}

#[derive(Clone, Debug)]
enum Step {
    Fill,
    Enqueue(usize, usize),
    GiveBack(usize),
    Deliver,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Fill),
        3 => (0..9_usize, 0..500_usize).prop_map(|(n, bytes)| Step::Enqueue(n, bytes)),
        1 => (0..9_usize).prop_map(Step::GiveBack),
        2 => Just(Step::Deliver),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The model: a queue of numbers with their bytes, and so many slots that are neither in it nor in the producer's hands.
    #[test]
    fn a_delivery_is_a_bounded_queue(slots in 2..6_usize, steps in vec(step(), 1..60)) {
        let (permit, permitted) = channel::<()>();
        let kept = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&kept);
        let sink = move |job: &mut u64| {
            // Until the test lets it, or has ended.
            let _ = permitted.recv();
            seen.lock().unwrap().push(*job);
            Ok::<_, String>(())
        };
        let mut delivery = Delivery::start("delivery", vec![0; slots], sink).unwrap();
        let monitor = delivery.monitor();
        let (mut filling, mut queue, mut delivered) = (Vec::new(), VecDeque::new(), Vec::new());
        let mut next = 0;
        for step in steps {
            match step {
                Step::Fill => match delivery.try_fill().unwrap() {
                    Some(job) => filling.push(job),
                    None => prop_assert_eq!(filling.len() + queue.len(), slots),
                },
                Step::Enqueue(n, bytes) if !filling.is_empty() => {
                    let mut job = filling.swap_remove(n % filling.len());
                    *job = next;
                    delivery.enqueue(job, bytes).unwrap();
                    queue.push_back((next, bytes as u64));
                    next += 1;
                }
                Step::GiveBack(n) if !filling.is_empty() => drop(filling.swap_remove(n % filling.len())),
                Step::Deliver => if let Some((number, _)) = queue.pop_front() {
                    permit.send(()).unwrap();
                    delivered.push(number);
                    until("one more is delivered", || monitor.snapshot().jobs == delivered.len() as u64);
                },
                _ => {}
            }
            prop_assert!(filling.len() + queue.len() <= slots);
            let now = monitor.snapshot();
            let bytes = queue.iter().map(|(_, bytes)| bytes).sum::<u64>();
            prop_assert_eq!((now.queued_jobs, now.queued_bytes), (queue.len() as u64, bytes));
            prop_assert_eq!(&*kept.lock().unwrap(), &delivered);
        }
        drop(permit);
        delivery.finish().unwrap();
        prop_assert!(kept.lock().unwrap().iter().copied().eq(0..next));
    }
}
