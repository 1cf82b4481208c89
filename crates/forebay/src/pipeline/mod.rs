//! `Pipeline`: source, workers, sink; parallel in the middle, in order at both ends, inside a budget.
//!
//! ```text
//!   source thread            workers                    the caller's thread
//!   next() ---> WorkQueue ---> work(item) ---> ReorderBuffer ---> sink(result)
//!                  ^                              |     ^
//!                  `-- back-pressure: window,     v     | reload
//!                      budget                   Pager and its I/O thread (with `.spill(..)`)
//! ```
//!
//! # Invariants
//! * The sink sees the results in the order in which the source gave the items, each once; with
//!   [`unordered`](Pipeline::unordered), in the order in which they are finished. At the end,
//!   `submitted == delivered + cancelled`.
//! * *Memory*: what is leased is at most the budget, plus one item (the head), one result per worker, and one block
//!   read back. Beside it there are the blocks on their way to the store, two at most.
//! * A worker takes a new item only while the budget is within its limit, or if the item is the head: so pipelines
//!   that share a budget, or run inside each other's workers, all go on, if slowly, whoever holds the memory.
//! * Every thread has a name, is joined before `run` returns, and sleeps when there is nothing to do.
//!
//! # Failure
//! An error or a panic of the source or of a worker takes its item's place in the order: everything before it is
//! delivered, then `run` returns the error or continues the panic. An error of the sink ends the run at once. In
//! every case running work is waited for, what is not delivered is dropped and counted as cancelled.
//!
//! # Disconnection
//! Whichever end goes first ends the other: a sink that fails or panics reaches the source at its next item, also if it
//! waits for room; a source that panics ends the sink after what it gave. Nothing is left that waits for somebody gone.
//!
//! # Shutdown
//! In this order: the source's end is noted (or the run cancelled), workers finish what they have in hand, the sink gets
//! what is before the end, every thread is joined, the I/O thread last; what was not delivered is dropped; `run`
//! returns. Nobody is interrupted: work, a sink call or a write that hangs is waited for.
//!
//! # Batches
//! Workers take up to 64 small items at a time, as many as take about a tenth of a millisecond, but never more than
//! their share of what is queued. An item is in the queue as soon as the source has given it: a source that pauses
//! holds nothing back. ([`batch`](Pipeline::batch) with a fixed size does hold back.)
//!
//! ```
//! use forebay::{Budget, Cause, OnSpillError, Pipeline, SegmentStore};
//!
//! let budget = Budget::new(16 << 20); // several pipelines may share it
//! let outcome = Pipeline::new()
//!     .name("sums")
//!     .workers(2)
//!     .budget(&budget)
//!     .spill(SegmentStore::temp()?)
//!     .on_spill_error(OnSpillError::Fail)
//!     .worker_init(|| vec![0u8; 1 << 16]) // a buffer for each worker
//!     .run(
//!         (0..100u64).map(Ok),
//!         |buffer, n| {
//!             buffer.fill(n as u8);
//!             if n == 70 { Err("no item 70") } else { Ok(buffer.iter().map(|byte| u64::from(*byte)).sum::<u64>()) }
//!         },
//!         |_sum| Ok(()),
//!     );
//! let error = outcome.unwrap_err();
//! assert!(matches!(error.cause, Cause::Work { seq: 70, error: "no item 70" }));
//! assert_eq!(error.snapshot.delivered, 70, "everything before it");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod mode;
mod settings;

use std::convert::Infallible;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

pub use error::{Cause, RunError};
pub use mode::{InMemory, Mode, Spilling};
use settings::{Parts, Settings};

use crate::budget::Budget;
use crate::cancel::CancelToken;
use crate::feed::Feed;
use crate::item::Weigh;
use crate::iter::OrderedMap;
use crate::metrics::{Monitor, Snapshot};
use crate::reorder::OnSpillError;
use crate::run::{self, Core, Failure};
use crate::spill::SpillStore;
use crate::spill::policy::SpillPolicy;
use crate::sync::{Arc, Mutex, lock};

/// A pipeline to be run. `M` says where results wait ([`InMemory`] or [`Spilling`]), `W` whether workers have state
/// ([`NoInit`] or [`Init`]).
#[must_use = "a pipeline does nothing until it is run"]
pub struct Pipeline<M = InMemory, W = NoInit> {
    settings: Settings,
    mode: M,
    init: W,
}

/// Workers have no state of their own.
#[derive(Clone, Copy, Debug)]
pub struct NoInit;

/// Each worker has a state of its own, made by the closure.
#[derive(Clone, Copy)]
pub struct Init<F>(F);

impl<F> fmt::Debug for Init<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Init")
    }
}

impl Default for Pipeline {
    fn default() -> Self {
        Self::new()
    }
}

impl Pipeline {
    /// A pipeline with a worker per core, 64 MiB of its own and no spill store.
    pub fn new() -> Self {
        Pipeline { settings: Settings::default(), mode: InMemory, init: NoInit }
    }
}

