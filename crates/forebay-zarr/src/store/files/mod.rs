//! `Files`: an array in a directory.
//!
//! Objects are files under their keys. Everything is written under `.forebay/` first, synced, and renamed; then the
//! directory is synced. There is the lock of the writer as well. The whole of `.forebay` goes when the store and its
//! shards are dropped; a writer that is killed leaves it, and the next one cleans up. Locks are advisory and known to
//! one machine only, as they are on most network file systems.
//!
//! Shards go past the page cache where that spares a copy: from memory that lies as the disk takes it, which is where
//! chunks are whole pages and stored as they are. Others go through it, and the disk is kept busy while they do.
//! [`unbuffered`](Files::unbuffered) decides otherwise. At most 128 shards keep their files open; beyond that, a shard's file is
//! opened for each write. (An error of the disk that the system notices while such a file is closed and forgotten may
//! then be told to nobody.)

mod claim;
mod direct;
pub mod fs;
mod lock;
mod shard;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use self::direct::Buffers;
use self::fs::{FileSystem, RealFs};
use self::lock::{DIR, Lock};
use self::shard::{FileShard, Temporary};
use super::{Activity, Shard, Store, StoreError};

/// How many shards keep their files open between writes.
const OPEN: usize = 128;

/// Most parts of one system call.
const PARTS: usize = 1024;

/// An array in a directory.
#[derive(Debug)]
pub struct Files {
    shared: Arc<Shared>,
    fs: Arc<dyn FileSystem>,
    /// `None`: where that spares a copy.
    unbuffered: Option<bool>,
    open_files: usize,
}

/// What the shards of a store have in common.
#[derive(Debug)]
struct Shared {
    root: PathBuf,
    /// `None` if this is only to be read.
    lock: Option<Lock>,
    /// Number of the next temporary file.
    next: AtomicU64,
    /// Files of shards that are open.
    open: AtomicUsize,
    buffers: Buffers,
    /// Why the page cache is used nevertheless.
    refused: OnceLock<String>,
    /// Bytes that went past it.
    past_cache: AtomicU64,
}

impl Files {
    /// A new array in directory `path`, which is made if need be and has to be empty.
    ///
    /// With `overwrite`, an array that is there is removed at once: `zarr.json`, `c` and `frames`.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if there is an array (without `overwrite`); [`StoreError::NotAnArray`] if there is
    /// anything else, a group for instance, or an array with something else beside it; [`StoreError::Locked`]; and
    /// whatever else fails.
    pub fn create(path: impl Into<PathBuf>, overwrite: bool) -> Result<Self, StoreError> {
        let root = path.into();
        let lock = claim::claim(&root, overwrite)?;
        Ok(Self::new(root, Some(lock)))
    }

    /// The array in directory `path`, to be continued. Removes what a writer that died has left unfinished.
    ///
    /// # Errors
    /// [`StoreError::NotAnArray`] if there is none, [`StoreError::Locked`], and whatever else fails.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let root = path.into();
        let lock = claim::resume(&root)?;
        Ok(Self::new(root, Some(lock)))
    }

    /// The array in directory `path`, to be looked at, also while it is written. Nothing is touched, and everything
    /// that would write fails.
    pub fn read_only(path: impl Into<PathBuf>) -> Self {
        Self::new(path.into(), None)
    }

    fn new(root: PathBuf, lock: Option<Lock>) -> Self {
        let shared = Shared {
            root,
            lock,
            next: AtomicU64::new(0),
            open: AtomicUsize::new(0),
            buffers: Buffers::default(),
            refused: OnceLock::new(),
            past_cache: AtomicU64::new(0),
        };
        Files { shared: Arc::new(shared), fs: Arc::new(RealFs), unbuffered: None, open_files: OPEN }
    }

    /// Whether shards are to be written past the page cache: all or none. Default: those that need no copy for it,
    /// because they begin with 1 MiB or more that lies in whole pages.
    ///
    /// What has to be copied takes 1 MiB, and for each open shard up to a page (4 KiB). Where the file system refuses,
    /// shards go through the page cache, and [`unbuffered_refused`](Files::unbuffered_refused) says so.
    pub fn unbuffered(mut self, unbuffered: bool) -> Self {
        self.unbuffered = Some(unbuffered);
        self
    }

    /// How many shards keep their files open between writes. Default: 128.
    pub fn open_files(mut self, most: usize) -> Self {
        self.open_files = most;
        self
    }

    /// What makes, renames and removes files. Default: the system. For tests.
    pub fn file_system(mut self, fs: impl FileSystem) -> Self {
        self.fs = Arc::new(fs);
        self
    }

    /// Bytes of shards that went past the page cache. The last page of a shard, which is not full, does not count.
    pub fn bytes_past_cache(&self) -> u64 {
        self.shared.past_cache.load(Relaxed)
    }

    /// Why shards went through the page cache although they should not, if they did.
    pub fn unbuffered_refused(&self) -> Option<String> {
        self.shared.refused.get().cloned()
    }
}

