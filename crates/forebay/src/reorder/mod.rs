//! `ReorderBuffer`: results come in as they are finished and go out in order; what does not fit into memory waits on
//! disk.
//!
//! ```text
//!             head                                                       newest
//!   resident   | 7 8 . 10 |                                  | 812 . 814 |      slots (Ring)
//!   spilled               | 11 ... 74 | 75 ... 138 | ... 811 |                  runs of consecutive numbers, one page each
//!              `- head reserve: stays in memory
//! ```
//!
//! # Invariants
//! * Each number goes out once, in order. A number that is stored twice, or again after it went out, is an error and
//!   not a loss.
//! * Storing never waits and is never refused: what is stored has its lease, and whoever overdraws the budget to pay
//!   for it waits before the next item, not with the result in its hand. So there is no hole that only memory could
//!   fill.
//! * A failed item keeps its place: everything before it goes out, then the failure.
//! * What is spilled is the farthest, in blocks; the head is never spilled. No user code runs under the lock: what is
//!   encoded is out of the slots, marked as leaving, and the reader that comes for it waits for that encoding only.
//! * If a block cannot be written it stays in memory in its encoded form, readable, and nothing more is spilled until
//!   the head has moved ([`OnSpillError::Stall`]), or the run ends with the error ([`OnSpillError::Fail`]).
//!
//! In *completion order* (bypass) numbers are given on arrival; everything else is the same.
//!
//! # Memory
//! A result costs its lease and a slot. What is spilled costs 256 bytes for each run of consecutive numbers, about a
//! block of results; how many numbers there are at a time is the queue's to bound
//! ([`Pipeline::outstanding`](crate::Pipeline::outstanding)).
//!
//! # Failure
//! [`DeliverError`] says which number it was and why; it is the last thing that the reader gets, again at each call.
//! A block that does not come back as it was written ends the run: its results exist nowhere else.
//!
//! # Shutdown
//! A reader that is dropped before the end cancels the run. What is still stored then is dropped when the run ends, by
//! whoever ends it.
//!
//! ```
//! use forebay::{Budget, ReorderBuffer};
//!
//! let budget = Budget::new(1 << 20);
//! let consumer = budget.consumer("results", 0)?;
//! let (buffer, mut outlet) = ReorderBuffer::new(&consumer);
//! for seq in [2, 0, 1] {
//!     buffer.insert(seq, format!("result {seq}"), consumer.try_lease(64)?)?;
//! }
//! assert!(buffer.insert(1, "again".to_owned(), consumer.try_lease(64)?).is_err());
//! buffer.close(3);
//! assert_eq!(outlet.next_result()?.as_deref(), Some("result 0"));
//! assert_eq!(outlet.next_result()?.as_deref(), Some("result 1"));
//! assert_eq!(outlet.next_result()?.as_deref(), Some("result 2"));
//! assert_eq!(outlet.next_result()?, None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Wakes
//! The reader takes what is ready in runs (up to 256 KiB and a sixteenth of the budget) and is woken once when the
//! head has come, not for every item.

mod error;
mod evict;
mod outlet;
mod results;
mod site;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Weak;
use std::time::Instant;

pub use error::{DeliverError, InsertError};
use evict::{Evicting, Spilling};
pub use outlet::Outlet;
pub(crate) use results::Results;
use results::Slot;
pub(crate) use site::Site;

use crate::budget::{Consumer, Lease, Reclaim};
use crate::item::Spill;
use crate::line::Line;
use crate::metrics::{Metrics, nanos};
use crate::ring::Ring;
use crate::spill::pager::{Page, Pager};
use crate::spill::policy::{SpillPolicy, Waker};
use crate::sync::{Arc, AtomicBool, AtomicUsize, Mutex, MutexGuard, Ordering, lock};

/// What happens when a block cannot be spilled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnSpillError {
    /// It stays in memory and the pipeline waits for its sink, as if it could not spill. It tries again when the head
    /// has moved.
    #[default]
    Stall,
    /// The run ends with the error.
    Fail,
}

/// The storing side; shared by all workers.
pub struct ReorderBuffer<T> {
    line: Arc<Line>,
    metrics: Arc<Metrics>,
    in_order: bool,
    state: Mutex<State<T>>,
    /// `None`: results stay in memory.
    spilling: Option<Spilling<T>>,
}

struct State<T> {
    slots: Ring<Slot<T>>,
    spilled: BTreeMap<u64, Run>,
    spilled_bytes: usize,
    /// Pays for what is in `slots`.
    resident: Lease,
    /// The next number to go out.
    head: u64,
    /// In completion order: the next number to give.
    arrivals: u64,
    /// No number from here on will come.
    end: Option<u64>,
    /// The lowest number that failed: nothing from there on goes out.
    failed: Option<u64>,
    reader_waits: bool,
    error: Option<DeliverError>,
}

