//! [`SpillStore`]: *where* spilled bytes go.
//!
//! A store is unbuffered and keeps nothing for its callers: `append` returns when the bytes are in the store,
//! [`Extent::read`] fills the caller's buffer. Gathering items into blocks, deciding what to spill and doing it on a thread of its own
//! is the business of the layers above.
//!
//! # Invariants
//!
//! - `append` is all or nothing: after an error the store's usage is what it was and nothing can be read.
//! - An [`Extent`] is the only name of its bytes and owns them: dropping it frees them, and they stay readable until
//!   then, whatever happens to the store's handle or its directory.
//! - Bytes of different owners never share a file, so that one owner's slow reader does not pin another's disk space.
//! - No lock is held across a read or a write.
//!
//! A store is scratch: it is empty when it is created, and nothing survives the process.

use std::fmt;
use std::io::IoSlice;
use std::sync::Arc;

use super::SpillError;

/// A place for bytes that do not fit into memory.
///
/// Authors of stores: the module `conformance` (feature of that name) checks what is written here.
///
/// ```
/// use std::io::IoSlice;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use forebay::{Extent, Location, MemoryStore, SpillError, SpillStore, Usage};
///
/// /// Counts the appends to another store.
/// #[derive(Debug)]
/// struct Counted<S>(S, AtomicU64);
///
/// impl<S: SpillStore> SpillStore for Counted<S> {
///     fn append(&self, owner: u64, parts: &[IoSlice<'_>]) -> Result<Extent, SpillError> {
///         self.1.fetch_add(1, Ordering::Relaxed);
///         self.0.append(owner, parts) // the extent frees itself, whoever made it
///     }
///
///     fn usage(&self) -> Usage {
///         self.0.usage()
///     }
///
///     fn location(&self) -> Location {
///         self.0.location()
///     }
/// }
///
/// let store = Counted(MemoryStore::new(1 << 20), AtomicU64::new(0));
/// let extent = store.append(1, &[IoSlice::new(b"spilled")])?;
/// assert_eq!((extent.len(), store.1.load(Ordering::Relaxed)), (7, 1));
/// # Ok::<(), SpillError>(())
/// ```
pub trait SpillStore: fmt::Debug + Send + Sync {
    /// Appends the concatenation of `parts`, all or nothing, and returns its name. Empty parts are allowed.
    ///
    /// `owner` is the id of the budget's consumer whose bytes these are.
    ///
    /// # Errors
    ///
    /// [`SpillError::QuotaExceeded`] if the quota does not allow it, [`SpillError::Io`] if the system does not.
    fn append(&self, owner: u64, parts: &[IoSlice<'_>]) -> Result<Extent, SpillError>;

    /// What the store holds now.
    fn usage(&self) -> Usage;

    /// What messages show for this store.
    fn location(&self) -> Location;
}

macro_rules! handles {
    ($($handle:ident),*) => {$(
        impl<S: SpillStore + ?Sized> SpillStore for $handle<S> {
            fn append(&self, owner: u64, parts: &[IoSlice<'_>]) -> Result<Extent, SpillError> {
                (**self).append(owner, parts)
            }

            fn usage(&self) -> Usage {
                (**self).usage()
            }

            fn location(&self) -> Location {
                (**self).location()
            }
        }
    )*};
}

// So that which store it is can be decided at run time, and so that it can be looked at while a pager has it.
handles!(Box, Arc);

/// A contiguous run of bytes in a store. 32 bytes in memory; the bytes are freed when it is dropped.
///
/// It keeps what it needs of its store alive, so it may outlive the store's handle. Dropping never panics; a failure
/// to free is counted in [`Usage::failures`].
pub struct Extent {
    backing: Arc<dyn Backing>,
    at: u64,
    len: u64,
}

/// What holds the bytes of an extent: the side of a store that its extents see.
///
/// It displays as the place it is ("segment 3 in /tmp").
pub trait Backing: fmt::Debug + fmt::Display + Send + Sync {
    /// Fills `buf` with the bytes from `at`. The caller has checked that they belong to one extent.
    ///
    /// # Errors
    ///
    /// [`SpillError::Io`].
    fn read(&self, at: u64, buf: &mut [u8]) -> Result<(), SpillError>;

    /// Frees the `len` bytes from `at`: called once for each extent, when it is dropped. Must not panic.
    fn release(&self, at: u64, len: u64);
}

// Many are live at once, and a budget pays for them.
const _: () = assert!(size_of::<Extent>() <= 32);

impl Extent {
    /// The `len` bytes from `at` of `backing`, which become the extent's.
    pub fn new(backing: Arc<dyn Backing>, at: u64, len: u64) -> Self {
        Extent { backing, at, len }
    }

    /// Bytes in the extent.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the extent has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Fills `buf` from the extent, starting at byte `offset` of it. What `buf` holds after an error is unspecified.
    ///
    /// # Errors
    ///
    /// [`SpillError::OutOfRange`] if the extent does not have these bytes, [`SpillError::Io`] if they cannot be read.
    pub fn read(&self, offset: u64, buf: &mut [u8]) -> Result<(), SpillError> {
        let requested = buf.len() as u64;
        if offset.checked_add(requested).is_none_or(|end| end > self.len) {
            return Err(SpillError::OutOfRange { place: self.to_string(), offset, requested, len: self.len });
        }
        self.backing.read(self.at + offset, buf)
    }
}

impl Drop for Extent {
    fn drop(&mut self) {
        self.backing.release(self.at, self.len);
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bytes {}..{} of {}", self.at, self.at + self.len, self.backing)
    }
}

impl fmt::Debug for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Extent({self})")
    }
}

/// What a store holds, as plain numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Bytes in extents that were not dropped, and in appends under way.
    pub live: u64,
    /// Bytes that the store holds for itself: live ones, and dead ones that it could not give back yet.
    pub allocated: u64,
    /// The most that `allocated` may become. `u64::MAX` is no limit.
    pub quota: u64,
    /// Times that freeing bytes failed; they come back when the rest of their file is dead.
    pub failures: u64,
}

/// Where a store keeps its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// A directory, or "memory".
    pub name: String,
    /// Whether the bytes stay in memory (tmpfs, [`MemoryStore`](super::MemoryStore)), so that spilling frees none.
    pub in_memory: bool,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
