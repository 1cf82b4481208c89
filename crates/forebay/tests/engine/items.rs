//! What items and policies of the user's own do, and what becomes of a run in which they misbehave.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use forebay::{
    Budget, Cause, Decision, DecodeError, DeliverError, Manual, MemoryStore, OnSpillError, Pager, Parts, Pipeline,
    ReorderBuffer, RunError, Snapshot, Spill, SpillPolicy, Threshold, View, Waker, Weigh,
};

use crate::support::{Gate, until, within};

/// An item that misbehaves on the way to disk or back.
#[derive(Debug)]
enum Item {
    Good(u64),
    EncodePanics,
    DecodeFails,
    DecodePanics,
}

/// The item that cannot be written was to be written. (One test has such an item.)
static ENCODING: AtomicBool = AtomicBool::new(false);

impl Weigh for Item {
    fn weight(&self) -> usize {
        1000
    }
}

impl Spill for Item {
    fn encode(self, out: &mut Parts) {
        match self {
            Item::Good(n) => out.write(&n.to_le_bytes()),
            Item::EncodePanics => {
                ENCODING.store(true, Ordering::SeqCst);
                panic!("cannot write this")
            }
            Item::DecodeFails => out.write(b"f"),
            Item::DecodePanics => out.write(b"pp"),
        }
        out.put(Bytes::from(vec![0; 990]));
    }

    fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        let number = &bytes[..bytes.len() - 990];
        match number.len() {
            1 => Err(DecodeError("one byte")),
            2 => std::panic::panic_any("two bytes"),
            _ => Ok(Item::Good(u64::from_le_bytes(number.try_into().map_err(|_| DecodeError("not a number"))?))),
        }
    }
}

/// Runs 2,000 items of which 600 in the middle are `odd`, with the head withheld until `ready`; returns how many came out.
fn run(
    odd: fn(u64) -> Item,
    policy: impl SpillPolicy + 'static,
    ready: impl Fn(&Snapshot) -> bool + Sync,
) -> (Result<Snapshot, RunError<io::Error>>, u64) {
    let gate = Gate::default();
    let budget = Budget::new(128 << 10);
    let pipeline = Pipeline::new().workers(2).budget(&budget).spill(MemoryStore::new(u64::MAX)).policy(policy);
    let monitor = pipeline.monitor();
    let mut next = 0;
    let outcome = std::thread::scope(|scope| {
        scope.spawn(|| {
            until("the scene is ready", || ready(&monitor.snapshot()));
            gate.open();
        });
        pipeline.run(
            (0..2000u64).map(Ok),
            |n| {
                if n == 0 {
                    gate.pass();
                }
                Ok(if (600..1200).contains(&n) { odd(n) } else { Item::Good(n) })
            },
            |item| {
                match item {
                    Item::Good(n) => assert_eq!(n, next),
                    // It was not spilled.
                    _ => assert!((600..1200).contains(&next)),
                }
                next += 1;
                Ok(())
            },
        )
    });
    assert_eq!(budget.used(), 0);
    (outcome, next)
}

