//! The workers' end of a queue.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use super::{Shared, State, fitting};
use crate::budget::Lease;
use crate::sync::{Arc, MutexGuard, lock};

/// The workers' end. Clone it for each worker.
pub struct Receiver<T> {
    pub(super) shared: Arc<Shared<T>>,
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        lock(&self.shared.state).receivers += 1;
        Receiver { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = lock(&self.shared.state);
        state.receivers -= 1;
        let deserted = state.receivers == 0 && state.senders > 0;
        drop(state);
        if deserted {
            self.shared.line.cancel();
        }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

/// Why there is no item to receive, and never will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvError {
    /// Every producer has finished and everything was taken.
    Finished,
    /// A producer went away without finishing, or the run ended early; what was queued is dropped.
    ProducerGone,
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RecvError::Finished => "the producers have finished",
            RecvError::ProducerGone => "a producer went away without finishing",
        })
    }
}

impl std::error::Error for RecvError {}

/// One item to work on.
#[derive(Debug)]
pub struct Job<'q, T> {
    /// The item's sequence number.
    pub seq: u64,
    /// The item.
    pub item: T,
    /// Pays for the item; resize it to the result.
    pub lease: Lease,
    /// Its place in the window. Drop it when the result is stored.
    pub permit: Permit<'q, T>,
}

/// A place in the window, from the submission of an item until its result is stored.
pub struct Permit<'q, T> {
    shared: &'q Shared<T>,
}

impl<T> fmt::Debug for Permit<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit")
    }
}

impl<T> Drop for Permit<'_, T> {
    fn drop(&mut self) {
        if self.shared.release(&mut lock(&self.shared.state), 1) {
            self.shared.line.space.notify();
        }
    }
}

/// Consecutive items were taken together.
#[derive(Debug)]
pub(crate) struct Taken {
    /// The sequence number of the first.
    pub(crate) first: u64,
    /// How long the worker slept before.
    pub(crate) waited: Duration,
}

impl<T> Receiver<T> {
    /// The next item. Waits for one.
    ///
    /// # Errors
    /// [`RecvError`] once there is none and will be none.
    pub fn recv(&self) -> Result<Job<'_, T>, RecvError> {
        let mut items = VecDeque::with_capacity(1);
        let mut lease = self.shared.line.consumer.empty_lease();
        let taken = self.take(0, 1, &mut items, &mut lease)?;
        match items.pop_front() {
            Some(item) => Ok(Job { seq: taken.first, item, lease, permit: Permit { shared: &self.shared } }),
            None => unreachable!("one item was taken"),
        }
    }

    /// Gives the permits of `done` items back and moves up to `max` items into `into`, and what pays for them into
    /// `lease`: no more than this worker's share of what is queued, so that the last items of a run do not end up
    /// with one worker.
    pub(crate) fn take(
        &self,
        done: usize,
        max: usize,
        into: &mut VecDeque<T>,
        lease: &mut Lease,
    ) -> Result<Taken, RecvError> {
        let Shared { line, workers, share, .. } = &*self.shared;
        let mut slept_since = None;
        let mut state = lock(&self.shared.state);
        if self.shared.release(&mut state, done) {
            line.space.notify();
        }
        loop {
            if state.gone || !line.wants(state.front()) {
                return Err(RecvError::ProducerGone);
            }
            if state.items.is_empty() {
                if state.senders == 0 {
                    return Err(RecvError::Finished);
                }
                slept_since.get_or_insert_with(Instant::now);
                state = self.sleep(state);
                continue;
            }
            let front = state.front();
            if line.consumer.overdrawn() && !line.is_head(front) {
                drop(state);
                slept_since.get_or_insert_with(Instant::now);
                self.await_memory(front);
                state = lock(&self.shared.state);
                continue;
            }
            let mut count = (state.items.len() / (2 * workers)).clamp(1, max);
            if count > 1 && state.paid.bytes() > share / workers {
                count = fitting(&state.items, count, share / workers).max(1);
            }
            let mut bytes = 0;
            for (item, paid) in state.items.drain(..count) {
                bytes += paid;
                into.push_back(item);
            }
            state.paid.transfer(lease, bytes);
            state.working += count;
            let call = !state.items.is_empty() && Shared::call(&mut state);
            let wake = self.shared.wake(&mut state);
            drop(state);
            if call {
                line.work.notify_one();
            }
            if wake {
                line.space.notify();
            }
            let waited = slept_since.map_or(Duration::ZERO, |since| since.elapsed());
            return Ok(Taken { first: front, waited });
        }
    }

    fn sleep<'a>(&'a self, mut state: MutexGuard<'a, State<T>>) -> MutexGuard<'a, State<T>> {
        state.idle += 1;
        let listener = self.shared.line.work.listen();
        drop(state);
        // The run may have ended between the look at the line and `listen`.
        if !self.shared.line.over() {
            listener.wait();
        }
        let mut state = lock(&self.shared.state);
        state.idle -= 1;
        state.called = state.called.saturating_sub(1).min(state.idle);
        state
    }

    /// Waits until the budget is within its limit again, or item `front` is the head or not wanted any more.
    pub(crate) fn await_memory(&self, front: u64) {
        let line = &self.shared.line;
        loop {
            let listener = line.room.listen();
            line.await_head(front);
            if !line.wants(front) || line.is_head(front) || line.consumer.solvent_or_hunger() {
                return;
            }
            line.consumer.ask(1);
            listener.wait();
        }
    }

    /// How many items have been submitted.
    pub(crate) fn submitted(&self) -> u64 {
        lock(&self.shared.state).next
    }
}
