//! Small models of the engine's nouns, run through every interleaving of their threads (up to a bound of preemptions)
//! by loom: `RUSTFLAGS="--cfg loom" cargo test -p forebay --lib --release loom_ --target-dir target/loom`.
//!
//! A lost wake-up is a deadlock here, and loom finds it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use loom::cell::UnsafeCell;
use loom::thread;

use bytes::Bytes;

use crate::budget::{Budget, Consumer, Reclaim};
use crate::copy::CopyPool;
use crate::delivery::{Delivery, DeliveryError};
use crate::event::Event;
use crate::item::Parts;
use crate::line::Line;
use crate::queue::{RecvError, TrySendError, WorkQueue};
use crate::reorder::{DeliverError, InsertError, ReorderBuffer};
use crate::spill::pager::{Page, PageState, Pager};
use crate::spill::{MemoryStore, SpillStore};
use crate::sync::{Arc, AtomicBool, Mutex, Ordering, lock};

fn model(preemptions: usize, threads: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(threads);
}

fn await_flag(event: &Event, flag: &AtomicBool) {
    loop {
        let listener = event.listen();
        if flag.load(Ordering::Relaxed) {
            return;
        }
        listener.wait();
    }
}

#[test]
fn loom_a_change_before_notify_is_never_missed() {
    model(3, || {
        let shared = Arc::new((Event::new(), AtomicBool::new(false)));
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || await_flag(&shared.0, &shared.1))
            })
            .collect();
        shared.1.store(true, Ordering::Relaxed);
        shared.0.notify();
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
    });
}

/// The one who is woken is one who had listened before, not one who comes later and goes back to sleep.
#[test]
fn loom_notify_one_is_not_taken_by_who_listens_afterwards() {
    model(3, || {
        let shared = Arc::new((Event::new(), AtomicBool::new(false), AtomicBool::new(false)));
        let first = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                await_flag(&shared.0, &shared.1);
                // Only now is there something for the other.
                shared.2.store(true, Ordering::Relaxed);
                shared.0.notify();
            })
        };
        let later = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let listener = shared.0.listen();
                if shared.1.load(Ordering::Relaxed) {
                    drop(listener);
                    await_flag(&shared.0, &shared.2);
                }
            })
        };
        shared.1.store(true, Ordering::Relaxed);
        shared.0.notify_one();
        // Whoever did not get the first call gets this one; the one who did must not need it.
        first.join().unwrap();
        shared.0.notify();
        later.join().unwrap();
    });
}

#[test]
fn loom_a_refused_lease_is_granted_by_the_refund() {
    model(3, || {
        let budget = Budget::new(10);
        let held = budget.consumer("holder", 0).unwrap().try_lease(8).unwrap();
        let hungry = budget.consumer("hungry", 0).unwrap();
        let waiter = thread::spawn(move || drop(hungry.lease(5).unwrap()));
        let mut held = held;
        held.shrink_to(7);
        drop(held);
        waiter.join().unwrap();
        assert_eq!(budget.used(), 0);
    });
}

#[test]
fn loom_two_hungry_threads_of_one_consumer_are_both_fed() {
    model(2, || {
        let budget = Budget::new(10);
        let mut held = budget.consumer("holder", 0).unwrap().try_lease(10).unwrap();
        let hungry = budget.consumer("hungry", 0).unwrap();
        let [small, large] = [4, 10].map(|bytes| {
            let hungry = hungry.clone();
            thread::spawn(move || drop(hungry.lease(bytes).unwrap()))
        });
        // Enough for one of them, whichever wish was noted first.
        held.shrink_to(6);
        small.join().unwrap();
        drop(held);
        large.join().unwrap();
    });
}

