//! One queue and its two policies, without workers.

use std::collections::VecDeque;
use std::sync::Arc;

use forebay::spill::faulty::{Errno, Fault, FaultyFs, Operation};
use forebay::{MemoryStore, SegmentOptions, SpillError};
use forebay_exchange::hooks::{SpillMonitor, SpillOptions, hooks};
use proptest::prelude::*;
use timely::bytes::arc::{Bytes, BytesMut};
use timely::communication::allocator::zero_copy::bytes_exchange::{BytesPull, BytesPush, MergeQueue, QueueEntry};
use timely::communication::allocator::zero_copy::bytes_slab::BytesSlab;
use timely::communication::allocator::zero_copy::spill::{BytesFetch, PrefetchPolicy, SpillPolicy};
use timely::communication::buzzer::Buzzer;

use crate::support::{until, within};

type Policies = (Box<dyn SpillPolicy>, Box<dyn SpillPolicy>);

fn policies(options: &SpillOptions) -> (Policies, SpillMonitor) {
    let (hooks, monitor) = hooks(options).unwrap();
    let pair = hooks.spill.unwrap();
    (pair(), monitor)
}

fn in_memory() -> SpillOptions {
    SpillOptions::new(MemoryStore::new(u64::MAX))
}

fn bytes(data: Vec<u8>) -> Bytes {
    BytesMut::from(data).freeze()
}

/// Entries of a foreign policy: nobody asks for them.
struct Untouched;

impl BytesFetch for Untouched {
    fn fetch(self: Box<Self>) -> Result<Vec<Bytes>, Box<dyn BytesFetch>> {
        panic!("an old entry was touched");
    }
}

#[test]
fn a_call_does_not_look_at_the_entries_that_were_there() {
    let ((mut writer, _reader), monitor) = policies(&in_memory());
    let mut queue: VecDeque<QueueEntry> =
        (0..100_000).map(|_| QueueEntry::Paged(Box::new(Untouched) as Box<dyn BytesFetch>)).collect();
    let calls = 1000;
    for n in 0..calls {
        queue.push_back(QueueEntry::Bytes(bytes(vec![n as u8; 200 << 10])));
        writer.apply(&mut queue);
        assert!(matches!(queue.back(), Some(QueueEntry::Bytes(_))));
    }
    assert_eq!(queue.len(), 100_000 + calls);
    let snapshot = monitor.snapshot();
    assert_eq!(snapshot.handed_entries, calls as u64 - 1);
    // The tail, what came before it, and the handle where it ends.
    assert!(snapshot.examined_entries <= 3 * calls as u64, "{snapshot:?}");
}

#[test]
fn small_entries_share_a_record_and_large_ones_have_their_own() {
    within(30, || {
        let ((mut writer, _reader), monitor) = policies(&in_memory());
        let mut queue = VecDeque::new();
        let mut push = |len: usize| {
            queue.push_back(QueueEntry::Bytes(bytes(vec![0; len])));
            writer.apply(&mut queue);
            queue.len()
        };
        // Ten records of 256 KiB, and the tail.
        let small = (0..2560).map(|_| push(1 << 10)).last();
        assert_eq!(small, Some(11));
        // The small tail joins the last record; each but the last of these has one of its own.
        let large = (0..10).map(|_| push(256 << 10)).last();
        assert_eq!(large, Some(10 + 10));
        until("all is written", || monitor.snapshot().unwritten_bytes == 0);
        let snapshot = monitor.snapshot();
        assert_eq!((snapshot.handed_entries, snapshot.spilled_entries), (2569, 2569));
    });
}

