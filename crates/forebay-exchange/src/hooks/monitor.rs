//! `SpillMonitor`: what the hooks did, for other threads and for after the run.

use std::fmt;
use std::sync::Arc;

use forebay::Monitor;
use serde::Serialize;

use super::counters::Counters;
use super::failed::SpillFailed;
use super::gate::Gate;
use super::spool::Spool;

/// Reads what the hooks of one timely program did, while it runs and afterwards. Cheap to clone; keeps nothing alive
/// but numbers.
#[derive(Clone)]
pub struct SpillMonitor {
    counters: Arc<Counters>,
    gate: Arc<Gate>,
    pager: Monitor,
}

/// What the hooks did, as plain numbers, over all queues. Of a run that still goes on, the numbers are from slightly
/// different moments. Times are in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SpillSnapshot {
    /// Entries of the queues that were taken out of them, to be written.
    pub handed_entries: u64,
    /// Their bytes.
    pub handed_bytes: u64,
    /// Entries that were written to the store.
    pub spilled_entries: u64,
    /// Bytes that were written to the store, with the header of each record, and compressed if that was asked for.
    pub spilled_bytes: u64,
    /// Records that were read back.
    pub fetched_records: u64,
    /// Their bytes.
    pub fetched_bytes: u64,
    /// Bytes that their reader got from memory, before they were written.
    pub recalled_bytes: u64,
    /// Bytes on their way to the store and not yet written: now.
    pub unwritten_bytes: u64,
    /// The same: at most.
    pub unwritten_peak: u64,
    /// Times that a reader waited, because what it needs was still being read.
    pub fetch_waits: u64,
    /// How long these took.
    pub fetch_wait_nanos: u64,
    /// How long the longest of them took.
    pub longest_fetch_wait_nanos: u64,
    /// Times that a sender that needed a buffer waited for the disk.
    pub refill_waits: u64,
    /// How long they waited.
    pub refill_wait_nanos: u64,
    /// How long the longest of them waited.
    pub longest_refill_wait_nanos: u64,
    /// Calls of the writers' policy that found something to do.
    pub writer_calls: u64,
    /// The longest of them: how long a reader may have spun for the queue.
    pub longest_writer_call_nanos: u64,
    /// Entries of the queues that these looked at: a few for each that came, however long the queues are.
    pub examined_entries: u64,
    /// Calls of the readers' policy that found something to do.
    pub reader_calls: u64,
    /// The longest of them: how long a sender may have spun for the queue.
    pub longest_reader_call_nanos: u64,
}

impl SpillMonitor {
    pub(super) fn new(spool: &Spool) -> Self {
        SpillMonitor {
            counters: Arc::clone(&spool.counters),
            gate: Arc::clone(&spool.gate),
            pager: spool.pager.monitor(),
        }
    }

    /// Why the run cannot go on, or could not: what the panic of the worker that met it was about.
    pub fn error(&self) -> Option<SpillFailed> {
        self.gate.failed()
    }

    /// The numbers now.
    pub fn snapshot(&self) -> SpillSnapshot {
        let pager = self.pager.snapshot();
        let counters = &self.counters;
        let (unwritten, peak) = self.gate.unwritten();
        let (fetch_waits, fetch_wait_nanos, longest_fetch_wait_nanos) = counters.fetch_waits.read();
        let (refill_waits, refill_wait_nanos, longest_refill_wait_nanos) = self.gate.waits.read();
        let (writer_calls, _, longest_writer_call_nanos) = counters.writer_applies.read();
        let (reader_calls, _, longest_reader_call_nanos) = counters.reader_applies.read();
        SpillSnapshot {
            handed_entries: counters.handed_entries.get(),
            handed_bytes: counters.handed_bytes.get(),
            spilled_entries: pager.spilled_items,
            spilled_bytes: pager.spilled_bytes,
            fetched_records: counters.fetched_pages.get(),
            fetched_bytes: counters.fetched_bytes.get(),
            recalled_bytes: counters.recalled_bytes.get(),
            unwritten_bytes: unwritten as u64,
            unwritten_peak: peak as u64,
            fetch_waits,
            fetch_wait_nanos,
            longest_fetch_wait_nanos,
            refill_waits,
            refill_wait_nanos,
            longest_refill_wait_nanos,
            writer_calls,
            longest_writer_call_nanos,
            examined_entries: counters.examined.get(),
            reader_calls,
            longest_reader_call_nanos,
        }
    }
}

impl fmt::Debug for SpillMonitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpillMonitor").field("error", &self.error()).field("snapshot", &self.snapshot()).finish()
    }
}
