//! Pages that are loaded for a reader that must not wait for the disk.

use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use forebay::spill::faulty::{Errno, Fault, FaultyFs, Operation};
use forebay::{
    Budget, Consumer, Extent, Location, MemoryStore, Page, PageState, Pager, Parts, SegmentOptions, SpillError,
    SpillStore, Usage,
};

use crate::support::{Gates, bytes_of, until, within};

const SIZE: usize = 100_000;

fn setup(budget: usize) -> (FaultyFs, Pager, Consumer) {
    let fs = FaultyFs::new();
    let store = SegmentOptions::new().file_system(Arc::new(fs.clone())).open(std::env::temp_dir()).unwrap();
    (fs, Pager::new(store, false).unwrap(), Budget::new(budget).consumer("pages", 0).unwrap())
}

fn put(pager: &Pager, consumer: &Consumer, seq: u64) -> Page {
    let mut parts = Parts::default();
    parts.put(Bytes::from(bytes_of(seq, SIZE)));
    pager.put(parts, 1, consumer.lease_head(SIZE))
}

fn on_disk(pages: &[Page]) {
    until("all is on disk", || pages.iter().all(|page| matches!(page.state(), PageState::OnDisk)));
}

#[test]
fn a_loaded_page_is_read_on_the_pagers_thread_whatever_the_budget_says() {
    within(20, || {
        // No page fits: a prefetch would be skipped.
        let (fs, pager, consumer) = setup(1000);
        let pages: Vec<Page> = (0..4).map(|seq| put(&pager, &consumer, seq)).collect();
        on_disk(&pages);
        pages.iter().for_each(|page| pager.load(page));
        // Once more does nothing.
        pages.iter().for_each(|page| pager.load(page));
        for (seq, page) in pages.iter().enumerate() {
            let paged = loop {
                if let Some(paged) = page.get_within(Duration::from_millis(10)).unwrap() {
                    break paged;
                }
            };
            assert_eq!(paged.bytes, bytes_of(seq as u64, SIZE));
        }
        let snapshot = pager.monitor().snapshot();
        assert_eq!((snapshot.prefetches, snapshot.head_reads), (4, 0));
        assert_eq!(fs.calls(Operation::Read), 4);
    });
}

#[test]
fn who_asks_for_a_limited_time_gets_nothing_while_the_disk_hangs() {
    within(20, || {
        let (fs, pager, consumer) = setup(1 << 20);
        let page = put(&pager, &consumer, 7);
        on_disk(std::slice::from_ref(&page));
        fs.inject(Operation::Read, .., Fault::Hang);
        pager.load(&page);
        fs.wait_until_hanging(1);
        assert!(page.get_within(Duration::from_millis(1)).unwrap().is_none());
        fs.release();
        assert_eq!(page.get().unwrap().bytes, bytes_of(7, SIZE));
        assert_eq!(pager.monitor().snapshot().head_reads, 0);
    });
}

#[test]
fn who_waits_for_nothing_gets_what_is_in_memory_and_reads_nothing() {
    within(20, || {
        let (fs, pager, consumer) = setup(1 << 20);
        fs.inject(Operation::Write, .., Fault::Hang);
        let page = put(&pager, &consumer, 7);
        fs.wait_until_hanging(1);
        assert_eq!(page.try_get().unwrap().bytes, bytes_of(7, SIZE), "it is still in memory");
        fs.release();
        on_disk(std::slice::from_ref(&page));
        assert!(page.try_get().is_none() && fs.calls(Operation::Read) == 0);
        pager.load(&page);
        until("it is read ahead", || pager.monitor().snapshot().prefetches == 1);
        let paged = page.get_within(Duration::from_secs(15)).unwrap();
        assert_eq!(paged.unwrap().bytes, bytes_of(7, SIZE));
        // What was read ahead is there once.
        assert!(page.try_get().is_none());
        pager.load(&page);
        let mut again = None;
        until("it is read ahead again", || {
            again = page.try_get();
            again.is_some()
        });
        assert_eq!(again.unwrap().bytes, bytes_of(7, SIZE));
        assert_eq!((fs.calls(Operation::Read), pager.monitor().snapshot().head_reads), (2, 0));
    });
}

/// What fails ahead of the reader is not the reader's failure yet: it reads itself, and what it then meets is.
#[test]
fn a_load_that_fails_is_tried_again_by_the_reader() {
    within(20, || {
        let (fs, pager, consumer) = setup(1 << 20);
        let page = put(&pager, &consumer, 7);
        on_disk(std::slice::from_ref(&page));
        fs.inject(Operation::Read, 0..3, Fault::Error(Errno::IO));
        for (loads, fails) in [(1, true), (2, false)] {
            pager.load(&page);
            until("it is read ahead in vain", || pager.monitor().snapshot().prefetches == loads);
            let read = page.get_within(Duration::from_secs(15));
            assert_eq!(matches!(read, Err(SpillError::Io { .. })), fails, "{read:?}");
        }
        assert_eq!(fs.fired(), 3);
    });
}

/// A store each of whose appends waits at a gate of its own.
struct Gated {
    store: MemoryStore,
    gates: Gates,
    appends: AtomicU64,
}

impl std::fmt::Debug for Gated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.store.fmt(f)
    }
}

impl SpillStore for Gated {
    fn append(&self, owner: u64, parts: &[IoSlice<'_>]) -> Result<Extent, SpillError> {
        self.gates.pass(self.appends.fetch_add(1, Ordering::SeqCst));
        self.store.append(owner, parts)
    }

    fn usage(&self) -> Usage {
        self.store.usage()
    }

    fn location(&self) -> Location {
        self.store.location()
    }
}

#[test]
fn loads_go_before_what_waits_to_be_written() {
    within(20, || {
        let gates = Gates::default();
        let store = Gated { store: MemoryStore::new(u64::MAX), gates: gates.clone(), appends: AtomicU64::new(0) };
        let pager = Pager::new(store, false).unwrap();
        let consumer = Budget::new(8 << 20).consumer("pages", 0).unwrap();
        gates.open(0);
        let first = put(&pager, &consumer, 0);
        on_disk(std::slice::from_ref(&first));
        let waiting: Vec<Page> = (1..20).map(|seq| put(&pager, &consumer, seq)).collect();
        gates.await_waiters(1);
        pager.load(&first);
        // One append ends, and the next does not.
        gates.open(1);
        let read = first.get_within(Duration::from_secs(15)).unwrap().unwrap();
        assert_eq!(read.bytes, bytes_of(0, SIZE));
        let snapshot = pager.monitor().snapshot();
        assert_eq!((snapshot.head_reads, snapshot.prefetches), (0, 1));
        gates.open_below(u64::MAX);
        on_disk(&waiting);
    });
}

#[test]
fn a_reader_whose_pager_is_gone_reads_for_itself() {
    within(20, || {
        let (fs, pager, consumer) = setup(1 << 20);
        let pages: Vec<Page> = (0..2).map(|seq| put(&pager, &consumer, seq)).collect();
        on_disk(&pages);
        fs.inject(Operation::Read, 0..1, Fault::Hang);
        pages.iter().for_each(|page| pager.load(page));
        fs.wait_until_hanging(1);
        let gone = std::thread::spawn(move || drop(pager));
        fs.release();
        gone.join().unwrap();
        for (seq, page) in pages.iter().enumerate() {
            assert_eq!(page.get().unwrap().bytes, bytes_of(seq as u64, SIZE));
        }
    });
}
