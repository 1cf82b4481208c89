//! [`ReorderBuffer`]: store, deliver, tombstone, close.

use loom::thread;

use super::model;
use crate::budget::Budget;
use crate::reorder::{DeliverError, InsertError, ReorderBuffer};
use crate::sync::Arc;

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
            Err(InsertError { seq, item }) => assert!(!theirs_failed && (seq, item) == (0, 2)),
        }
        buffer.close(1);
        assert_eq!(delivery.next_result().unwrap(), Some(if theirs_failed { 2 } else { 1 }));
        assert_eq!(delivery.next_result().unwrap(), None);
    });
}
