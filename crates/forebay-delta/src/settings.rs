//! What a run may use.

use forebay::{Budget, CancelToken, Pipeline};

use crate::input::Spares;

/// Threads and memory of one operation. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many threads work, at least one. Default: one per core. What is short is done on the caller's thread: a few
    /// segments.
    pub workers: usize,
    /// Pays for what is read and waits for its turn, for block sums and for the table that finds them. Default: 64 MiB
    /// of its own ([`Budget::modest`]).
    pub budget: Budget,
    /// Ends the operation with [`Error::Cancelled`](crate::Error::Cancelled).
    pub cancel: CancelToken,
    /// Buffers in which one file after another is read, by operations with clones of these settings: at most 16 MiB wait to be
    /// used again, beside the budget. Default: none yet.
    pub spares: Spares,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            budget: Budget::modest(64 << 20),
            cancel: CancelToken::new(),
            spares: Spares::default(),
        }
    }
}

impl Settings {
    /// How many bytes of a file are one item of work: `most`, or less where the budget would not hold two of them for
    /// each worker; a multiple of `block_len` that is not zero.
    pub(crate) fn segment_len(&self, most: usize, block_len: usize) -> usize {
        // A segment of very short blocks has very many matches.
        let most = most.min(block_len.saturating_mul(MOST_BLOCKS));
        (self.share(most) / block_len).max(1) * block_len
    }

    /// As many bytes as are one item of work, without blocks.
    pub(crate) fn share(&self, most: usize) -> usize {
        most.min(self.budget.limit() / (4 * self.workers.max(1))).max(1)
    }

    pub(crate) fn pipeline(&self, name: &str) -> Pipeline {
        let ahead = AHEAD.saturating_mul(self.workers.max(1) as u64);
        let pipeline = Pipeline::new().name(name).workers(self.workers).budget(&self.budget).batch(1);
        pipeline.outstanding(ahead).cancel(&self.cancel)
    }
}

/// For each worker, segments that are read and not taken yet: enough for it to go on, and few enough for their buffers to be used
/// again and again.
const AHEAD: u64 = 4;

/// The most blocks of one segment.
const MOST_BLOCKS: usize = 1 << 16;
