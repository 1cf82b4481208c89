//! `Feed`: a pipeline that is pushed into, for sources that cannot be written as an iterator.
//!
//! ```text
//!   the caller's thread      workers                    sink's thread
//!   send(item) -----> WorkQueue ---> work(item) ---> ReorderBuffer ---> sink(result)
//! ```
//!
//! The same queue, workers and buffer as under [`Pipeline::run`](crate::Pipeline::run), with the same invariants. The
//! caller's thread is the source, and the sink has a thread of its own.
//!
//! # Failure
//! Once the run is over, whatever ended it, [`send`](Feed::send) gives the item back. [`finish`](Feed::finish) says why.
//!
//! # Shutdown
//! [`finish`](Feed::finish) delivers everything. A feed that is dropped without it cancels what is not delivered, waits
//! for running work and for the sink call in progress, and joins the threads.
//!
//! ```
//! use forebay::Pipeline;
//!
//! let mut feed = Pipeline::new().feed(
//!     |text: String| text.trim().parse::<u64>().map_err(std::io::Error::other),
//!     |number| Ok(println!("{number}")),
//! )?;
//! feed.send(" 7 ".to_owned())?; // waits while the window or the budget is full
//! feed.send("8".to_owned())?;
//! assert_eq!(feed.finish()?.delivered, 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;

use crate::item::Weigh;
use crate::metrics::Snapshot;
use crate::pipeline::{Cause, RunError};
use crate::queue::{SendError, Sender, TrySendError};
use crate::reorder::DeliverError;
use crate::run::{self, Core, Failure, Threads};
use crate::sync::{Arc, Mutex, lock};

/// The producer's end of a pipeline that [`Pipeline::feed`](crate::Pipeline::feed) has started. `T` are the items,
/// `R` the results, `E` the error of workers and sink.
pub struct Feed<T, R, E> {
    /// Dropped first: without an orderly end this cancels the run, and then its threads end.
    sender: Sender<T>,
    threads: Threads,
    /// How the sink ended.
    outcome: Outcome<E>,
    core: Arc<Core<T, R, E>>,
}

type Outcome<E> = Arc<Mutex<Option<Result<(), Failure<E>>>>>;

impl<T, R, E> Feed<T, R, E> {
    pub(crate) fn new(sender: Sender<T>, threads: Threads, outcome: Outcome<E>, core: Arc<Core<T, R, E>>) -> Self {
        Feed { sender, threads, outcome, core }
    }
}

impl<T: Weigh, R, E> Feed<T, R, E> {
    /// Submits `item` and returns its sequence number. Waits while the window or the budget is full.
    ///
    /// # Errors
    /// [`SendError`] with the item, once the run is over.
    pub fn send(&mut self, item: T) -> Result<u64, SendError<T>> {
        self.sender.send(item)
    }

    /// Submits `item` if that is possible without waiting.
    ///
    /// # Errors
    /// [`TrySendError`] with the item.
    pub fn try_send(&mut self, item: T) -> Result<u64, TrySendError<T>> {
        self.sender.try_send(item)
    }

    /// Why results could not be spilled or read back, if that has ended the run. Known at once, while
    /// [`finish`](Feed::finish) waits for the sink, which may be what made them spill.
    pub fn spill_error(&self) -> Option<DeliverError> {
        self.core.spill_error()
    }

    /// Nothing more comes: waits until everything is delivered and every thread is joined.
    ///
    /// # Errors
    /// [`RunError`] with what ended the run early.
    ///
    /// # Panics
    /// If a worker or the sink panicked, with the same payload.
    pub fn finish(self) -> Result<Snapshot, RunError<E>> {
        let Feed { sender, threads, outcome, core } = self;
        if let Some(end) = sender.finish() {
            core.close(end);
        }
        drop(threads);
        let outcome = lock(&outcome).take().unwrap_or(Err(Failure::Ended(Cause::Cancelled)));
        run::conclude(outcome, core.finish())
    }
}

impl<T, R, E> fmt::Debug for Feed<T, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("threads", &self.threads).finish_non_exhaustive()
    }
}
