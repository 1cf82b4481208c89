//! `WriterMonitor` and `WriterSnapshot`: what a writer has done, readable from other threads while it works.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use forebay::{DeliveryMonitor, Histogram, Monitor, Snapshot};

use crate::error::WriteError;
use crate::pool::Pool;

/// Reads the counters of a writer, also while it works and from other threads.
#[derive(Clone, Debug)]
pub struct WriterMonitor {
    pub(crate) counters: Arc<Counters>,
    pub(crate) engine: Monitor,
    pub(crate) write: DeliveryMonitor,
    pub(crate) land: DeliveryMonitor,
    pub(crate) slabs: Pool,
    pub(crate) frame_bytes: u64,
    /// Frames that a chunk stands for when there are many: depth of a layer over its chunks.
    pub(crate) frames_per_chunk: f64,
}

/// What a writer has done, as plain numbers. Of a writer that still works, the numbers are from slightly different
/// moments.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct WriterSnapshot {
    /// Whole frames appended, those of earlier writers of the same array included.
    pub frames_appended: u64,
    /// Frames that readers see.
    pub frames_landed: u64,
    /// Frames appended that readers do not see yet.
    pub frames_waiting: u64,
    /// About how many of them wait in the spill store.
    pub frames_spilled: u64,
    /// Bytes appended by this writer.
    pub bytes_in: u64,
    /// Bytes given to the store for the shards, indexes included.
    pub bytes_out: u64,
    /// Bytes of the chunks that were compressed, before that.
    pub packed_in: u64,
    /// And after it, wherever they are now. Their ratio is the one to show while the writer works.
    pub packed_out: u64,
    /// Bytes of frames that would be lost if the process ended now.
    pub bytes_at_risk: u64,
    /// Chunks that were compressed.
    pub chunks_compressed: u64,
    /// Chunks that were not stored because they are all fill value.
    pub chunks_left_out: u64,
    /// Calls of `append`.
    pub appends: u64,
    /// How often an append waited for memory.
    pub append_waits: u64,
    /// The longest append, in nanoseconds.
    pub append_nanos_longest: u64,
    /// How long appends took, in nanoseconds. Small ones that did not wait are counted as 0.
    pub append_nanos: Histogram,
    /// Bytes of slabs in use.
    pub slab_bytes: u64,
    /// The most bytes of slabs that were in use at a time.
    pub slab_bytes_peak: u64,
    /// How many planes were copied with helpers.
    pub scatter_parallel: u64,
    /// Shards that have their final name.
    pub shards_landed: u64,
    /// Jobs that were delivered to the store.
    pub delivery_jobs: u64,
    /// How often a job had to wait for the store.
    pub delivery_waits: u64,
    /// The longest single job of the store, in nanoseconds.
    pub delivery_nanos_longest: u64,
    /// The engine under it: workers, chunks spilled and read back.
    pub engine: Snapshot,
}

/// Raised by the threads of a writer.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) frames_appended: AtomicU64,
    pub(crate) bytes_in: AtomicU64,
    pub(crate) bytes_out: AtomicU64,
    pub(crate) packed_in: AtomicU64,
    pub(crate) packed_out: AtomicU64,
    pub(crate) chunks_compressed: AtomicU64,
    pub(crate) chunks_left_out: AtomicU64,
    pub(crate) append_waits: AtomicU64,
    pub(crate) scatter_parallel: AtomicU64,
    pub(crate) shards_landed: AtomicU64,
    appends: Mutex<Appends>,
    landed: Mutex<Landed>,
    changed: Condvar,
    /// A stage has ended. Set under the lock of `landed`.
    ended: AtomicBool,
    failure: OnceLock<WriteError>,
}

#[derive(Debug, Default)]
struct Appends {
    longest: u64,
    nanos: Histogram,
}

