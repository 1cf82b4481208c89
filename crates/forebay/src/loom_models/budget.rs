//! [`Budget`]: lease, overdraft for the head, reclaim, and who waits.

use loom::thread;

use super::model;
use crate::budget::{Budget, Lease, Reclaim};
use crate::sync::{Arc, AtomicBool, Mutex, Ordering, lock};

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
    struct Holder(Mutex<Option<Lease>>);
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
