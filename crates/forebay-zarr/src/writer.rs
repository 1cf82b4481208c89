//! `ArrayWriter`: frames in, an array out.
//!
//! ```text
//! append --> Scatter --> workers --> reorder buffer --> Assembler --> Delivery "write" --> Delivery "land"
//!            slabs       compress    order; spills      offsets       Shard::write         sync, rename, zarr.json
//! ```
//!
//! # Invariants
//! * The bytes of the array depend on the data and the specification alone, not on the number of workers, on the sizes
//!   in which the data came, or on what was spilled.
//! * Readers see whole frames of whole rows of shards: the shape grows only when every shard of the row has landed.
//! * Memory is at most what [`memory_estimate`](crate::memory_estimate) says, and what it says for each situation.
//!
//! # Failure
//! Once a stage has failed, every call returns its error. What was published stays; the rest leaves nothing behind.
//!
//! # Shutdown
//! [`close`](ArrayWriter::close) lands everything. A writer that is dropped without it ends as if the process had been
//! killed, but takes its temporary files with it; it waits for the one operation of the store that is in progress.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Instant;

use bytes::Bytes;
use forebay::{Budget, CopyPool, Feed, OnSpillError, Pipeline, TrySendError};
use serde_json::{Map, Value};

use crate::assemble::Assembler;
use crate::dtype::DataType;
use crate::error::WriteError;
use crate::land::{Attributes, Publisher};
use crate::layout::Layout;
use crate::memory::{self, MemoryEstimate};
use crate::metadata;
use crate::options::WriterOptions;
use crate::pack::{Packer, Packing};
use crate::pool::Pool;
use crate::progress::{Counters, Stage, WriterMonitor, WriterSnapshot, add};
use crate::scatter::Scatter;
use crate::spec::ArraySpec;
use crate::store::Store;
use crate::task::{Packed, Task};

/// Appends below this many bytes are only timed when they wait.
const WORTH_A_CLOCK: usize = 64 << 10;

/// Most threads that help to copy a large frame: a few saturate the memory.
const MOST_HELPERS: usize = 3;

/// How much memory an append that found none waits for, in bytes: it is woken some times for a large frame, but not
/// for every slab.
const ENOUGH: usize = 2 << 20;

/// Writes one array. See the crate's example; the module's documentation shows the stages.
pub struct ArrayWriter {
    spec: ArraySpec,
    layout: Layout,
    memory: MemoryEstimate,
    slabs: Pool,
    /// Slabs that an append waits for, once there are none: enough for what follows, so that it is woken once.
    enough: usize,
    scatter: Scatter,
    /// Finished chunks that found the queue full.
    pending: VecDeque<Task>,
    /// `None` once it was joined.
    feed: Option<Feed<Task, Packed, WriteError>>,
    failed: Option<WriteError>,
    /// Bytes from the beginning of the array.
    position: u64,
    attributes: Arc<Mutex<Attributes>>,
    flushes: u64,
    monitor: WriterMonitor,
}

/// What a [closed](ArrayWriter::close) writer has written.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Recorded {
    /// Frames of the array.
    pub frames: u64,
    /// The counters at the end.
    pub snapshot: WriterSnapshot,
}

impl ArrayWriter {
    /// Creates an array in `store`, with the default [`WriterOptions`].
    ///
    /// # Errors
    /// As [`WriterOptions::create`].
    pub fn create(store: impl Store, spec: ArraySpec) -> Result<Self, WriteError> {
        WriterOptions::new().create(store, spec)
    }

    /// Opens the array in `store` to append to it, with the default [`WriterOptions`].
    ///
    /// # Errors
    /// As [`WriterOptions::open_append`].
    pub fn open_append(store: impl Store) -> Result<Self, WriteError> {
        WriterOptions::new().open_append(store)
    }

