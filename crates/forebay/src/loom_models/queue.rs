//! [`WorkQueue`]: submit, finish, drop, share.

use loom::thread;

use super::model;
use crate::budget::Budget;
use crate::queue::{RecvError, TrySendError, WorkQueue};
use crate::sync::Arc;

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
