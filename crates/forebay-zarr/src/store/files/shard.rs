//! `FileShard`: a shard on its way into a file.

use std::fmt;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;

use super::direct::{Direct, Outcome};
use super::fs::{FileSystem, WriteFile};
use super::{PARTS, Shared, retry};
use crate::store::{Shard, StoreError};

/// So many bytes are written before the system is asked to begin with the disk. A disk that is kept busy from the start
/// has little left to do when the shard lands, and the system no reason to halt a process that has dirtied too much.
const WRITE_BACK: u64 = 8 << 20;

/// So many bytes before that are asked for once more: those that have arrived meanwhile leave the page cache. A cache
/// that is as small as this stays in memory that the system has at hand; filling new memory all the time was measured
/// to cost three times as much, and pushes out what others read.
const ON_THE_WAY: u64 = 32 << 20;

/// What everything has to be aligned to, on nearly every machine.
const PAGE: usize = 4096;

/// With less than this at its beginning, a shard is not worth a way past the page cache.
const LARGE: usize = 1 << 20;

/// A file under a temporary name, which goes unless it gets its own.
pub(super) struct Temporary {
    fs: Arc<dyn FileSystem>,
    path: PathBuf,
    /// Keeps the directory locked.
    shared: Arc<Shared>,
}

impl Temporary {
    /// A new, empty file.
    pub(super) fn create(
        fs: &Arc<dyn FileSystem>,
        shared: &Arc<Shared>,
    ) -> Result<(Self, Box<dyn WriteFile>), StoreError> {
        let path = shared.temporary_path()?;
        let file = retry(|| fs.create(&path)).map_err(StoreError::io("create", &path))?;
        Ok((Temporary { fs: Arc::clone(fs), path, shared: Arc::clone(shared) }, file))
    }

    /// The file is complete: makes it durable as `key`.
    pub(super) fn land(self, file: Box<dyn WriteFile>, key: &str) -> Result<(), StoreError> {
        let target = self.shared.path(key)?;
        retry(|| file.sync()).map_err(StoreError::io("sync", &self.path))?;
        drop(file);
        let parent = self.make_parents(key)?;
        retry(|| self.fs.rename(&self.path, &target)).map_err(StoreError::io("rename", &target))?;
        retry(|| self.fs.sync_dir(&parent)).map_err(StoreError::io("sync", parent))
        // Dropped now, it finds nothing under its temporary name.
    }

    /// Makes the directories above `key`, durably. Returns the lowest.
    fn make_parents(&self, key: &str) -> Result<PathBuf, StoreError> {
        let mut path = self.shared.root.clone();
        for part in key.split('/').take(key.matches('/').count()) {
            let parent = path.clone();
            path.push(part);
            match retry(|| self.fs.create_dir(&path)) {
                Ok(()) => retry(|| self.fs.sync_dir(&parent)).map_err(StoreError::io("sync", parent))?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(StoreError::io("create directory", path)(error)),
            }
        }
        Ok(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What cannot be removed now is when the directory of the lock goes.
        let _gone_later = retry(|| self.fs.remove(&self.path));
    }
}

impl fmt::Debug for Temporary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)
    }
}

/// The right to keep a file open between writes; there are only so many.
#[derive(Debug)]
struct Slot(Arc<Shared>);

impl Slot {
    fn take(shared: &Arc<Shared>, most: usize) -> Option<Self> {
        let more = |open: usize| (open < most).then_some(open + 1);
        shared.open.try_update(Relaxed, Relaxed, more).ok().map(|_| Slot(Arc::clone(shared)))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let _before: usize = AtomicUsize::fetch_sub(&self.0.open, 1, Relaxed);
    }
}

#[derive(Debug)]
pub(super) struct FileShard {
    key: String,
    // The file is closed before its name goes, and its slot is free after that.
    file: Option<Box<dyn WriteFile>>,
    temporary: Temporary,
    slot: Option<Slot>,
    /// Bytes so far.
    len: u64,
    /// Up to here the system has been asked to write to the disk.
    write_back: u64,
    /// Whether it is written past the page cache; `None` before the first write, which decides it.
    unbuffered: Option<bool>,
    /// Where the file system takes part in it.
    direct: Option<Direct>,
    /// A write has failed: nobody knows what is in the file.
    failed: bool,
}

impl FileShard {
    /// A shard that is to be `key`. `most` shards keep their files open.
    pub(super) fn begin(
        fs: &Arc<dyn FileSystem>,
        shared: &Arc<Shared>,
        key: &str,
        unbuffered: Option<bool>,
        most: usize,
    ) -> Result<Self, StoreError> {
        shared.path(key)?;
        let slot = Slot::take(shared, most);
        let (temporary, file) = Temporary::create(fs, shared)?;
        let mut shard = FileShard {
            key: key.to_owned(),
            file: None,
            temporary,
            slot,
            len: 0,
            write_back: 0,
            unbuffered,
            direct: None,
            failed: false,
        };
        if unbuffered == Some(true) {
            shard.bypass(&*file)?;
        }
        shard.file = shard.slot.is_some().then_some(file);
        Ok(shard)
    }

    fn path(&self) -> &Path {
        &self.temporary.path
    }