impl Shared {
    /// Where object `key` is.
    fn path(&self, key: &str) -> Result<PathBuf, StoreError> {
        let valid = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
        if !key.split('/').all(valid) || key.starts_with(DIR) {
            return Err(StoreError::io("name", key)(io::ErrorKind::InvalidFilename.into()));
        }
        Ok(self.root.join(key))
    }

    /// A name that no other file has.
    fn temporary_path(&self) -> Result<PathBuf, StoreError> {
        let number = self.next.fetch_add(1, Relaxed);
        Ok(self.writable()?.dir().join(number.to_string()))
    }

    fn writable(&self) -> Result<&Lock, StoreError> {
        let refuse = || StoreError::io("write", &self.root)(io::ErrorKind::ReadOnlyFilesystem.into());
        self.lock.as_ref().ok_or_else(refuse)
    }

    /// Remembers why the page cache has to be used.
    fn refuse(&self, why: String) {
        if self.refused.set(why).is_ok() {
            let why = self.refused.get();
            tracing::warn!(array = %self.root.display(), why, "the file system refuses unbuffered writes");
        }
    }
}

impl Store for Files {
    fn begin(&self, key: &str) -> Result<Box<dyn Shard>, StoreError> {
        let shard = FileShard::begin(&self.fs, &self.shared, key, self.unbuffered, self.open_files)?;
        Ok(Box::new(shard))
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.shared.path(key)?;
        let (temporary, file) = Temporary::create(&self.fs, &self.shared)?;
        shard::write_all(&*file, &[bytes], 0).map_err(StoreError::io("write", self.shared.path(key)?))?;
        temporary.land(file, key)
    }

    fn size(&self, key: &str) -> Result<Option<u64>, StoreError> {
        let path = self.shared.path(key)?;
        match std::fs::metadata(&path) {
            Ok(found) => Ok(found.is_file().then_some(found.len())),
            Err(error) if is_absence(&error) => Ok(None),
            Err(error) => Err(StoreError::io("read", path)(error)),
        }
    }

    fn read(&self, key: &str, offset: u64, out: &mut [u8]) -> Result<(), StoreError> {
        let path = self.shared.path(key)?;
        File::open(&path).and_then(|file| file.read_exact_at(out, offset)).map_err(StoreError::io("read", path))
    }

    fn remove(&self, key: &str) -> Result<(), StoreError> {
        self.shared.writable()?;
        let path = self.shared.path(key)?;
        match retry(|| self.fs.remove(&path)) {
            Err(error) if is_absence(&error) => return Ok(()),
            removed => removed.map_err(StoreError::io("remove", &path))?,
        }
        let parent = path.parent().unwrap_or(&self.shared.root);
        retry(|| self.fs.sync_dir(parent)).map_err(StoreError::io("sync", parent))
    }

    fn list(&self, key: &str) -> Result<Vec<String>, StoreError> {
        let path = self.shared.path(key)?;
        let entries = match std::fs::read_dir(&path) {
            Err(error) if is_absence(&error) => return Ok(Vec::new()),
            entries => entries.map_err(StoreError::io("list", &path))?,
        };
        let names: io::Result<Vec<String>> =
            entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect();
        names.map_err(StoreError::io("list", path))
    }

    fn activity(&self) -> Result<Activity, StoreError> {
        match self.shared.lock {
            Some(_) => Ok(Activity::Active),
            None => Lock::look(&self.shared.root),
        }
    }
}

/// No such file, or a file where there should be a directory above it.
fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Calls again what was interrupted.
fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