#[test]
fn what_is_copied_does_not_get_around_the_gate() {
    within(30, || {
        let fs = FaultyFs::new();
        let store = SegmentOptions::new().file_system(Arc::new(fs.clone()));
        let store = store.open(std::env::temp_dir()).unwrap();
        fs.inject(Operation::Write, .., Fault::Hang);
        let cap = 4 << 20;
        let options = SpillOptions::new(store).cap(cap).deadline(std::time::Duration::from_millis(200));
        let (hooks, monitor) = hooks(&options).unwrap();
        let pair = hooks.spill.unwrap();
        let queue = || {
            let (writer, reader) = pair();
            MergeQueue::new_pair(Buzzer::default(), Some(writer), Some(reader))
        };
        let mut queues = [queue(), queue()];
        let mut slab = BytesSlab::new(20, hooks.refill);
        // As the thread that reads from the network does: one buffer for the messages to all workers.
        let mut deliver = || {
            for n in 0..200 << 10 {
                slab.ensure_capacity(1 << 10);
                slab.make_valid(1 << 10);
                let message = slab.extract(1 << 10);
                queues[n % 2].0.extend(Some(message));
            }
        };
        let raised = std::panic::catch_unwind(std::panic::AssertUnwindSafe(&mut deliver)).is_err();
        let snapshot = monitor.snapshot();
        assert!(raised && monitor.error().is_some(), "{snapshot:?}");
        assert!(snapshot.unwritten_peak <= (cap + (3 << 20)) as u64, "{snapshot:?}");
        fs.release();
    });
}

#[test]
fn a_reader_with_timely_s_own_policy_gets_the_same() {
    let ((writer, _reader), monitor) = policies(&in_memory());
    let reader = Box::new(PrefetchPolicy::new(1 << 20));
    let (mut sender, mut receiver) = MergeQueue::new_pair(Buzzer::default(), Some(writer), Some(reader));
    for n in 0..100 {
        sender.extend(Some(bytes(vec![n; 200 << 10])));
    }
    until("all is written", || monitor.snapshot().unwritten_bytes == 0);
    let mut received = Vec::new();
    while received.len() < 100 {
        receiver.drain_into(&mut received);
    }
    assert!(received.iter().enumerate().all(|(n, entry)| entry.iter().all(|byte| *byte == n as u8)));
    assert_eq!(monitor.snapshot().fetched_records, 99);
}

/// What happens to a queue.
#[derive(Clone, Debug)]
enum Step {
    /// Entries of these lengths arrive at once.
    Extend(Vec<usize>),
    Drain,
    /// The reader comes back when all is on disk.
    DrainFromDisk,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let len = prop_oneof![4 => 1..2000usize, 2 => 100_000..300_000usize, 1 => Just(1 << 20)];
    let step = prop_oneof![
        4 => proptest::collection::vec(len, 0..6).prop_map(Step::Extend),
        1 => Just(Step::Drain),
        1 => Just(Step::DrainFromDisk),
    ];
    proptest::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_the_interleaving_the_bytes_come_out_as_they_went_in(steps in steps(), compress in any::<bool>()) {
        let ((writer, reader), monitor) = policies(&in_memory().compress(compress));
        let (mut sender, mut receiver) = MergeQueue::new_pair(Buzzer::default(), Some(writer), Some(reader));
        let mut model: VecDeque<u8> = VecDeque::new();
        let mut next = 0u64;
        let mut drain = |model: &mut VecDeque<u8>, all: bool| {
            let mut out = Vec::new();
            receiver.drain_into(&mut out);
            while all && out.iter().map(|entry| entry.len()).sum::<usize>() < model.len() {
                receiver.drain_into(&mut out);
            }
            for entry in out {
                assert!(entry.len() <= model.len());
                assert!(entry.iter().eq(model.drain(..entry.len()).collect::<Vec<_>>().iter()));
            }
        };
        for step in steps {
            match step {
                Step::Extend(lengths) => {
                    let entries: Vec<Vec<u8>> = lengths
                        .iter()
                        .map(|len| {
                            next += 1;
                            (0..*len).map(|at| (at as u64 ^ (next * 31)) as u8).collect()
                        })
                        .collect();
                    model.extend(entries.iter().flatten());
                    sender.extend(entries.into_iter().map(bytes));
                }
                Step::Drain => drain(&mut model, false),
                Step::DrainFromDisk => {
                    until("all is written", || monitor.snapshot().unwritten_bytes == 0);
                    drain(&mut model, true);
                    assert!(model.is_empty());
                }
            }
        }
        drain(&mut model, true);
        prop_assert!(model.is_empty());
        prop_assert!(monitor.error().is_none());
    }
}

