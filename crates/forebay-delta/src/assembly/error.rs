//! What is wrong with how an assembly is used.

use std::fmt;

/// Why a file or a chunk was not taken. Nothing was changed by it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AssemblyError<K> {
    /// The file is being put together already.
    Known(K),
    /// No such file is being put together.
    Unknown(K),
    /// The file's end was told already.
    Ended(K),
    /// The chunk came before.
    Duplicate {
        /// Of which file.
        file: K,
        /// Its number.
        chunk: u64,
    },
    /// The file cannot end: this chunk, the first of those that did not come.
    Missing {
        /// Of which file.
        file: K,
        /// Its number.
        chunk: u64,
    },
    /// The chunk is behind the end of its file.
    Beyond {
        /// Of which file.
        file: K,
        /// Its number.
        chunk: u64,
        /// How many chunks the file has.
        chunks: u64,
    },
    /// Earlier chunks have not come, and what waits for such fills the memory. Give those first.
    Ahead {
        /// Of which file.
        file: K,
        /// The number of the chunk that was not taken.
        chunk: u64,
    },
    /// A target or what was to be done with it has panicked.
    Panicked,
}

impl<K: fmt::Debug> fmt::Display for AssemblyError<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AssemblyError::Known(file) => write!(f, "{file:?} is being put together already"),
            AssemblyError::Unknown(file) => write!(f, "{file:?} is not being put together"),
            AssemblyError::Ended(file) => write!(f, "the end of {file:?} was told already"),
            AssemblyError::Duplicate { file, chunk } => write!(f, "chunk {chunk} of {file:?} came before"),
            AssemblyError::Missing { file, chunk } => write!(f, "{file:?} ends without its chunk {chunk}"),
            AssemblyError::Beyond { file, chunk, chunks } => {
                write!(f, "chunk {chunk} of {file:?}, which has {chunks}")
            }
            AssemblyError::Ahead { file, chunk } => {
                write!(f, "chunk {chunk} of {file:?} is too far ahead of those before it for the memory")
            }
            AssemblyError::Panicked => f.write_str("a target has panicked"),
        }
    }
}

impl<K: fmt::Debug> std::error::Error for AssemblyError<K> {}
