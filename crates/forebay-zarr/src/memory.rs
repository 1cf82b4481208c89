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

/// Least bytes of slabs beyond those of chunks that are begun, unless [`WriterOptions::memory`](crate::WriterOptions::memory) says so.
const RESERVE: usize = 16 << 20;

/// What a thread takes beside its buffers: its stack and the allocator's share.
const THREAD: usize = 256 << 10;

/// What a writer takes beyond what the process has without it, in bytes.
///
/// There is no one number: memory is taken when it is needed. What is known before the first frame is what each
/// situation takes, within a tenth, or 8 MiB where that is more; twice that where a thread loses its turn and leaves more
/// chunks in flight, or fewer:
///
/// | | frames come | the store |
/// |---|---|---|
/// | [`steady`](Self::steady) | no faster than they are compressed | keeps up |
/// | [`stalled`](Self::stalled) | no faster than they are compressed | has stood still until everything was full behind it |
/// | [`total`](Self::total) | faster, until everything is full | has stood still, or is slower than they come |
///
/// *No faster than they are compressed*: when an append comes, no finished chunk waits for a worker. Frames that come in
/// bursts, or a store that is slow for a moment, are somewhere between the numbers.
/// Chunks that were compressed take what they became, so the numbers depend on the ratio of the data, by what is in
/// [`stored`](Self::stored) and [`delivery`](Self::delivery). A store's own buffers come on top: up to 1 MiB for
/// [`Files`](crate::store::Files).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryEstimate {
    /// Slabs of chunks that are begun, and the list of all chunks side by side.
    pub begun: usize,
    /// Slabs of chunks that are in the workers' hands or, without a codec, on their way to the store; contexts and
    /// buffers of the workers; the indexes of a row of shards.
    pub working: usize,
    /// Chunks that were just compressed, if they did not become smaller.
    pub stored: usize,
    /// What waits for its turn while the store stands still, or comes back from the spill store.
    pub results: usize,
    /// What is on its way to the store while that stands still, if it did not become smaller.
    pub delivery: usize,
    /// Slabs of chunks that wait for a worker.
    pub reserve: usize,
    /// Of all these, slabs; without those of chunks that are begun.
    slabs: usize,
}

impl MemoryEstimate {
    /// While the store keeps up, for data that become `ratio` times smaller.
    pub fn steady(&self, ratio: f64) -> usize {
        // A chunk that became short is copied out of its buffer, which keeps what it once held.
        self.begun + self.working + smaller(self.stored, if ratio < 2.0 { 1.0_f64.max(ratio) } else { ratio / 2.0 })
    }

    /// While the store stands still, for data that become `ratio` times smaller.
    pub fn stalled(&self, ratio: f64) -> usize {
        // However small they become, as many wait as make up a write.
        let least = self.delivery.min((WRITE_SLOTS - 1) * WRITE);
        self.steady(ratio) + self.results + smaller(self.delivery, ratio).max(least)
    }

    /// When everything is full, for data that become `ratio` times smaller.
    pub fn full(&self, ratio: f64) -> usize {
        self.stalled(ratio) + self.reserve
    }

    /// The most: when everything is full, for data that do not become smaller.
    pub fn total(&self) -> usize {
        self.full(1.0)
    }

    /// Bytes of slabs that may be in use.
    pub(crate) fn slabs(&self, layout: &Layout) -> usize {
        layout.live * layout.slabs_per_chunk * layout.slab_bytes + self.slabs
    }
}

/// What `bytes` bytes become that become `ratio` times smaller; never more.
fn smaller(bytes: usize, ratio: f64) -> usize {
    (bytes as f64 / ratio.max(1.0)) as usize
}

impl fmt::Display for MemoryEstimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
        write!(
            f,
            "{:.1} MiB while the store keeps up, {:.1} while it stands still, {:.1} at most: chunks begun {:.1}, in work \
             {:.1}, compressed {:.1}; waiting {:.1}, delivery {:.1}; reserve {:.1}",
            mib(self.steady(1.0)),
            mib(self.stalled(1.0)),
            mib(self.total()),
            mib(self.begun),
            mib(self.working),
            mib(self.stored),
            mib(self.results),
            mib(self.delivery),
            mib(self.reserve)
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

/// With as many slabs beyond those that are begun as a quarter of these.
fn usual(spec: &ArraySpec, layout: &Layout, workers: usize) -> MemoryEstimate {
    let least = least(spec, layout, workers);
    let slabs = least.slabs.max(RESERVE).max(least.begun / 4);
    with_more(least, slabs - least.slabs)
}

fn with_more(estimate: MemoryEstimate, more: usize) -> MemoryEstimate {
    MemoryEstimate { reserve: estimate.reserve + more, slabs: estimate.slabs + more, ..estimate }
}

/// With a reserve for what workers and store have in hand at a time, and as much again; without a codec, for what
/// workers have in hand.
fn least(spec: &ArraySpec, layout: &Layout, workers: usize) -> MemoryEstimate {
    let chunk = layout.slabs_per_chunk * layout.slab_bytes;
    let begun = layout.live * chunk + layout.chunks * size_of::<Slabs>();
    let bound = spec.codec.bound(spec.checksum, layout.chunk_bytes);
    let budget = result_budget(spec, layout);
    let context = THREAD + spec.codec.encoder_bytes(spec.dtype.size(), layout.chunk_bytes);
    let others = workers * context + index_bytes(layout);
    if spec.stores_slabs() {
        // What waits are slabs; only what comes back from the spill store is not: one chunk, and one read ahead.
        let in_hand = WRITE.max(chunk);
        let delivery = WRITE_SLOTS * (WRITE + chunk) - in_hand;
        let reserve = (workers + 2) * chunk;
        MemoryEstimate {
            begun,
            working: in_hand + others,
            stored: 0,
            results: budget + 2 * bound,
            delivery,
            reserve,
            slabs: in_hand + budget + delivery + reserve,
        }
    } else {
        let in_hand = workers * chunk;
        let reserve = 2 * (WRITE_SLOTS * WRITE + (workers + 1) * chunk) - in_hand;
        MemoryEstimate {
            begun,
            working: in_hand + others,
            stored: (workers + 1) * bound,
            results: budget,
            delivery: (WRITE_SLOTS - 1) * WRITE.max(bound),
            reserve,
            slabs: in_hand + reserve,
        }
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
        Some(more) => Ok(with_more(least, more)),
        None => Err(WriteError::Memory { needed: least.total(), given }),
    }
}