/// Whoever needs memory asks who holds it; what that one then gives back lets the first one in.
#[test]
fn loom_whoever_is_asked_to_reclaim_lets_in_who_waits() {
    struct Holder(Mutex<Option<crate::budget::Lease>>);
    impl Reclaim for Holder {
        fn reclaim(&self, _: usize) {
            drop(lock(&self.0).take());
        }
    }
    model(3, || {
        let budget = Budget::new(10);
        let holder = budget.consumer("holder", 0).unwrap();
        let held = Arc::new(Holder(Mutex::new(Some(holder.try_lease(8).unwrap()))));
        let asked: Arc<dyn Reclaim> = Arc::clone(&held) as _;
        holder.can_spill(Arc::downgrade(&asked));
        let hungry = budget.consumer("hungry", 0).unwrap();
        let waiter = thread::spawn(move || drop(hungry.lease(5).unwrap()));
        waiter.join().unwrap();
        assert_eq!(budget.used(), 0);
    });
}

/// The head is paid for at once, however full the pool; whoever waits is let in when the overdraft has gone.
#[test]
fn loom_an_overdraft_for_the_head_ends_before_another_is_let_in() {
    model(3, || {
        let budget = Budget::new(10);
        let consumer = budget.consumer("pipeline", 0).unwrap();
        let held = consumer.try_lease(9).unwrap();
        let hungry = budget.consumer("hungry", 0).unwrap();
        let waiter = thread::spawn(move || drop(hungry.lease(4).unwrap()));
        let head = consumer.lease_head(8);
        drop(held);
        drop(head);
        waiter.join().unwrap();
        assert!(budget.peak() >= 9 && budget.overdraft_peak() <= 7, "{}", budget.overdraft_peak());
        assert_eq!(budget.used(), 0);
    });
}

/// Whoever must not wait is told, or could have had it at once; never neither.
#[test]
fn loom_a_refused_wish_is_called_by_the_refund() {
    model(3, || {
        let budget = Budget::new(10);
        let held = budget.consumer("holder", 0).unwrap().try_lease(8).unwrap();
        let hungry = budget.consumer("hungry", 0).unwrap();
        let refund = thread::spawn(move || drop(held));
        let called = Arc::new(AtomicBool::new(false));
        let call = Arc::clone(&called);
        let fits = hungry.when_room(5, move || call.store(true, Ordering::SeqCst));
        refund.join().unwrap();
        assert!(fits != called.load(Ordering::SeqCst));
        drop(hungry.try_lease(5).unwrap());
    });
}

/// Whoever waits to become the head is woken by the delivery that makes it the head, also when another waits for
/// another number.
#[test]
fn loom_who_waits_for_the_head_is_woken() {
    model(3, || {
        let line = Arc::new(Line::new(Arc::new(Event::new())));
        let [first, second] = [1, 2].map(|seq| {
            let line = Arc::clone(&line);
            thread::spawn(move || {
                loop {
                    let listener = line.room.listen();
                    line.await_head(seq);
                    if line.is_head(seq) {
                        return;
                    }
                    listener.wait();
                }
            })
        });
        line.advance(1);
        first.join().unwrap();
        line.advance(1);
        second.join().unwrap();
    });
}

#[test]
fn loom_a_queue_hands_over_everything_and_ends() {
    model(2, || {
        let budget = Budget::new(1 << 20);
        let (mut sender, receiver) = WorkQueue::new::<u64>(&budget.consumer("queue", 0).unwrap(), 1);
        let worker = thread::spawn(move || {
            let mut seen = Vec::new();
            loop {
                match receiver.recv() {
                    Ok(job) => seen.push((job.seq, job.item)),
                    Err(end) => return (seen, end),
                }
            }
        });
        sender.send(7).unwrap();
        sender.send(8).unwrap();
        assert_eq!(sender.finish(), Some(2));
        assert_eq!(worker.join().unwrap(), (vec![(0, 7), (1, 8)], RecvError::Finished));
    });
}

