//! `Gate`: what is not yet written, who waits for it, and the first failure.
//!
//! One short lock guards all three, because a sender that waits has to see each of them change. It is a leaf: nothing
//! is locked and nothing foreign runs under it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use timely::bytes::arc::Bytes;

use super::counters::Waits;
use super::failed::{SpillFailed, SpillFailure};

#[derive(Debug)]
pub(super) struct Gate {
    cap: usize,
    pub(super) deadline: Duration,
    place: String,
    state: Mutex<State>,
    changed: Condvar,
    pub(super) waits: Waits,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes that were handed to the pager and are neither written nor taken back.
    unwritten: usize,
    peak: usize,
    /// Bytes that ever left `unwritten`: as long as it moves, the disk is alive.
    settled: u64,
    waiting: usize,
    failed: Option<SpillFailed>,
}

impl Gate {
    pub(super) fn new(cap: usize, deadline: Duration, place: String) -> Self {
        Gate { cap, deadline, place, state: Mutex::default(), changed: Condvar::new(), waits: Waits::default() }
    }

    /// Bytes not yet written: now and at most.
    pub(super) fn unwritten(&self) -> (usize, usize) {
        let state = self.lock();
        (state.unwritten, state.peak)
    }

    /// Whether a sender that needs a buffer would wait now.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().unwritten > self.cap
    }

    pub(super) fn failed(&self) -> Option<SpillFailed> {
        self.lock().failed.clone()
    }

    /// The store said no. The first failure counts.
    pub(super) fn refuse(&self, operation: &'static str, error: forebay::SpillError) -> SpillFailed {
        self.fail(&mut self.lock(), operation, SpillFailure::Store(error))
    }

    /// The store did nothing for as long as was allowed.
    pub(super) fn give_up(&self, operation: &'static str, waited: Duration) -> SpillFailed {
        let mut state = self.lock();
        let unwritten = state.unwritten;
        self.fail(&mut state, operation, SpillFailure::Deadline { waited, unwritten })
    }

    fn fail(&self, state: &mut State, operation: &'static str, cause: SpillFailure) -> SpillFailed {
        let failed = state.failed.get_or_insert_with(|| {
            let failed = SpillFailed { operation, place: self.place.clone(), cause };
            tracing::error!(error = %failed, "a timely program cannot spill");
            failed
        });
        self.changed.notify_all();
        failed.clone()
    }

    /// Waits until the bytes not yet written are within the cap again, or until the store has done nothing for the
    /// deadline.
    ///
    /// # Errors
    /// The first failure of the store, whenever it was.
    pub(super) fn pass(&self) -> Result<(), SpillFailed> {
        let mut state = self.lock();
        if state.failed.is_none() && state.unwritten <= self.cap {
            return Ok(());
        }
        let begun = Instant::now();
        let (mut seen, mut alive) = (state.settled, begun);
        state.waiting += 1;
        let result = loop {
            if let Some(failed) = &state.failed {
                break Err(failed.clone());
            }
            if state.unwritten <= self.cap {
                break Ok(());
            }
            if state.settled != seen {
                (seen, alive) = (state.settled, Instant::now());
            }
            let waited = alive.elapsed();
            let left = self.deadline.saturating_sub(waited);
            if left.is_zero() {
                let unwritten = state.unwritten;
                break Err(self.fail(&mut state, "write", SpillFailure::Deadline { waited, unwritten }));
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        };
        state.waiting -= 1;
        drop(state);
        self.waits.count(begun.elapsed());
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes on their way to the store. They are counted until the pager lets go of them: written, or taken back.
pub(super) struct Held {
    bytes: Bytes,
    /// See [`Entry::append`](super::entry::Entry::append).
    _pin: Option<Bytes>,
    gate: Arc<Gate>,
}

impl Held {
    pub(super) fn new(bytes: Bytes, pin: Option<Bytes>, gate: &Arc<Gate>) -> Self {
        let mut state = gate.lock();
        state.unwritten += bytes.len();
        state.peak = state.peak.max(state.unwritten);
        drop(state);
        Held { bytes, _pin: pin, gate: Arc::clone(gate) }
    }

    pub(super) fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        state.unwritten -= self.bytes.len();
        state.settled += self.bytes.len() as u64;
        if state.waiting > 0 {
            self.gate.changed.notify_all();
        }
    }
}
