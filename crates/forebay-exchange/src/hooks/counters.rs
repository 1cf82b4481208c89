//! What the hooks count while they run.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::metrics::Counter;

/// How often somebody waited, how long in all and at most.
#[derive(Debug, Default)]
pub(super) struct Waits {
    count: AtomicU64,
    nanos: AtomicU64,
    longest: AtomicU64,
}

impl Waits {
    pub(super) fn count(&self, waited: Duration) {
        let nanos = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX);
        self.count.fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
        self.longest.fetch_max(nanos, Ordering::Relaxed);
    }

    /// Times, nanoseconds in all, nanoseconds at most.
    pub(super) fn read(&self) -> (u64, u64, u64) {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (load(&self.count), load(&self.nanos), load(&self.longest))
    }
}

/// The counters of all queues together.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Entries of timely's queues that a writer's policy looked at.
    pub(super) examined: Counter,
    pub(super) handed_bytes: Counter,
    pub(super) handed_entries: Counter,
    pub(super) fetched_bytes: Counter,
    pub(super) fetched_pages: Counter,
    pub(super) recalled_bytes: Counter,
    pub(super) writer_applies: Waits,
    pub(super) reader_applies: Waits,
    pub(super) fetch_waits: Waits,
}