#[test]
fn loom_idle_workers_are_called_while_there_is_work() {
    model(2, || {
        let budget = Budget::new(1 << 20);
        let (mut sender, receiver) = WorkQueue::new::<u64>(&budget.consumer("queue", 0).unwrap(), 8);
        let other = receiver.clone();
        let workers = [receiver, other].map(|receiver| {
            thread::spawn(move || {
                let mut taken = 0;
                while receiver.recv().is_ok() {
                    taken += 1;
                }
                taken
            })
        });
        sender.send(1).unwrap();
        sender.send(2).unwrap();
        sender.finish();
        let taken: u64 = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
        assert_eq!(taken, 2);
    });
}

#[test]
fn loom_a_dropped_sender_ends_the_queue() {
    model(3, || {
        let budget = Budget::new(1 << 20);
        let (mut sender, receiver) = WorkQueue::new::<u64>(&budget.consumer("queue", 0).unwrap(), 2);
        let worker = thread::spawn(move || {
            loop {
                if let Err(end) = receiver.recv() {
                    return end;
                }
            }
        });
        let _ = sender.send(1);
        drop(sender);
        assert_eq!(worker.join().unwrap(), RecvError::ProducerGone);
    });
}

#[test]
fn loom_shared_senders_number_without_a_gap_and_the_last_one_ends_the_queue() {
    model(2, || {
        let budget = Budget::new(1 << 20);
        let (sender, receiver) = WorkQueue::new::<u64>(&budget.consumer("queue", 0).unwrap(), 1);
        let mut one = sender.share();
        let mut two = one.clone();
        let producer = thread::spawn(move || {
            two.send(1).unwrap();
            two.finish();
        });
        let worker = thread::spawn(move || {
            let mut seqs = Vec::new();
            while let Ok(job) = receiver.recv() {
                seqs.push(job.seq);
            }
            seqs
        });
        one.send(2).unwrap();
        one.finish();
        producer.join().unwrap();
        assert_eq!(worker.join().unwrap(), [0, 1]);
    });
}

/// What a sender has handed over is worked on or dropped, never both, when it goes in the middle.
#[test]
fn loom_what_is_queued_when_the_sender_is_dropped_is_dropped_once() {
    model(3, || {
        let budget = Budget::new(1 << 20);
        let (mut sender, receiver) = WorkQueue::new::<Counted>(&budget.consumer("queue", 0).unwrap(), 2);
        let item = Arc::new(());
        let worker = thread::spawn(move || receiver.recv().is_ok());
        let _ = sender.send(Counted(Arc::clone(&item)));
        drop(sender);
        worker.join().unwrap();
        assert_eq!((Arc::strong_count(&item), budget.used()), (1, 0));
    });
}

