//! `build`: timely's allocators with queues that spill.

use std::any::Any;
use std::fmt;
use std::io;

use forebay::OverBudget;
use timely::CommunicationConfig;
use timely::communication::allocator::AllocatorBuilder;

use super::failed::SpillFailed;
use super::hooks;
use super::monitor::SpillMonitor;
use super::options::SpillOptions;

/// What [`timely::execute::execute_from`] needs to start workers whose queues spill.
pub struct Built {
    /// The workers' allocators.
    pub builders: Vec<AllocatorBuilder>,
    /// Joins the network's threads when it is dropped: the second argument of `execute_from`.
    pub others: Box<dyn Any + Send>,
    /// What the queues did.
    pub monitor: SpillMonitor,
}

impl Built {
    /// Why the run cannot go on. Keep [`monitor`](Built::monitor) to ask after the workers are started.
    pub fn error(&self) -> Option<SpillFailed> {
        self.monitor.error()
    }
}

impl fmt::Debug for Built {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Built { builders, others: _, monitor } = self;
        f.debug_struct("Built").field("workers", &builders.len()).field("monitor", monitor).finish_non_exhaustive()
    }
}

/// Why there are no workers whose queues spill.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// This configuration moves data between workers without queues of bytes: nothing would ever spill.
    NeverSpills {
        /// Its name.
        configuration: &'static str,
        /// What to configure instead.
        instead: &'static str,
    },
    /// The I/O thread cannot be started.
    Thread(io::Error),
    /// The budget is not enough to begin with.
    Memory(OverBudget),
    /// Timely cannot set up its communication.
    Communication(String),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::NeverSpills { configuration, instead } => {
                write!(f, "{configuration} has queues that never spill: use {instead}")
            }
            BuildError::Thread(error) => write!(f, "cannot start the thread forebay-spill: {error}"),
            BuildError::Memory(error) => error.fmt(f),
            BuildError::Communication(problem) => write!(f, "cannot set up timely's communication: {problem}"),
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BuildError::Thread(error) => Some(error),
            BuildError::Memory(error) => Some(error),
            BuildError::NeverSpills { .. } | BuildError::Communication(_) => None,
        }
    }
}

/// Sets up the communication that `configuration` describes, with queues that spill as `options` say. For a cluster
/// this connects to the other processes, and waits for them, as timely does.
///
/// # Errors
/// [`BuildError::NeverSpills`] for a configuration whose workers exchange typed data in memory: timely would ignore the
/// hooks without a word.
pub fn build(configuration: CommunicationConfig, options: SpillOptions) -> Result<Built, BuildError> {
    let refused = |configuration, instead| Err(BuildError::NeverSpills { configuration, instead });
    match &configuration {
        CommunicationConfig::Thread => {
            return refused("CommunicationConfig::Thread", "CommunicationConfig::ProcessBinary(1)");
        }
        CommunicationConfig::Process(_) => {
            return refused("CommunicationConfig::Process", "CommunicationConfig::ProcessBinary");
        }
        CommunicationConfig::Cluster { zerocopy: false, .. } => {
            let own = "CommunicationConfig::Cluster with zerocopy: false";
            return refused(own, "CommunicationConfig::Cluster with zerocopy: true");
        }
        CommunicationConfig::ProcessBinary(_) | CommunicationConfig::Cluster { zerocopy: true, .. } => {}
    }
    let (hooks, monitor) = hooks(&options)?;
    let (builders, others) = configuration.try_build_with(hooks).map_err(BuildError::Communication)?;
    Ok(Built { builders, others, monitor })
}
