//! A backlog far larger than the cap: whole, in order, and not in memory.

use forebay::SegmentStore;
use forebay_exchange::hooks::SpillOptions;

use crate::blocks::past_a_withheld_receiver;
use crate::support::{alone, alone_with, memory, reset_peak};

const MIB: usize = 1 << 20;

/// What threads free of each other's large buffers goes back to the system. Otherwise the C library keeps as much of it as
/// it has seen at one time, by thread, and how much that is depends on how they are scheduled: 5 to 15 MiB here.
const GIVE_BACK: (&str, &str) = ("MALLOC_MMAP_THRESHOLD_", "131072");

/// Sends 256 MiB in blocks of `words` numbers; at most `resident` MiB may be in memory.
fn goes_to_disk(words: usize, resident: usize) {
    let bytes = 256 * MIB;
    let count = (bytes / (8 * words)) as u64;
    let before = memory("VmRSS");
    reset_peak();
    let options = SpillOptions::new(SegmentStore::temp().unwrap()).cap(8 * MIB);
    let outcome = past_a_withheld_receiver(options, count, words, || {});
    assert_eq!(outcome.received, [Ok(0), Ok(count)]);
    let used = memory("VmHWM") - before;
    let snapshot = outcome.monitor.snapshot();
    println!("{} MiB; {snapshot:?}", used / MIB);
    assert!(used <= resident * MIB, "{} MiB", used / MIB);
    assert!(snapshot.spilled_bytes > 200 * MIB as u64 && snapshot.fetched_bytes > 200 * MIB as u64, "{snapshot:?}");
    // Where the disk is behind, the sender waits at the cap, and has a few buffers of 1 MiB more: those that it filled
    // before anybody looked at the queue are handed on together.
    assert!(snapshot.unwritten_peak <= 16 * MIB as u64, "{snapshot:?}");
    assert_eq!(snapshot.unwritten_bytes, 0);
    assert!(outcome.monitor.error().is_none());
}

#[test]
fn of_containers_of_64_kib() {
    alone_with("backlog::of_containers_of_64_kib", 120, &[GIVE_BACK], || goes_to_disk(8 << 10, 28));
}

#[test]
fn of_small_messages() {
    alone_with("backlog::of_small_messages", 120, &[GIVE_BACK], || goes_to_disk(20, 28));
}

#[test]
fn of_messages_larger_than_the_cap() {
    // Each is in memory as the buffer that it is written to, on its way to the disk, and as what is read back.
    alone("backlog::of_messages_larger_than_the_cap", 120, || {
        let words = 2 * MIB;
        let options = SpillOptions::new(SegmentStore::temp().unwrap()).cap(8 * MIB);
        let outcome = past_a_withheld_receiver(options, 20, words, || {});
        assert_eq!(outcome.received, [Ok(0), Ok(20)]);
        assert!(outcome.monitor.snapshot().spilled_bytes > 200 * MIB as u64);
    });
}

#[test]
fn compressed() {
    let options = SpillOptions::temp().unwrap().cap(MIB).compress(true);
    // Small numbers compress: their high bytes are equal.
    let outcome = past_a_withheld_receiver(options, 1000, 1000, || {});
    assert_eq!(outcome.received, [Ok(0), Ok(1000)]);
    let snapshot = outcome.monitor.snapshot();
    assert!(snapshot.spilled_bytes > 0 && snapshot.spilled_bytes < 6 * MIB as u64, "{snapshot:?}");
}
