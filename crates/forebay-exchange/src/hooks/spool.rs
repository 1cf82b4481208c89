//! `Spool`: what all queues of a program share: the pager, who pays, the gate, the counters.

use std::fmt;
use std::io::IoSlice;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};

use forebay::{Budget, Consumer, Extent, Location, Page, Pager, Parts, SpillError, SpillStore, Usage};
use timely::bytes::arc::Bytes;

use super::build::BuildError;
use super::counters::Counters;
use super::failed::{SpillFailed, SpillFailure};
use super::gate::{Gate, Held};
use super::options::SpillOptions;

pub(super) struct Spool {
    pub(super) pager: Pager,
    consumer: Consumer,
    pub(super) gate: Arc<Gate>,
    pub(super) counters: Arc<Counters>,
}

impl Spool {
    pub(super) fn new(options: &SpillOptions) -> Result<Self, BuildError> {
        let gate = Gate::new(options.cap, options.deadline, options.store.location().to_string());
        let gate = Arc::new(gate);
        let store = Watched { store: Arc::clone(&options.store), gate: Arc::clone(&gate) };
        let pager = Pager::new(store, options.compress).map_err(BuildError::Thread)?;
        let consumer = Budget::new(options.cap).consumer("timely's queues", 0).map_err(BuildError::Memory)?;
        Ok(Spool { pager, consumer, gate, counters: Arc::default() })
    }

    /// Hands `bytes`, which are `entries` entries of a queue, to the I/O thread. They are in memory as long as the
    /// weak reference can be upgraded, and can be read from the page afterwards. `pin` is kept for as long.
    pub(super) fn put(&self, bytes: Bytes, pin: Option<Bytes>, entries: u64) -> (Weak<Held>, Page) {
        self.counters.handed_bytes.add(bytes.len() as u64);
        let lease = self.consumer.lease_head(bytes.len());
        let held = Arc::new(Held::new(bytes, pin, &self.gate));
        let weak = Arc::downgrade(&held);
        let mut parts = Parts::default();
        parts.put(bytes::Bytes::from_owner(Owner(held)));
        (weak, self.pager.put(parts, entries, lease))
    }

    /// The store did nothing for as long as was allowed. Its thread may never come back, so nobody is to wait for it
    /// at the end of the run: one handle stays behind for ever, and with it the thread.
    pub(super) fn abandon(&self, failed: &SpillFailed) {
        if matches!(failed.cause, SpillFailure::Deadline { .. }) {
            std::mem::forget(self.pager.clone());
        }
    }
}

/// Keeps the bytes for as long as the pager needs them.
struct Owner(Arc<Held>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        self.0.bytes()
    }
}

/// Tells the gate what the store says: the pager keeps it to itself until somebody asks for the page.
struct Watched {
    store: Arc<dyn SpillStore>,
    gate: Arc<Gate>,
}

impl SpillStore for Watched {
    fn append(&self, owner: u64, parts: &[IoSlice<'_>]) -> Result<Extent, SpillError> {
        // A store is foreign code: its panic is a failure that has to be known like any other.
        let appended = catch_unwind(AssertUnwindSafe(|| self.store.append(owner, parts))).unwrap_or_else(|_| {
            let panicked = std::io::Error::other("the store panicked");
            Err(SpillError::io("append to", self.store.location().name, panicked))
        });
        appended.inspect_err(|error| {
            self.gate.refuse("write", error.clone());
        })
    }

    fn usage(&self) -> Usage {
        self.store.usage()
    }

    fn location(&self) -> Location {
        self.store.location()
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}