impl<W> Pipeline<InMemory, W> {
    /// Results that the budget has no room for go to `store`: a head of the line that is slow then costs disk, and
    /// neither memory nor time of the others. The results must implement [`Spill`](crate::Spill).
    pub fn spill(self, store: impl SpillStore + 'static) -> Pipeline<Spilling, W> {
        Pipeline { settings: self.settings, mode: Spilling::new(store), init: self.init }
    }
}

impl<W> Pipeline<Spilling, W> {
    /// Decides what is spilled and read back. Default: [`Prefetch`](crate::Prefetch) over
    /// [`Threshold`](crate::Threshold).
    pub fn policy(mut self, policy: impl SpillPolicy + 'static) -> Self {
        self.mode.policy = Box::new(policy);
        self
    }

    /// What happens when the store refuses. Default: [`OnSpillError::Stall`].
    pub fn on_spill_error(mut self, on_error: OnSpillError) -> Self {
        self.mode.on_error = on_error;
        self
    }

    /// Compresses what is spilled with lz4, as long as that saves an eighth. Default: no.
    pub fn compress(mut self, compress: bool) -> Self {
        self.mode.compress = compress;
        self
    }
}

impl<M> Pipeline<M, NoInit> {
    /// Each worker gets a state of its own, made by `init` on the worker's thread before its first item.
    pub fn worker_init<C, F: Fn() -> C>(self, init: F) -> Pipeline<M, Init<F>> {
        Pipeline { settings: self.settings, mode: self.mode, init: Init(init) }
    }
}

impl<M, W> Pipeline<M, W> {
    /// The name of the pipeline's threads and of its consumer in the budget. Default: `forebay`.
    pub fn name(mut self, name: &str) -> Self {
        self.settings.name = name.to_owned();
        self
    }

    /// How many threads work (at least one). Default: one per core.
    pub fn workers(mut self, workers: usize) -> Self {
        self.settings.workers = workers.max(1);
        self
    }

    /// The byte pool that pays for what waits. Default: 64 MiB for this pipeline alone ([`Budget::modest`]).
    pub fn budget(mut self, budget: &Budget) -> Self {
        self.settings.budget = Some(budget.clone());
        self
    }

    /// Bytes of the budget that nobody else may use while the pipeline runs. Default: none.
    pub fn minimum(mut self, bytes: usize) -> Self {
        self.settings.minimum = bytes;
        self
    }

    /// Most items queued or in work at a time. Finished results do not count. Default: 4,096, which is enough to
    /// bridge the time slices of some ten milliseconds that a thread may lose.
    pub fn window(mut self, items: usize) -> Self {
        self.settings.window = items;
        self
    }

    /// Most items submitted and not delivered, in memory or on disk. Default: 16 Mi.
    pub fn outstanding(mut self, items: u64) -> Self {
        self.settings.outstanding = items;
        self
    }

    /// Items are handed over in batches of this size (1 to 64), also from the source: a source that pauses in the
    /// middle of a batch holds the begun batch back. Default: adaptive batches that hold nothing back. 1 suits items
    /// that take very different times.
    pub fn batch(mut self, items: usize) -> Self {
        self.settings.batch = Some(items.clamp(1, run::MAX_BATCH));
        self
    }

    /// The sink sees results as they are finished, not in the order of the items. Whatever fails then ends the run with
    /// what was finished before; items that were only queued are dropped.
    pub fn unordered(mut self) -> Self {
        self.settings.in_order = false;
        self
    }

    /// Ends the run when `token` is cancelled.
    pub fn cancel(mut self, token: &CancelToken) -> Self {
        self.settings.cancel = token.clone();
        self
    }

    /// Reads the counters, also while the pipeline runs and from other threads.
    pub fn monitor(&self) -> Monitor {
        Monitor { metrics: Arc::clone(&self.settings.metrics) }
    }
}

impl<M, W> fmt::Debug for Pipeline<M, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { name, workers, window, .. } = &self.settings;
        f.debug_struct("Pipeline")
            .field("name", name)
            .field("workers", workers)
            .field("window", window)
            .finish_non_exhaustive()
    }
}

impl<M> Pipeline<M, NoInit> {
    /// Runs `work` on every item of `source`, on the workers, and `sink` on every result, in order, on this thread.
    /// Returns when everything is delivered and every thread is joined. The source runs on a thread of its own. All
    /// three may borrow from the caller.
    ///
    /// # Errors
    /// [`RunError`] with the first error, in the order of the items, of the source, a worker or the sink; see
    /// [`Cause`] for the others.
    ///
    /// # Panics
    /// If the source, a worker or the sink panics, with the same payload.
    pub fn run<T, R, E, I, F, K>(self, source: I, work: F, sink: K) -> Result<Snapshot, RunError<E>>
    where
        M: Mode<R>,
        I: IntoIterator<Item = Result<T, E>>,
        I::IntoIter: Send,
        T: Weigh + Send,
        R: Weigh + Send,
        E: Send,
        F: Fn(T) -> Result<R, E> + Sync,
        K: FnMut(R) -> Result<(), E>,
    {
        self.worker_init(|| ()).run(source, move |(), item| work(item), sink)
    }
}

