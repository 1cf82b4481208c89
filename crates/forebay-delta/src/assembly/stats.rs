//! What an assembly did.

/// Who puts the files together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// The threads that bring the chunks, until a hundred files or 64 MiB have come; then workers.
    #[default]
    Auto,
    /// The threads that bring the chunks.
    Sequential,
    /// Workers, from the first chunk on.
    Parallel,
}

/// Counters of an assembly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AssemblyStats {
    /// Files that were begun.
    pub files: u64,
    /// Chunks that were applied or, of files that had failed, dropped.
    pub chunks: u64,
    /// Bytes that were in chunks.
    pub literal: u64,
    /// Bytes that were copied from a basis.
    pub copied: u64,
    /// Chunks that were applied by the threads that brought them, because there were no workers.
    pub inline: u64,
    /// Worker threads that were started: none while the work was done by those that brought it.
    pub workers: u64,
    /// Those of them that had something to do.
    pub workers_used: u64,
    /// How often somebody waited because the memory was full.
    pub waits: u64,
    /// The most bytes that chunks held at one time.
    pub peak: usize,
    /// The most bytes at one time of chunks whose predecessors had not come.
    pub peak_ahead: usize,
}
