//! `ExchangeError`: what can end a run.

use std::fmt;

use crate::hooks::SpillFailed;
use forebay::{DecodeError, OverBudget, SpillError};

use crate::cluster::{Cause, ClusterError};

/// What ended a run. Cloning is cheap: every worker of a process reports the same one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ExchangeError {
    /// What was spilled cannot be written or read back.
    Spill(SpillError),
    /// Rows cannot be read back as what was written.
    Decode(DecodeError),
    /// The memory that was given is not enough to begin with.
    Memory(OverBudget),
    /// A sender says that it sent another number of rows than have arrived.
    Counts {
        /// The commit.
        commit: u64,
        /// The worker that sent.
        from: usize,
        /// The worker that received.
        to: usize,
        /// Rows that were sent, as the sender says.
        sent: u64,
        /// Rows that arrived.
        received: u64,
    },
    /// A thread cannot be started.
    Thread {
        /// Its name.
        name: String,
        /// Why not.
        cause: String,
    },
    /// Timely's queues cannot spill any more.
    Queues(SpillFailed),
    /// What the run was for cannot go on.
    Ended {
        /// Why not.
        reason: String,
    },
    /// The processes of a run do not come together.
    Cluster(ClusterError),
    /// A process of the run is gone. All others end with this error, or with the words of the one that noticed it.
    PeerLost {
        /// The number of the process.
        process: usize,
        /// Its address.
        address: String,
        /// Why it is taken for lost.
        cause: Cause,
    },
    /// A process of the run has failed, and so all of them end.
    Aborted {
        /// The number of the process.
        process: usize,
        /// Its address.
        address: String,
        /// What its error says.
        reason: String,
    },
    /// A worker panicked.
    Panicked {
        /// What it said.
        message: String,
    },
}

impl fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spill(error) => error.fmt(f),
            Self::Decode(error) => error.fmt(f),
            Self::Memory(error) => error.fmt(f),
            Self::Counts { commit, from, to, sent, received } => {
                write!(f, "commit {commit}: worker {from} sent {sent} rows to worker {to}, which received {received}")
            }
            Self::Thread { name, cause } => write!(f, "cannot start the thread {name}: {cause}"),
            Self::Queues(error) => error.fmt(f),
            Self::Ended { reason } => f.write_str(reason),
            Self::Cluster(error) => error.fmt(f),
            Self::PeerLost { process, address, cause } => write!(
                f,
                "process {process} ({address}) is lost: {cause}; see what it says itself, then start all processes again"
            ),
            Self::Aborted { process, address, reason } => {
                write!(f, "process {process} ({address}) failed, and the run with it: {reason}")
            }
            Self::Panicked { message } => write!(f, "a worker panicked: {message}"),
        }
    }
}

impl std::error::Error for ExchangeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Spill(error) => Some(error),
            Self::Decode(error) => Some(error),
            Self::Memory(error) => Some(error),
            Self::Queues(error) => Some(error),
            Self::Cluster(error) => Some(error),
            _ => None,
        }
    }
}

impl From<SpillError> for ExchangeError {
    fn from(error: SpillError) -> Self {
        Self::Spill(error)
    }
}

impl From<DecodeError> for ExchangeError {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl From<OverBudget> for ExchangeError {
    fn from(error: OverBudget) -> Self {
        Self::Memory(error)
    }
}

impl From<ClusterError> for ExchangeError {
    fn from(error: ClusterError) -> Self {
        Self::Cluster(error)
    }
}
