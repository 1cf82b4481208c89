//! The engine. (The pipeline's outer face; the machinery follows.)

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub mod spill;

pub use spill::{Extent, MemoryStore, SegmentOptions, SegmentStore, SpillError, SpillStore};

/// Resident bytes of an item.
pub trait Weigh {
    /// Bytes that this item keeps in memory, itself included.
    fn weight(&self) -> usize;
}

/// How an item is written to and read from a spill store.
pub trait Spill: Weigh + Sized {
    /// Hands the item's bytes to `out`.
    fn encode(self, out: &mut Parts);
    /// Reads back what [`encode`](Spill::encode) wrote.
    fn decode(bytes: bytes::Bytes) -> Result<Self, DecodeError>;
}

/// Receives the bytes of one encoded item.
#[derive(Debug, Default)]
pub struct Parts(Vec<bytes::Bytes>);
impl Parts {
    /// Adds bytes without a copy.
    pub fn put(&mut self, bytes: bytes::Bytes) {
        self.0.push(bytes);
    }
    /// Adds a copy of `bytes`.
    pub fn write(&mut self, bytes: &[u8]) {
        self.0.push(bytes::Bytes::copy_from_slice(bytes));
    }
}

/// The bytes of a spilled item do not decode.
#[derive(Debug)]
pub struct DecodeError(pub &'static str);

/// One byte pool for the process.
#[derive(Clone, Debug)]
pub struct Budget(usize);
impl Budget {
    /// A pool of `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Budget(limit)
    }
    /// The size of the pool.
    pub fn limit(&self) -> usize {
        self.0
    }
}

/// Asks a pipeline to end early.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<AtomicBool>);
impl CancelToken {
    /// A token nobody has cancelled.
    pub fn new() -> Self {
        Self::default()
    }
    /// Asks every pipeline that has this token to stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }
    /// Whether `cancel` was called.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// What a pipeline has done, as plain numbers.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Snapshot {
    /// Items taken from the source.
    pub submitted: u64,
    /// Items the sink has seen.
    pub delivered: u64,
    /// Items dropped by an error, a panic or a cancellation.
    pub cancelled: u64,
    /// Groups of items handed to workers.
    pub batches: u64,
    /// Workers started.
    pub workers: u64,
    /// Workers that ran at least one item.
    pub workers_used: u64,
    /// Results written to the spill store.
    pub spilled_items: u64,
    /// Bytes written to the spill store.
    pub spilled_bytes: u64,
    /// Results read back.
    pub reloaded_items: u64,
    /// Bytes read back.
    pub reloaded_bytes: u64,
    /// Largest number of bytes leased at once.
    pub peak_resident: u64,
    /// Times the sink waited for the head of the line.
    pub head_stalls: u64,
    /// Nanoseconds the sink waited for the head of the line.
    pub head_stall_nanos: u64,
    /// Nanoseconds that workers, together, waited for work.
    pub worker_idle_nanos: u64,
}

/// Reads a running pipeline's counters from any thread.
#[derive(Clone, Debug, Default)]
pub struct Monitor(Arc<AtomicU64>);
impl Monitor {
    /// The counters now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { delivered: self.0.load(Ordering::Relaxed), ..Snapshot::default() }
    }
}

/// Why a run ended early, with what it had done until then.
#[derive(Debug)]
pub struct RunError<E> {
    /// What ended the run.
    pub cause: Cause<E>,
    /// The counters at the end.
    pub snapshot: Snapshot,
}
/// What ended a run.
#[derive(Debug)]
#[non_exhaustive]
pub enum Cause<E> {
    /// The source gave an error.
    Source(E),
    /// The work on item `seq` gave an error.
    Work {
        /// The item's sequence number.
        seq: u64,
        /// What the worker returned.
        error: E,
    },
    /// The sink refused the result of item `seq`.
    Sink {
        /// The item's sequence number.
        seq: u64,
        /// What the sink returned.
        error: E,
    },
    /// The cancellation token was used.
    Cancelled,
}
impl<E: fmt::Debug> fmt::Display for RunError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.cause)
    }
}
impl<E: fmt::Debug> std::error::Error for RunError<E> {}

