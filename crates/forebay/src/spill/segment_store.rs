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
//! extent cannot fail for its caller: what could not be given back stays charged until its segment is closed, is
//! counted in [`Usage::failures`], and logged once.
//!
//! # Numbers
//!
//! One file descriptor for 64 MiB, or for a 256th of the quota if that is more, so that a full store keeps about 256
//! descriptors, and as many more as owners have segments that are not full. The first append of an owner, and each
//! after all its extents are gone, creates a file. Giving space back costs the thread that drops an extent a system
//! call for each dead MiB, 50 us where it is in the page cache of ext4.
//!
//! ```
//! use std::io::IoSlice;
//! use forebay::{SegmentOptions, SpillStore};
//!
//! let store = SegmentOptions::new().quota(1 << 30).open(std::env::temp_dir())?;
//! let extent = store.append(1, &[IoSlice::new(b"spilled "), IoSlice::new(b"bytes")])?;
//! let mut bytes = [0; 5];
//! extent.read(8, &mut bytes)?;
//! assert_eq!(&bytes, b"bytes");
//! drop(extent); // frees them
//! assert_eq!(store.usage().live, 0);
//! # Ok::<(), forebay::SpillError>(())
//! ```

use std::collections::HashMap;
use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Weak;

use super::SpillError;
use super::account::Account;
use super::fs::{FileSystem, RealFs, Space};
use super::segment::Segment;
use super::store::{Extent, Location, SpillStore, Usage};
use crate::sync::{Arc, AtomicBool, AtomicU64, Mutex, Ordering, lock};

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
        SegmentOptions { quota: None, segment_size: None, file_system: Arc::new(RealFs) }
    }

    /// Most bytes that the file system is to hold for the store. Default: a quarter of what is free in the directory's
    /// file system when the store is opened.
    #[must_use]
    pub fn quota(mut self, bytes: u64) -> Self {
        self.quota = Some(bytes);
        self
    }

    /// Bytes after which a new segment file is begun; a larger append gets a segment of its own size. Default: 64 MiB,
    /// or a 256th of the quota if that is more, and at most 16 GiB.
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
        const SEGMENTS: u64 = 256;
        const SMALLEST: u64 = 64 << 20;
        // File systems limit the length of a file, dead ranges included: 16 TiB on ext4.
        const LARGEST: u64 = 16 << 30;
        let dir = dir.as_ref();
        // Made absolute once, so that a later change of the working directory does not move the store.
        let dir = std::path::absolute(dir).map_err(|error| SpillError::io("find the directory", dir, error))?;
        let Space { free, in_memory } =
            self.file_system.space(&dir).map_err(|error| SpillError::io("find the free space of", &dir, error))?;
        self.file_system.create(&dir).map_err(|error| SpillError::io("create a segment in", &dir, error))?;
        if in_memory {
            tracing::warn!(
                dir = %dir.display(),
                "the spill directory is a tmpfs: what is spilled stays in memory; choose a directory on a disk"
            );
        }
        let quota = self.quota.unwrap_or(free / 4);
        let shared = Shared {
            segment_size: self.segment_size.unwrap_or((quota / SEGMENTS).clamp(SMALLEST, LARGEST)),
            account: Account::new(quota),
            file_system: self.file_system,
            dir,
            in_memory,
            can_punch: AtomicBool::new(true),
            created: AtomicU64::new(0),
            open: Mutex::default(),
        };
        Ok(SegmentStore { shared: Arc::new(shared) })
    }
}

impl SpillStore for SegmentStore {
    fn append(&self, owner: u64, parts: &[IoSlice<'_>]) -> Result<Extent, SpillError> {
        let len = parts.iter().map(|part| part.len() as u64).sum();
        let (segment, at) = self.shared.claim(owner, len)?;
        // From here on the extent owns the claim: dropping it, on an error below too, releases the bytes.
        let extent = Extent::new(segment.clone(), at, len);
        segment.write(parts, at, len)?;
        Ok(extent)
    }

    fn usage(&self) -> Usage {
        self.shared.account.usage()
    }

    fn location(&self) -> Location {
        Location { name: self.shared.dir.display().to_string(), in_memory: self.shared.in_memory }
    }
}

/// What the store and its segments share.
#[derive(Debug)]
pub(super) struct Shared {
    file_system: Arc<dyn FileSystem>,
    pub(super) dir: PathBuf,
    in_memory: bool,
    pub(super) segment_size: u64,
    pub(super) account: Account,
    /// Cleared when the file system turns out to have no holes.
    pub(super) can_punch: AtomicBool,
    created: AtomicU64,
    /// By owner: the segment that takes the next append.
    pub(super) open: Mutex<HashMap<u64, Weak<Segment>>>,
}

impl Shared {
    /// Claims `len` bytes for `owner`, in the open segment if they fit, else in a new one.
    fn claim(self: &Arc<Self>, owner: u64, len: u64) -> Result<(Arc<Segment>, u64), SpillError> {
        self.account.charge(len, &self.dir.display())?;
        let open = lock(&self.open).get(&owner).and_then(Weak::upgrade);
        if let Some(segment) = open
            && let Some(at) = segment.claim(len)
        {
            return Ok((segment, at));
        }
        let file = self.file_system.create(&self.dir).map_err(|error| {
            self.account.died(len);
            self.account.refund(len);
            SpillError::io("create a segment in", &self.dir, error)
        })?;
        let number = self.created.fetch_add(1, Ordering::Relaxed);
        let segment = Arc::new(Segment::new(self.clone(), file, number, owner, len));
        // Two threads of one owner may both come here: the later one's segment stays open, the other one lives on with
        // its extents.
        lock(&self.open).insert(owner, Arc::downgrade(&segment));
        Ok((segment, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_without_extents_leave_nothing_behind() {
        let store = SegmentStore::temp().unwrap();
        let append = |owner| store.append(owner, &[IoSlice::new(b"x")]).unwrap();
        let extents: Vec<Extent> = (0..10).map(append).collect();
        assert_eq!(lock(&store.shared.open).len(), 10);
        drop(extents);
        assert_eq!(lock(&store.shared.open).len(), 0);
    }
}
