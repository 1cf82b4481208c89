//! `Store` and `Shard`: where an array goes.
//!
//! A store holds objects under keys such as `zarr.json` and `c/0/3/1`. Small objects are [put](Store::put), whole.
//! Shards are written from front to back, where nobody sees them, and get their key when they [land](Shard::land).
//! So whoever reads the store sees an object whole or not at all, whatever happens to its writer.
//!
//! | store | what it is for |
//! |---|---|
//! | [`Files`] | a directory; with or without the page cache |
//! | [`Memory`] | tests, and arrays that are small |
//! | [`Discard`] | to measure everything but the disk |
//! | [`Throttled`], [`Stalling`] | around another store: to see how a rig fares when storage is slow or stops |
//!
//! Every store is driven by the same writer in the same way; none has a way of its own.

mod discard;
pub mod files;
mod memory;
mod stalling;
mod throttled;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

pub use self::discard::Discard;
pub use self::files::Files;
pub use self::memory::Memory;
pub use self::stalling::{Stall, Stalling};
pub use self::throttled::Throttled;

/// Where an array goes. One writer at a time.
///
/// [`begin`](Store::begin), [`put`](Store::put) and [`remove`](Store::remove) are called from threads of the writer
/// which do nothing else; a store may take its time. Several shards may be open at once, thousands if a frame has as
/// many.
///
/// Keys are relative paths with `/` between their parts. No part is empty, `.` or `..`, and none begins with
/// `.forebay`; others a store may refuse.
pub trait Store: Send + Sync + fmt::Debug + 'static {
    /// Starts the shard that is to be `key`. An object that has the key keeps it until the shard has landed.
    ///
    /// # Errors
    /// [`StoreError`].
    fn begin(&self, key: &str) -> Result<Box<dyn Shard>, StoreError>;

    /// Replaces object `key` by `bytes`, whole or not at all. Returns when that will survive a crash.
    ///
    /// # Errors
    /// [`StoreError`]. Then the object is the old one or, if only its durability is in doubt, the new one.
    fn put(&self, key: &str, bytes: &[u8]) -> Result<(), StoreError>;

    /// Bytes of object `key`, or `None` if there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    fn size(&self, key: &str) -> Result<Option<u64>, StoreError>;

    /// Fills `out` with the bytes of object `key` from `offset` on.
    ///
    /// # Errors
    /// [`StoreError`], also if there is no such object, or if it ends before.
    fn read(&self, key: &str, offset: u64, out: &mut [u8]) -> Result<(), StoreError>;

    /// Removes object `key` and every object whose key begins with `key/`. Nothing to remove is no error.
    ///
    /// # Errors
    /// [`StoreError`].
    fn remove(&self, key: &str) -> Result<(), StoreError>;

    /// The names directly beneath `key`, without order: of `c`, the rows of shards. None if there is no `key`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn list(&self, key: &str) -> Result<Vec<String>, StoreError>;

    /// Whether somebody is writing here. [`Activity::Unknown`] for stores that do not know.
    ///
    /// # Errors
    /// [`StoreError`].
    fn activity(&self) -> Result<Activity, StoreError> {
        Ok(Activity::Unknown)
    }
}

/// A shard that is being written. Dropped before it has landed, it leaves nothing.
pub trait Shard: Send + fmt::Debug {
    /// Adds `parts`, one after the other, at the end.
    ///
    /// # Errors
    /// [`StoreError`]. Then how much of it was written is unknown, and the shard can only be dropped: further calls
    /// fail.
    fn write(&mut self, parts: &[Bytes]) -> Result<(), StoreError>;

    /// Everything is written: makes it durable and gives it its key, in place of an older object.
    ///
    /// # Errors
    /// [`StoreError`]. Then the key has the older object or, if only its durability is in doubt, this one.
    fn land(self: Box<Self>) -> Result<(), StoreError>;
}

/// Whether somebody is writing to a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Activity {
    /// The store does not know.
    Unknown,
    /// Nobody is.
    Idle,
    /// Somebody is, now.
    Active,
    /// Nobody is, and the last who did has not come to its end. The next who opens the array to write cleans up.
    Died {
        /// Shards and objects that it had begun.
        unfinished: usize,
    },
}

/// So that whoever hands a store to a writer can keep a hand on it.
impl<S: Store + ?Sized> Store for Arc<S> {
    fn begin(&self, key: &str) -> Result<Box<dyn Shard>, StoreError> {
        (**self).begin(key)
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        (**self).put(key, bytes)
    }

    fn size(&self, key: &str) -> Result<Option<u64>, StoreError> {
        (**self).size(key)
    }

    fn read(&self, key: &str, offset: u64, out: &mut [u8]) -> Result<(), StoreError> {
        (**self).read(key, offset, out)
    }

    fn remove(&self, key: &str) -> Result<(), StoreError> {
        (**self).remove(key)
    }

    fn list(&self, key: &str) -> Result<Vec<String>, StoreError> {
        (**self).list(key)
    }

    fn activity(&self) -> Result<Activity, StoreError> {
        (**self).activity()
    }
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
    /// There is something else where an array is to be continued or replaced.
    NotAnArray {
        /// Where.
        path: PathBuf,
        /// How that shows.
        why: String,
    },
}

impl StoreError {
    /// For `map_err`: `operation` on `path` failed.
    pub(crate) fn io(operation: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> StoreError {
        let path = path.into();
        move |error| StoreError::Io { operation, path, error }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Io { operation, path, error } => write!(f, "{operation} {}: {error}", path.display()),
            StoreError::Exists { path } => write!(f, "{} exists already", path.display()),
            StoreError::Locked { path } => write!(f, "{} is being written by somebody else", path.display()),
            StoreError::NotAnArray { path, why } => write!(f, "{} is not an array: {why}", path.display()),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StoreError::Io { error, .. } => Some(error),
            StoreError::Exists { .. } | StoreError::Locked { .. } | StoreError::NotAnArray { .. } => None,
        }
    }
}
