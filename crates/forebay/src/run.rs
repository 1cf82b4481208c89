//! The threads of a running pipeline: what the source's thread, each worker and the sink's thread do.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread::{Builder, JoinHandle};
use std::time::Instant;

use crate::budget::Lease;
use crate::item::Weigh;
use crate::line::Line;
use crate::metrics::{Metrics, Snapshot, nanos};
use crate::pipeline::{Cause, RunError};
use crate::queue::{Receiver, SLOT, Sender};
use crate::reorder::{DeliverError, Outlet, ReorderBuffer, Results};
use crate::spill::pager::BLOCK;
use crate::sync::{Arc, Mutex, lock};

/// The largest batch.
pub(crate) const MAX_BATCH: usize = 64;

/// What an adaptive batch should take, in nanoseconds: far more than handing it over costs, far less than a time slice.
const BATCH_NANOS: u64 = 100_000;

/// What the threads of one run share.
pub(crate) struct Core<T, R, E> {
    line: Arc<Line>,
    metrics: Arc<Metrics>,
    receiver: Receiver<T>,
    buffer: Arc<ReorderBuffer<R>>,
    batch: Option<usize>,
    /// So many bytes of results of a batch are stored without waiting for the rest of it.
    store_at: usize,
    /// Why items failed, by sequence number.
    failures: Mutex<BTreeMap<u64, Reason<E>>>,
}

enum Reason<E> {
    Source(E),
    Work(E),
    Panic(Box<dyn Any + Send>),
}

/// Why a run failed.
pub(crate) enum Failure<E> {
    Ended(Cause<E>),
    Panic(Box<dyn Any + Send>),
}

/// What a run returns, and continues a panic.
pub(crate) fn conclude<E>(outcome: Result<(), Failure<E>>, snapshot: Snapshot) -> Result<Snapshot, RunError<E>> {
    match outcome {
        Ok(()) => Ok(snapshot),
        Err(Failure::Ended(cause)) => Err(RunError { cause, snapshot: Box::new(snapshot) }),
        Err(Failure::Panic(payload)) => resume_unwind(payload),
    }
}

impl<T, R, E> Core<T, R, E> {
    pub(crate) fn new(
        line: Arc<Line>,
        metrics: Arc<Metrics>,
        receiver: Receiver<T>,
        buffer: Arc<ReorderBuffer<R>>,
        batch: Option<usize>,
    ) -> Self {
        let store_at = line.consumer.at_a_time(BLOCK);
        Core { line, metrics, receiver, buffer, batch, store_at, failures: Mutex::new(BTreeMap::new()) }
    }

    fn fail(&self, seq: u64, reason: Reason<E>) {
        lock(&self.failures).insert(seq, reason);
        self.buffer.fail(seq);
    }