    /// Past the page cache from now on, unless the file system refuses.
    fn bypass(&mut self, file: &dyn WriteFile) -> Result<(), StoreError> {
        let shared = &self.temporary.shared;
        if shared.refused.get().is_none() {
            self.direct = bypass(file, self.path())?.map_err(|why| shared.refuse(why)).ok().map(Direct::new);
        }
        Ok(())
    }

    /// The file, from its slot or opened anew.
    fn take_file(&mut self) -> Result<Box<dyn WriteFile>, StoreError> {
        if let Some(file) = self.file.take() {
            return Ok(file);
        }
        let file = retry(|| self.temporary.fs.open(self.path())).map_err(StoreError::io("open", self.path()))?;
        if self.direct.is_some() {
            // It went well before. If it does not now, whole pages do no harm.
            let _same_alignment = bypass(&*file, self.path())?.map_err(|why| self.temporary.shared.refuse(why));
        }
        Ok(file)
    }

    fn write_to(&mut self, file: &dyn WriteFile, parts: &[Bytes]) -> io::Result<()> {
        let bytes: u64 = parts.iter().map(|part| part.len() as u64).sum();
        match &mut self.direct {
            Some(direct) => {
                let shared = &self.temporary.shared;
                let before = direct.written();
                let outcome = direct.write(file, &shared.buffers, parts)?;
                if let Outcome::Written = outcome {
                    shared.past_cache.fetch_add(direct.written() - before, Relaxed);
                }
                if let Outcome::Refused(why) = outcome {
                    self.temporary.shared.refuse(why);
                    self.direct = None;
                    self.write_back = (self.len + bytes) & !4095;
                }
            }
            None => {
                write_all(file, parts, self.len)?;
                // Whole pages: one that is on its way to the disk may not be written to before it is there.
                let end = (self.len + bytes) & !4095;
                if end >= self.write_back + WRITE_BACK {
                    // What the last calls began is on the disk by now, and its memory is used again.
                    let from = self.write_back.saturating_sub(ON_THE_WAY);
                    file.start_write_back(from, end - from);
                    self.write_back = end;
                }
            }
        }
        self.len += bytes;
        Ok(())
    }
}

impl Shard for FileShard {
    fn write(&mut self, parts: &[Bytes]) -> Result<(), StoreError> {
        self.check()?;
        // Until this has gone well.
        self.failed = true;
        let file = self.take_file()?;
        if *self.unbuffered.get_or_insert_with(|| needs_no_copy(parts)) && self.len == 0 && self.direct.is_none() {
            self.bypass(&*file)?;
        }
        self.write_to(&*file, parts).map_err(StoreError::io("write", self.path()))?;
        self.file = self.slot.is_some().then_some(file);
        self.failed = false;
        Ok(())
    }

    fn land(mut self: Box<Self>) -> Result<(), StoreError> {
        self.check()?;
        let file = self.take_file()?;
        if let Some(direct) = &mut self.direct {
            let shared = &self.temporary.shared;
            let outcome = direct.finish(&*file, &shared.buffers);
            if let Outcome::Refused(why) = outcome.map_err(StoreError::io("write", self.path()))? {
                shared.refuse(why);
            }
        }
        self.temporary.land(file, &self.key)
    }
}

impl FileShard {
    fn check(&self) -> Result<(), StoreError> {
        match self.failed {
            true => Err(StoreError::io("write", self.path())(io::Error::other("an earlier write has failed"))),
            false => Ok(()),
        }
    }
}

/// Whether `parts` are many whole pages of memory.
fn needs_no_copy(parts: &[Bytes]) -> bool {
    let bytes: usize = parts.iter().map(Bytes::len).sum();
    let in_pages = |part: &Bytes| part.len().is_multiple_of(PAGE) && part.as_ptr().addr().is_multiple_of(PAGE);
    bytes >= LARGE && parts.iter().all(in_pages)
}

/// Makes writes to `file` go past the page cache; returns the alignment, or why the file system refuses.
fn bypass(file: &dyn WriteFile, path: &Path) -> Result<Result<usize, String>, StoreError> {
    match retry(|| file.bypass_cache()) {
        Ok(page) if page.is_power_of_two() && page <= 1 << 20 => Ok(Ok(page)),
        Ok(page) => Ok(Err(format!("it takes only multiples of {page} bytes"))),
        Err(error) => match error.kind() {
            io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported => Ok(Err(error.to_string())),
            _ => Err(StoreError::io("bypass the page cache of", path)(error)),
        },
    }
}

/// Writes all of `parts`, one after the other, at byte `at`.
pub(super) fn write_all<T: AsRef<[u8]>>(file: &dyn WriteFile, parts: &[T], mut at: u64) -> io::Result<()> {
    let parts = parts.iter().map(AsRef::as_ref).filter(|part| !part.is_empty());
    let mut slices: Vec<IoSlice<'_>> = parts.map(IoSlice::new).collect();
    let mut left = &mut slices[..];
    while !left.is_empty() {
        let now = left.len().min(PARTS);
        let written = retry(|| file.write_at(&left[..now], at))?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        IoSlice::advance_slices(&mut left, written);
        at += written as u64;
    }
    Ok(())
}
