//! The nouns one by one against models of a few lines, in random scenarios.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;

use forebay::{
    Budget, DeliverError, InsertError, Lease, Pager, Reclaim, RecvError, ReorderBuffer, TrySendError, WorkQueue,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{Gate, until, within};

#[derive(Clone, Debug)]
enum Step {
    Lease(usize, usize),
    LeaseHead(usize, usize),
    Grow(usize, usize),
    Shrink(usize, usize),
    Split(usize, usize),
    Drop(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let (which, bytes) = (0..20_usize, 0..700_usize);
    prop_oneof![
        4 => (which.clone(), bytes.clone()).prop_map(|(n, b)| Step::Lease(n, b)),
        1 => (which.clone(), bytes.clone()).prop_map(|(n, b)| Step::LeaseHead(n, b)),
        2 => (which.clone(), bytes.clone()).prop_map(|(n, b)| Step::Grow(n, b)),
        2 => (which.clone(), bytes.clone()).prop_map(|(n, b)| Step::Shrink(n, b)),
        1 => (which.clone(), bytes).prop_map(|(n, b)| Step::Split(n, b)),
        3 => which.prop_map(Step::Drop),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The model: what each consumer uses; charged is the sum of what is used or set aside; granted if that stays within the limit, or if
    /// it does not change.
    #[test]
    fn a_budget_is_a_sum(steps in vec(step(), 1..80), minimums in proptest::array::uniform3(0..400_usize), limit in 0..1500_usize) {
        let budget = Budget::new(limit);
        let mut consumers = Vec::new();
        let mut promised = 0;
        for minimum in minimums {
            match budget.consumer("one", minimum) {
                Ok(consumer) => {
                    promised += minimum;
                    consumers.push((consumer, minimum));
                }
                Err(error) => {
                    prop_assert!(minimum > 0 && promised + minimum > limit, "{error}");
                    prop_assert_eq!(error.requested, minimum);
                }
            }
        }
        prop_assume!(!consumers.is_empty());
        let (mut peak, mut overdraft) = (0, 0);
        let mut leases: Vec<(usize, Lease)> = Vec::new();
        let used = |leases: &[(usize, Lease)], of: usize| leases.iter().filter(|l| l.0 == of).map(|l| l.1.bytes()).sum::<usize>();
        let charged = |leases: &[(usize, Lease)]| {
            consumers.iter().enumerate().map(|(of, (_, minimum))| used(leases, of).max(*minimum)).sum::<usize>()
        };
        for step in steps {
            // Whether `bytes` more for consumer `of` are to be granted.
            let grants = |leases: &[(usize, Lease)], of: usize, bytes: usize| {
                let (now, minimum) = (used(leases, of), consumers[of].1);
                let extra = (now + bytes).max(minimum) - now.max(minimum);
                extra == 0 || charged(leases) + extra <= limit
            };
            match step {
                Step::Lease(n, bytes) => {
                    let of = n % consumers.len();
                    let expected = grants(&leases, of, bytes);
                    match consumers[of].0.try_lease(bytes) {
                        Ok(lease) => {
                            prop_assert!(expected);
                            leases.push((of, lease));
                        }
                        Err(error) => {
                            prop_assert!(!expected);
                            prop_assert_eq!((error.requested, error.limit), (bytes, limit));
                            prop_assert!(error.largest.is_sorted_by_key(|holding| std::cmp::Reverse(holding.used)));
                        }
                    }
                }
                Step::LeaseHead(n, bytes) => {
                    let of = n % consumers.len();
                    let lease = consumers[of].0.lease_head(bytes);
                    prop_assert_eq!(lease.bytes(), bytes);
                    leases.push((of, lease));
                    overdraft = overdraft.max(charged(&leases).saturating_sub(limit));
                }
                Step::Grow(n, bytes) if !leases.is_empty() => {
                    let n = n % leases.len();
                    let (of, before) = (leases[n].0, leases[n].1.bytes());
                    let expected = grants(&leases, of, bytes);
                    prop_assert_eq!(leases[n].1.try_grow(bytes), expected);
                    prop_assert_eq!(leases[n].1.bytes(), before + if expected { bytes } else { 0 });
                }
                Step::Shrink(n, bytes) if !leases.is_empty() => {
                    let n = n % leases.len();
                    let before = leases[n].1.bytes();
                    leases[n].1.shrink_to(bytes);
                    prop_assert_eq!(leases[n].1.bytes(), before.min(bytes));
                }
                Step::Split(n, bytes) if !leases.is_empty() => {
                    let n = n % leases.len();
                    let before = leases[n].1.bytes();
                    let part = leases[n].1.split(bytes);
                    prop_assert_eq!((part.bytes(), leases[n].1.bytes()), (before.min(bytes), before - before.min(bytes)));
                    prop_assert_eq!(part.consumer().id(), consumers[leases[n].0].0.id());
                    leases.push((leases[n].0, part));
                }
                Step::Drop(n) if !leases.is_empty() => drop(leases.swap_remove(n % leases.len())),
                _ => {}
            }
            let now: usize = leases.iter().map(|lease| lease.1.bytes()).sum();
            peak = peak.max(now);
            prop_assert_eq!((budget.used(), budget.peak()), (now, peak));
            prop_assert_eq!(budget.overdraft_peak(), overdraft, "only a head overdraws");
            for (of, (consumer, _)) in consumers.iter().enumerate() {
                prop_assert_eq!(consumer.used(), used(&leases, of));
            }
        }
        drop(leases);
        drop(consumers);
        prop_assert_eq!((budget.used(), budget.holdings().len()), (0, 0));
        prop_assert!(budget.consumer("all", limit).is_ok(), "the minimums came back");
    }

    #[test]
    fn a_reorder_buffer_is_a_sorted_map(
        steps in vec((0..40_u64, 0..8_u8), 1..120),
        in_order: bool,
    ) {
        let budget = Budget::new(1 << 20);
        let consumer = budget.consumer("buffer", 0).unwrap();
        let (buffer, mut delivery) = match in_order {
            true => ReorderBuffer::new(&consumer),
            false => ReorderBuffer::bypass(&consumer),
        };
        let mut model: BTreeMap<u64, u64> = BTreeMap::new();
        let mut failed: Option<u64> = None;
        let (mut head, mut arrivals, mut item) = (0, 0, 0);
        for (offset, what) in steps {
            let seq = (head + offset).saturating_sub(5);
            match what {
                0..5 => {
                    item += 1;
                    let place = if in_order { seq } else { arrivals };
                    let fresh = place >= head && !model.contains_key(&place) && failed != Some(place);
                    match buffer.insert(seq, item, consumer.try_lease(10).unwrap()) {
                        Ok(()) => {
                            prop_assert!(fresh);
                            model.insert(place, item);
                            arrivals += 1;
                        }
                        Err(InsertError { seq: which, item: back }) => {
                            prop_assert!(!fresh);
                            prop_assert_eq!((which, back), (seq, item));
                        }
                    }
                }
                5 if offset == 39 => {
                    let place = if in_order { seq } else { arrivals };
                    if place >= head {
                        failed = Some(failed.map_or(place, |other| other.min(place)));
                    }
                    arrivals += 1;
                    buffer.fail(seq);
                }
                _ => {
                    // Only what is there is asked for: the rest would be waited for.
                    if failed == Some(head) {
                        for _ in 0..2 {
                            let told = matches!(delivery.next_result(), Err(DeliverError::Failed { seq }) if seq == head);
                            prop_assert!(told, "and every further call says the same");
                        }
                    } else if let Some(expected) = model.remove(&head) {
                        prop_assert_eq!(delivery.next_result().unwrap(), Some(expected));
                        head += 1;
                        prop_assert_eq!(delivery.delivered(), head);
                    }
                }
            }
        }
        // The end lies behind what is consecutive.
        while failed != Some(head) && let Some(expected) = model.remove(&head) {
            prop_assert_eq!(delivery.next_result().unwrap(), Some(expected));
            head += 1;
        }
        buffer.close(head);
        match failed == Some(head) {
            true => prop_assert!(delivery.next_result().is_err()),
            false => prop_assert_eq!(delivery.next_result().ok(), Some(None)),
        }
        drop((delivery, buffer));
        prop_assert_eq!(budget.used(), 0);
    }
}

/// Notes that it was asked, and looks at the budget while it is: nobody holds the pool's lock then.
struct Asked(Budget, Gate);

impl Reclaim for Asked {
    fn reclaim(&self, bytes: usize) {
        assert!(bytes > 0 && self.0.used() > 0);
        self.1.open();
    }
}

#[test]
fn a_refund_wakes_who_waits_and_only_if_it_is_enough() {
    within(60, || {
        let budget = Budget::new(100);
        let holder = budget.consumer("holder", 0).unwrap();
        let asked = Arc::new(Asked(budget.clone(), Gate::default()));
        let reclaim: Arc<dyn Reclaim> = asked.clone();
        holder.can_spill(Arc::downgrade(&reclaim));
        let hungry = budget.consumer("hungry", 10).unwrap();
        let mut held = holder.try_lease(90).unwrap();
        let waiter = thread::spawn(move || hungry.lease(60).map(|lease| lease.bytes()));
        // Whoever asks has been refused and is about to sleep.
        asked.1.pass();
        held.shrink_to(60);
        assert!(!waiter.is_finished());
        held.shrink_to(40);
        assert_eq!(waiter.join().unwrap().unwrap(), 60);
        let never = budget.consumer("large", 0).unwrap().lease(101).unwrap_err();
        assert_eq!((never.requested, never.limit), (101, 100));
        assert!(never.to_string().contains("holder 40"), "{never}");
    });
}

#[test]
fn a_minimum_is_granted_while_others_have_overdrawn_the_pool() {
    let budget = Budget::new(100);
    let other = budget.consumer("other", 0).unwrap();
    let guaranteed = budget.consumer("guaranteed", 30).unwrap();
    assert!(other.try_lease(71).is_err(), "the minimum is set aside");
    let _hog = other.lease_head(500);
    let mut lease = guaranteed.try_lease(30).unwrap();
    assert!(!lease.try_grow(1));
}

/// A channel with a bound in front of an executor without one bounds nothing: permits are held until the result is stored.
#[test]
fn permits_bound_what_is_in_flight_and_not_only_what_is_queued() {
    within(60, || {
        let budget = Budget::new(1 << 20);
        let consumer = budget.consumer("queue", 0).unwrap();
        let (mut sender, receiver) = WorkQueue::new::<u64>(&consumer, 4);
        for n in 0..4 {
            assert_eq!(sender.try_send(n), Ok(n));
        }
        assert_eq!(sender.try_send(4), Err(TrySendError::Full(4)));
        let jobs: Vec<_> = (0..4).map(|_| receiver.recv().unwrap()).collect();
        assert!(jobs.iter().map(|job| (job.seq, job.item)).eq((0..4).map(|n| (n, n))));
        assert_eq!(sender.try_send(4), Err(TrySendError::Full(4)), "all are in work");
        drop(jobs);
        assert_eq!(sender.try_send(4), Ok(4));
        assert_eq!(sender.finish(), Some(5));
        assert_eq!(receiver.recv().unwrap().seq, 4);
        assert_eq!(receiver.recv().unwrap_err(), RecvError::Finished);
        drop(receiver);
        assert_eq!(consumer.used(), 0);
    });
}

/// What is queued is bounded in bytes too, and one item is always let in.
#[test]
fn a_queue_is_bounded_in_bytes_and_its_head_gets_in() {
    within(60, || {
        let budget = Budget::new(10_000);
        let consumer = budget.consumer("queue", 0).unwrap();
        let (mut sender, receiver) = WorkQueue::new::<Vec<u8>>(&consumer, 100);
        assert_eq!(sender.try_send(vec![0; 50_000]), Ok(0), "larger than the budget, but the only one");
        assert!(matches!(sender.try_send(vec![1; 10]), Err(TrySendError::Full(item)) if item == [1; 10]));
        drop(receiver.recv().unwrap());
        let sent = (0..100).take_while(|_| sender.try_send(vec![2; 1000]).is_ok()).count();
        assert_eq!(sent, 9, "1,072 bytes each");
        drop(sender);
        assert_eq!(receiver.recv().unwrap_err(), RecvError::ProducerGone, "what is queued is dropped");
    });
}

/// One clone of a writer goes and all readers see the end: rows are lost in silence. The writers are counted, and one that goes
/// without a word cuts the queue off.
#[test]
fn a_queue_ends_with_its_last_producer_and_an_unfinished_one_is_not_an_end() {
    within(60, || {
        let budget = Budget::new(1 << 20);
        let consumer = budget.consumer("queue", 0).unwrap();
        let (sender, receiver) = WorkQueue::new::<u64>(&consumer, 100);
        let mut first = sender.share();
        let mut second = first.clone();
        first.send(1).unwrap();
        first.finish();
        second.send(2).unwrap();
        assert_eq!(receiver.recv().unwrap().item, 1);
        assert_eq!(receiver.recv().unwrap().item, 2);
        let third = second.clone();
        second.finish();
        drop(third);
        assert_eq!(receiver.recv().unwrap_err(), RecvError::ProducerGone);

        let (sender, receiver) = WorkQueue::new::<u64>(&consumer, 100);
        let reader = thread::spawn(move || receiver.recv().map(|job| job.item));
        drop(sender);
        assert_eq!(
            reader.join().unwrap(),
            Err(RecvError::ProducerGone),
            "an early return is not the end of the stream"
        );

        let (mut sender, receiver) = WorkQueue::new::<u64>(&consumer, 1);
        let other = receiver.clone();
        drop(receiver);
        sender.send(1).unwrap();
        drop(other);
        assert_eq!(sender.try_send(2), Err(TrySendError::Closed(2)));
        assert_eq!(sender.send(3).unwrap_err().0, 3);
        assert_eq!(sender.send(4).unwrap_err().to_string(), "the queue is closed: the run has ended");
    });
}

#[test]
fn a_producer_that_waits_for_memory_is_woken_when_the_receivers_go() {
    within(60, || {
        let budget = Budget::new(1000);
        let consumer = budget.consumer("queue", 0).unwrap();
        let (mut sender, receiver) = WorkQueue::new::<Vec<u8>>(&consumer, 100);
        sender.send(vec![0; 800]).unwrap();
        let producer = thread::spawn(move || sender.send(vec![7; 800]).unwrap_err().0);
        let other = receiver.clone();
        drop(receiver);
        // The permit is never given back, and so the producer's item never becomes the head.
        let lease = {
            let job = other.recv().unwrap();
            std::mem::forget(job.permit);
            job.lease
        };
        drop(other);
        assert_eq!(producer.join().unwrap().len(), 800);
        drop(lease);
    });
}

/// The asked one is going away at this moment: its last handle may be the one that the pool holds to ask it.
#[test]
fn asking_for_memory_is_safe_while_the_one_who_is_asked_goes_away() {
    within(60, || {
        let budget = Budget::new(1 << 20);
        let hungry = budget.consumer("hungry", 0).unwrap();
        let pager = Pager::new(forebay::MemoryStore::new(u64::MAX), false).unwrap();
        let stop = Gate::default();
        thread::scope(|scope| {
            let (budget, pager, stop) = (&budget, &pager, &stop);
            let churn = scope.spawn(move || {
                for round in 0..3000u64 {
                    let (large, small) = (budget.consumer("a", 0).unwrap(), budget.consumer("b", 0).unwrap());
                    for (consumer, bytes) in [(&large, 600 << 10), (&small, 500 << 10)] {
                        let policy = forebay::Threshold::default();
                        let (buffer, delivery) =
                            ReorderBuffer::<u64>::spilling(consumer, pager, policy, Default::default());
                        buffer.insert(round, round, consumer.lease_head(bytes)).unwrap();
                        drop((buffer, delivery));
                    }
                }
                stop.open();
            });
            until("the pool was asked all the while", || {
                drop(hungry.lease(900 << 10));
                churn.is_finished()
            });
        });
        assert_eq!(budget.used(), 0);
    });
}
