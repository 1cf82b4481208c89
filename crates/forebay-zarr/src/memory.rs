//! `MemoryEstimate`: what a writer takes, known before the first frame.
//!
//! Nearly all of it is *slabs*: the chunks that are begun at a time, those that are finished and not compressed yet, and
//! those that are compressed, which stay where they were, and wait for the store. While there are slabs, an append does not
//! wait.

use std::fmt;

use crate::assemble::{WRITE, WRITE_SLOTS};
use crate::error::WriteError;
use crate::layout::Layout;
use crate::scatter::Slabs;
use crate::spec::{ArraySpec, SpecError};

/// Least budget of what waits for its turn.
const RESULTS: usize = 8 << 20;

/// And the least in chunks: the next one, the one that is being handed on, and what is on its way to the spill store.
const RESULT_CHUNKS: usize = 4;

/// Least bytes of slabs beyond those of chunks that are begun, unless [`WriterOptions::memory`](crate::WriterOptions::memory) says so.
const RESERVE: usize = 16 << 20;

/// What a thread takes beside its buffers: its stack and the allocator's share.
const THREAD: usize = 256 << 10;

/// What a writer takes beyond what the process has without it, in bytes.
///
/// There is no one number: memory is taken when it is needed. What is known before the first frame is what each
/// situation takes, within a tenth, or 8 MiB where that is more:
///
/// | | frames come | the store |
/// |---|---|---|
/// | [`steady`](Self::steady) | no faster than they are compressed | keeps up |
/// | [`stalled`](Self::stalled) | no faster than they are compressed | has stood still until everything was full behind it |
/// | [`full`](Self::full) | faster, until everything is full | has stood still, or is slower than they come |
///
/// *No faster than they are compressed*: what has come and is not compressed yet is no more than the chunks that are begun
/// at a time and one for each worker. Frames that come in bursts, or a store that is slow for a moment, are somewhere
/// between the numbers.
/// Chunks that were compressed take what they became, so the numbers depend on the ratio of the data, by what is in
/// [`buffers`](Self::buffers), [`delivery`](Self::delivery) and [`reload`](Self::reload). A store's own buffers come on top: up to 1 MiB for
/// [`Files`](crate::store::Files).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryEstimate {
    /// Slabs of chunks that are begun, and the list of all chunks side by side.
    pub begun: usize,
    /// Slabs of chunks that are in the workers' hands or, without a codec, on their way to the store; contexts of the
    /// workers; the indexes of a row of shards.
    pub working: usize,
    /// What the workers compress into, if chunks do not become smaller.
    pub buffers: usize,
    /// What waits for its turn while the store stands still.
    pub results: usize,
    /// What is on its way to the store while that stands still, if it did not become smaller.
    pub delivery: usize,
    /// What comes back from the spill store, if it did not become smaller.
    pub reload: usize,
    /// Slabs of chunks that wait for a worker.
    pub reserve: usize,
    /// Bytes of slabs that may be in use.
    pub(crate) slabs: usize,
    /// Bytes of a slab and of a chunk.
    slab: usize,
    chunk: usize,
}

impl MemoryEstimate {
    /// While the store keeps up, for data that become `ratio` times smaller.
    pub fn steady(&self, ratio: f64) -> usize {
        self.begun + self.working + smaller(self.buffers, ratio)
    }

    /// While the store stands still and what finds no room spills, and after that, for data that become `ratio` times
    /// smaller.
    pub fn stalled(&self, ratio: f64) -> usize {
        self.steady(ratio) + self.waiting(ratio) + writes(self.reload, ratio)
    }

    /// When everything is full and nothing spills, for data that become `ratio` times smaller; with a spill store, by
    /// [`reload`](Self::reload) more.
    pub fn full(&self, ratio: f64) -> usize {
        // All slabs are in use, and beside them, of each chunk that waits for the store, is what does not fill one.
        let stored = smaller(self.chunk, ratio);
        let loose = match (self.buffers, stored) {
            (0, _) => 0.0,
            (_, 0) => 1.0,
            _ => (stored % self.slab) as f64 / stored as f64,
        };
        let loose = (self.waiting(ratio) as f64 * loose) as usize;
        self.steady(ratio) + self.waiting(1.0) + self.reserve + loose
    }

    /// The most: when everything is full, whatever the data.
    pub fn total(&self) -> usize {
        self.full(1.0).max(self.full(f64::INFINITY)) + self.reload
    }

    /// What was compressed and waits for the store.
    fn waiting(&self, ratio: f64) -> usize {
        self.results + writes(self.delivery, ratio)
    }
}

/// What `bytes` bytes become that become `ratio` times smaller; never more.
fn smaller(bytes: usize, ratio: f64) -> usize {
    (bytes as f64 / ratio.max(1.0)) as usize
}

/// What `bytes` bytes of [`WRITE_SLOTS`] writes become. However small chunks become, as many are on their way as make up
/// a write.
fn writes(bytes: usize, ratio: f64) -> usize {
    smaller(bytes, ratio).max(bytes.min(WRITE_SLOTS * WRITE))
}

impl fmt::Display for MemoryEstimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
        write!(
            f,
            "{:.1} MiB while the store keeps up, {:.1} while it stands still, {:.1} at most: chunks begun {:.1}, in work \
             {:.1}, buffers {:.1}; waiting {:.1}, delivery {:.1}, read back {:.1}; reserve {:.1}",
            mib(self.steady(1.0)),
            mib(self.stalled(1.0)),
            mib(self.total()),
            mib(self.begun),
            mib(self.working),
            mib(self.buffers),
            mib(self.results),
            mib(self.delivery),
            mib(self.reload),
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
    let live = layout.live * layout.slabs_per_chunk * layout.slab_bytes;
    let slabs = least.slabs.max(live + RESERVE).max(live + live / 4);
    with_more(least, slabs - least.slabs)
}

fn with_more(estimate: MemoryEstimate, more: usize) -> MemoryEstimate {
    MemoryEstimate { reserve: estimate.reserve + more, slabs: estimate.slabs + more, ..estimate }
}

/// With a reserve for what workers have in hand, and two chunks more.
fn least(spec: &ArraySpec, layout: &Layout, workers: usize) -> MemoryEstimate {
    let chunk = layout.slabs_per_chunk * layout.slab_bytes;
    let live = layout.live * chunk;
    let bound = spec.codec.bound(spec.checksum, layout.chunk_bytes);
    let context = THREAD + spec.codec.encoder_bytes(spec.dtype.size(), layout.chunk_bytes);
    let (in_hand, buffers) =
        if spec.stores_slabs() { (WRITE.max(chunk), 0) } else { (workers * chunk, workers * bound) };
    // A worker may overdraw the budget by one result, and then waits: all of them where there is nothing to compress, and
    // else most often about half of them.
    let overdrawn = if spec.stores_slabs() { workers * bound } else { workers * bound / 2 };
    let results = result_budget(spec, layout) + overdrawn;
    let delivery = WRITE_SLOTS * WRITE.max(chunk);
    let reserve = (workers + 2) * chunk;
    MemoryEstimate {
        begun: live + layout.chunks * size_of::<Slabs>(),
        working: in_hand + workers * context + index_bytes(layout),
        buffers,
        results,
        delivery,
        // One is being written while the next is read, see `Assembler`; the allocator keeps up to one more.
        reload: 5 * WRITE.max(bound) / 2,
        reserve,
        slabs: live + in_hand + results + delivery + reserve,
        slab: layout.slab_bytes,
        chunk: layout.chunk_bytes,
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