    /// A writer whose next frame is `frame`.
    pub(crate) fn start(
        options: WriterOptions,
        store: Arc<dyn Store>,
        spec: ArraySpec,
        frame: u64,
    ) -> Result<Self, WriteError> {
        spec.validate()?;
        let layout = Layout::new(&spec);
        let WriterOptions { workers, memory, spill } = options;
        let memory = memory::settle(&spec, &layout, workers, memory)?;
        let most_slabs = memory.slabs / layout.slab_bytes;
        let slabs = Pool::new(layout.slab_bytes, most_slabs, layout.live * layout.slabs_per_chunk);
        let counters = Arc::new(Counters::default());
        counters.frames_appended.store(frame, Ordering::Relaxed);
        let attributes = Arc::new(Mutex::new(Attributes { map: spec.attributes.clone(), changed: false }));

        let packing = Packing::new(&spec, &layout, &counters);
        let stage = {
            let (counters, slabs) = (Arc::clone(&counters), slabs.clone());
            move || Stage { counters: Arc::clone(&counters), slabs: slabs.clone() }
        };
        let mut publisher = Publisher {
            store,
            spec: spec.clone(),
            attributes: Arc::clone(&attributes),
            counters: Arc::clone(&counters),
            frames: frame,
        };
        if frame == 0 {
            publisher.publish(0)?;
        }
        counters.landed(frame);
        let row = frame / layout.row_depth();
        let (mut assembler, [write, land]) = Assembler::start(&layout, publisher, &slabs, row)?;
        let assembling = stage();
        let sink = move |packed| assembling.watch(assembler.take(packed));
        let init = move || packing.packer(stage());
        let work = |packer: &mut Result<Packer, WriteError>, task| match packer {
            Ok(packer) => packer.pack(task),
            Err(error) => Err(error.clone()),
        };
        let pipeline = Pipeline::new()
            .name("forebay-zarr")
            .workers(workers)
            .budget(&Budget::new(memory::result_budget(&spec, &layout)))
            .window(most_slabs + workers + 64);
        let engine = pipeline.monitor();
        let feed = match spill {
            None => pipeline.worker_init(init).feed(work, sink)?,
            Some(spill) => {
                pipeline.spill(spill).on_spill_error(OnSpillError::Fail).worker_init(init).feed(work, sink)?
            }
        };
        let monitor = WriterMonitor {
            counters,
            engine,
            write,
            land,
            slabs: slabs.clone(),
            frame_bytes: layout.frame_bytes,
            frames_per_chunk: layout.depth as f64 / layout.chunks as f64,
        };
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let helpers = (cores / 2).min(MOST_HELPERS);
        let scatter = Scatter::new(&layout, &slabs, CopyPool::new(helpers), frame);
        let enough = (ENOUGH.min(memory.reserve / 4) / layout.slab_bytes).max(1);
        Ok(ArrayWriter {
            slabs,
            enough,
            scatter,
            pending: VecDeque::new(),
            feed: Some(feed),
            failed: None,
            position: frame * layout.frame_bytes,
            attributes,
            flushes: 0,
            monitor,
            spec,
            layout,
            memory,
        })
    }

    /// What array is being written.
    pub fn spec(&self) -> &ArraySpec {
        &self.spec
    }

    /// What the writer takes.
    pub fn estimate(&self) -> MemoryEstimate {
        self.memory
    }

    /// The number of the frame that the next byte belongs to.
    pub fn next_frame(&self) -> u64 {
        self.position / self.layout.frame_bytes
    }

    /// Reads the counters, also from other threads.
    pub fn monitor(&self) -> WriterMonitor {
        self.monitor.clone()
    }

    /// Appends any number of bytes: frames, rows, or parts of elements. Waits only while there is no memory: until
    /// chunks are compressed and, without a spill store, written.
    ///
    /// # Errors
    /// [`WriteError`], of this call or of whatever failed since the last one.
    pub fn append(&mut self, data: &[u8]) -> Result<(), WriteError> {
        let mut start = (data.len() >= WORTH_A_CLOCK).then(Instant::now);
        let mut left = self.push(data)?;
        while !left.is_empty() {
            start.get_or_insert_with(Instant::now);
            add(&self.monitor.counters.append_waits, 1);
            match self.pending.pop_front() {
                Some(task) => self.send(task)?,
                None => self.slabs.wait_for(self.enough),
            }
            left = self.push(left)?;
        }
        let took = start.map_or_else(Default::default, |start| start.elapsed());
        self.monitor.counters.appended(took);
        Ok(())
    }

