//! `SpillFailed`: why a timely program's queues cannot spill any more.

use std::fmt;
use std::time::Duration;

use forebay::SpillError;

/// The disk behind a timely program's queues failed. What was not written is still in memory, so nothing is lost; but
/// the run ends, because going on would mean to grow.
#[derive(Clone, Debug)]
pub struct SpillFailed {
    /// What was tried, as a verb: "write" or "read back".
    pub operation: &'static str,
    /// The store.
    pub place: String,
    /// What went wrong.
    pub cause: SpillFailure,
}

/// What went wrong with the store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SpillFailure {
    /// It said no: the disk is full, the quota is reached, what is read back is not what was written.
    Store(SpillError),
    /// It did nothing for as long as was allowed.
    Deadline {
        /// How long.
        waited: Duration,
        /// Bytes that were not yet written then.
        unwritten: usize,
    },
}

impl fmt::Display for SpillFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SpillFailed { operation, place, cause } = self;
        write!(f, "cannot {operation} what timely's queues spill to {place}: ")?;
        match cause {
            SpillFailure::Store(error) => error.fmt(f),
            SpillFailure::Deadline { waited, unwritten } => {
                write!(f, "nothing happened for {:.1} s; {unwritten} bytes are not yet written", waited.as_secs_f64())
            }
        }
    }
}

impl std::error::Error for SpillFailed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            SpillFailure::Store(error) => Some(error),
            SpillFailure::Deadline { .. } => None,
        }
    }
}
