//! `Event`: sleep until something changes, whatever it is and whoever guards it.
//!
//! A thread of a pipeline often waits for one of several things at once: memory in the budget, a place in the queue,
//! its item becoming the head of the line, the end of the run. They live under different locks, so a condition
//! variable of any one of them does not do. An `Event` is the eventcount known from the literature: announce yourself
//! ([`Event::listen`]), look at every condition again, and only then sleep ([`Listener::wait`]).
//!
//! *Invariant*: a change made before `notify` is either seen by the look between `listen` and `wait`, or ends the
//! `wait`. Both sides have a sequentially consistent fence between their own write and their read of the other's.
//!
//! `notify` costs a fence and a load while nobody listens. The inner lock is a leaf: nothing else is locked under it,
//! so `notify` may be called under any other lock.

use std::time::Instant;

use crate::sync::{AtomicUsize, Condvar, Mutex, Ordering, fence, lock, wait, wait_for};

#[derive(Debug)]
pub(crate) struct Event {
    listeners: AtomicUsize,
    epoch: Mutex<u64>,
    changed: Condvar,
}

impl Event {
    pub(crate) fn new() -> Self {
        Event { listeners: AtomicUsize::new(0), epoch: Mutex::new(0), changed: Condvar::new() }
    }

    pub(crate) fn listen(&self) -> Listener<'_> {
        self.listeners.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        Listener { event: self, epoch: *lock(&self.epoch) }
    }

    /// Wakes everyone who listens.
    pub(crate) fn notify(&self) {
        fence(Ordering::SeqCst);
        if self.listeners.load(Ordering::Relaxed) != 0 {
            *lock(&self.epoch) += 1;
            self.changed.notify_all();
        }
    }

    /// Wakes one of those who listen, where it does not matter which: all would do the same.
    pub(crate) fn notify_one(&self) {
        fence(Ordering::SeqCst);
        if self.listeners.load(Ordering::Relaxed) != 0 {
            // Under the lock: who listens from now on must not take the wake-up of one who listened before.
            let mut epoch = lock(&self.epoch);
            *epoch += 1;
            self.changed.notify_one();
            drop(epoch);
        }
    }
}

/// One announced sleeper. Dropping it without [`wait`](Listener::wait) takes the announcement back.
#[derive(Debug)]
pub(crate) struct Listener<'a> {
    event: &'a Event,
    epoch: u64,
}

impl Listener<'_> {
    pub(crate) fn wait(self) {
        let mut epoch = lock(&self.event.epoch);
        while *epoch == self.epoch {
            epoch = wait(&self.event.changed, epoch);
        }
    }

    /// As [`wait`](Listener::wait), but not beyond `deadline`.
    pub(crate) fn wait_until(self, deadline: Instant) {
        let mut epoch = lock(&self.event.epoch);
        while *epoch == self.epoch {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            epoch = wait_for(&self.event.changed, epoch, left);
        }
    }
}

impl Drop for Listener<'_> {
    fn drop(&mut self) {
        self.event.listeners.fetch_sub(1, Ordering::Relaxed);
    }
}
