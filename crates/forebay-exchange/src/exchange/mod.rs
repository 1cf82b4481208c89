//! The streaming exchange: rows travel while work goes on, and the only wait is at a commit.
//!
//! ```text
//!   source --> partition ==(containers of 64 KiB, by address)==> accumulate --> Sealed, one per worker and commit
//!     ^  gate    |  ^                                               |
//!     +----------+  +=================(receipts)====================+
//! ```
//!
//! # Invariants
//! * A sender has at most a window of bytes (and one container) on the way to a receiver. The receiver gives receipts
//!   once leases pay for what arrived: while rows come, one for each quarter of a window. What is on the way is bounded
//!   by workers times workers times the window.
//! * A receiver that gets no memory spills, and gives no receipts meanwhile: a slow one makes its senders park and
//!   grows nowhere.
//! * At most three commits are open; a source is parked that would begin a fourth. There is no barrier: one sender may
//!   be two commits ahead of another.
//! * Every commit checks, for each sender and receiver, that as many rows arrived as were sent.
//! * What a worker has emptied it fills next: containers are made anew only where more are sent than received.
//! * No operator blocks: what is long or waits for a disk runs on the worker's merger thread. An idle worker uses no
//!   processor time.

mod accumulate;
mod buckets;
mod gate;
mod parcel;
mod partition;
mod source;
mod spares;

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use forebay::{Budget, Pager, Reclaim};
use timely::Accountable;
use timely::dataflow::Stream;
use timely::dataflow::operators::{ConnectLoop, Feedback};
use timely::worker::Worker;

use crate::error::ExchangeError;
use crate::failure::Failure;
use crate::memory::Memory;
use crate::metrics::{Counted, ExchangeMonitor, Metrics};
use crate::rows::{BLOCK, Rows};
use crate::runs::{Merger, Sealed};
use spares::Spares;

pub use gate::{Gate, OPEN_COMMITS};
pub use source::{Convert, Intake, IntakeClosed, IntakeSender, intake, source};

/// Least and most bytes that a sender may have on the way to a receiver, unless it is said.
const WINDOW: std::ops::RangeInclusive<usize> = 2 * BLOCK..=16 * BLOCK;

/// Least and most bytes that are sorted at a time.
const RUN: std::ops::RangeInclusive<usize> = BLOCK..=128 << 20;

/// What the workers of a process share. Cloning gives another handle.
#[derive(Clone, Debug)]
pub struct ExchangeOptions {
    budget: Budget,
    pager: Option<Pager>,
    window: Option<usize>,
    failure: Failure,
    counted: Arc<Counted>,
}

impl ExchangeOptions {
    /// Everything that waits is paid for by `budget`. What it does not pay for goes to `pager`; without one, a run that
    /// needs more memory fails.
    pub fn new(budget: &Budget, pager: Option<Pager>) -> Self {
        ExchangeOptions {
            budget: budget.clone(),
            pager,
            window: None,
            failure: Failure::new(),
            counted: Arc::default(),
        }
    }

    /// Bytes that a sender may have on the way to a receiver. Default: what lets all of them together have a
    /// sixteenth of the budget, between 128 KiB and 1 MiB.
    #[must_use]
    pub fn window(mut self, bytes: usize) -> Self {
        self.window = Some(bytes.max(1));
        self
    }

    /// Where the workers of this process say that they cannot go on.
    pub fn failure(&self) -> &Failure {
        &self.failure
    }

    /// The counters of this process.
    pub fn monitor(&self) -> ExchangeMonitor {
        ExchangeMonitor::new(Arc::clone(&self.counted), self.budget.clone(), self.pager.as_ref().map(Pager::monitor))
    }
}

/// What the operators of one worker share. Cloning gives another handle.
#[derive(Clone)]
pub struct Exchange {
    shared: Rc<Shared>,
}

struct Shared {
    memory: Memory,
    pager: Option<Pager>,
    merger: Merger,
    failure: Failure,
    metrics: Arc<Metrics>,
    window: usize,
    run_bytes: usize,
    /// Kept for as long as the consumer may ask.
    reclaims: RefCell<Vec<Arc<dyn Reclaim>>>,
}

