//! Invariant 4: over the budget the farthest results go to disk, in blocks, until enough is free; the head's reserve stays, the reader
//! gets back what it needs in time, and disk space comes back.

use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex};
use std::thread;

use forebay::{
    Budget, Consumer, Decision, Extent, InsertError, Location, Manual, MemoryStore, OnSpillError, Pager, Pipeline,
    Prefetch, ReorderBuffer, SegmentStore, SpillError, SpillPolicy, SpillStore, Threshold, Usage, View, Waker,
};

use crate::support::{Gate, bytes_of, until, within};

/// A store that the test can look at while a pipeline has it.
#[derive(Clone, Debug)]
struct Seen(Arc<SegmentStore>);

impl SpillStore for Seen {
    fn append(&self, owner: u64, parts: &[IoSlice<'_>]) -> Result<Extent, SpillError> {
        self.0.append(owner, parts)
    }

    fn usage(&self) -> Usage {
        self.0.usage()
    }

    fn location(&self) -> Location {
        self.0.location()
    }
}

/// What a policy was shown, and its bell.
#[derive(Clone, Default)]
struct Watch {
    views: Arc<Mutex<Vec<View>>>,
    waker: Arc<Mutex<Option<Waker>>>,
    /// Decisions wait here.
    gate: Gate,
}

impl Watch {
    /// A view of now.
    fn look(&self) -> View {
        let before = self.views.lock().unwrap().len();
        self.waker.lock().unwrap().as_ref().unwrap().wake();
        until("the policy was called", || self.views.lock().unwrap().len() > before);
        self.views.lock().unwrap().last().unwrap().clone()
    }
}

/// Notes every view that the policy within is shown.
struct Watched<P>(P, Watch);

impl<P: SpillPolicy> SpillPolicy for Watched<P> {
    fn decide(&mut self, view: &View) -> Decision {
        let decision = self.0.decide(view);
        self.1.gate.pass();
        self.1.views.lock().unwrap().push(view.clone());
        decision
    }

