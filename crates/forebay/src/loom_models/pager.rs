//! [`Pager`]: put, writing, get, cancel.

use bytes::Bytes;
use loom::thread;

use super::model;
use crate::budget::{Budget, Consumer};
use crate::item::Parts;
use crate::spill::pager::{Page, PageState, Pager};
use crate::spill::{MemoryStore, SpillStore};
use crate::sync::{Arc, AtomicUsize, Ordering};

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

/// The one who does not wait is called once, or told that it is too late to be; after that nobody has to ask again.
#[test]
fn loom_who_asks_to_be_called_when_a_page_is_settled_misses_neither_a_write_nor_a_failure() {
    for quota in [u64::MAX, 100] {
        model(2, move || {
            let (pager, _, consumer) = pager(quota);
            let page = put(&pager, &consumer);
            let calls = Arc::new(AtomicUsize::new(0));
            let (counted, handle) = (Arc::clone(&calls), page.handle());
            let settled = page.when_settled(move || {
                assert!(!matches!(handle.state(), PageState::Resident | PageState::Writing));
                counted.fetch_add(1, Ordering::SeqCst);
            });
            pager.settle(&page);
            drop(pager);
            assert_eq!(calls.load(Ordering::SeqCst), usize::from(!settled));
        });
    }
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
