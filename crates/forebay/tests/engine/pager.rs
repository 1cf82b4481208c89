//! A pager that others use: pages are read ahead on request, and can be waited for.

use std::sync::Arc;

use forebay::spill::faulty::{Errno, Fault, FaultyFs, Operation};
use forebay::{Budget, Page, PageState, Pager, Parts, SegmentOptions};

use crate::support::{until, within};

fn pager(fs: &FaultyFs) -> (Pager, Budget, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let store = SegmentOptions::new().file_system(Arc::new(fs.clone())).open(dir.path()).unwrap();
    (Pager::new(store, false).unwrap(), Budget::new(1 << 20), dir)
}

fn put(pager: &Pager, budget: &Budget) -> Page {
    let mut parts = Parts::default();
    parts.put(bytes::Bytes::from(vec![7; 1000]));
    pager.put(parts, 1, budget.consumer("page", 0).unwrap().lease_head(1000))
}

#[test]
fn a_page_that_is_waited_for_is_on_disk_or_says_why_not() {
    within(30, || {
        let fs = FaultyFs::new();
        let (pager, budget, _dir) = pager(&fs);
        let page = put(&pager, &budget);
        pager.settle(&page);
        assert!(matches!(page.state(), PageState::OnDisk));
        fs.inject(Operation::Write, 0.., Fault::Error(Errno::NOSPC));
        let page = put(&pager, &budget);
        pager.settle(&page);
        assert!(matches!(page.state(), PageState::Failed(_)));
        assert_eq!(pager.monitor().snapshot().spill_failures, 1);
    });
}

#[test]
fn a_page_that_was_asked_for_is_not_read_by_its_reader() {
    within(30, || {
        let (pager, budget, _dir) = pager(&FaultyFs::new());
        let page = put(&pager, &budget);
        pager.settle(&page);
        pager.prefetch(&page);
        until("the page is read ahead", || pager.monitor().snapshot().prefetches == 1);
        assert_eq!(page.get().unwrap().bytes, vec![7; 1000]);
        assert_eq!(pager.monitor().snapshot().head_reads, 0);
    });
}

#[test]
fn a_reader_that_comes_first_takes_the_wish_back() {
    within(30, || {
        let fs = FaultyFs::new();
        let (pager, budget, _dir) = pager(&fs);
        let (first, second, last) = (put(&pager, &budget), put(&pager, &budget), put(&pager, &budget));
        pager.settle(&last);
        // The thread hangs in the first page; the second is read meanwhile.
        fs.inject(Operation::Read, 0..1, Fault::Hang);
        pager.prefetch(&first);
        fs.wait_until_hanging(1);
        pager.prefetch(&second);
        pager.prefetch(&last);
        assert_eq!(second.get().unwrap().bytes.len(), 1000);
        fs.release();
        until("the others are read ahead", || pager.monitor().snapshot().prefetches == 2);
        assert_eq!(last.get().unwrap().bytes.len(), 1000);
        assert_eq!(pager.monitor().snapshot().head_reads, 1);
        drop(first);
        // Nothing is left in memory but what the two pages cost themselves.
        until("what was read is given back", || budget.used() <= 2 * 256);
    });
}
