//! The slots of a delivery: a type for each state of one, and the lock that they pass through.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use super::monitor::DeliverySnapshot;
use crate::metrics::nanos;
use crate::sync::{Arc, Condvar, Mutex, lock, wait};

/// A job in the hands of the producer: a slot that is being filled. Dropped instead of
/// [enqueued](crate::Delivery::enqueue), it is free again.
#[must_use = "what is not enqueued is not delivered"]
pub struct Filling<J> {
    /// `None` only once it was enqueued or given back.
    job: Option<J>,
    queue: Arc<Queue<J>>,
}

impl<J> Filling<J> {
    pub(super) fn new(job: J, queue: &Arc<Queue<J>>) -> Self {
        Filling { job: Some(job), queue: Arc::clone(queue) }
    }

    pub(super) fn is_of(&self, queue: &Arc<Queue<J>>) -> bool {
        Arc::ptr_eq(&self.queue, queue)
    }
}

impl<J> Deref for Filling<J> {
    type Target = J;

    fn deref(&self) -> &J {
        match &self.job {
            Some(job) => job,
            None => unreachable!("the job is taken out only by who consumes the slot"),
        }
    }
}

impl<J> DerefMut for Filling<J> {
    fn deref_mut(&mut self) -> &mut J {
        match &mut self.job {
            Some(job) => job,
            None => unreachable!("the job is taken out only by who consumes the slot"),
        }
    }
}

impl<J> Drop for Filling<J> {
    fn drop(&mut self) {
        let Some(job) = self.job.take() else { return };
        // Declared after the job, so given up before it: dropping a job is the user's code.
        let mut state = lock(&self.queue.state);
        if !state.ended {
            state.free.push(job);
            drop(state);
            self.queue.delivered.notify_one();
        }
    }
}

impl<J> fmt::Debug for Filling<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filling").finish_non_exhaustive()
    }
}

/// What the producer and the thread share.
pub(super) struct Queue<J> {
    pub(super) state: Mutex<State<J>>,
    /// A job was enqueued, or it ended: for the thread.
    enqueued: Condvar,
    /// A slot became free, or it ended: for the producer.
    delivered: Condvar,
}

pub(super) struct State<J> {
    /// The last one that became free is the next one to be filled: what fits the caches goes round.
    free: Vec<J>,
    jobs: VecDeque<Queued<J>>,
    /// The sink failed, or the delivery was dropped. No job is taken from now on.
    pub(super) ended: bool,
    pub(super) counts: DeliverySnapshot,
}

struct Queued<J> {
    job: J,
    bytes: u64,
}

/// Nothing is delivered any more.
pub(super) struct Ended;

impl<J> State<J> {
    pub(super) fn take_free(&mut self) -> Result<Option<J>, Ended> {
        if self.ended { Err(Ended) } else { Ok(self.free.pop()) }
    }
}

impl<J> Queue<J> {
    pub(super) fn new(free: Vec<J>) -> Self {
        let jobs = VecDeque::with_capacity(free.len());
        let state = State { free, jobs, ended: false, counts: DeliverySnapshot::default() };
        Queue { state: Mutex::new(state), enqueued: Condvar::new(), delivered: Condvar::new() }
    }

    /// The producer: waits until `look` finds something.
    pub(super) fn wait_for<R>(&self, look: impl Fn(&mut State<J>) -> Option<R>) -> R {
        let mut state = lock(&self.state);
        if let Some(found) = look(&mut state) {
            return found;
        }
        // Counted at the start, so that others can see that somebody waits.
        state.counts.waits += 1;
        let begun = Instant::now();
        loop {
            state = wait(&self.delivered, state);
            if let Some(found) = look(&mut state) {
                state.counts.wait_nanos += nanos(begun.elapsed());
                return found;
            }
        }
    }

    /// Whether the job was queued: not once it ended.
    pub(super) fn push(&self, mut filling: Filling<J>, bytes: u64) -> bool {
        let mut state = lock(&self.state);
        if state.ended {
            // The slot gives itself back, for which it needs the lock.
            drop(state);
            return false;
        }
        state.jobs.extend(filling.job.take().map(|job| Queued { job, bytes }));
        state.counts.queued_jobs += 1;
        state.counts.queued_bytes += bytes;
        drop(state);
        self.enqueued.notify_one();
        true
    }

    /// The oldest job; waits for it. `None` once it ended.
    pub(super) fn next(&self) -> Option<Delivering<'_, J>> {
        let mut state = lock(&self.state);
        loop {
            if state.ended {
                return None;
            }
            if let Some(queued) = state.jobs.pop_front() {
                return Some(Delivering { queued: Some(queued), queue: self });
            }
            state = wait(&self.enqueued, state);
        }
    }

    pub(super) fn deliver_all<E>(&self, mut sink: impl FnMut(&mut J) -> Result<(), E>) -> Result<(), E> {
        while let Some(delivering) = self.next() {
            delivering.by(&mut sink)?;
        }
        Ok(())
    }

    /// No job is taken from now on, and no slot given out.
    pub(super) fn end(&self) {
        lock(&self.state).ended = true;
        self.enqueued.notify_one();
        self.delivered.notify_one();
    }

    /// Drops all jobs, once it ended and nobody takes any.
    pub(super) fn cancel(&self) {
        let mut state = lock(&self.state);
        state.counts.queued_jobs = 0;
        state.counts.queued_bytes = 0;
        let slots = (mem::take(&mut state.jobs), mem::take(&mut state.free));
        // Dropping a job is the user's code.
        drop(state);
        drop(slots);
    }
}

/// The job that the sink is reading. Dropped without having been delivered, by an error or a panic of the sink, it
/// ends the delivery.
pub(super) struct Delivering<'a, J> {
    /// `None` only once it was delivered.
    queued: Option<Queued<J>>,
    queue: &'a Queue<J>,
}

impl<J> Delivering<'_, J> {
    /// Returns how long the sink took.
    pub(super) fn by<E>(mut self, sink: &mut impl FnMut(&mut J) -> Result<(), E>) -> Result<Duration, E> {
        let begun = Instant::now();
        if let Some(queued) = &mut self.queued {
            sink(&mut queued.job)?;
        }
        let taken = begun.elapsed();
        let mut state = lock(&self.queue.state);
        if let Some(Queued { job, bytes }) = self.queued.take() {
            state.counts.delivered(bytes, taken);
            state.free.push(job);
        }
        drop(state);
        self.queue.delivered.notify_one();
        Ok(taken)
    }
}

impl<J> Drop for Delivering<'_, J> {
    fn drop(&mut self) {
        if let Some(Queued { bytes, .. }) = &self.queued {
            let mut state = lock(&self.queue.state);
            state.counts.queued_jobs -= 1;
            state.counts.queued_bytes -= bytes;
            drop(state);
            self.queue.end();
        }
    }
}
