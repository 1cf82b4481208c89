//! `WriterOptions`: how an array is written.

use std::fmt;
use std::sync::Arc;
use std::thread;

use forebay::SpillStore;

use crate::error::WriteError;
use crate::layout::Layout;
use crate::memory::{self, MemoryEstimate};
use crate::resume;
use crate::spec::ArraySpec;
use crate::store::Store;
use crate::writer::ArrayWriter;

/// How an array is written; what array is to be written says [`ArraySpec`].
pub struct WriterOptions {
    pub(crate) workers: usize,
    pub(crate) memory: Option<usize>,
    pub(crate) spill: Option<Box<dyn SpillStore>>,
}

impl WriterOptions {
    /// One worker per core, as much memory as the array [needs](crate::memory_estimate), and no spill store.
    pub fn new() -> Self {
        WriterOptions { workers: thread::available_parallelism().map_or(1, usize::from), memory: None, spill: None }
    }

    /// How many threads compress (at least one).
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers.max(1);
        self
    }

    /// The most bytes of memory for everything. What is more than the array needs goes to the reserve for chunks that
    /// wait to be compressed.
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// Where compressed chunks wait when the array's store is slow. Without it, `append` waits for the store; with it,
    /// until `store` is full, only for the workers. When `store` fails or is full, the writer fails with that error: an
    /// instrument that cannot pause has nothing from a writer that waits in silence.
    pub fn spill(mut self, store: impl SpillStore + 'static) -> Self {
        self.spill = Some(Box::new(store));
        self
    }

    /// What a writer with these options takes for such an array.
    ///
    /// # Errors
    /// [`WriteError::Spec`] if no such array can be written, [`WriteError::Memory`] if it needs more than it is given.
    pub fn estimate(&self, spec: &ArraySpec) -> Result<MemoryEstimate, WriteError> {
        spec.validate()?;
        memory::settle(spec, &Layout::new(spec), self.workers, self.memory)
    }

    /// Creates an array.
    ///
    /// # Errors
    /// [`WriteError`]; for [`WriteError::Memory`] see [`memory`](WriterOptions::memory).
    pub fn create(self, store: impl Store, spec: ArraySpec) -> Result<ArrayWriter, WriteError> {
        ArrayWriter::start(self, Arc::new(store), spec, 0)
    }

    /// Opens an array to append to it, wherever it ended: orderly or not. The next frame is the one behind the last
    /// that was published. What was begun and not published is removed.
    ///
    /// # Errors
    /// [`WriteError`]; [`WriteError::Metadata`] if there is no array or one that cannot be gone on with.
    pub fn open_append(self, store: impl Store) -> Result<ArrayWriter, WriteError> {
        resume::open(self, Arc::new(store))
    }
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for WriterOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriterOptions")
            .field("workers", &self.workers)
            .field("memory", &self.memory)
            .field("spills", &self.spill.is_some())
            .finish()
    }
}