    /// The source's thread.
    pub(crate) fn source(&self, source: impl Iterator<Item = Result<T, E>>, mut sender: Sender<T>)
    where
        T: Weigh,
    {
        let group = self.batch.unwrap_or(1);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            for item in source {
                if sender.feed(item?, group).is_err() {
                    break;
                }
            }
            Ok(())
        }));
        // No end: the run is over, and what would have come next is not wanted any more.
        let Some(end) = sender.finish() else { return };
        match outcome {
            Ok(Ok(())) => self.buffer.close(end),
            Ok(Err(error)) => self.fail(end, Reason::Source(error)),
            Err(panic) => self.fail(end, Reason::Panic(panic)),
        }
    }

    /// Item `end` and those behind it will not come.
    pub(crate) fn close(&self, end: u64) {
        self.buffer.close(end);
    }

    /// What the buffer has ended the run with.
    pub(crate) fn spill_error(&self) -> Option<DeliverError> {
        self.buffer.error()
    }

    /// A worker's thread.
    pub(crate) fn work<C>(&self, init: &impl Fn() -> C, work: &impl Fn(&mut C, T) -> Result<R, E>)
    where
        T: Weigh,
        R: Weigh,
    {
        self.metrics.workers.add(1);
        let mut context = None;
        let mut pace = Pace::new(self.batch);
        let mut items = VecDeque::new();
        let mut done = 0;
        // Of this worker alone: what it has in hand is paid from here.
        let mut lease = self.line.consumer.empty_lease();
        let mut uncounted = Uncounted { batches: 0, items: 0, metrics: &self.metrics };
        while let Ok(taken) = self.receiver.take(done, pace.size, &mut items, &mut lease) {
            done = items.len();
            if context.is_none() {
                self.metrics.workers_used.add(1);
            }
            if !taken.waited.is_zero() {
                self.metrics.worker_waits.add(1);
                self.metrics.worker_idle_nanos.add(nanos(taken.waited));
            }
            uncounted.add(done, !taken.waited.is_zero());
            let start = pace.start();
            let mut one = |item| {
                let result = work(context.get_or_insert_with(init), item)?;
                let weight = result.weight();
                Ok((result, weight))
            };
            self.run_batch(taken.first, &mut lease, &mut items, &mut one);
            if let Some(start) = start {
                let nanos = nanos(start.elapsed());
                self.metrics.batch_nanos.record(nanos);
                pace.adapt(done, nanos);
            }
        }
    }

    /// Works on the items `first..` and stores their results. `lease` pays for the items, and for nothing afterwards.
    fn run_batch(
        &self,
        first: u64,
        lease: &mut Lease,
        items: &mut VecDeque<T>,
        one: &mut impl FnMut(T) -> Result<(R, usize), E>,
    ) where
        T: Weigh,
    {
        let mut finished = Finished { first, results: Results::with_capacity(items.len()), bytes: 0 };
        // What the items that are not worked on yet have paid.
        let mut rest = lease.bytes();
        while let Some(item) = items.pop_front() {
            let seq = finished.next();
            if !self.line.wants(seq) {
                break;
            }
            let mut paid = 0;
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                paid = item.weight() + SLOT;
                one(item)
            }));
            rest = rest.saturating_sub(paid);
            match outcome {
                Ok(Ok((result, weight))) => {
                    finished.results.push(result);
                    finished.bytes += weight + SLOT;
                    let need = (finished.bytes + rest).saturating_sub(lease.bytes());
                    let paid = need == 0 || lease.try_grow_ahead(need);
                    if !paid {
                        lease.grow_head(need);
                    }
                    if items.is_empty() || (paid && finished.bytes < self.store_at) {
                        continue;
                    }
                    // What is stored together is delivered and spilled together. So large results go one by one, or the
                    // head would keep those behind it in memory.
                    let next = self.store(&mut finished, lease);
                    if !paid {
                        // The budget is exhausted: what is finished can be delivered or spilled now, and the rest of
                        // the batch waits like any other item. In completion order, the number of an item says nothing
                        // of how many results wait.
                        self.receiver.await_memory(next);
                    }
                }
                Ok(Err(error)) => self.end_batch(&mut finished, lease, items, Reason::Work(error)),
                Err(panic) => self.end_batch(&mut finished, lease, items, Reason::Panic(panic)),
            }
        }
        items.clear();
        lease.shrink_to(finished.bytes);
        self.store(&mut finished, lease);
    }

    /// Stores what was finished before an item failed, and marks the place behind it; the batch ends there.
    fn end_batch(&self, finished: &mut Finished<R>, lease: &mut Lease, items: &mut VecDeque<T>, reason: Reason<E>) {
        let failed = finished.next();
        self.store(finished, lease);
        self.fail(failed, reason);
        items.clear();
    }

    /// Returns the number in the buffer behind what it has stored.
    fn store(&self, finished: &mut Finished<R>, lease: &mut Lease) -> u64 {
        let next = Finished { first: finished.next(), results: Results::with_capacity(0), bytes: 0 };
        let Finished { first, results, bytes } = std::mem::replace(finished, next);
        if results.len() == 0 {
            return first;
        }
        match self.buffer.store(first, results, bytes, lease) {
            Ok(next) => next,
            Err(_) => unreachable!("the queue gives every number once"),
        }
    }

    /// The sink's thread.
    pub(crate) fn deliver(
        &self,
        outlet: &mut Outlet<R>,
        sink: &mut impl FnMut(R) -> Result<(), E>,
    ) -> Result<(), Failure<E>> {
        while let Some(result) = outlet.next_result().map_err(|error| self.explain(error))? {
            if let Err(error) = sink(result) {
                self.line.cancel();
                return Err(Failure::Ended(Cause::Sink { seq: outlet.delivered() - 1, error }));
            }
        }
        Ok(())
    }

    pub(crate) fn cancel(&self) {
        self.line.cancel();
    }

    pub(crate) fn explain(&self, error: DeliverError) -> Failure<E> {
        let seq = match error {
            DeliverError::Failed { seq } => seq,
            DeliverError::Cancelled => return Failure::Ended(Cause::Cancelled),
            other => return Failure::Ended(Cause::Spill(other)),
        };
        // In completion order the place is not the number of the item: then it is the first that failed.
        let mut failures = lock(&self.failures);
        let key = if failures.contains_key(&seq) { Some(seq) } else { failures.keys().next().copied() };
        match key.and_then(|key| failures.remove_entry(&key)) {
            Some((_, Reason::Source(error))) => Failure::Ended(Cause::Source(error)),
            Some((seq, Reason::Work(error))) => Failure::Ended(Cause::Work { seq, error }),
            Some((_, Reason::Panic(payload))) => Failure::Panic(payload),
            None => Failure::Ended(Cause::Cancelled),
        }
    }

    /// The counters, once every thread has ended.
    pub(crate) fn finish(&self) -> Snapshot {
        let submitted = self.receiver.submitted();
        self.metrics.submitted.add(submitted - self.metrics.submitted.get());
        self.metrics.cancelled.add(submitted - self.metrics.delivered.get());
        self.metrics.snapshot()
    }
}

