//! `RunError`: why a run ended before everything was delivered.

use std::fmt;
use std::io;

use crate::budget::OverBudget;
use crate::metrics::Snapshot;
use crate::reorder::DeliverError;

/// Why a run ended before everything was delivered.
#[derive(Debug)]
pub struct RunError<E> {
    /// What ended it.
    pub cause: Cause<E>,
    /// The counters at the end; `delivered` says how far it came.
    pub snapshot: Box<Snapshot>,
}

/// What ended a run. Sequence numbers count the items of the source from 0.
#[derive(Debug)]
#[non_exhaustive]
pub enum Cause<E> {
    /// The source gave an error. Every item before it was delivered.
    Source(E),
    /// The work on an item failed. Every item before it was delivered.
    Work {
        /// The item's sequence number.
        seq: u64,
        /// What the worker returned.
        error: E,
    },
    /// The sink refused a result.
    Sink {
        /// How many results it had taken before; in order, the sequence number of the item.
        seq: u64,
        /// What the sink returned.
        error: E,
    },
    /// Results could not be spilled or read back.
    Spill(DeliverError),
    /// The minimums of the budget's consumers exceed its limit.
    Budget(OverBudget),
    /// A thread could not be started.
    Thread(io::Error),
    /// The cancellation token was used.
    Cancelled,
}

impl<E: fmt::Display> fmt::Display for RunError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Source(error) => write!(f, "the source failed after {} items: {error}", self.snapshot.submitted),
            Cause::Work { seq, error } => write!(f, "item {seq}: {error}"),
            Cause::Sink { seq, error } => write!(f, "the sink refused result {seq}: {error}"),
            Cause::Spill(error) => error.fmt(f),
            Cause::Budget(error) => error.fmt(f),
            Cause::Thread(error) => write!(f, "a thread could not be started: {error}"),
            Cause::Cancelled => f.write_str("cancelled"),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for RunError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            Cause::Source(error) | Cause::Work { error, .. } | Cause::Sink { error, .. } => Some(error),
            Cause::Spill(error) => Some(error),
            Cause::Budget(error) => Some(error),
            Cause::Thread(error) => Some(error),
            Cause::Cancelled => None,
        }
    }
}