/// Source, workers, sink: parallel in the middle, in order at both ends.
#[derive(Debug, Default)]
pub struct Pipeline {
    cancel: CancelToken,
    monitor: Monitor,
}
/// A pipeline whose workers have state of their own.
#[derive(Debug)]
pub struct PipelineWith<F>(Pipeline, F);

impl Pipeline {
    /// A pipeline with a worker per core, a budget of its own and no spill store.
    pub fn new() -> Self {
        Self::default()
    }
    /// The name of its threads and of its consumer in the budget.
    #[must_use]
    pub fn name(self, _name: &str) -> Self {
        self
    }
    /// How many threads work. Default: one per core.
    #[must_use]
    pub fn workers(self, _n: usize) -> Self {
        self
    }
    /// The byte pool that pays for what waits.
    #[must_use]
    pub fn budget(self, _budget: &Budget) -> Self {
        self
    }
    /// Most items queued or in work at a time.
    #[must_use]
    pub fn window(self, _items: usize) -> Self {
        self
    }
    /// Most items a worker takes at a time (1..=64). Default: adaptive.
    #[must_use]
    pub fn batch(self, _items: usize) -> Self {
        self
    }
    /// Results go to the sink as they are finished, not in order.
    #[must_use]
    pub fn unordered(self) -> Self {
        self
    }
    /// Stop when `token` is cancelled.
    #[must_use]
    pub fn cancel(mut self, token: &CancelToken) -> Self {
        self.cancel = token.clone();
        self
    }
    /// Results that do not fit into the budget go to `store` (in the real engine this asks for `R: Spill + 'static`).
    #[must_use]
    pub fn spill(self, _store: SegmentStore) -> Self {
        self
    }
    /// Reads the counters while the pipeline runs.
    pub fn monitor(&self) -> Monitor {
        self.monitor.clone()
    }
    /// Each worker gets a state of its own from `init`.
    pub fn worker_init<C, F: Fn() -> C + Sync>(self, init: F) -> PipelineWith<F> {
        PipelineWith(self, init)
    }
    /// Runs `work` on every item of `source`, on the workers, and `sink` on every result, in order, on this thread.
    ///
    /// # Errors
    /// The first error of the source, of a worker or of the sink.
    pub fn run<T, R, E, I, W, K>(self, source: I, work: W, sink: K) -> Result<Snapshot, RunError<E>>
    where
        I: IntoIterator<Item = Result<T, E>>,
        I::IntoIter: Send,
        T: Weigh + Send,
        R: Weigh + Send,
        E: Send,
        W: Fn(T) -> Result<R, E> + Sync,
        K: FnMut(R) -> Result<(), E>,
    {
        self.worker_init(|| ()).run(source, move |_, item| work(item), sink)
    }
}
impl<C, F: Fn() -> C + Sync> PipelineWith<F> {
    /// As [`Pipeline::run`], with the worker's own state as the first argument of `work`.
    ///
    /// # Errors
    /// As [`Pipeline::run`].
    pub fn run<T, R, E, I, W, K>(self, source: I, work: W, mut sink: K) -> Result<Snapshot, RunError<E>>
    where
        I: IntoIterator<Item = Result<T, E>>,
        I::IntoIter: Send,
        T: Weigh + Send,
        R: Weigh + Send,
        E: Send,
        W: Fn(&mut C, T) -> Result<R, E> + Sync,
        K: FnMut(R) -> Result<(), E>,
    {
        let mut ctx = self.1();
        let mut s = Snapshot::default();
        for item in source {
            let seq = s.submitted;
            let fail = |cause| RunError { cause, snapshot: Snapshot::default() };
            if self.0.cancel.is_cancelled() {
                return Err(fail(Cause::Cancelled));
            }
            s.submitted += 1;
            let item = item.map_err(|e| fail(Cause::Source(e)))?;
            let r = work(&mut ctx, item).map_err(|error| fail(Cause::Work { seq, error }))?;
            sink(r).map_err(|error| fail(Cause::Sink { seq, error }))?;
            s.delivered += 1;
            self.0.monitor.0.fetch_add(1, Ordering::Relaxed);
        }
        Ok(s)
    }
}
