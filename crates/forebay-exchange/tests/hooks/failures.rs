//! A store that fails ends the run with a typed error, in time, and never hangs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use forebay::spill::faulty::{Errno, Fault, FaultyFs, Operation};
use forebay::{MemoryStore, SegmentOptions, SpillError};
use forebay_exchange::hooks::{SpillFailed, SpillFailure, SpillOptions};

use crate::blocks::{Outcome, past_a_withheld_receiver};
use crate::support::within;

const WORDS: usize = 8 << 10;
const COUNT: u64 = 1000;

fn faulty(fs: &FaultyFs) -> SpillOptions {
    let store = SegmentOptions::new().file_system(Arc::new(fs.clone())).open(std::env::temp_dir()).unwrap();
    SpillOptions::new(store).cap(1 << 20)
}

fn failed(outcome: &Outcome, worker: usize) -> SpillFailed {
    let failed = outcome.monitor.error().unwrap();
    // All that timely passes on is that a worker panicked.
    assert!(outcome.received[worker].is_err(), "{:?}", outcome.received);
    failed
}

#[test]
fn a_full_disk_ends_the_run() {
    within(30, || {
        let fs = FaultyFs::new();
        let options = faulty(&fs);
        fs.inject(Operation::Write, 3.., Fault::Error(Errno::NOSPC));
        let outcome = past_a_withheld_receiver(options, COUNT, WORDS, || {});
        let error = failed(&outcome, 0);
        let SpillFailure::Store(SpillError::Io { source, .. }) = &error.cause else { panic!("{error}") };
        assert_eq!((error.operation, source.raw_os_error()), ("write", Some(Errno::NOSPC.raw_os_error())));
        // It ended rather than grow: what was not written is the cap and the buffers under way.
        assert!(outcome.monitor.snapshot().unwritten_peak < 4 << 20, "{:?}", outcome.monitor);
    });
}

#[test]
fn what_could_not_be_written_is_still_delivered_if_nobody_needs_more_memory() {
    within(30, || {
        let fs = FaultyFs::new();
        let options = faulty(&fs).cap(64 << 20);
        fs.inject(Operation::Write, .., Fault::Error(Errno::NOSPC));
        // Less than a buffer, so that the sender needs no second one; small, so that there is more than a tail.
        let outcome = past_a_withheld_receiver(options, 4, 8 << 10, || {});
        assert_eq!(outcome.received, [Ok(0), Ok(4)]);
    });
}

#[test]
fn the_quota_of_the_store_ends_the_run() {
    within(30, || {
        let options = SpillOptions::new(MemoryStore::new(3 << 20)).cap(1 << 20);
        let outcome = past_a_withheld_receiver(options, COUNT, WORDS, || {});
        let error = failed(&outcome, 0);
        let SpillFailure::Store(SpillError::QuotaExceeded { quota, .. }) = error.cause else { panic!("{error}") };
        assert_eq!(quota, 3 << 20);
    });
}

#[test]
fn a_disk_that_hangs_while_writing_ends_the_run_at_the_deadline() {
    within(30, || {
        let fs = FaultyFs::new();
        let deadline = Duration::from_millis(300);
        let options = faulty(&fs).deadline(deadline);
        fs.inject(Operation::Write, 2.., Fault::Hang);
        let begun = Instant::now();
        let outcome = past_a_withheld_receiver(options, COUNT, WORDS, || {});
        let took = begun.elapsed();
        // The disk still hangs, and nobody waits for it.
        fs.wait_until_hanging(1);
        assert!(took >= deadline, "{took:?}");
        let error = failed(&outcome, 0);
        let SpillFailure::Deadline { waited, unwritten } = error.cause else { panic!("{error}") };
        assert!(outcome.monitor.snapshot().refill_waits > 0, "the sender waited where it needed a buffer");
        // Not the time of the whole run: a panic that is printed with where it came from takes seconds.
        assert!(waited >= deadline && waited < 10 * deadline, "{waited:?}");
        assert!(unwritten > 1 << 20 && error.operation == "write");
        assert!(outcome.monitor.snapshot().longest_refill_wait_nanos >= deadline.as_nanos() as u64);
        fs.release();
    });
}

#[test]
fn a_disk_that_hangs_while_reading_ends_the_run_at_the_deadline() {
    within(30, || {
        let fs = FaultyFs::new();
        let options = faulty(&fs).deadline(Duration::from_millis(300));
        let hang = fs.clone();
        let outcome = past_a_withheld_receiver(options, COUNT, WORDS, move || {
            hang.inject(Operation::Read, 2.., Fault::Hang);
        });
        let error = failed(&outcome, 1);
        let SpillFailure::Deadline { .. } = error.cause else { panic!("{error}") };
        assert_eq!(error.operation, "read back");
        let snapshot = outcome.monitor.snapshot();
        // Half a millisecond each, for 300 ms: it waits, it does not spin.
        assert!(snapshot.fetch_waits > 1 && snapshot.fetch_waits < 700, "{snapshot:?}");
        fs.release();
    });
}

#[test]
fn a_flipped_byte_is_found_and_named() {
    within(30, || {
        let fs = FaultyFs::new();
        let flip = fs.clone();
        let outcome = past_a_withheld_receiver(faulty(&fs), COUNT, WORDS, move || {
            // Every time: what goes wrong while reading ahead is read once more.
            flip.inject(Operation::Read, 5.., Fault::Flip(1000));
        });
        let error = failed(&outcome, 1);
        let SpillFailure::Store(SpillError::ChecksumMismatch { got, expected, .. }) = &error.cause else {
            panic!("{error}")
        };
        assert_ne!(got, expected);
        assert!(error.operation == "read back" && error.to_string().contains("checksum"), "{error}");
    });
}

#[test]
fn a_store_that_panics_ends_the_run_like_one_that_fails() {
    #[derive(Debug)]
    struct Panics(MemoryStore);

    impl forebay::SpillStore for Panics {
        fn append(&self, _: u64, _: &[std::io::IoSlice<'_>]) -> Result<forebay::Extent, SpillError> {
            panic!("a fault of the test");
        }

        fn usage(&self) -> forebay::Usage {
            self.0.usage()
        }

        fn location(&self) -> forebay::Location {
            self.0.location()
        }
    }

    within(30, || {
        let options = SpillOptions::new(Panics(MemoryStore::new(0))).cap(1 << 20);
        let outcome = past_a_withheld_receiver(options, COUNT, WORDS, || {});
        let error = failed(&outcome, 0);
        assert!(matches!(error.cause, SpillFailure::Store(SpillError::Io { .. })), "{error}");
    });
}