    fn attach(&mut self, waker: Waker) {
        *self.1.waker.lock().unwrap() = Some(waker.clone());
        self.0.attach(waker);
    }
}

fn insert(buffer: &ReorderBuffer<Vec<u8>>, consumer: &Consumer, seq: u64, size: usize) {
    let lease = consumer.lease_head(size + 72);
    buffer.insert(seq, bytes_of(seq, size), lease).unwrap();
}

#[test]
fn the_farthest_results_go_first_and_the_reserve_of_the_head_stays() {
    within(60, || {
        const LIMIT: usize = 1 << 20;
        let budget = Budget::new(LIMIT);
        let consumer = budget.consumer("buffer", 0).unwrap();
        let pager = Pager::new(MemoryStore::new(u64::MAX), false).unwrap();
        let watched = Watch::default();
        let policy = Watched(Threshold::default(), watched.clone());
        let (buffer, mut delivery) = ReorderBuffer::<Vec<u8>>::spilling(&consumer, &pager, policy, OnSpillError::Stall);
        // The head, 0, is withheld.
        (1..240).for_each(|seq| insert(&buffer, &consumer, seq, 4000));
        // The first look at the buffer came too early to see them all; the next ones see what is left.
        watched.gate.open();
        watched.look();
        let quiet = || budget.used() <= LIMIT / 4 * 3 && pager.monitor().snapshot().spilled_items > 0;
        until("resident bytes have fallen", quiet);
        let view = watched.look();
        let last_resident = view.stretches().filter(|s| !s.spilled).map(|s| s.first + s.count - 1).max().unwrap();
        let first_spilled = view.stretches().filter(|s| s.spilled).map(|s| s.first).min().unwrap();
        assert!(last_resident < first_spilled, "{last_resident} stayed, {first_spilled} went: {view:?}");
        assert!(view.resident >= LIMIT / 5 - LIMIT / 32, "the reserve stays: {view:?}");
        assert!(view.resident < LIMIT / 4 * 3, "{view:?}");
        // Somebody asks for more than there is to be had: all but the reserve goes.
        let greedy = budget.consumer("greedy", 0).unwrap();
        let asker = std::thread::spawn(move || drop(greedy.lease(LIMIT - 10_000).unwrap()));
        until("more is spilled", || consumer.used() < LIMIT / 4);
        let view = watched.look();
        // A policy sees stretches of a 64th of the budget.
        assert!(view.resident >= LIMIT / 5 - LIMIT / 32 && view.resident < LIMIT / 4, "{view:?}");
        insert(&buffer, &consumer, 0, 4000);
        buffer.close(240);
        for seq in 0..240 {
            assert_eq!(delivery.next_result().unwrap(), Some(bytes_of(seq, 4000)), "{seq}");
        }
        assert_eq!(delivery.next_result().unwrap(), None);
        asker.join().unwrap();
    });
}

/// One victim is not enough: a wish is followed block by block until it is met. And what is spilled is the payload: what stays in memory
/// for it is a small part.
#[test]
fn spilling_goes_on_until_the_wish_is_met_and_what_stays_is_far_less_than_what_went() {
    within(60, || {
        let budget = Budget::new(64 << 20);
        let consumer = budget.consumer("buffer", 0).unwrap();
        let pager = Pager::new(MemoryStore::new(u64::MAX), false).unwrap();
        let (policy, handle) = Manual::new();
        let (buffer, mut delivery) = ReorderBuffer::<Vec<u8>>::spilling(&consumer, &pager, policy, OnSpillError::Stall);
        (1..2001).for_each(|seq| insert(&buffer, &consumer, seq, 4000));
        let before = budget.used();
        assert_eq!(pager.monitor().snapshot().spilled_items, 0, "nothing without a word from the owner");
        handle.spill(3 << 20);
        until("as much as was wished is spilled", || budget.used() <= before - (3 << 20) + (64 << 10));
        let report = pager.monitor().snapshot();
        assert!((10..16).contains(&report.spilled_blocks), "blocks of 256 KiB: {report:?}");
        assert!(report.spilled_items < 1000, "no more than that: {report:?}");
        handle.spill(usize::MAX);
        until("everything is spilled", || pager.monitor().snapshot().spilled_items == 2000);
        until("its bytes are given back", || budget.used() < before / 200);
        insert(&buffer, &consumer, 0, 4000);
        buffer.close(2001);
        for seq in 0..2001 {
            assert_eq!(delivery.next_result().unwrap(), Some(bytes_of(seq, 4000)), "{seq}");
        }
        assert_eq!(delivery.next_result().unwrap(), None);
        drop(delivery);
        assert_eq!(pager.monitor().snapshot().reloaded_items, 2000);
    });
}

/// Results of a few bytes, millions of them behind a slow head: an entry for each would take more than they did.
#[test]
fn the_index_of_small_results_is_a_small_part_of_what_they_took() {
    within(60, || {
        const ITEMS: u64 = 50_000;
        let budget = Budget::new(64 << 20);
        let consumer = budget.consumer("buffer", 0).unwrap();
        let pager = Pager::new(MemoryStore::new(u64::MAX), false).unwrap();
        let (policy, handle) = Manual::new();
        let (buffer, mut delivery) = ReorderBuffer::<u64>::spilling(&consumer, &pager, policy, OnSpillError::Stall);
        (1..=ITEMS).for_each(|seq| buffer.insert(seq, seq * 3, consumer.lease_head(56)).unwrap());
        let before = budget.used();
        handle.spill(usize::MAX);
        until("everything is spilled", || pager.monitor().snapshot().spilled_items == ITEMS);
        until("its bytes are given back", || budget.used() < before / 500);
        // On disk a result takes itself and its length.
        assert!(pager.monitor().snapshot().spilled_bytes < ITEMS * 12 + 4096);
        buffer.insert(0, 0, consumer.lease_head(56)).unwrap();
        buffer.close(ITEMS + 1);
        for seq in 0..=ITEMS {
            assert_eq!(delivery.next_result().unwrap(), Some(seq * 3));
        }
        assert_eq!(delivery.next_result().unwrap(), None);
    });
}

/// A second result of a number that is on disk would lie in memory for ever, or go out instead of the first.
#[test]
fn a_number_that_was_spilled_or_has_gone_out_is_refused() {
    within(60, || {
        let budget = Budget::new(64 << 20);
        let consumer = budget.consumer("buffer", 0).unwrap();
        let pager = Pager::new(MemoryStore::new(u64::MAX), false).unwrap();
        let (policy, handle) = Manual::new();
        let (buffer, mut delivery) = ReorderBuffer::<u64>::spilling(&consumer, &pager, policy, OnSpillError::Stall);
        let insert = |seq, item| buffer.insert(seq, item, consumer.lease_head(56));
        (1..=100).chain(102..=200).for_each(|seq| insert(seq, seq).unwrap());
        handle.spill(usize::MAX);
        until("everything is spilled", || pager.monitor().snapshot().spilled_items == 199);
        for seq in [1, 50, 100, 102, 200] {
            assert_eq!(insert(seq, 7), Err(InsertError { seq, item: 7 }), "it is on disk");
        }
        [0, 101].into_iter().for_each(|seq| insert(seq, seq).unwrap());
        buffer.close(201);
        for seq in 0..=200 {
            assert_eq!(delivery.next_result().unwrap(), Some(seq));
            assert_eq!(insert(seq, 7), Err(InsertError { seq, item: 7 }), "it went out");
        }
        assert_eq!(delivery.next_result().unwrap(), None);
        drop(delivery);
        assert_eq!(budget.used(), 0);
    });
}

/// A replay that waits until memory is empty starves: the source goes on here only when spilled results have come out.
#[test]
fn what_was_spilled_comes_back_while_new_results_arrive_and_ahead_of_the_reader() {
    within(60, || {
        const ITEMS: u64 = 6000;
        let (head, tail) = (Gate::default(), Gate::default());
        let store = Seen(Arc::new(SegmentStore::temp().unwrap()));
        let budget = Budget::new(2 << 20);
        let pipeline = Pipeline::new().workers(2).budget(&budget).spill(store.clone());
        let monitor = pipeline.monitor();
        let mut next = 0;
        let report = std::thread::scope(|scope| {
            scope.spawn(|| {
                until("a lot is spilled", || monitor.snapshot().spilled_items > 2000);
                head.open();
                until("it comes back", || monitor.snapshot().reloaded_items > 1000);
                tail.open();
            });
            let wait = tail.clone();
            let source = (0..ITEMS).map(move |n| {
                if n == 4000 {
                    wait.pass();
                }
                Ok::<_, io::Error>(n)
            });
            let work = |n| {
                if n == 0 {
                    head.pass();
                }
                Ok(bytes_of(n, 2000))
            };
            pipeline
                .run(source, work, |bytes| {
                    assert_eq!(bytes, bytes_of(next, 2000), "{next}");
                    next += 1;
                    Ok(())
                })
                .unwrap()
        });
        assert_eq!(report.delivered, ITEMS);
        assert!(report.prefetches > 0, "the reader was read ahead for: {report:?}");
        let usage = store.usage();
        assert_eq!((usage.live, usage.allocated), (0, 0), "the files did not only grow");
    });
}

/// A spill file that only grows fills the disk, however little of it is alive.
#[test]
fn a_long_run_with_a_short_backlog_keeps_little_disk() {
    within(90, || {
        const ITEMS: u64 = 12_000;
        const STEP: u64 = 3000;
        let store = Seen(Arc::new(SegmentStore::temp().unwrap()));
        let gates = crate::support::Gates::default();
        let pipeline = Pipeline::new().workers(2).budget(&Budget::new(1 << 20)).outstanding(STEP).spill(store.clone());
        let monitor = pipeline.monitor();
        let most = std::thread::scope(|scope| {
            let watcher = scope.spawn(|| {
                let (mut most, mut before) = (0, 0);
                for n in (0..ITEMS).step_by(STEP as usize) {
                    gates.await_waiters(1);
                    until("much is spilled again", || monitor.snapshot().spilled_items > before + STEP / 2);
                    before = monitor.snapshot().spilled_items;
                    most = most.max(store.usage().allocated);
                    gates.open_below(n + 1);
                }
                most
            });
            let work = |n| {
                if n % STEP == 0 {
                    gates.pass(n);
                }
                Ok(bytes_of(n, 4000))
            };
            let mut next = 0;
            let source = (0..ITEMS).map(Ok::<_, io::Error>);
            let report = pipeline
                .run(source, work, |bytes| {
                    assert_eq!(bytes, bytes_of(next, 4000));
                    next += 1;
                    Ok(())
                })
                .unwrap();
            assert!(report.spilled_bytes > ITEMS * 4000 / 2, "{report:?}");
            watcher.join().unwrap()
        });
        // A backlog, the dead parts of a MiB at its ends, and what was not given back yet.
        assert!(most < STEP * 4100 + (6 << 20), "{most} bytes for a backlog of {}", STEP * 4000);
        assert_eq!(store.usage().allocated, 0);
    });
}

#[test]
fn compressed_pages_are_paid_for_at_the_size_that_they_have_in_memory() {
    within(60, || {
        let budget = Budget::new(8 << 20);
        let consumer = budget.consumer("buffer", 0).unwrap();
        let pager = Pager::new(MemoryStore::new(u64::MAX), true).unwrap();
        let mut parts = forebay::Parts::default();
        parts.put(vec![7; 200 << 10].into());
        let page = pager.put(parts, 1, consumer.try_lease(200 << 10).unwrap());
        until("it is written", || matches!(page.state(), forebay::PageState::OnDisk));
        assert!(pager.monitor().snapshot().spilled_bytes < 10_000, "it was compressed");
        let paged = page.get().unwrap();
        assert_eq!(paged.bytes.len(), 200 << 10);
        assert!(paged.lease.bytes() >= paged.bytes.len(), "{} pay for {}", paged.lease.bytes(), paged.bytes.len());
    });
}

#[test]
fn a_policy_reads_ahead_no_more_than_it_was_told() {
    within(60, || {
        let budget = Budget::new(1 << 20);
        let consumer = budget.consumer("buffer", 0).unwrap();
        let pager = Pager::new(MemoryStore::new(u64::MAX), false).unwrap();
        let (manual, handle) = Manual::new();
        let watched = Watch::default();
        watched.gate.open();
        let policy = Watched(Prefetch::over(manual).ahead(100_000), watched.clone());
        let (buffer, mut delivery) = ReorderBuffer::<Vec<u8>>::spilling(&consumer, &pager, policy, OnSpillError::Stall);
        // Pages of 40 KB each: of items that are not neighbours when they are spilled.
        (1..=20).for_each(|seq| {
            insert(&buffer, &consumer, seq, 40_000);
            handle.spill(40_000);
            until("it is spilled", || pager.monitor().snapshot().spilled_items == seq);
        });
        watched.look();
        until("the first are read ahead", || pager.monitor().snapshot().prefetches == 2);
        watched.look();
        assert_eq!(pager.monitor().snapshot().prefetches, 2, "and the others not");
        insert(&buffer, &consumer, 0, 10);
        buffer.close(21);
        let mut count = 0;
        while let Some(bytes) = delivery.next_result().unwrap() {
            assert_eq!(bytes, bytes_of(count, if count == 0 { 10 } else { 40_000 }));
            count += 1;
        }
        assert_eq!(count, 21);
        let report = pager.monitor().snapshot();
        assert!(report.head_reads + report.prefetches >= 20 && report.prefetches >= 2, "{report:?}");
    });
}

/// Results of one batch lie together. Large ones must not: the head would keep those behind it in memory, and a run that
/// could spill would wait for its sink instead.
#[test]
fn large_results_of_a_batch_spill_from_behind_a_head_that_is_withheld() {
    within(60, || {
        let gate = Gate::default();
        let budget = Budget::new(5 * (1 << 20) + 4096);
        let pipeline = Pipeline::new().workers(2).batch(4).budget(&budget).spill(MemoryStore::new(1 << 30));
        let monitor = pipeline.monitor();
        let mut next = 0;
        thread::scope(|scope| {
            scope.spawn(|| {
                until("everything is worked on", || monitor.snapshot().submitted == 200);
                gate.open();
            });
            let report = pipeline.run(
                (0..200).map(Ok::<u64, std::io::Error>),
                |n| Ok(vec![n as u8; 1 << 20]),
                |bytes| {
                    gate.pass();
                    assert_eq!((bytes[0], bytes.len()), (next as u8, 1 << 20));
                    next += 1;
                    Ok(())
                },
            );
            assert!(report.unwrap().spilled_items > 150);
        });
        assert_eq!(next, 200);
    });
}
