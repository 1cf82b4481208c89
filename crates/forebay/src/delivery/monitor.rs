//! What a delivery has done, from any thread.

use std::fmt;
use std::time::Duration;

use crate::metrics::nanos;
use crate::sync::Arc;

/// What a [`Delivery`](crate::Delivery) has done, as plain numbers of one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct DeliverySnapshot {
    /// Jobs delivered.
    pub jobs: u64,
    /// Bytes of the jobs delivered.
    pub bytes: u64,
    /// Jobs enqueued and not delivered; the one that the sink is reading is among them.
    pub queued_jobs: u64,
    /// Bytes that these jobs keep in memory.
    pub queued_bytes: u64,
    /// Times the producer waited for the sink; with one slot, every time.
    pub waits: u64,
    /// Nanoseconds that the producer waited for the sink.
    pub wait_nanos: u64,
    /// Nanoseconds that the longest call of the sink took.
    pub longest_nanos: u64,
}

impl DeliverySnapshot {
    pub(super) fn delivered(&mut self, bytes: u64, taken: Duration) {
        self.jobs += 1;
        self.bytes += bytes;
        self.queued_jobs -= 1;
        self.queued_bytes -= bytes;
        self.longest_nanos = self.longest_nanos.max(nanos(taken));
    }

    pub(super) fn waited(&mut self, taken: Duration) {
        self.waits += 1;
        self.wait_nanos += nanos(taken);
    }
}

/// Reads the counters of a [`Delivery`](crate::Delivery) from any thread. Cheap to clone; keeps no job alive.
#[derive(Clone)]
pub struct DeliveryMonitor {
    pub(super) counts: Arc<dyn Fn() -> DeliverySnapshot + Send + Sync>,
}

impl DeliveryMonitor {
    /// The counters now, all of one moment.
    pub fn snapshot(&self) -> DeliverySnapshot {
        (self.counts)()
    }
}

impl fmt::Debug for DeliveryMonitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DeliveryMonitor").field(&self.snapshot()).finish()
    }
}