/// Consecutive results outside of the slots.
struct Run {
    count: u64,
    bytes: usize,
    /// `None` while they are being encoded.
    page: Option<Page>,
}

impl<T> ReorderBuffer<T> {
    /// A buffer in memory, paid for by `consumer`, and its reader.
    pub fn new(consumer: &Consumer) -> (Arc<Self>, Outlet<T>) {
        Self::plain(Site::alone(consumer, Arc::new(Metrics::new()), true))
    }

    /// As [`new`](ReorderBuffer::new), but results go out in the order in which they come in.
    pub fn bypass(consumer: &Consumer) -> (Arc<Self>, Outlet<T>) {
        Self::plain(Site::alone(consumer, Arc::new(Metrics::new()), false))
    }

    pub(crate) fn plain(site: Site) -> (Arc<Self>, Outlet<T>) {
        let buffer = Arc::new(Self::bare(site, None));
        (Arc::clone(&buffer), Outlet::new(buffer))
    }

    fn bare(Site { line, metrics, in_order }: Site, spilling: Option<Spilling<T>>) -> Self {
        let state = State {
            slots: Ring::new(),
            spilled: BTreeMap::new(),
            spilled_bytes: 0,
            resident: line.consumer.empty_lease(),
            head: 0,
            arrivals: 0,
            end: None,
            failed: None,
            reader_waits: false,
            error: None,
        };
        ReorderBuffer { line, metrics, in_order, state: Mutex::new(state), spilling }
    }

    /// Stores result `seq`; `lease`, of the buffer's consumer, pays for it.
    ///
    /// # Errors
    /// [`InsertError`] with the item, if there was a result of this number.
    pub fn insert(&self, seq: u64, item: T, mut lease: Lease) -> Result<(), InsertError<T>> {
        let bytes = lease.bytes();
        match self.store(seq, Results::One(item), bytes, &mut lease) {
            Ok(_) => Ok(()),
            Err(Results::One(item)) => Err(InsertError { seq, item }),
            Err(Results::Many(_)) => unreachable!("one item was stored"),
        }
    }

    /// Item `seq` will have no result. What comes before it still goes out.
    pub fn fail(&self, seq: u64) {
        self.line.fail_at(if self.in_order { seq } else { 0 });
        let mut state = lock(&self.state);
        let seq = state.number(seq, 1, self.in_order);
        // A number that went out cannot fail, and must not hide one that did.
        if seq >= state.head {
            state.failed = Some(state.failed.map_or(seq, |other| other.min(seq)));
        }
        self.rouse(state, seq);
    }

    /// No number from `end` on will come: the reader ends there.
    pub fn close(&self, end: u64) {
        let mut state = lock(&self.state);
        state.end = Some(end);
        let head = state.head;
        self.rouse(state, head);
    }

    /// Stores the results `first..`, paid for by `bytes` bytes of `lease`, or gives them back if they are there
    /// already. Returns the number behind the last of them: in completion order they get other numbers here.
    pub(crate) fn store(
        &self,
        first: u64,
        items: Results<T>,
        bytes: usize,
        lease: &mut Lease,
    ) -> Result<u64, Results<T>> {
        let mut state = lock(&self.state);
        let first = state.number(first, items.len(), self.in_order);
        let next = first + items.len();
        if state.gone(first) {
            return Err(items);
        }
        state.slots.insert(first, Slot { items, bytes }).map_err(|slot| slot.items)?;
        lease.transfer(&mut state.resident, bytes);
        let resident = state.resident.bytes();
        self.rouse(state, first);
        if let Some(spilling) = &self.spilling {
            let look = spilling.every.is_some() && !spilling.looking.swap(true, Ordering::SeqCst);
            let crowded = resident >= spilling.call_at.load(Ordering::Relaxed)
                && (self.line.consumer.crowded() || spilling.wanted.load(Ordering::Relaxed) > 0);
            if look || crowded {
                spilling.call();
            }
        }
        Ok(next)
    }

    /// Wakes the reader if it waits for `seq`.
    fn rouse(&self, mut state: MutexGuard<'_, State<T>>, seq: u64) {
        let wake = state.reader_waits && seq == state.head;
        state.reader_waits &= !wake;
        drop(state);
        if wake {
            self.line.ready.notify();
        }
    }

    /// The reader sleeps until the head has come or the run is over.
    fn await_head<'a>(&'a self, mut state: MutexGuard<'a, State<T>>) -> MutexGuard<'a, State<T>> {
        let ReorderBuffer { line, metrics, .. } = self;
        state.reader_waits = true;
        let listener = line.ready.listen();
        drop(state);
        // The run may have been cancelled between the look at the line and `listen`.
        if !line.cancelled() {
            let start = Instant::now();
            listener.wait();
            metrics.head_stalls.add(1);
            metrics.head_stall_nanos.add(nanos(start.elapsed()));
        }
        lock(&self.state)
    }

