//! `Watch`: ends what waits for a pipe when the run is cancelled.
//!
//! A read that waits for its writer cannot be interrupted, so whoever waits for what is read is told instead, and the thread
//! that reads is left behind. Only runs with a pipe among their inputs are watched.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use forebay::CancelToken;

use super::TableError;

/// How often it is looked whether the run is cancelled.
const INTERVAL: Duration = Duration::from_millis(50);

/// A thread that watches until this is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    _watched: mpsc::Sender<()>,
}

impl Watch {
    /// Calls `then` once `cancel` is cancelled.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub(super) fn start(cancel: &CancelToken, then: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let (watched, over) = mpsc::channel();
        let cancel = cancel.clone();
        thread::Builder::new().name("cancelled".into()).spawn(move || {
            while !cancel.is_cancelled() {
                if over.recv_timeout(INTERVAL) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
            then();
        })?;
        Ok(Watch { _watched: watched })
    }
}

/// What `work` gives, which may wait for a pipe. It runs on a thread called `name`.
///
/// # Errors
/// [`TableError::Cancelled`] as soon as the run is cancelled: the thread is left to itself then. If one cannot be started.
///
/// # Panics
/// If `work` does.
pub(super) fn unless_cancelled<T: Send + 'static>(
    cancel: &CancelToken,
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, TableError> {
    let no_thread = |cause| TableError::Thread { cause: Arc::new(cause) };
    let (done, value) = mpsc::channel();
    let cancelled = done.clone();
    // Nobody waits any more if the other was first.
    let _watch = Watch::start(cancel, move || drop(cancelled.send(None))).map_err(no_thread)?;
    let work = move || drop(done.send(Some(catch_unwind(AssertUnwindSafe(work)))));
    thread::Builder::new().name(name.to_owned()).spawn(work).map_err(no_thread)?;
    match value.recv() {
        Ok(Some(value)) => Ok(value.unwrap_or_else(|panic| resume_unwind(panic))),
        _ => Err(TableError::Cancelled),
    }
}
