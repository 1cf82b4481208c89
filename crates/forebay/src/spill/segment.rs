//! [`SegmentStore`]: spilled bytes in files without names.
//!
//! ```text
//!   owner 1   [ segment 64 MiB, full ] [ segment, open: ####....  ]
//!   owner 2   [ segment, open: ##.#  ]       # live extent  . dead, given back in whole MiB
//! ```
//!
//! # Invariants
//!
//! - A segment file has no name (`O_TMPFILE`, or unlinked right after it was created) and mode 0600: nothing is left
//!   after `kill -9`, and nobody else reads it.
//! - An extent holds its segment, a segment holds its file open: removing or re-creating the directory loses nothing
//!   that was written. A segment lives exactly as long as its extents; the store itself only refers to it weakly.
//! - Space is appended, never overwritten. Dead whole MiB are given back to the file system (hole punching) as they
//!   die, the rest when the segment's last extent is dropped. So a store never only grows; at most it holds one MiB for
//!   a live byte.
//! - The quota counts what the file system holds: appended less given back. It is charged before a write, and refunded
//!   after the space was given back.
//! - Two locks (the table of open segments, the ledger of one segment), held for a few instructions each, never
//!   together, never across a system call.
//!
//! # Failure
//!
//! Interrupted and short calls are continued. An append that fails gives its space back and is not visible. Dropping an
//! extent cannot fail for its caller: what could not be given back stays charged until its segment is closed, is counted
//! in [`Usage::failures`], and logged once.
//!
//! # Numbers
//!
//! One file descriptor for 64 MiB, or for a 256th of the quota if that is more, so that a full store keeps about 256
//! descriptors, and as many more as owners have segments that are not full. The first append of an owner, and each
//! after all its extents are gone, creates a file. Dropping the last extent of a segment closes its file, on the thread
//! that drops: about a millisecond for 64 MiB in the page cache.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::SpillError;
use super::account::Account;
use super::fs::{FileSystem, RealFs, ScratchFile, Space};
use super::ledger::Ledger;
use super::store::{Backing, Extent, Location, SpillStore, Usage};

/// Most parts of one vectored write (`IOV_MAX` on Linux and macOS).
const MAX_PARTS: usize = 1024;

/// A store of segment files in one directory.
#[derive(Debug)]
pub struct SegmentStore {
    shared: Arc<Shared>,
}

/// How a [`SegmentStore`] is set up.
#[derive(Clone, Debug)]
pub struct SegmentOptions {
    quota: Option<u64>,
    segment_size: Option<u64>,
    file_system: Arc<dyn FileSystem>,
}

impl SegmentStore {
    /// A store in the directory for temporary files ([`std::env::temp_dir`]) with default options.
    ///
    /// # Errors
    ///
    /// As [`SegmentOptions::open`].
    pub fn temp() -> Result<Self, SpillError> {
        Self::in_dir(std::env::temp_dir())
    }

    /// A store in an existing directory with default options.
    ///
    /// # Errors
    ///
    /// As [`SegmentOptions::open`].
    pub fn in_dir(dir: impl AsRef<Path>) -> Result<Self, SpillError> {
        SegmentOptions::new().open(dir)
    }
}

impl Default for SegmentOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl SegmentOptions {
    /// The defaults: see the setters.
    pub fn new() -> Self {
        SegmentOptions {
            quota: None,
            segment_size: None,
            file_system: Arc::new(RealFs),
        }
    }

    /// Most bytes that the file system is to hold for the store. Default: a quarter of what is free in the directory's
    /// file system when the store is opened.
    #[must_use]
    pub fn quota(mut self, bytes: u64) -> Self {
        self.quota = Some(bytes);
        self
    }

    /// Bytes after which a new segment file is begun; a larger append gets a segment of its own size. Default: 64 MiB,
    /// or a 256th of the quota if that is more.
    #[must_use]
    pub fn segment_size(mut self, bytes: u64) -> Self {
        self.segment_size = Some(bytes);
        self
    }

    /// What makes the files. Default: [`RealFs`].
    #[must_use]
    pub fn file_system(mut self, file_system: Arc<dyn FileSystem>) -> Self {
        self.file_system = file_system;
        self
    }