impl<M, C, N: Fn() -> C + Sync> Pipeline<M, Init<N>> {
    /// As [`run`](Pipeline::run), with the worker's own state as the first argument of `work`.
    ///
    /// # Errors
    /// As [`run`](Pipeline::run).
    ///
    /// # Panics
    /// As [`run`](Pipeline::run), and if the worker's state cannot be made.
    pub fn run<T, R, E, I, F, K>(self, source: I, work: F, mut sink: K) -> Result<Snapshot, RunError<E>>
    where
        M: Mode<R>,
        I: IntoIterator<Item = Result<T, E>>,
        I::IntoIter: Send,
        T: Weigh + Send,
        R: Weigh + Send,
        E: Send,
        F: Fn(&mut C, T) -> Result<R, E> + Sync,
        K: FnMut(R) -> Result<(), E>,
    {
        let Pipeline { settings, mode, init: Init(init) } = self;
        let Parts { sender, outlet, core } = settings.assemble(mode)?;
        let source = source.into_iter();
        let outcome = thread::scope(|scope| {
            // Dropped before the threads are joined, also when the sink panics: it cancels what is not delivered.
            let mut outlet = outlet;
            let (core, init, work) = (&core, &init, &work);
            let source = settings.thread("source").spawn_scoped(scope, move || core.source(source, sender));
            let started = source.and_then(|_| {
                for n in 0..settings.workers {
                    settings.thread(&format!("work-{n}")).spawn_scoped(scope, move || core.work(init, work))?;
                }
                Ok(())
            });
            match started {
                Ok(()) => core.deliver(&mut outlet, &mut sink),
                Err(error) => Err(Failure::Ended(Cause::Thread(error))),
            }
        });
        run::conclude(outcome, core.finish())
    }
}

impl<M> Pipeline<M, NoInit> {
    /// Starts the pipeline and returns the end to push items into: for sources that cannot be written as an iterator.
    /// The sink runs on a thread of its own. See [`Feed`].
    ///
    /// # Errors
    /// [`Cause::Budget`] and [`Cause::Thread`], if it cannot be started.
    pub fn feed<T, R, E, F, K>(self, work: F, sink: K) -> Result<Feed<T, R, E>, RunError<E>>
    where
        M: Mode<R>,
        T: Weigh + Send + 'static,
        R: Weigh + Send + 'static,
        E: Send + 'static,
        F: Fn(T) -> Result<R, E> + Send + Sync + 'static,
        K: FnMut(R) -> Result<(), E> + Send + 'static,
    {
        self.worker_init(|| ()).feed(move |(), item| work(item), sink)
    }

    /// Starts the threads for [`OrderedMap`].
    pub(crate) fn map<T, R, F>(
        self,
        source: impl Iterator<Item = T> + Send + 'static,
        f: F,
    ) -> Result<OrderedMap<T, R>, RunError<Infallible>>
    where
        M: Mode<R>,
        T: Weigh + Send + 'static,
        R: Weigh + Send + 'static,
        F: Fn(T) -> R + Send + Sync + 'static,
    {
        let Pipeline { settings, mode, .. } = self;
        let Parts { sender, outlet, core } = settings.assemble(mode)?;
        let core = Arc::new(core);
        let read = move |core: &Core<T, R, Infallible>| core.source(source.map(Ok), sender);
        let threads = settings.start(&core, || (), move |(), item| Ok(f(item)), "source", read)?;
        Ok(OrderedMap::new(outlet, threads, core))
    }
}

impl<M, C, N> Pipeline<M, Init<N>>
where
    N: Fn() -> C + Send + Sync + 'static,
{
    /// As [`feed`](Pipeline::feed), with the worker's own state as the first argument of `work`.
    ///
    /// # Errors
    /// As [`feed`](Pipeline::feed).
    pub fn feed<T, R, E, F, K>(self, work: F, mut sink: K) -> Result<Feed<T, R, E>, RunError<E>>
    where
        M: Mode<R>,
        T: Weigh + Send + 'static,
        R: Weigh + Send + 'static,
        E: Send + 'static,
        F: Fn(&mut C, T) -> Result<R, E> + Send + Sync + 'static,
        K: FnMut(R) -> Result<(), E> + Send + 'static,
    {
        let Pipeline { settings, mode, init: Init(init) } = self;
        let Parts { sender, mut outlet, core } = settings.assemble(mode)?;
        let core = Arc::new(core);
        let outcome = Arc::new(Mutex::new(None));
        let told = Arc::clone(&outcome);
        let deliver = move |core: &Core<T, R, E>| {
            // The sink is dropped in here too: that is the user's code.
            let delivered = catch_unwind(AssertUnwindSafe(move || core.deliver(&mut outlet, &mut sink)));
            *lock(&told) = Some(delivered.unwrap_or_else(|payload| Err(Failure::Panic(payload))));
        };
        let threads = settings.start(&core, init, work, "sink", deliver)?;
        Ok(Feed::new(sender, threads, outcome, core))
    }
}