impl Exchange {
    /// The context of `worker`. Starts its merger thread.
    ///
    /// # Errors
    /// If the budget is too small for the process's workers, or the thread cannot be started.
    pub fn new(options: &ExchangeOptions, worker: &Worker) -> Result<Self, ExchangeError> {
        let (me, workers) = (worker.index(), worker.peers());
        let limit = options.budget.limit();
        let consumer = options.budget.consumer(&format!("worker {me}"), 0)?;
        let window = options.window.unwrap_or_else(|| clamp(limit / 16 / workers / workers, WINDOW));
        let merger = Merger::start(&format!("merge-{me}"))?;
        merger.report_to(&options.failure);
        Ok(Exchange {
            shared: Rc::new(Shared {
                memory: Memory::new(consumer, options.pager.clone()),
                pager: options.pager.clone(),
                merger,
                failure: options.failure.clone(),
                metrics: options.counted.by(me),
                window,
                run_bytes: clamp(limit / 4 / workers, RUN),
                reclaims: RefCell::default(),
            }),
        })
    }

    /// Who pays, and where it goes when nobody does.
    pub fn memory(&self) -> &Memory {
        &self.shared.memory
    }

    /// The thread for what is long or waits for a disk.
    pub fn merger(&self) -> &Merger {
        &self.shared.merger
    }

    /// Where it is said that the run cannot go on.
    pub fn failure(&self) -> &Failure {
        &self.shared.failure
    }

    /// A gate for the sources in front of one [`shard_accumulate`](ShardAccumulate::shard_accumulate).
    pub fn gate(&self) -> Gate {
        Gate::new(Arc::clone(&self.shared.metrics))
    }

    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.shared.metrics
    }

    /// As [`memory`](Self::memory), with an account of its own.
    fn account(&self, name: &str) -> Memory {
        let memory = self.memory();
        match memory.consumer().budget().consumer(name, 0) {
            Ok(consumer) => Memory::new(consumer, self.shared.pager.clone()),
            // Nothing is set aside for it, so it is never refused.
            Err(_) => memory.clone(),
        }
    }

    fn window(&self) -> usize {
        self.shared.window
    }

    fn run_bytes(&self) -> usize {
        self.shared.run_bytes
    }

    /// Whether more than three quarters of the budget are in use.
    fn is_tight(&self) -> bool {
        let budget = self.shared.memory.consumer().budget();
        budget.used() > budget.limit() / 4 * 3
    }

    fn keep(&self, reclaim: Arc<dyn Reclaim>) {
        self.shared.reclaims.borrow_mut().push(reclaim);
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("memory", &self.shared.memory).finish_non_exhaustive()
    }
}

fn clamp(bytes: usize, range: std::ops::RangeInclusive<usize>) -> usize {
    bytes.clamp(*range.start(), *range.end())
}

/// Exchanges the rows of a stream by key, and accumulates them.
pub trait ShardAccumulate<'scope, R: Rows> {
    /// Sends every row to the worker that owns its key, and gives one sealed, consolidated batch per worker and commit
    /// that has rows there. The stream's times are the numbers of commits. `gate` must be the one that the sources of
    /// the stream ask; rows of sources that do not ask it wait here, and nothing bounds them.
    fn shard_accumulate(self, exchange: &Exchange, gate: &Gate) -> Stream<'scope, u64, Vec<Sealed<R>>>;
}

impl<'scope, R: Rows + Accountable> ShardAccumulate<'scope, R> for Stream<'scope, u64, R> {
    fn shard_accumulate(self, exchange: &Exchange, gate: &Gate) -> Stream<'scope, u64, Vec<Sealed<R>>> {
        let (handle, receipts) = self.scope().feedback(1);
        // As many as this worker may have on the way.
        let most = self.scope().peers() * exchange.window().div_ceil(BLOCK);
        let spares = Rc::new(Spares::new(exchange.memory(), most));
        gate.set_spares(&spares);
        let parcels = partition::partition(exchange, gate.clone(), &spares, self, receipts);
        let (batches, receipts) = accumulate::accumulate(exchange, &spares, parcels);
        receipts.connect_loop(handle);
        batches
    }
}