    /// Opens a store in `dir`, which must exist, and makes a file there once, so that a directory that cannot be used
    /// is found now and not when memory is short. Warns (`tracing`) if `dir` keeps its files in memory.
    ///
    /// # Errors
    ///
    /// [`SpillError::Io`] if `dir` is not a directory in which files can be made.
    pub fn open(self, dir: impl AsRef<Path>) -> Result<SegmentStore, SpillError> {
        const SEGMENT_SIZE: u64 = 64 << 20;
        const SEGMENTS: u64 = 256;
        let dir = dir.as_ref();
        // Made absolute once, so that a later change of the working directory does not move the store.
        let dir = std::path::absolute(dir)
            .map_err(|error| SpillError::io("find the directory", dir, error))?;
        let Space { free, in_memory } = self
            .file_system
            .space(&dir)
            .map_err(|error| SpillError::io("find the free space of", &dir, error))?;
        self.file_system
            .create(&dir)
            .map_err(|error| SpillError::io("create a segment in", &dir, error))?;
        if in_memory {
            tracing::warn!(
                dir = %dir.display(),
                "the spill directory is a tmpfs: what is spilled stays in memory; choose a directory on a disk"
            );
        }
        let quota = self.quota.unwrap_or(free / 4);
        let shared = Shared {
            segment_size: self
                .segment_size
                .unwrap_or_else(|| SEGMENT_SIZE.max(quota / SEGMENTS)),
            account: Account::new(quota),
            file_system: self.file_system,
            dir,
            in_memory,
            can_punch: AtomicBool::new(true),
            created: AtomicU64::new(0),
            open: Mutex::default(),
        };
        Ok(SegmentStore {
            shared: Arc::new(shared),
        })
    }
}

impl SpillStore for SegmentStore {
    fn append(&self, owner: u64, parts: &[IoSlice<'_>]) -> Result<Extent, SpillError> {
        let len = parts.iter().map(|part| part.len() as u64).sum();
        let (segment, at) = self.shared.claim(owner, len)?;
        // From here on the extent owns the claim: dropping it, on an error below too, releases the bytes.
        let extent = Extent::new(segment.clone(), at, len);
        if let Err(error) = write_all(&*segment.file, parts, at) {
            segment.erase(at, len);
            return Err(SpillError::io(
                "write a segment in",
                &self.shared.dir,
                error,
            ));
        }
        Ok(extent)
    }

    fn usage(&self) -> Usage {
        self.shared.account.usage()
    }

    fn location(&self) -> Location {
        Location {
            name: self.shared.dir.display().to_string(),
            in_memory: self.shared.in_memory,
        }
    }
}

/// What the store and its segments share.
#[derive(Debug)]
struct Shared {
    file_system: Arc<dyn FileSystem>,
    dir: PathBuf,
    in_memory: bool,
    segment_size: u64,
    account: Account,
    /// Cleared when the file system turns out to have no holes.
    can_punch: AtomicBool,
    created: AtomicU64,
    /// By owner: the segment that takes the next append.
    open: Mutex<HashMap<u64, Weak<Segment>>>,
}

impl Shared {
    /// Claims `len` bytes for `owner`, in the open segment if they fit, else in a new one.
    fn claim(self: &Arc<Self>, owner: u64, len: u64) -> Result<(Arc<Segment>, u64), SpillError> {
        self.account.charge(len, &self.dir.display())?;
        let open = lock(&self.open).get(&owner).and_then(Weak::upgrade);
        if let Some(segment) = open {
            let claimed = segment.books.ledger().claim(len, segment.capacity);
            if let Some(at) = claimed {
                return Ok((segment, at));
            }
        }
        let file = self.file_system.create(&self.dir).map_err(|error| {
            self.account.died(len);
            self.account.refund(len);
            SpillError::io("create a segment in", &self.dir, error)
        })?;
        let capacity = self.segment_size.max(len);
        let mut ledger = Ledger::default();
        let at = ledger.claim(len, capacity).unwrap_or_default();
        let segment = Arc::new(Segment {
            file,
            number: self.created.fetch_add(1, Ordering::Relaxed),
            capacity,
            books: Books {
                ledger: Mutex::new(ledger),
                owner,
                store: self.clone(),
            },
        });
        // Two threads of one owner may both come here: the later one's segment stays open, the other one lives on with
        // its extents.
        lock(&self.open).insert(owner, Arc::downgrade(&segment));
        Ok((segment, at))
    }
}

/// One file. It is closed, and its space is free, when its last extent goes.
#[derive(Debug)]
struct Segment {
    file: Box<dyn ScratchFile>,
    number: u64,
    capacity: u64,
    /// Declared after the file: fields are dropped in this order, and the refund comes after the close.
    books: Books,
}

/// A segment's ledger; when dropped, it refunds what the segment held.
struct Books {
    ledger: Mutex<Ledger>,
    owner: u64,
    store: Arc<Shared>,
}

impl Books {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.ledger)
    }
}

