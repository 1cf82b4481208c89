//! How long this thread has had a processor. On a machine with other work, much more time than that passes.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Since the thread has begun.
pub(crate) fn busy() -> Duration {
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
}
