//! `Merger`: the thread of a worker on which everything long happens.
//!
//! A dataflow operator must not merge, read back or wait: it submits a job and goes on. Jobs run one after the other,
//! in the order in which they were submitted.
//!
//! The queue has no bound of its own: each of its users has at most a few jobs in it (one per open commit and
//! operator), and a job owns no more than the runs that exist anyway.
//!
//! # Failure
//! A job that panics ends alone. The panic goes to the [`Failure`] that [`report_to`](Merger::report_to) names.
//!
//! # Shutdown
//! When the last handle goes, the jobs that are queued still run, and the thread is joined; a job that would wait for
//! the worker must notice that the worker is gone. If the last handle goes in a job, the thread ends by itself.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use crate::error::ExchangeError;
use crate::failure::Failure;

type Job = Box<dyn FnOnce() + Send>;

/// A thread that runs jobs in order. Cloning gives another handle to the same thread.
#[derive(Clone)]
pub struct Merger {
    owner: Arc<Owner>,
}

struct Owner {
    /// None only while the owner is dropped.
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    failure: Arc<OnceLock<Failure>>,
}

impl Merger {
    /// Starts the thread, under this name.
    ///
    /// # Errors
    /// [`ExchangeError::Thread`] if it cannot be started.
    pub fn start(name: &str) -> Result<Self, ExchangeError> {
        let (jobs, queue) = mpsc::channel();
        let failure = Arc::new(OnceLock::new());
        let told = Arc::clone(&failure);
        let thread = thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || run(&queue, &told))
            .map_err(|error| ExchangeError::Thread { name: name.to_owned(), cause: error.to_string() })?;
        Ok(Merger { owner: Arc::new(Owner { jobs: Some(jobs), thread: Some(thread), failure }) })
    }

    /// Panics of jobs end the run of `failure` from now on; before, they are only logged. The first call counts.
    pub fn report_to(&self, failure: &Failure) {
        // A second run on the same merger would be a second worker with the same thread: there is none.
        let _ = self.owner.failure.set(failure.clone());
    }

    /// Has `job` run after all that were submitted before. Returns at once.
    pub fn submit(&self, job: impl FnOnce() + Send + 'static) {
        if let Some(jobs) = &self.owner.jobs {
            // The thread ends only after the sender is gone.
            let _ = jobs.send(Box::new(job));
        }
    }
}

fn run(queue: &Receiver<Job>, failure: &OnceLock<Failure>) {
    while let Ok(job) = queue.recv() {
        let Err(panic) = catch_unwind(AssertUnwindSafe(job)) else { continue };
        let said = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        let message = said.unwrap_or("no message").to_owned();
        match failure.get() {
            Some(failure) => failure.set(ExchangeError::Panicked { message }),
            None => tracing::error!(message, "a job of the merger thread panicked"),
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the merger thread panicked");
        }
    }
}

impl std::fmt::Debug for Merger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Merger").finish_non_exhaustive()
    }
}
