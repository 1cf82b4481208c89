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
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{self, JoinHandle};

use crate::item::Weigh;
use crate::metrics::Snapshot;
use crate::pipeline::{Cause, RunError};
use crate::queue::{SendError, Sender, TrySendError};
use crate::reorder::{DeliverError, Outlet};
use crate::run::{self, Core, Failure, Threads};
use crate::sync::Arc;

/// The producer's end of a pipeline that [`Pipeline::feed`](crate::Pipeline::feed) has started. `T` are the items,
/// `R` the results, `E` the error of workers and sink.
pub struct Feed<T, R, E> {
    /// `None` once nothing more can be sent.
    sender: Option<Sender<T>>,
    sink: Option<JoinHandle<Result<(), Failure<E>>>>,
    pub(crate) workers: Threads,
    core: Arc<Core<T, R, E>>,
}

impl<T, R, E> Feed<T, R, E> {
    /// A feed whose threads are still to be started.
    pub(crate) fn new(sender: Sender<T>, core: Arc<Core<T, R, E>>) -> Self {
        Feed { sender: Some(sender), sink: None, workers: Threads::default(), core }
    }

    /// Starts the sink's thread. The sink itself is dropped before the thread ends, also when it panics.
    pub(crate) fn start_sink(
        &mut self,
        thread: thread::Builder,
        mut outlet: Outlet<R>,
        mut sink: impl FnMut(R) -> Result<(), E> + Send + 'static,
    ) -> io::Result<()>
    where
        T: Send + 'static,
        R: Send + 'static,
        E: Send + 'static,
    {
        let core = Arc::clone(&self.core);
        let drain = move || {
            catch_unwind(AssertUnwindSafe(|| core.deliver(&mut outlet, &mut sink)))
                .unwrap_or_else(|payload| Err(Failure::Panic(payload)))
        };
        self.sink = Some(thread.spawn(drain)?);
        Ok(())
    }

    /// Joins every thread. `None` if it was done before.
    fn join(&mut self) -> Option<Result<(), Failure<E>>> {
        let outcome = self.sink.take()?.join();
        self.workers.join();
        Some(outcome.unwrap_or_else(|payload| Err(Failure::Panic(payload))))
    }
}

impl<T: Weigh, R, E> Feed<T, R, E> {
    /// Submits `item` and returns its sequence number. Waits while the window or the budget is full.
    ///
    /// # Errors
    /// [`SendError`] with the item, once the run is over.
    pub fn send(&mut self, item: T) -> Result<u64, SendError<T>> {
        match &mut self.sender {
            Some(sender) => sender.send(item),
            None => Err(SendError(item)),
        }
    }

    /// Submits `item` if that is possible without waiting.
    ///
    /// # Errors
    /// [`TrySendError`] with the item.
    pub fn try_send(&mut self, item: T) -> Result<u64, TrySendError<T>> {
        match &mut self.sender {
            Some(sender) => sender.try_send(item),
            None => Err(TrySendError::Closed(item)),
        }
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
    pub fn finish(mut self) -> Result<Snapshot, RunError<E>> {
        if let Some(end) = self.sender.take().and_then(Sender::finish) {
            self.core.close(end);
        }
        let outcome = self.join();
        let snapshot = self.core.finish();
        run::conclude(outcome.unwrap_or(Err(Failure::Ended(Cause::Cancelled))), snapshot)
    }
}

impl<T, R, E> Drop for Feed<T, R, E> {
    fn drop(&mut self) {
        // Without an orderly end this cancels the run.
        self.sender = None;
        self.join();
    }
}

impl<T, R, E> fmt::Debug for Feed<T, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("workers", &self.workers.len()).finish_non_exhaustive()
    }
}
