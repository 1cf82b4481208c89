//! How long this thread has had a processor. On a machine with other work, much more time than that passes.

use std::fs;
use std::time::Duration;

/// Since the thread has begun.
pub(crate) fn busy() -> Duration {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanos = stat.split(' ').next().and_then(|field| field.parse().ok());
    Duration::from_nanos(nanos.unwrap())
}
