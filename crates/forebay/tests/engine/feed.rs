//! Pipelines that are pushed into.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use forebay::{Budget, Cause, Feed, MemoryStore, Pipeline, SendError, TrySendError};

use crate::support::{Gate, bytes_of, threads, until, within};

type Received = Arc<Mutex<Vec<u64>>>;

/// A feed of numbers, and what its sink was given.
fn numbers(pipeline: Pipeline) -> (Feed<u64, u64, io::Error>, Received) {
    let received = Received::default();
    let sink = Arc::clone(&received);
    let feed = pipeline.feed(Ok, move |n| {
        sink.lock().unwrap().push(n);
        Ok(())
    });
    (feed.unwrap(), received)
}

#[test]
fn what_is_pushed_arrives_in_order_and_the_end_waits_for_it() {
    within(60, || {
        let (mut feed, received) = numbers(Pipeline::new().workers(3).window(16));
        for n in 0..10_000 {
            assert_eq!(feed.send(n).unwrap(), n);
        }
        let report = feed.finish().unwrap();
        assert_eq!((report.submitted, report.delivered, report.cancelled), (10_000, 10_000, 0));
        assert_eq!(report.workers, 3);
        assert!(received.lock().unwrap().iter().copied().eq(0..10_000));
    });
}

#[test]
fn a_feed_that_nothing_was_pushed_into_ends() {
    within(60, || {
        let (feed, received) = numbers(Pipeline::new().workers(2));
        assert_eq!(feed.finish().unwrap().delivered, 0);
        assert!(received.lock().unwrap().is_empty());
    });
}

#[test]
fn a_full_window_refuses_at_once_and_waits_when_told_to() {
    within(60, || {
        let gate = Gate::default();
        let held = gate.clone();
        let pipeline = Pipeline::new().workers(1).window(2).batch(1);
        let mut feed: Feed<u64, u64, io::Error> = pipeline
            .feed(
                move |n| {
                    held.pass();
                    Ok(n)
                },
                |_| Ok(()),
            )
            .unwrap();
        let mut sent = 0;
        let refused = loop {
            match feed.try_send(sent) {
                Ok(_) => sent += 1,
                Err(refused) => break refused,
            }
        };
        assert_eq!(refused, TrySendError::Full(sent));
        assert_eq!(sent, 2, "what is in flight is bounded, not only the queue");
        let opener = std::thread::spawn(move || gate.open());
        feed.send(sent).unwrap();
        opener.join().unwrap();
        assert_eq!(feed.finish().unwrap().delivered, sent + 1);
    });
}

#[test]
fn results_spill_while_the_sink_is_held_up_and_the_producer_goes_on() {
    within(60, || {
        let gate = Gate::default();
        let held = gate.clone();
        let mut next = 0;
        let pipeline = Pipeline::new().workers(2).budget(&Budget::new(256 << 10)).spill(MemoryStore::new(64 << 20));
        let mut feed: Feed<u64, Vec<u8>, io::Error> = pipeline
            .feed(
                |n| Ok(bytes_of(n, 10_000)),
                move |bytes| {
                    held.pass();
                    assert_eq!(bytes, bytes_of(next, 10_000));
                    next += 1;
                    Ok(())
                },
            )
            .unwrap();
        for n in 0..500 {
            feed.send(n).unwrap();
        }
        gate.open();
        let report = feed.finish().unwrap();
        assert_eq!(report.delivered, 500);
        assert!(report.spilled_items > 300, "{report:?}");
        assert_eq!(report.spilled_items, report.reloaded_items);
    });
}

#[test]
fn a_sink_that_fails_is_found_out_at_the_next_push_and_named_at_the_end() {
    within(60, || {
        let mut feed: Feed<u64, u64, io::Error> =
            Pipeline::new().workers(2).feed(Ok, |n| if n == 3 { Err(io::Error::other("no")) } else { Ok(()) }).unwrap();
        let refused = (0..).find_map(|n| feed.send(n).err().map(|SendError(item)| (n, item))).unwrap();
        assert_eq!(refused.0, refused.1, "the item comes back");
        let error = feed.finish().unwrap_err();
        assert!(matches!(error.cause, Cause::Sink { seq: 3, .. }), "{error:?}");
        assert_eq!(error.snapshot.submitted, error.snapshot.delivered + error.snapshot.cancelled);
    });
}

#[test]
fn work_that_fails_ends_the_run_behind_what_came_before() {
    within(60, || {
        let received = Received::default();
        let sink = Arc::clone(&received);
        let mut feed: Feed<u64, u64, io::Error> = Pipeline::new()
            .workers(2)
            .feed(
                |n| if n == 50 { Err(io::Error::other("no")) } else { Ok(n) },
                move |n| {
                    sink.lock().unwrap().push(n);
                    Ok(())
                },
            )
            .unwrap();
        let _ = (0..).find(|&n| feed.send(n).is_err());
        let error = feed.finish().unwrap_err();
        assert!(matches!(error.cause, Cause::Work { seq: 50, .. }), "{error:?}");
        assert!(received.lock().unwrap().iter().copied().eq(0..50));
    });
}

#[test]
fn a_panic_of_the_sink_passes_through_the_end() {
    within(60, || {
        let mut feed: Feed<u64, u64, io::Error> =
            Pipeline::new().workers(2).feed(Ok, |_| panic!("the sink's own")).unwrap();
        while feed.send(0).is_ok() {}
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| feed.finish())).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"the sink's own"));
    });
}

#[test]
fn a_feed_that_is_dropped_cancels_waits_for_the_sink_and_leaves_no_thread() {
    within(60, || {
        let gate = Gate::default();
        let (held, entered) = (gate.clone(), Arc::new(AtomicU64::new(0)));
        let calls = Arc::clone(&entered);
        let mut feed: Feed<u64, u64, io::Error> = Pipeline::new()
            .name("dropped-feed")
            .workers(2)
            .feed(Ok, move |_| {
                calls.fetch_add(1, Ordering::SeqCst);
                held.pass();
                Ok(())
            })
            .unwrap();
        for n in 0..100 {
            feed.send(n).unwrap();
        }
        until("the sink is called", || entered.load(Ordering::SeqCst) == 1);
        let dropper = std::thread::spawn(move || drop(feed));
        // The system cuts names off.
        until("the workers have left", || !threads("dropped-feed").iter().any(|name| name.contains("-wo")));
        assert!(!dropper.is_finished(), "the call in progress is waited for");
        gate.open();
        dropper.join().unwrap();
        assert_eq!(entered.load(Ordering::SeqCst), 1, "nothing is delivered after the drop");
        assert_eq!(threads("dropped-feed"), Vec::<String>::new());
    });
}
