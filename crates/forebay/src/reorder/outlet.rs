//! `Outlet`: the delivering side. It takes what is ready in runs, and reads back what was spilled.

use std::collections::VecDeque;
use std::fmt;

use super::evict::unpack;
use super::{DeliverError, ReorderBuffer, Results, Slot, State};
use crate::budget::Lease;
use crate::spill::pager::{BLOCK, Page};
use crate::sync::{Arc, lock};

/// Most results that the reader takes at a time, if they are small.
const RUN: usize = 1024;

/// How often the reader lets others run before it goes to sleep.
const YIELDS: u32 = 3;

/// The delivering side of a [`ReorderBuffer`]; there is one.
///
/// A result counts as delivered, and the head moves, when the run of ready results that it was taken with is used up.
pub struct Outlet<T> {
    buffer: Arc<ReorderBuffer<T>>,
    /// Taken out and not handed over yet.
    ready: VecDeque<T>,
    /// Pays for the run that `ready` is the rest of.
    lease: Lease,
    /// Results in that run.
    taken: u64,
}

impl<T> Outlet<T> {
    pub(super) fn new(buffer: Arc<ReorderBuffer<T>>) -> Self {
        let lease = buffer.line.consumer.empty_lease();
        Outlet { buffer, ready: VecDeque::new(), lease, taken: 0 }
    }

    /// The next result in order; waits for it. `None` after the last one.
    ///
    /// # Errors
    /// [`DeliverError`]; every further call gives the same.
    pub fn next_result(&mut self) -> Result<Option<T>, DeliverError> {
        // Once the run is cancelled, the rest of what was taken out in one run is not delivered either.
        if !self.buffer.line.cancelled()
            && let Some(item) = self.ready.pop_front()
        {
            return Ok(Some(item));
        }
        self.refill()
    }

    /// How many results were handed over.
    pub fn delivered(&self) -> u64 {
        self.buffer.line.head() + self.taken - self.ready.len() as u64
    }

    fn refill(&mut self) -> Result<Option<T>, DeliverError> {
        self.settle();
        let buffer = Arc::clone(&self.buffer);
        let mut state = lock(&buffer.state);
        let mut yields = YIELDS;
        loop {
            if let Some(error) = &state.error {
                return Err(error.clone());
            }
            if buffer.line.cancelled() {
                return Err(DeliverError::Cancelled);
            }
            let head = state.head;
            self.take_run(&mut state);
            if let Some(item) = self.ready.pop_front() {
                drop(state);
                buffer.metrics.delivered_runs.record(self.taken);
                return Ok(Some(item));
            }
            if state.failed == Some(head) {
                return Err(DeliverError::Failed { seq: head });
            }
            if state.end == Some(head) {
                return Ok(None);
            }
            if let Some((count, page)) = state.take_page() {
                drop(state);
                return self.reload(head, count, &page);
            }
            if yields > 0 {
                yields -= 1;
                drop(state);
                std::thread::yield_now();
                state = lock(&buffer.state);
                continue;
            }
            state = buffer.await_head(state);
        }
    }

    /// What was handed over is delivered; what was not, if the run was cancelled, is dropped.
    fn settle(&mut self) {
        self.taken -= self.ready.len() as u64;
        self.ready.clear();
        self.lease.shrink_to(0);
        if self.taken > 0 {
            self.buffer.metrics.delivered.add(self.taken);
            self.buffer.line.advance(std::mem::take(&mut self.taken));
        }
    }

    fn take_run(&mut self, state: &mut State<T>) {
        let most = self.buffer.line.consumer.at_a_time(BLOCK);
        while self.ready.len() < RUN && self.lease.bytes() < most && state.failed != Some(state.head) {
            let Some(Slot { items, bytes }) = state.slots.take(state.head) else {
                break;
            };
            state.head += items.len();
            self.taken += items.len();
            state.resident.transfer(&mut self.lease, bytes);
            match items {
                Results::One(item) => self.ready.push_back(item),
                Results::Many(items) if self.ready.is_empty() => self.ready = items,
                Results::Many(items) => self.ready.extend(items),
            }
        }
        state.slots.forget_before(state.head);
    }

    /// Reads a page back. On this thread, so that it is never behind a write.
    fn reload(&mut self, first: u64, count: u64, page: &Page) -> Result<Option<T>, DeliverError> {
        let Some(spilling) = &self.buffer.spilling else { unreachable!("a page without a pager") };
        spilling.call();
        let paged = page.get().map_err(|error| DeliverError::Spill { seq: first, error });
        let items = paged.and_then(|paged| {
            self.lease = paged.lease;
            unpack(paged.bytes, count, spilling.decode).map_err(|error| DeliverError::Decode { seq: first, error })
        });
        match items {
            Ok(items) => {
                self.buffer.metrics.reloaded_items.add(count);
                self.buffer.metrics.delivered_runs.record(count);
                self.taken = count;
                self.ready = items;
                Ok(self.ready.pop_front())
            }
            Err(error) => {
                self.buffer.abort(error.clone());
                Err(error)
            }
        }
    }
}

impl<T> fmt::Debug for Outlet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlet").field("ready", &self.ready.len()).finish_non_exhaustive()
    }
}

impl<T> Drop for Outlet<T> {
    /// Without a reader nothing can be delivered: the run is cancelled unless it is complete.
    fn drop(&mut self) {
        let handed = self.taken - self.ready.len() as u64;
        self.buffer.metrics.delivered.add(handed);
        let state = lock(&self.buffer.state);
        let complete = state.end == Some(state.head) && self.ready.is_empty();
        drop(state);
        if !complete {
            self.buffer.line.cancel();
        }
    }
}