#[derive(Debug, Default)]
struct Landed {
    frames: u64,
    ticket: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

pub(crate) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

impl Counters {
    pub(crate) fn appended(&self, took: Duration) {
        let nanos = took.as_nanos() as u64;
        let mut appends = lock(&self.appends);
        appends.longest = appends.longest.max(nanos);
        appends.nanos.record(nanos);
    }

    /// Readers see `frames` frames.
    pub(crate) fn landed(&self, frames: u64) {
        lock(&self.landed).frames = frames;
    }

    /// Everything before flush `ticket` is visible.
    pub(crate) fn flushed(&self, ticket: u64) {
        let mut landed = lock(&self.landed);
        landed.ticket = landed.ticket.max(ticket);
        drop(landed);
        self.changed.notify_all();
    }

    /// What a stage has failed with first.
    pub(crate) fn failure(&self) -> Option<WriteError> {
        self.failure.get().cloned()
    }

    /// Whether a stage has ended, so that nothing more will be visible.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Waits for flush `ticket`, and returns how many frames readers see; `None` if it will not come.
    pub(crate) fn await_flush(&self, ticket: u64) -> Option<u64> {
        let mut landed = lock(&self.landed);
        while landed.ticket < ticket && !self.has_ended() {
            landed = self.changed.wait(landed).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        (landed.ticket >= ticket).then_some(landed.frames)
    }
}

/// Held by what runs in each stage. When a stage fails or ends, however that is, whoever waits for it is woken.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) counters: Arc<Counters>,
    pub(crate) slabs: Pool,
}

impl Stage {
    /// Passes `outcome` on. An error goes to the producer as well, which gets the first one, whichever stage it is of,
    /// at its next call.
    pub(crate) fn watch<T>(&self, outcome: Result<T, WriteError>) -> Result<T, WriteError> {
        if let Err(error) = &outcome {
            // A later failure is a consequence of the first.
            let _ = self.counters.failure.set(error.clone());
            self.end();
        }
        outcome
    }

    fn end(&self) {
        let landed = lock(&self.counters.landed);
        self.counters.ended.store(true, Ordering::Release);
        drop(landed);
        self.counters.changed.notify_all();
        self.slabs.close();
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.end();
    }
}

impl WriterMonitor {
    /// The numbers now.
    pub fn snapshot(&self) -> WriterSnapshot {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counters { bytes_in, bytes_out, chunks_compressed, chunks_left_out, .. } = &*self.counters;
        let landed = lock(&self.counters.landed).frames;
        let appended = get(&self.counters.frames_appended).max(landed);
        let (append_nanos_longest, append_nanos) = {
            let appends = lock(&self.counters.appends);
            (appends.longest, appends.nanos.clone())
        };
        let engine = self.engine.snapshot();
        let spilled = engine.spilled_items.saturating_sub(engine.reloaded_items);
        let (write, land) = (self.write.snapshot(), self.land.snapshot());
        let (slab_bytes, slab_bytes_peak) = self.slabs.bytes_out();
        WriterSnapshot {
            frames_appended: appended,
            frames_landed: landed,
            frames_waiting: appended - landed,
            frames_spilled: (spilled as f64 * self.frames_per_chunk) as u64,
            bytes_in: get(bytes_in),
            bytes_out: get(bytes_out),
            packed_in: get(&self.counters.packed_in),
            packed_out: get(&self.counters.packed_out),
            bytes_at_risk: (appended - landed) * self.frame_bytes,
            chunks_compressed: get(chunks_compressed),
            chunks_left_out: get(chunks_left_out),
            appends: append_nanos.count(),
            append_waits: get(&self.counters.append_waits),
            append_nanos_longest,
            append_nanos,
            slab_bytes: slab_bytes as u64,
            slab_bytes_peak: slab_bytes_peak as u64,
            scatter_parallel: get(&self.counters.scatter_parallel),
            shards_landed: get(&self.counters.shards_landed),
            delivery_jobs: write.jobs,
            delivery_waits: write.waits,
            delivery_nanos_longest: write.longest_nanos.max(land.longest_nanos),
            engine,
        }
    }
}