#[test]
fn an_item_whose_encode_panics_ends_the_run_with_an_error_that_names_it() {
    within(60, || {
        let (outcome, _) = run(|_| Item::EncodePanics, Threshold::default(), |_| ENCODING.load(Ordering::SeqCst));
        let error = outcome.unwrap_err();
        match &error.cause {
            Cause::Spill(DeliverError::Panicked { seq, message }) => {
                assert!((1..1200).contains(seq), "the number of its block: {seq}");
                assert_eq!(message, "cannot write this");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(error.snapshot.submitted, error.snapshot.delivered + error.snapshot.cancelled);
    });
}

#[test]
fn an_item_that_does_not_decode_ends_the_run_after_everything_before_its_block() {
    within(60, || {
        let (outcome, delivered) = run(|_| Item::DecodeFails, Threshold::default(), |now| now.spilled_items > 1000);
        let error = outcome.unwrap_err();
        match &error.cause {
            Cause::Spill(DeliverError::Decode { seq, error }) => {
                assert_eq!((*seq, error), (delivered, &DecodeError("one byte")));
                assert!(*seq < 1200);
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn an_item_whose_decode_panics_is_a_panic_of_the_run() {
    within(60, || {
        let panic = catch_unwind(AssertUnwindSafe(|| {
            run(|_| Item::DecodePanics, Threshold::default(), |now| now.spilled_items > 1000)
        }));
        let panic = panic.err().unwrap();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"two bytes"));
    });
}

struct Panics;

impl SpillPolicy for Panics {
    fn decide(&mut self, _: &View) -> Decision {
        panic!("undecided")
    }
}

#[test]
fn a_policy_that_panics_ends_the_run_with_an_error() {
    within(60, || {
        // Without an end, so that nothing else ends the run; the sink is slower than the source, so that memory runs short.
        let outcome = Pipeline::new()
            .workers(2)
            .budget(&Budget::new(64 << 10))
            .spill(MemoryStore::new(u64::MAX))
            .policy(Panics)
            .run(
                (0u64..).map(Ok::<_, std::io::Error>),
                |n| Ok(vec![n as u8; 4096]),
                |_| {
                    std::thread::yield_now();
                    Ok(())
                },
            );
        let cause = outcome.unwrap_err().cause;
        match cause {
            Cause::Spill(DeliverError::Panicked { message, .. }) => assert_eq!(message, "undecided"),
            other => panic!("{other:?}"),
        }
    });
}

/// Asks for things that are not there.
struct Odd {
    calls: u64,
}

impl SpillPolicy for Odd {
    fn decide(&mut self, view: &View) -> Decision {
        self.calls += 1;
        Decision {
            spill_bytes: [0, usize::MAX, 1][self.calls as usize % 3],
            spill_from: [0, view.head + 10, u64::MAX][(self.calls / 3) as usize % 3],
            prefetch: Some(if self.calls.is_multiple_of(2) { 0..u64::MAX } else { u64::MAX - 1..u64::MAX }),
        }
    }
}

#[test]
fn whatever_a_policy_asks_for_nothing_is_lost() {
    within(60, || {
        let (outcome, delivered) = run(Item::Good, Odd { calls: 0 }, |now| now.spilled_items > 0);
        assert_eq!((outcome.unwrap().delivered, delivered), (2000, 2000));
        let never = |_: &View| Decision::default();
        struct By<F>(F);
        impl<F: Fn(&View) -> Decision + Send> SpillPolicy for By<F> {
            fn decide(&mut self, view: &View) -> Decision {
                self.0(view)
            }
        }
        let (outcome, _) = run(Item::Good, By(never), |_| true);
        assert_eq!(outcome.unwrap().spilled_items, 0, "what a policy does not ask for is not spilled");
        let (outcome, _) = run(Item::Good, Threshold::with_reserve(1.0), |_| true);
        assert!(
            outcome.unwrap().spilled_items < 20,
            "all of the budget is the head's reserve, only what overdraws it goes"
        );
    });
}

#[test]
fn a_policys_waker_and_a_manual_handle_outlive_the_run() {
    within(60, || {
        struct Keeps(std::sync::mpsc::Sender<Waker>);
        impl SpillPolicy for Keeps {
            fn decide(&mut self, _: &View) -> Decision {
                Decision::default()
            }

            fn attach(&mut self, waker: Waker) {
                waker.wake();
                self.0.send(waker).unwrap();
            }
        }
        let (send, receive) = std::sync::mpsc::channel();
        run(Item::Good, Keeps(send), |_| true).0.unwrap();
        receive.recv().unwrap().wake();
        let (manual, handle) = Manual::new();
        handle.spill(10);
        run(Item::Good, manual, |_| true).0.unwrap();
        handle.spill(10);
    });
}

/// Sends `items` through a store and back.
fn there_and_back<T: Spill + Send + Clone + PartialEq + std::fmt::Debug + 'static>(items: &[T]) {
    let budget = Budget::new(16 << 20);
    let consumer = budget.consumer("buffer", 0).unwrap();
    let pager = Pager::new(MemoryStore::new(u64::MAX), true).unwrap();
    let (policy, handle) = Manual::new();
    let (buffer, mut delivery) = ReorderBuffer::spilling(&consumer, &pager, policy, OnSpillError::Fail);
    let pay = |item: &T| consumer.lease_head(item.weight());
    for (seq, item) in (1..).zip(items) {
        buffer.insert(seq, item.clone(), pay(item)).unwrap();
    }
    handle.spill(usize::MAX);
    let count = items.len() as u64;
    until("they are spilled", || pager.monitor().snapshot().spilled_items == count);
    buffer.insert(0, items[0].clone(), pay(&items[0])).unwrap();
    buffer.close(count + 1);
    assert_eq!(delivery.next_result().unwrap().as_ref(), Some(&items[0]));
    for item in items {
        assert_eq!(delivery.next_result().unwrap().as_ref(), Some(item));
    }
    assert_eq!(delivery.next_result().unwrap(), None);
    assert_eq!(pager.monitor().snapshot().reloaded_items, count);
}

#[test]
fn the_items_that_the_library_knows_survive_the_way_to_disk() {
    within(60, || {
        there_and_back(&[0, 1, u64::MAX]);
        there_and_back(&[i8::MIN, -1, 0]);
        there_and_back(&[0.0, -0.5, f64::MAX]);
        there_and_back(&[u128::MAX, 7]);
        let sizes = [0, 1, 1023, 1024, 1025, 2047, 2048, 300_000];
        let bytes = sizes.map(|size| crate::support::bytes_of(size as u64, size));
        there_and_back(&bytes);
        there_and_back(&bytes.map(Bytes::from));
        there_and_back(&sizes.map(|size| "ä".repeat(size)));
    });
}

#[cfg(feature = "serde")]
#[test]
fn what_serde_can_write_survives_the_way_to_disk() {
    use forebay::Serde;
    within(60, || {
        there_and_back(&[
            Serde(vec![(1u64, "one".to_owned()), (2, String::new())]),
            Serde(Vec::new()),
            Serde(vec![(u64::MAX, "x".repeat(5000))]),
        ]);
        assert!(Serde::<u64>::decode(Bytes::from_static(&[0x80])).is_err());
    });
}

#[test]
fn bytes_that_no_item_wrote_do_not_decode() {
    assert!(u64::decode(Bytes::from_static(b"seven b")).is_err());
    assert!(String::decode(Bytes::from_static(&[0xff])).is_err());
}

#[test]
fn parts_keep_the_order_of_what_is_written_and_put() {
    let mut parts = Parts::default();
    assert!(parts.is_empty());
    let mut expected = Vec::new();
    for size in [3, 2000, 10, 0, 1024, 1023, 5000, 1] {
        let bytes = crate::support::bytes_of(size as u64, size);
        expected.extend_from_slice(&bytes);
        if size % 2 == 0 {
            parts.put(bytes.into())
        } else {
            parts.write(&bytes)
        }
        assert_eq!(parts.len(), expected.len());
    }
    let pager = Pager::new(MemoryStore::new(u64::MAX), false).unwrap();
    let consumer = Budget::new(1 << 20).consumer("parts", 0).unwrap();
    let page = pager.put(parts, 1, consumer.lease_head(expected.len()));
    assert_eq!(page.get().unwrap().bytes, expected, "from memory or from the store");
    until("it is written", || matches!(page.state(), forebay::PageState::OnDisk));
    assert_eq!(page.get().unwrap().bytes, expected, "from the store");
}

/// A budget that counts a buffer of 1 MiB as the 24 bytes of its vector never triggers.
#[test]
fn items_weigh_what_they_keep_alive() {
    assert!(vec![0u8; 1 << 20].weight() > 1 << 20);
    assert!(Vec::<u8>::with_capacity(1 << 20).weight() > 1 << 20, "reserved memory counts");
    assert!(Bytes::from(vec![0; 4096]).weight() > 4096);
    assert!("x".repeat(5000).weight() > 5000);
    assert!(vec![vec![0u8; 1000]; 10].weight() > 10_000);
    assert!(Some(vec![0u8; 1000]).weight() > 1000);
    assert!(Ok::<_, ()>(vec![0u8; 1000]).weight() > 1000);
    assert!((vec![0u8; 1000], 1u8, vec![0u8; 500]).weight() > 1500);
    assert!(Box::new(vec![0u8; 1000]).weight() > 1000);
    assert!([vec![0u8; 1000], vec![0; 1000]].weight() > 2000);
    assert_eq!((7u64.weight(), [0u32; 8].weight()), (8, 32));
}