impl Segment {
    /// Gives exactly these bytes of a failed append back.
    fn erase(&self, at: u64, len: u64) {
        if len > 0 && self.punch(at, len) {
            self.books.ledger().erased(at, len);
            self.books.store.account.refund(len);
        }
    }

    /// Gives bytes back to the file system; false if that failed.
    fn punch(&self, at: u64, len: u64) -> bool {
        let store = &self.books.store;
        if !store.can_punch.load(Ordering::Relaxed) {
            return false;
        }
        let Err(error) = retried(|| self.file.punch(at, len)) else {
            return true;
        };
        let first = store.account.failed();
        let dir = store.dir.display();
        if error.kind() == io::ErrorKind::Unsupported {
            if store.can_punch.swap(false, Ordering::Relaxed) {
                tracing::warn!(%dir, "the spill directory has no holes: space comes back in whole segments only");
            }
        } else if first {
            tracing::warn!(%dir, %error, "cannot give spilled bytes back before their segment is closed");
        }
        false
    }
}

impl Backing for Segment {
    fn read(&self, at: u64, buf: &mut [u8]) -> Result<(), SpillError> {
        read_all(&*self.file, buf, at)
            .map_err(|error| SpillError::io("read a segment in", &self.books.store.dir, error))
    }

    fn release(&self, at: u64, len: u64) {
        let dead = self.books.ledger().release(at, len);
        self.books.store.account.died(len);
        // Nobody claims or reads a dead range again, so no lock is needed to give it back.
        if let Some(dead) = dead {
            if self.punch(dead.at, dead.len) {
                self.books.store.account.refund(dead.held);
            } else {
                self.books.ledger().stuck(dead.held);
            }
        }
    }
}

impl Drop for Books {
    fn drop(&mut self) {
        let held = self.ledger().held();
        self.store.account.refund(held);
        let mut open = lock(&self.store.open);
        if open
            .get(&self.owner)
            .is_some_and(|segment| segment.strong_count() == 0)
        {
            open.remove(&self.owner);
        }
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "segment {} in {}",
            self.number,
            self.books.store.dir.display()
        )
    }
}

impl fmt::Debug for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Books")
            .field("owner", &self.owner)
            .field("ledger", &self.ledger)
            .finish_non_exhaustive()
    }
}

/// Nothing panics under these locks, so what a poisoned one guards is sound.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Calls until the call is not interrupted.
fn retried<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Writes all of `parts`, continuing after short writes.
fn write_all(file: &dyn ScratchFile, parts: &[IoSlice<'_>], mut at: u64) -> io::Result<()> {
    for group in parts.chunks(MAX_PARTS) {
        let mut group = group.to_vec();
        let mut left = &mut group[..];
        // Empty parts at the front would look like a write of nothing.
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            let written = retried(|| file.write_at(left, at))?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            IoSlice::advance_slices(&mut left, written);
            at += written as u64;
        }
    }
    Ok(())
}

/// Fills all of `buf`, continuing after short reads.
fn read_all(file: &dyn ScratchFile, mut buf: &mut [u8], mut at: u64) -> io::Result<()> {
    while !buf.is_empty() {
        let read = retried(|| file.read_at(buf, at))?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buf = &mut buf[read..];
        at += read as u64;
    }
    Ok(())
}
