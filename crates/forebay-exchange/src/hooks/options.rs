//! `SpillOptions`: where the queues of a timely program spill to, and how long it waits for that.

use std::sync::Arc;
use std::time::Duration;

use forebay::{SegmentStore, SpillError, SpillStore};

/// How the queues of a timely program spill.
#[derive(Clone, Debug)]
pub struct SpillOptions {
    pub(super) store: Arc<dyn SpillStore>,
    pub(super) cap: usize,
    pub(super) deadline: Duration,
    pub(super) compress: bool,
}

impl SpillOptions {
    /// Spills to `store`, whose quota is the limit of what goes to disk.
    pub fn new(store: impl SpillStore + 'static) -> Self {
        SpillOptions { store: Arc::new(store), cap: 32 << 20, deadline: Duration::from_secs(10), compress: false }
    }

    /// Spills to the directory for temporary files.
    ///
    /// # Errors
    /// As [`SegmentStore::temp`].
    pub fn temp() -> Result<Self, SpillError> {
        Ok(Self::new(SegmentStore::temp()?))
    }

    /// Bytes that may be on their way to the store and not yet written, over all queues, before a sender that needs
    /// another buffer waits for the disk. Default: 32 MiB.
    #[must_use]
    pub fn cap(mut self, bytes: usize) -> Self {
        self.cap = bytes;
        self
    }

    /// How long anybody waits for a disk that does nothing before the run fails. A disk that is slow but goes on is
    /// waited for. Default: 10 s.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Whether what is spilled is compressed (lz4), as long as that pays. Default: no; most disks are faster.
    #[must_use]
    pub fn compress(mut self, compress: bool) -> Self {
        self.compress = compress;
        self
    }
}
