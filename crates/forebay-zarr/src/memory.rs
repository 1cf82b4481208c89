//! `MemoryEstimate`: what a writer takes, known before the first frame.
//!
//! Nearly all of it is *slabs*: the chunks that are begun at a time, and a reserve for those that are finished and not
//! compressed yet. While the reserve lasts, an append does not wait.

use std::fmt;

use crate::assemble::{WRITE, WRITE_SLOTS};
use crate::error::WriteError;
use crate::layout::Layout;
use crate::scatter::Slabs;
use crate::spec::{ArraySpec, SpecError};

/// Least budget of what waits for its turn.
const RESULTS: usize = 8 << 20;

/// And the least in chunks: the next one, the one that is being handed on, and what is on its way to the spill store.
const RESULT_CHUNKS: usize = 5;

/// Least bytes of the reserve, unless [`WriterOptions::memory`](crate::WriterOptions::memory) says so.
const RESERVE: usize = 16 << 20;

/// What a thread takes beside its buffers: its stack and the allocator's share.
const THREAD: usize = 256 << 10;

/// What a writer takes beyond what the process has without it, in bytes, when everything fills up: within a tenth, or
/// 8 MiB where that is more. A writer whose store keeps up and whose frames come slowly takes less. A store's own buffers
/// come on top: 1 MiB for [`Files`](crate::store::Files) that are unbuffered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryEstimate {
    /// Slabs of chunks that are begun, and the list of all chunks side by side.
    pub begun: usize,
    /// Slabs in reserve.
    pub reserve: usize,
    /// Compressed chunks that wait for their turn, or come back from the spill store.
    pub results: usize,
    /// Contexts and buffers of the workers.
    pub workers: usize,
    /// What is on its way to the store, and the indexes of a row of shards.
    pub delivery: usize,
}

impl MemoryEstimate {
    /// All of it.
    pub fn total(&self) -> usize {
        self.begun + self.reserve + self.results + self.workers + self.delivery
    }
}

impl fmt::Display for MemoryEstimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
        write!(
            f,
            "{:.1} MiB: chunks begun {:.1}, reserve {:.1}, compressed {:.1}, workers {:.1}, delivery {:.1}",
            mib(self.total()),
            mib(self.begun),
            mib(self.reserve),
            mib(self.results),
            mib(self.workers),
            mib(self.delivery)
        )
    }
}

/// What a writer of such an array with `workers` workers takes, unless it is given more.
///
/// # Errors
/// [`SpecError`] if no such array can be written.
pub fn memory_estimate(spec: &ArraySpec, workers: usize) -> Result<MemoryEstimate, SpecError> {
    spec.validate()?;
    Ok(usual(spec, &Layout::new(spec), workers.max(1)))
}

/// With a quarter of what is begun in reserve.
fn usual(spec: &ArraySpec, layout: &Layout, workers: usize) -> MemoryEstimate {
    let least = least(spec, layout, workers);
    MemoryEstimate { reserve: least.reserve.max(RESERVE).max(least.begun / 4), ..least }
}

/// With a reserve for what workers and store have in hand at a time, and as much again; without a codec, for all that
/// may wait.
fn least(spec: &ArraySpec, layout: &Layout, workers: usize) -> MemoryEstimate {
    let chunk = layout.slabs_per_chunk * layout.slab_bytes;
    let stored = spec.codec.bound(spec.checksum, layout.chunk_bytes);
    let budget = result_budget(spec, layout);
    let (reserve, results, in_hand, delivery) = if spec.stores_slabs() {
        // What waits are slabs; only what comes back from the spill store is not: one chunk, and one read ahead.
        (budget + WRITE_SLOTS * (WRITE + chunk) + (workers + 2) * chunk, 2 * stored, 0, 0)
    } else {
        (2 * (WRITE_SLOTS * WRITE + (workers + 1) * chunk), budget, stored, WRITE_SLOTS * WRITE.max(stored))
    };
    MemoryEstimate {
        begun: layout.live * chunk + layout.chunks * size_of::<Slabs>(),
        reserve,
        results,
        workers: workers * (in_hand + THREAD + spec.codec.encoder_bytes(spec.dtype.size(), layout.chunk_bytes)),
        delivery: delivery + index_bytes(layout),
    }
}

/// The budget of the pipeline, which also pays for a little beside each chunk.
pub(crate) fn result_budget(spec: &ArraySpec, layout: &Layout) -> usize {
    RESULTS.max(RESULT_CHUNKS * (spec.codec.bound(spec.checksum, layout.chunk_bytes) + 4096))
}

fn index_bytes(layout: &Layout) -> usize {
    layout.shards() * layout.chunks_per_shard() * 16
}

/// What a writer may take that was given `given` bytes, or nothing.
pub(crate) fn settle(
    spec: &ArraySpec,
    layout: &Layout,
    workers: usize,
    given: Option<usize>,
) -> Result<MemoryEstimate, WriteError> {
    let Some(given) = given else { return Ok(usual(spec, layout, workers)) };
    let least = least(spec, layout, workers);
    match given.checked_sub(least.total()) {
        Some(more) => Ok(MemoryEstimate { reserve: least.reserve + more, ..least }),
        None => Err(WriteError::Memory { needed: least.total(), given }),
    }
}