struct Counted(#[allow(dead_code, reason = "it counts while it lives")] Arc<()>);

impl crate::item::Weigh for Counted {}

/// A worker that feeds its own queue never waits for it: what is refused, it does itself.
#[test]
fn loom_a_worker_that_submits_to_its_own_queue_goes_on() {
    model(2, || {
        let budget = Budget::new(1 << 20);
        let (sender, receiver) = WorkQueue::new::<u64>(&budget.consumer("queue", 0).unwrap(), 1);
        let mut first = sender.share();
        let mut own = first.clone();
        let worker = thread::spawn(move || {
            let job = receiver.recv().unwrap();
            let refused = matches!(own.try_send(job.item + 1), Err(TrySendError::Full(2)));
            drop(job);
            own.finish();
            let queued = std::iter::from_fn(|| receiver.recv().ok().map(|job| job.item)).sum::<u64>();
            queued + if refused { 2 } else { 0 }
        });
        first.send(1).unwrap();
        first.finish();
        assert_eq!(worker.join().unwrap(), 2);
    });
}

#[test]
fn loom_receivers_that_go_end_a_sender_that_waits_for_room() {
    model(3, || {
        let budget = Budget::new(1 << 20);
        let (mut sender, receiver) = WorkQueue::new::<u64>(&budget.consumer("queue", 0).unwrap(), 1);
        let worker = thread::spawn(move || drop(receiver));
        let mut item = 0;
        while sender.send(item).is_ok() {
            item += 1;
        }
        assert!(item <= 1, "there was room for one");
        worker.join().unwrap();
    });
}

#[test]
fn loom_results_come_in_order_from_two_workers() {
    model(2, || {
        let budget = Budget::new(1 << 20);
        let consumer = budget.consumer("buffer", 0).unwrap();
        let (buffer, mut delivery) = ReorderBuffer::new(&consumer);
        let workers = [1u64, 0].map(|seq| {
            let (buffer, lease) = (Arc::clone(&buffer), consumer.try_lease(1).unwrap());
            thread::spawn(move || buffer.insert(seq, seq, lease).unwrap())
        });
        let closer = Arc::clone(&buffer);
        closer.close(2);
        assert_eq!(delivery.next_result().unwrap(), Some(0));
        assert_eq!(delivery.next_result().unwrap(), Some(1));
        assert_eq!(delivery.next_result().unwrap(), None);
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        assert_eq!(budget.used(), 0);
    });
}

#[test]
fn loom_the_reader_ends_at_a_tombstone_and_at_the_end() {
    model(3, || {
        let budget = Budget::new(1 << 20);
        let consumer = budget.consumer("buffer", 0).unwrap();
        for fails in [true, false] {
            let (buffer, mut delivery) = ReorderBuffer::new(&consumer);
            let (lease, nothing) = (consumer.try_lease(1).unwrap(), consumer.empty_lease());
            let worker = thread::spawn(move || {
                buffer.insert(0, 0u64, lease).unwrap();
                if fails {
                    buffer.fail(1)
                } else {
                    buffer.close(1)
                }
                buffer.insert(0, 9, nothing).is_err()
            });
            assert_eq!(delivery.next_result().unwrap(), Some(0));
            match delivery.next_result() {
                Err(DeliverError::Failed { seq }) => assert!(fails && seq == 1),
                Ok(None) => assert!(!fails),
                other => panic!("{other:?}"),
            }
            assert!(worker.join().unwrap(), "a second result 0 is an error");
        }
    });
}

/// A number that is stored twice is stored once, whoever comes first.
#[test]
fn loom_of_two_results_of_one_number_one_is_given_back() {
    model(3, || {
        let budget = Budget::new(1 << 20);
        let consumer = budget.consumer("buffer", 0).unwrap();
        let (buffer, mut delivery) = ReorderBuffer::new(&consumer);
        let (other, lease) = (Arc::clone(&buffer), consumer.try_lease(1).unwrap());
        let worker = thread::spawn(move || other.insert(0, 1u64, lease).is_err());
        let mine = buffer.insert(0, 2, consumer.try_lease(1).unwrap());
        let theirs_failed = worker.join().unwrap();
        match mine {
            Ok(()) => assert!(theirs_failed),
            Err(InsertError::Duplicate { seq, item }) => assert!(!theirs_failed && (seq, item) == (0, 2)),
        }
        buffer.close(1);
        assert_eq!(delivery.next_result().unwrap(), Some(if theirs_failed { 2 } else { 1 }));
        assert_eq!(delivery.next_result().unwrap(), None);
    });
}

fn pager(quota: u64) -> (Pager, Arc<MemoryStore>, Consumer) {
    let store = Arc::new(MemoryStore::new(quota));
    let pager = Pager::new(Arc::clone(&store), false).unwrap();
    (pager, store, Budget::new(1 << 20).consumer("pages", 0).unwrap())
}

fn put(pager: &Pager, consumer: &Consumer) -> Page {
    let mut parts = Parts::default();
    parts.put(Bytes::from_static(&[7; 2000]));
    pager.put(parts, 1, consumer.try_lease(2000).unwrap())
}

/// Waiting, being written, on disk: a reader gets the bytes whenever it comes, and what the page took is given back.
#[test]
fn loom_a_page_can_be_read_while_it_is_put_written_and_on_disk() {
    model(2, || {
        let (pager, store, consumer) = pager(u64::MAX);
        let page = put(&pager, &consumer);
        assert_eq!(page.get().unwrap().bytes, [7; 2000][..]);
        pager.settle(&page);
        assert!(matches!(page.state(), PageState::OnDisk));
        drop(pager);
        assert!(consumer.used() < 2000, "what stays paid for is its place in an index");
        drop(page);
        assert_eq!((consumer.used(), store.usage().live), (0, 0));
    });
}

/// Dropped before, during or after its write: nothing is left, neither in the budget nor in the store.
#[test]
fn loom_a_page_that_is_dropped_cancels_its_write_or_frees_its_place() {
    model(2, || {
        let (pager, store, consumer) = pager(u64::MAX);
        drop(put(&pager, &consumer));
        drop(pager);
        assert_eq!((consumer.used(), store.usage().live), (0, 0));
    });
}

/// The one who waits is told of a failure too, and the bytes are still there.
#[test]
fn loom_a_page_that_cannot_be_written_is_settled_and_stays_in_memory() {
    model(2, || {
        let (pager, _, consumer) = pager(100);
        let page = put(&pager, &consumer);
        pager.settle(&page);
        assert!(matches!(page.state(), PageState::Failed(_)) && consumer.used() == 2000);
        assert_eq!(page.get().unwrap().bytes, [7; 2000][..]);
    });
}

/// The reader comes before, during or after the I/O thread: it gets the bytes once, and they are read once or by itself.
#[test]
fn loom_a_reader_meets_a_page_that_is_being_read_ahead() {
    model(2, || {
        let (pager, _, consumer) = pager(u64::MAX);
        let page = put(&pager, &consumer);
        pager.settle(&page);
        pager.prefetch(&page);
        assert_eq!(page.get().unwrap().bytes, [7; 2000][..]);
        drop(pager);
        let index = consumer.used();
        assert!(index < 2000, "what was read ahead in vain is not kept: {index}");
    });
}

/// Nobody is left to read ahead: who waits for that is told.
#[test]
fn loom_a_pager_that_goes_leaves_nobody_waiting() {
    model(2, || {
        let (pager, _, consumer) = pager(u64::MAX);
        let page = put(&pager, &consumer);
        pager.settle(&page);
        pager.load(&page);
        let gone = thread::spawn(move || drop(pager));
        assert_eq!(page.get().unwrap().bytes, [7; 2000][..]);
        gone.join().unwrap();
    });
}

/// Jobs go out in order, and a slot comes back with what was delivered with it last.
#[test]
fn loom_jobs_are_delivered_in_order_and_their_slots_come_back() {
    for slots in [1, 2] {
        model(2, move || {
            let delivered = Arc::new(std::sync::atomic::AtomicU32::new(0));
            let last = Arc::clone(&delivered);
            let sink = move |job: &mut u32| {
                thread::yield_now();
                assert_eq!(last.swap(*job, Ordering::Relaxed) + 1, *job);
                Ok::<_, ()>(())
            };
            let mut delivery = Delivery::start("delivery", vec![0; slots], sink).unwrap();
            for number in 1..=3 {
                let mut job = delivery.fill().unwrap();
                assert!(*job <= delivered.load(Ordering::Relaxed), "job {} is not delivered", *job);
                *job = number;
                delivery.enqueue(job, 1).unwrap();
            }
            let monitor = delivery.monitor();
            delivery.finish().unwrap();
            let seen = monitor.snapshot();
            assert_eq!((seen.jobs, seen.queued_jobs, seen.queued_bytes), (3, 0, 0));
        });
    }
}

/// The call in progress is waited for, the job behind it is delivered or dropped, and nothing comes later.
#[test]
fn loom_a_delivery_dropped_in_mid_stream_ends_with_the_call_in_progress() {
    model(3, || {
        let calls = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let jobs = Arc::new(());
        let counter = Arc::clone(&calls);
        let sink = move |_: &mut Arc<()>| {
            thread::yield_now();
            counter.fetch_add(1, Ordering::Relaxed);
            Ok::<_, ()>(())
        };
        let mut delivery = Delivery::start("delivery", vec![Arc::clone(&jobs), Arc::clone(&jobs)], sink).unwrap();
        for _ in 0..2 {
            let job = delivery.fill().unwrap();
            delivery.enqueue(job, 1).unwrap();
        }
        drop(delivery);
        assert_eq!((Arc::strong_count(&jobs), Arc::strong_count(&calls)), (1, 1), "everything was dropped");
        assert!(calls.load(Ordering::Relaxed) <= 2);
    });
}

#[test]
fn loom_an_error_ends_a_producer_that_waits_for_a_slot() {
    model(3, || {
        let sink = |job: &mut u32| if *job == 1 { Err("full") } else { Ok(()) };
        let mut delivery = Delivery::start("delivery", vec![1, 2], sink).unwrap();
        let [one, two] = [(); 2].map(|()| delivery.fill().unwrap());
        let (first, second) = if *one == 1 { (one, two) } else { (two, one) };
        delivery.enqueue(first, 1).unwrap();
        let queued = delivery.enqueue(second, 1).is_ok();
        assert!(matches!(delivery.fill(), Err(DeliveryError::Sink(error)) if *error == "full"), "{queued}");
        assert!(matches!(delivery.drain(), Err(DeliveryError::Sink(_))), "it is sticky");
        assert_eq!(delivery.monitor().snapshot().queued_jobs, 0);
    });
}

/// What is dropped unfilled on another thread ends the wait of the producer, whose oldest job is withheld meanwhile.
#[test]
fn loom_a_slot_given_back_elsewhere_is_given_out() {
    model(2, || {
        let given_out = Arc::new((Event::new(), AtomicBool::new(false)));
        let withheld = Arc::clone(&given_out);
        let sink = move |_: &mut u32| {
            await_flag(&withheld.0, &withheld.1);
            Ok::<_, ()>(())
        };
        let mut delivery = Delivery::start("delivery", vec![0, 0], sink).unwrap();
        let [one, two] = [(); 2].map(|()| delivery.fill().unwrap());
        delivery.enqueue(one, 1).unwrap();
        let other = thread::spawn(move || drop(two));
        let again = delivery.fill().unwrap();
        given_out.1.store(true, Ordering::Relaxed);
        given_out.0.notify();
        delivery.enqueue(again, 1).unwrap();
        delivery.finish().unwrap();
        other.join().unwrap();
    });
}

/// So many bytes that each item is handed out on its own.
const MUCH: usize = usize::MAX;

/// Once, and not any more when the call has returned, also by a helper that comes too late for the first call and in
/// time for the second. The cells tell of every use that another one does not exclude.
#[test]
fn loom_lent_items_are_worked_on_once_and_not_after_the_return() {
    model(3, || {
        let mut pool = CopyPool::new(1).with_threshold(0);
        for _ in 0..2 {
            let mut items = [0, 0].map(|n: u32| (UnsafeCell::new(()), n));
            pool.for_each(MUCH, &mut items, |(cell, n)| {
                cell.with_mut(|_| *n += 1);
            });
            items.iter().for_each(|(cell, n)| cell.with_mut(|_| assert_eq!(*n, 1)));
        }
    });
}

#[test]
fn loom_a_panic_of_lent_work_is_the_callers_and_the_pool_goes_on() {
    model(2, || {
        let mut pool = CopyPool::new(1).with_threshold(0);
        let mut items = [1, 2].map(|n| (UnsafeCell::new(()), n));
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            pool.for_each(MUCH, &mut items, |(cell, n)| {
                cell.with_mut(|_| ());
                // Not `panic!`: the hook would print it for every interleaving.
                match n {
                    1 => std::panic::resume_unwind(Box::new("broken")),
                    _ => *n += 1,
                }
            })
        }));
        assert_eq!(outcome.unwrap_err().downcast_ref(), Some(&"broken"));
        items.iter().for_each(|(cell, n)| cell.with_mut(|_| assert!([1, 2, 3].contains(n))));
        let mut items = [5, 6];
        pool.for_each(MUCH, &mut items, |n| *n += 1);
        assert_eq!(items, [6, 7]);
    });
}