    /// Appends as much of `data` as there is memory for, and gives back the rest. Never waits.
    ///
    /// # Errors
    /// As [`append`](ArrayWriter::append).
    pub fn try_append<'a>(&mut self, data: &'a [u8]) -> Result<&'a [u8], WriteError> {
        let start = (data.len() >= WORTH_A_CLOCK).then(Instant::now);
        let left = self.push(data)?;
        self.monitor.counters.appended(start.map_or_else(Default::default, |start| start.elapsed()));
        Ok(left)
    }

    /// Copies what there is memory for; returns the rest.
    fn push<'a>(&mut self, data: &'a [u8]) -> Result<&'a [u8], WriteError> {
        self.check()?;
        if self.spec.dtype == DataType::Bool
            && let Some(at) = data.iter().position(|&value| value > 1)
        {
            let frame = (self.position + at as u64) / self.layout.frame_bytes;
            return Err(WriteError::NotBool { frame, value: data[at] });
        }
        let mut left = data;
        loop {
            let taken = self.scatter.take(left);
            left = &left[taken..];
            self.position += taken as u64;
            while let Some(finished) = self.scatter.finished() {
                self.pending.push_back(Task::Chunk(finished));
            }
            self.submit()?;
            if taken == 0 || left.is_empty() {
                break;
            }
        }
        let Counters { frames_appended, bytes_in, scatter_parallel, .. } = &*self.monitor.counters;
        frames_appended.store(self.next_frame(), Ordering::Relaxed);
        add(bytes_in, (data.len() - left.len()) as u64);
        scatter_parallel.store(self.scatter.parallel(), Ordering::Relaxed);
        Ok(left)
    }

    /// Hands finished chunks to the workers as far as that goes without waiting.
    fn submit(&mut self) -> Result<(), WriteError> {
        while let Some(task) = self.pending.pop_front() {
            match self.feed.as_mut().map(|feed| feed.try_send(task)) {
                Some(Ok(_)) => {}
                Some(Err(TrySendError::Full(task))) => {
                    self.pending.push_front(task);
                    break;
                }
                Some(Err(TrySendError::Closed(_))) | None => return self.ended(),
            }
        }
        Ok(())
    }

    /// Hands one task to the workers; waits if it must.
    pub(crate) fn send(&mut self, task: Task) -> Result<(), WriteError> {
        match self.feed.as_mut().map(|feed| feed.send(task)) {
            Some(Ok(_)) => Ok(()),
            Some(Err(_)) | None => self.ended(),
        }
    }

    /// Everything that is pending, then `packed`.
    pub(crate) fn send_behind(&mut self, packed: Packed) -> Result<(), WriteError> {
        self.check()?;
        while let Some(task) = self.pending.pop_front() {
            self.send(task)?;
        }
        self.send(Task::Ready(packed))
    }

    fn check(&mut self) -> Result<(), WriteError> {
        if self.monitor.counters.has_ended() { self.ended() } else { Ok(()) }
    }

    /// A stage has ended: why? Says so without waiting for the others, one of which may hang in a call of the store.
    fn ended<T>(&mut self) -> Result<T, WriteError> {
        let known = self.failed.take().or_else(|| self.monitor.counters.failure());
        let spill = || self.feed.as_ref().and_then(Feed::spill_error).map(WriteError::Spill);
        let error = known.or_else(spill).unwrap_or_else(|| match self.feed.take().map(Feed::finish) {
            Some(Err(error)) => error.into(),
            _ => WriteError::Ended,
        });
        self.pending.clear();
        self.failed = Some(error.clone());
        Err(error)
    }

    /// Changes the attributes of the array. Readers see them with the next row, or after
    /// [`flush`](ArrayWriter::flush) or [`close`](ArrayWriter::close).
    ///
    /// # Errors
    /// [`WriteError::Spec`] if a name is used that forebay needs itself.
    pub fn set_attributes(&mut self, attributes: Map<String, Value>) -> Result<(), WriteError> {
        metadata::check_attributes(&attributes)?;
        let mut shared = self.attributes();
        shared.map = attributes;
        shared.changed = true;
        Ok(())
    }

    /// Attributes of the frame that [`next_frame`](ArrayWriter::next_frame) names: a line `{"frame": N, ...}` in
    /// `frames/ROW.ndjson` beside the shards, where `ROW` is the number of the row of shards; published with the row.
    /// The format has no place of its own for attributes of a part of an array.
    ///
    /// # Errors
    /// As [`append`](ArrayWriter::append).
    pub fn annotate(&mut self, attributes: Map<String, Value>) -> Result<(), WriteError> {
        let mut line = Map::new();
        line.insert("frame".into(), self.next_frame().into());
        line.extend(attributes);
        self.send_behind(Packed::Note { line: Bytes::from(format!("{}\n", Value::Object(line))) })
    }

    /// Waits until every whole row of shards has landed, and returns how many frames readers see. Nothing is padded:
    /// frames of a row that is not whole stay where they are, and appends go on.
    ///
    /// # Errors
    /// As [`append`](ArrayWriter::append).
    pub fn flush(&mut self) -> Result<u64, WriteError> {
        self.flushes += 1;
        self.send_behind(Packed::Flush { ticket: self.flushes })?;
        match self.monitor.counters.await_flush(self.flushes) {
            Some(frames) => Ok(frames),
            None => self.ended(),
        }
    }

    /// Lands everything, the last row as far as it goes, and ends every thread. Returns when all of it has reached the
    /// store.
    ///
    /// # Errors
    /// As [`append`](ArrayWriter::append); [`WriteError::Partial`] if the data ends within a frame: then every whole
    /// frame has landed, and only the rest of the data is lost.
    pub fn close(mut self) -> Result<Recorded, WriteError> {
        self.check()?;
        let frame_bytes = self.layout.frame_bytes;
        let (frames, partial) = (self.position / frame_bytes, self.position % frame_bytes);
        self.send_behind(Packed::Last { frames })?;
        if self.scatter.has_begun() {
            self.scatter.pad(partial);
            while let Some(finished) = self.scatter.finished() {
                self.pending.push_back(Task::Chunk(finished));
            }
        }
        self.send_behind(Packed::Close)?;
        if let Some(feed) = self.feed.take() {
            feed.finish()?;
        }
        if partial > 0 {
            return Err(WriteError::Partial { frame: frames, bytes: partial, of: frame_bytes });
        }
        Ok(Recorded { frames, snapshot: self.monitor.snapshot() })
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// See [`Scatter::restore`].
    pub(crate) fn restore(&mut self, chunk: usize, decoded: &[u8]) {
        self.scatter.restore(chunk, decoded);
    }

    fn attributes(&self) -> MutexGuard<'_, Attributes> {
        self.attributes.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl fmt::Debug for ArrayWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArrayWriter").field("spec", &self.spec).field("next_frame", &self.next_frame()).finish()
    }
}
