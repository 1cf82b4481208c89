//! [`CopyPool`]: every item once, by whoever is awake; nobody waits for who is not; and what was lent comes back.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::Duration;

use forebay::CopyPool;

use crate::support::{Random, within};

/// So many that each item is handed out on its own.
const MUCH: usize = usize::MAX;

/// Waits until all others are here.
fn meet(all: &Barrier) {
    all.wait();
}

#[test]
fn every_item_is_worked_on_once() {
    within(60, || {
        let mut random = Random(5);
        for helpers in 0..4 {
            let mut pool = CopyPool::new(helpers).with_threshold(0);
            assert_eq!((pool.helpers(), pool.threshold()), (helpers, 0));
            for _ in 0..300 {
                let mut items = vec![0_u32; random.below(200) as usize];
                let bytes = random.below(20 << 20) as usize;
                let calls = AtomicUsize::new(0);
                pool.for_each(bytes, &mut items, |item| {
                    *item += 1;
                    calls.fetch_add(1, Ordering::Relaxed);
                });
                assert!(items.iter().all(|item| *item == 1), "{helpers} helpers, {bytes} bytes: {items:?}");
                assert_eq!(calls.into_inner(), items.len());
            }
        }
    });
}

/// The two items are finished only if two threads are at work at the same time.
#[test]
fn a_helper_works_beside_the_caller_from_the_threshold_on() {
    within(60, || {
        // Two items of 64 KiB each: the first run has one of them.
        let least = 128 << 10;
        let mut pool = CopyPool::new(1).with_threshold(least);
        assert!(!pool.for_each(least - 1, &mut [(), ()], |()| ()));
        for bytes in [least, least + 1, MUCH] {
            let (both, ids) = (Barrier::new(2), Mutex::new(Vec::new()));
            let used = pool.for_each(bytes, &mut [(), ()], |()| {
                both.wait();
                ids.lock().unwrap().push(thread::current().id());
            });
            let ids = ids.into_inner().unwrap();
            assert!(used && ids.len() == 2 && ids[0] != ids[1] && ids.contains(&thread::current().id()));
        }
    });
}

#[test]
fn all_helpers_take_part_where_there_is_enough_for_them() {
    within(60, || {
        let mut pool = CopyPool::new(3).with_threshold(0);
        for _ in 0..50 {
            let all = Barrier::new(4);
            assert!(pool.for_each(MUCH, &mut [(); 4], |()| meet(&all)));
        }
    });
}

#[test]
fn below_the_threshold_everything_happens_on_the_callers_thread() {
    within(60, || {
        let caller = thread::current().id();
        let here = |_: &mut u8| assert_eq!(thread::current().id(), caller);
        let mut pool = CopyPool::new(2);
        let threshold = pool.threshold();
        assert!((64 << 10..=16 << 20).contains(&threshold));
        assert!(!pool.for_each(threshold - 1, &mut [0; 100], here));
        assert!(!pool.for_each(0, &mut [0; 100], here));
        // One item cannot be shared, nor can none; nor is there anybody to share with.
        assert!(!pool.for_each(MUCH, &mut [0], here));
        assert!(!pool.for_each(MUCH, &mut [], here));
        assert!(!CopyPool::new(0).with_threshold(0).for_each(MUCH, &mut [0; 100], here));
    });
}

/// A scatter of rows, as the array writer does it, over and over: what is lent lives on the stack of each round.
#[test]
fn rows_are_scattered_into_borrowed_buffers_for_many_rounds() {
    within(60, || {
        const ROW: usize = 1024;
        const ROWS: usize = 64;
        let mut pool = CopyPool::new(1).with_threshold(0);
        let mut random = Random(9);
        let (mut rounds, mut used) = (0, 0);
        // On a busy machine the helper may come late for a long time.
        while rounds < 1000 || used == 0 {
            rounds += 1;
            let from: Vec<u8> = (0..ROW * ROWS / 8).flat_map(|_| random.next().to_ne_bytes()).collect();
            let mut to = vec![0; from.len()];
            // Band n of the target takes the n-th quarter of each row.
            let mut bands: Vec<_> = to.chunks_mut(ROW / 4 * ROWS).enumerate().collect();
            used += usize::from(pool.for_each(MUCH, &mut bands, |(n, band)| {
                for (row, part) in band.chunks_mut(ROW / 4).enumerate() {
                    let at = row * ROW + *n * ROW / 4;
                    part.copy_from_slice(&from[at..at + ROW / 4]);
                }
            }));
            let expected = (0..4).flat_map(|n| from.chunks(ROW).flat_map(move |row| &row[n * ROW / 4..][..ROW / 4]));
            assert!(to.iter().eq(expected));
        }
    });
}

fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    panic.downcast_ref::<&str>().copied().unwrap_or_default()
}

#[test]
fn a_panic_on_a_helper_is_raised_on_the_caller_and_the_pool_goes_on() {
    within(60, || {
        let caller = thread::current().id();
        let mut pool = CopyPool::new(1).with_threshold(0);
        for _ in 0..5 {
            let (both, finished) = (Barrier::new(2), AtomicBool::new(false));
            let panic = catch_unwind(AssertUnwindSafe(|| {
                pool.for_each(MUCH, &mut [(), ()], |()| {
                    both.wait();
                    match thread::current().id() == caller {
                        true => finished.store(true, Ordering::SeqCst),
                        false => panic!("a broken row"),
                    }
                })
            }));
            assert_eq!(message(&*panic.unwrap_err()), "a broken row");
            assert!(finished.into_inner(), "the caller's own call went on to its end");
            let both = Barrier::new(2);
            assert!(pool.for_each(MUCH, &mut [(), ()], |()| meet(&both)), "the helper is there");
        }
    });
}

/// The caller's call panics while the helper's is held up: what the helper uses must not go away under it.
#[test]
fn a_panic_on_the_caller_waits_for_the_helpers_call() {
    within(60, || {
        let caller = thread::current().id();
        let mut pool = CopyPool::new(1).with_threshold(0);
        for panics_too in [false, true] {
            let (both, finished) = (Barrier::new(2), AtomicBool::new(false));
            let (returned, end) = channel::<()>();
            let end = Mutex::new(end);
            let panic = catch_unwind(AssertUnwindSafe(|| {
                pool.for_each(MUCH, &mut [(), ()], |()| {
                    both.wait();
                    assert!(thread::current().id() != caller, "{}", "a broken row of the caller");
                    let early = end.lock().unwrap().recv_timeout(Duration::from_millis(50)).is_ok();
                    finished.store(!early, Ordering::SeqCst);
                    assert!(!panics_too);
                })
            }));
            let done = finished.load(Ordering::SeqCst);
            let _ = returned.send(());
            let panic = panic.unwrap_err();
            assert_eq!(panic.downcast_ref::<String>().map(String::as_str), Some("a broken row of the caller"));
            assert!(done, "it returned while the helper was at work");
        }
        // No panic is left over for the next call.
        let both = Barrier::new(2);
        assert!(pool.for_each(MUCH, &mut [(), ()], |()| meet(&both)));
    });
}

/// The caller is not kept by helpers that are late: with one item held up, it has done all the others itself.
#[test]
fn the_caller_does_what_no_helper_takes() {
    within(60, || {
        let caller = thread::current().id();
        let mut pool = CopyPool::new(1).with_threshold(0);
        let (rest_done, others) = (Barrier::new(2), AtomicUsize::new(0));
        pool.for_each(MUCH, &mut [(); 100], |()| {
            if thread::current().id() != caller {
                // Holds its first item until the caller has done the other 99.
                rest_done.wait();
            } else if others.fetch_add(1, Ordering::SeqCst) == 98 {
                rest_done.wait();
            }
        });
        assert_eq!(others.into_inner(), 99);
    });
}

#[cfg(target_os = "linux")]
#[test]
fn a_pool_uses_no_processor_while_it_is_idle_and_joins_its_threads() {
    use crate::support::{alone, rests, threads, until};
    alone("copy::a_pool_uses_no_processor_while_it_is_idle_and_joins_its_threads", 60, || {
        let mut pool = CopyPool::new(2).with_threshold(0);
        until("the threads have their names", || threads("forebay-copy-").len() == 2);
        let all = Barrier::new(3);
        assert!(pool.for_each(MUCH, &mut [(); 3], |()| meet(&all)));
        rests("while idle", Duration::from_millis(200), Duration::from_millis(4));
        drop(pool);
        assert_eq!(threads("forebay-copy-").len(), 0);
    });
}