/// A queue of three entries of 200 KiB, each of its number, all written; from then on reads meet `fault`.
fn three_on_a_disk_that_then_has(fault: Fault) -> (FaultyFs, MergeQueue, MergeQueue, SpillMonitor) {
    let fs = FaultyFs::new();
    let store = SegmentOptions::new().file_system(Arc::new(fs.clone()));
    let options = SpillOptions::new(store.open(std::env::temp_dir()).unwrap());
    let ((writer, reader), monitor) = policies(&options);
    let (mut sender, receiver) = MergeQueue::new_pair(Buzzer::default(), Some(writer), Some(reader));
    for n in 0..3 {
        sender.extend(Some(bytes(vec![n; 200 << 10])));
    }
    until("all is written", || monitor.snapshot().unwritten_bytes == 0);
    fs.inject(Operation::Read, .., fault);
    (fs, sender, receiver, monitor)
}

#[test]
fn a_reader_waits_for_the_disk_when_it_has_let_go_of_the_queue() {
    within(30, || {
        let (fs, _sender, mut receiver, monitor) = three_on_a_disk_that_then_has(Fault::Hang);
        let mut received = Vec::new();
        receiver.drain_into(&mut received);
        fs.wait_until_hanging(1);
        // An empty entry, and nobody has waited: neither under the mutex nor behind it.
        assert!(received.len() == 1 && received[0].is_empty());
        assert_eq!(monitor.snapshot().fetch_waits, 0);
        // Timely has emptied its list of entries: its thread waits, and is to come again.
        received.clear();
        assert_eq!(monitor.snapshot().fetch_waits, 1);
        std::thread::park();
        fs.release();
        while received.iter().map(|entry: &Bytes| entry.len()).sum::<usize>() < 600 << 10 {
            let mut more = Vec::new();
            receiver.drain_into(&mut more);
            received.extend(more.into_iter().filter(|entry| !entry.is_empty()));
        }
        assert!(received.iter().enumerate().all(|(n, entry)| entry.iter().all(|byte| *byte == n as u8)));
        assert!(monitor.error().is_none());
    });
}

#[test]
fn what_cannot_be_read_back_is_raised_when_it_is_let_go_and_not_under_the_lock() {
    within(30, || {
        let (fs, mut sender, mut receiver, monitor) = three_on_a_disk_that_then_has(Fault::Error(Errno::IO));
        let mut received = Vec::new();
        while received.is_empty() {
            receiver.drain_into(&mut received);
        }
        // Reads come in the order of the records, so that by the second one it is known that the first has failed.
        until("two records cannot be read", || fs.fired() >= 2);
        // The reader got an empty entry, and the queue works on: its mutex is not poisoned.
        assert!(received.len() == 1 && received[0].is_empty());
        sender.extend(Some(bytes(vec![3])));
        let alarm = std::panic::AssertUnwindSafe(received.pop());
        let panic = std::panic::catch_unwind(move || drop(alarm)).unwrap_err();
        let text = panic.downcast_ref::<String>().unwrap();
        let error = monitor.error().unwrap();
        assert_eq!(*text, error.to_string());
        assert!(matches!(error.cause, forebay_exchange::hooks::SpillFailure::Store(SpillError::Io { .. })));
        // Nothing is lost: the disk recovers, and all is there.
        fs.release();
        let mut received = Vec::new();
        while received.iter().map(|entry: &Bytes| entry.len()).sum::<usize>() < (600 << 10) + 1 {
            receiver.drain_into(&mut received);
        }
        let firsts: Vec<u8> = received.iter().filter_map(|entry| entry.first().copied()).collect();
        assert_eq!(firsts, [0, 1, 2, 3]);
        // The second record may have been read ahead while the disk was broken.
        received.into_iter().filter(|entry| entry.is_empty()).for_each(std::mem::forget);
    });
}
