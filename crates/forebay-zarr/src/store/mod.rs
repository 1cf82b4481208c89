//! `Store` and `Shard`: where an array goes.
//!
//! A store holds objects under keys such as `zarr.json` and `c/0/3/1`. Small objects are replaced whole. Shards are
//! written from front to back under a temporary name and appear under their key only when they [`land`](Shard::land):
//! whoever reads the store sees an object whole or not at all.

use std::fmt;
use std::io;
use std::path::PathBuf;

use bytes::Bytes;

/// Where an array goes. One writer at a time.
///
/// [`begin`](Store::begin), [`put`](Store::put) and [`remove`](Store::remove) are called from threads of the writer
/// which do nothing else; a store may take its time.
pub trait Store: Send + Sync + fmt::Debug + 'static {
    /// Starts the shard that is to be `key`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn begin(&self, key: &str) -> Result<Box<dyn Shard>, StoreError>;

    /// Replaces object `key` by `bytes`, whole or not at all. Returns when that will survive a crash.
    ///
    /// # Errors
    /// [`StoreError`].
    fn put(&self, key: &str, bytes: &[u8]) -> Result<(), StoreError>;

    /// Bytes of object `key`, or `None` if there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    fn size(&self, key: &str) -> Result<Option<u64>, StoreError>;

    /// Fills `out` with the bytes of object `key` from `offset` on.
    ///
    /// # Errors
    /// [`StoreError`], also if the object ends before.
    fn read(&self, key: &str, offset: u64, out: &mut [u8]) -> Result<(), StoreError>;

    /// Removes object `key` and every object whose key begins with `key/`. Nothing to remove is no error.
    ///
    /// # Errors
    /// [`StoreError`].
    fn remove(&self, key: &str) -> Result<(), StoreError>;

    /// The names directly beneath `key`, without order: of `c`, the rows of shards.
    ///
    /// # Errors
    /// [`StoreError`].
    fn list(&self, key: &str) -> Result<Vec<String>, StoreError>;

    /// The writer has closed the array in good order: what was only there for writing goes.
    ///
    /// # Errors
    /// [`StoreError`].
    fn finish(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A shard that is being written. Dropped before it has landed, it leaves nothing.
pub trait Shard: Send + fmt::Debug {
    /// Adds `parts`, one after the other, at the end.
    ///
    /// # Errors
    /// [`StoreError`].
    fn write(&mut self, parts: &[Bytes]) -> Result<(), StoreError>;

    /// Everything is written: makes it durable and gives it its key, in place of an older object.
    ///
    /// # Errors
    /// [`StoreError`].
    fn land(self: Box<Self>) -> Result<(), StoreError>;
}

/// What a store could not do.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// An operation failed.
    Io {
        /// What was to be done: `write`, `rename`, ...
        operation: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it failed.
        error: io::Error,
    },
    /// There is something already where an array is to be created.
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// Somebody else is writing this array.
    Locked {
        /// Where it is.
        path: PathBuf,
    },
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Io { operation, path, error } => write!(f, "{operation} {}: {error}", path.display()),
            StoreError::Exists { path } => write!(f, "{} exists already", path.display()),
            StoreError::Locked { path } => write!(f, "{} is being written by another process", path.display()),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StoreError::Io { error, .. } => Some(error),
            StoreError::Exists { .. } | StoreError::Locked { .. } => None,
        }
    }
}