impl<T, R, E> Drop for Core<T, R, E> {
    /// Ends the last thread and drops what was not delivered, once the others have ended, also while a sink's panic
    /// passes.
    fn drop(&mut self) {
        self.buffer.end();
    }
}

/// Results of a batch that are not stored yet: `first` and those behind it.
struct Finished<R> {
    first: u64,
    results: Results<R>,
    /// What they cost.
    bytes: usize,
}

impl<R> Finished<R> {
    fn next(&self) -> u64 {
        self.first + self.results.len()
    }
}

/// What is not in the counters yet: a counter that every worker raises for every item would cost more than the item.
struct Uncounted<'m> {
    batches: u64,
    items: u64,
    metrics: &'m Metrics,
}

impl Uncounted<'_> {
    fn add(&mut self, items: usize, flush: bool) {
        self.batches += 1;
        self.items += items as u64;
        if flush || self.items >= MAX_BATCH as u64 {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.metrics.batches.add(std::mem::take(&mut self.batches));
        self.metrics.submitted.add(std::mem::take(&mut self.items));
    }
}

impl Drop for Uncounted<'_> {
    fn drop(&mut self) {
        self.flush();
    }
}

/// How many items a worker takes at a time.
struct Pace {
    size: usize,
    fixed: bool,
    batches: u32,
}

impl Pace {
    fn new(batch: Option<usize>) -> Self {
        Pace { size: batch.unwrap_or(1), fixed: batch.is_some(), batches: 0 }
    }

    /// Reads the clock, if this batch is to be timed: adaptive batches are as long as makes that negligible.
    fn start(&mut self) -> Option<Instant> {
        self.batches = self.batches.wrapping_add(1);
        (!self.fixed || self.batches.is_multiple_of(64)).then(Instant::now)
    }

    fn adapt(&mut self, items: usize, nanos: u64) {
        if !self.fixed {
            let ideal = BATCH_NANOS * items as u64 / nanos.max(1);
            self.size = (ideal as usize).clamp(1, MAX_BATCH).min(self.size * 2);
        }
    }
}

/// Threads of a run that owns what it works with, joined when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Threads(Vec<JoinHandle<()>>);

impl Threads {
    pub(crate) fn start(&mut self, thread: Builder, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        self.0.push(thread.spawn(work)?);
        Ok(())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        for thread in self.0.drain(..) {
            // The threads catch the panics of user code; one that gets past them has nothing to tell.
            if thread.join().is_err() {
                tracing::error!("a thread of a pipeline panicked");
            }
        }
    }
}