    /// Ends the I/O thread and drops what is still here: whoever waits for the run waits for that too. A thread of
    /// another pipeline that is just asking for memory may hold the buffer longer, and is not to drop what it held.
    pub(crate) fn end(&self) {
        if let Some(spilling) = &self.spilling {
            spilling.pager.stop();
        }
        let mut state = lock(&self.state);
        let slots = std::mem::replace(&mut state.slots, Ring::new());
        let spilled = std::mem::take(&mut state.spilled);
        let resident = state.resident.split(usize::MAX);
        // Dropping a result is the user's code.
        drop(state);
        drop((slots, spilled));
        drop(resident);
    }

    /// What ended the run, if it was the buffer.
    pub(crate) fn error(&self) -> Option<DeliverError> {
        lock(&self.state).error.clone()
    }

    /// Ends the run with `error`.
    fn abort(&self, error: DeliverError) {
        lock(&self.state).error.get_or_insert(error);
        self.line.cancel();
    }
}

impl<T: Spill + Send + 'static> ReorderBuffer<T> {
    /// A buffer whose results go to `pager` when `policy` says so, and its reader.
    pub fn spilling(
        consumer: &Consumer,
        pager: &Pager,
        policy: impl SpillPolicy + 'static,
        on_error: OnSpillError,
    ) -> (Arc<Self>, Outlet<T>) {
        Self::with_pager(Site::alone(consumer, pager.monitor().metrics, true), pager, Box::new(policy), on_error)
    }

    pub(crate) fn with_pager(
        site: Site,
        pager: &Pager,
        policy: Box<dyn SpillPolicy>,
        on_error: OnSpillError,
    ) -> (Arc<Self>, Outlet<T>) {
        let buffer = Arc::new_cyclic(|this| {
            let spilling = Spilling {
                pager: pager.clone(),
                every: policy.every(),
                looking: AtomicBool::new(false),
                policy: Mutex::new(policy),
                on_error,
                encode: T::encode,
                decode: T::decode,
                this: Weak::<Self>::clone(this),
                called: AtomicBool::new(false),
                wanted: AtomicUsize::new(0),
                call_at: AtomicUsize::new(0),
                evicting: Mutex::new(Evicting::default()),
            };
            Self::bare(site, Some(spilling))
        });
        let reclaim: Arc<dyn Reclaim> = Arc::clone(&buffer) as _;
        if let Some(spilling) = &buffer.spilling {
            lock(&spilling.policy).attach(Waker { buffer: Arc::downgrade(&reclaim) });
        }
        buffer.line.consumer.can_spill(Arc::downgrade(&reclaim));
        (Arc::clone(&buffer), Outlet::new(buffer))
    }
}

impl<T> State<T> {
    fn number(&mut self, seq: u64, count: u64, in_order: bool) -> u64 {
        if in_order {
            return seq;
        }
        self.arrivals += count;
        self.arrivals - count
    }

    /// Whether there was a result `seq` that is not in the slots any more, or cannot be one because it failed.
    fn gone(&self, seq: u64) -> bool {
        let spilled = || {
            let before = self.spilled.range(..=seq).next_back();
            before.is_some_and(|(first, run)| seq < first + run.count)
        };
        seq < self.head || self.failed == Some(seq) || (!self.spilled.is_empty() && spilled())
    }
}

impl<T> fmt::Debug for ReorderBuffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.state);
        f.debug_struct("ReorderBuffer")
            .field("head", &state.head)
            .field("resident", &state.resident.bytes())
            .field("spilled", &state.spilled_bytes)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::budget::Budget;
    use crate::spill::policy::Threshold;
    use crate::{MemoryStore, SpillStore};

    /// Another pipeline that asks for memory holds the buffer for a moment. It must not be the one who gives the leases
    /// back and closes the files, after the run has returned.
    #[test]
    fn a_buffer_that_has_ended_holds_nothing_whoever_still_holds_the_buffer() {
        let budget = Budget::new(1 << 20);
        let consumer = budget.consumer("buffer", 0).unwrap();
        let store = Arc::new(MemoryStore::new(u64::MAX));
        let pager = Pager::new(Arc::clone(&store), false).unwrap();
        let (buffer, _outlet) =
            ReorderBuffer::spilling(&consumer, &pager, Threshold::with_reserve(0.0), OnSpillError::Stall);
        for seq in 0..200 {
            buffer.insert(seq, vec![0; 8000], consumer.lease_head(8000)).unwrap();
        }
        let begun = Instant::now();
        while store.usage().live == 0 {
            assert!(begun.elapsed().as_secs() < 20, "nothing was spilled");
            std::thread::yield_now();
        }
        buffer.end();
        assert_eq!((budget.used(), store.usage().live), (0, 0));
    }
}
