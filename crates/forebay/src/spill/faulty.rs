//! [`FaultyFs`]: a file system that fails on request, for tests.
//!
//! It passes every call on to the system's files in a real directory, unless a scripted fault says otherwise. Calls and
//! fired faults are counted, so that a test can assert that the path it is about was taken.
//!
//! ```
//! use std::sync::Arc;
//! use forebay::SegmentOptions;
//! use forebay::spill::faulty::{Errno, Fault, FaultyFs, Operation};
//!
//! let fs = FaultyFs::new();
//! let dir = tempfile::tempdir()?;
//! let store = SegmentOptions::new().file_system(Arc::new(fs.clone())).open(dir.path())?;
//! fs.inject(Operation::Write, 2..3, Fault::Error(Errno::NOSPC)); // the third write from now
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::BTreeSet;
use std::io::{self, IoSlice};
use std::ops::{Bound, RangeBounds};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use rustix::io::Errno;

use super::fs::{FileSystem, RealFs, ScratchFile, Space};

/// The unit in which a [limited](FaultyFs::capacity) file system hands out space.
const PAGE: u64 = 4096;

/// What a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// [`FileSystem::create`].
    Create,
    /// [`ScratchFile::write_at`].
    Write,
    /// [`ScratchFile::read_at`].
    Read,
    /// [`ScratchFile::punch`].
    Punch,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// It fails and does nothing.
    Error(Errno),
    /// It transfers at most so many bytes. Reads and writes only.
    Short(usize),
    /// It inverts this byte of what it read, counted from the start of the buffer. Reads only.
    Flip(usize),
    /// It waits for [`FaultyFs::release`], then goes on as if nothing had been.
    Hang,
}

/// A file system with scripted faults. Clones are handles of the same one.
#[derive(Clone, Debug, Default)]
pub struct FaultyFs {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    script: Vec<Entry>,
    calls: [u64; 4],
    fired: u64,
    hanging: usize,
    open_files: usize,
    in_memory: bool,
    /// Most pages that all files may have together, and how many they have.
    capacity: Option<u64>,
    pages: u64,
}

#[derive(Debug)]
struct Entry {
    operation: Operation,
    first: u64,
    end: u64,
    fault: Fault,
}

impl FaultyFs {
    /// A file system without faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Limits the space of all files together to `bytes`, rounded down to whole pages of 4 KiB: a write that finds no
    /// room is short, and fails if there is none at all. Punching and closing give room back.
    #[must_use]
    pub fn capacity(self, bytes: u64) -> Self {
        self.state().capacity = Some(bytes / PAGE);
        self
    }

    /// Says of itself that it keeps its files in memory.
    #[must_use]
    pub fn in_memory(self) -> Self {
        self.state().in_memory = true;
        self
    }

    /// Lets `fault` strike these calls of `operation`; 0 is the next one from now.
    pub fn inject(&self, operation: Operation, calls: impl RangeBounds<u64>, fault: Fault) {
        let mut state = self.state();
        let now = state.calls[operation as usize];
        let first = match calls.start_bound() {
            Bound::Included(&first) => first,
            Bound::Excluded(&before) => before + 1,
            Bound::Unbounded => 0,
        };
        let end = match calls.end_bound() {
            Bound::Included(&last) => last + 1,
            Bound::Excluded(&end) => end,
            Bound::Unbounded => u64::MAX - now,
        };
        state.script.push(Entry { operation, first: now + first, end: now + end, fault });
    }

    /// Forgets every fault and lets what hangs go on.
    pub fn release(&self) {
        self.state().script.clear();
        self.shared.changed.notify_all();
    }

    /// Waits until `calls` calls hang.
    ///
    /// # Panics
    ///
    /// If they do not within ten seconds.
    pub fn wait_until_hanging(&self, calls: usize) {
        let limit = Duration::from_secs(10);
        let state = self.state();
        let waited = self.shared.changed.wait_timeout_while(state, limit, |state| state.hanging < calls);
        let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "{} of {calls} calls hang", state.hanging);
    }

    /// Calls of `operation` until now, failed ones included.
    pub fn calls(&self, operation: Operation) -> u64 {
        self.state().calls[operation as usize]
    }

    /// Calls that a fault has struck.
    pub fn fired(&self) -> u64 {
        self.state().fired
    }

    /// Files that are open.
    pub fn open_files(&self) -> usize {
        self.state().open_files
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call; returns what the caller is to do about it, after waiting or failing for it.
    fn call(&self, operation: Operation) -> io::Result<Option<Fault>> {
        let mut state = self.state();
        let number = state.calls[operation as usize];
        state.calls[operation as usize] += 1;
        let strikes = |entry: &&Entry| entry.operation == operation && (entry.first..entry.end).contains(&number);
        let Some(fault) = state.script.iter().find(strikes).map(|entry| entry.fault) else {
            return Ok(None);
        };
        state.fired += 1;
        match fault {
            Fault::Error(errno) => Err(errno.into()),
            Fault::Short(_) | Fault::Flip(_) => Ok(Some(fault)),
            Fault::Hang => {
                state.hanging += 1;
                self.shared.changed.notify_all();
                // Until the script has no fault for this call any more.
                let waited = self.shared.changed.wait_while(state, |state| state.script.iter().any(|e| strikes(&e)));
                waited.unwrap_or_else(PoisonError::into_inner).hanging -= 1;
                Ok(None)
            }
        }
    }
}

impl FileSystem for FaultyFs {
    fn create(&self, dir: &Path) -> io::Result<Box<dyn ScratchFile>> {
        self.call(Operation::Create)?;
        let file = RealFs.create(dir)?;
        self.state().open_files += 1;
        Ok(Box::new(FaultyFile { file, pages: Mutex::default(), fs: self.clone() }))
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        let real = RealFs.space(dir)?;
        let state = self.state();
        let free = state.capacity.map_or(real.free, |capacity| (capacity - state.pages) * PAGE);
        Ok(Space { free, in_memory: state.in_memory || real.in_memory })
    }
}

#[derive(Debug)]
struct FaultyFile {
    file: Box<dyn ScratchFile>,
    /// The pages that the file holds, if the file system is limited.
    pages: Mutex<BTreeSet<u64>>,
    fs: FaultyFs,
}

impl FaultyFile {
    fn pages(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes pages for the `len` bytes from `at`; returns for how many bytes there was room.
    fn occupy(&self, at: u64, len: u64) -> u64 {
        let mut state = self.fs.state();
        let Some(capacity) = state.capacity else {
            return len;
        };
        let mut pages = self.pages();
        for page in at / PAGE..(at + len).div_ceil(PAGE) {
            if pages.contains(&page) {
                continue;
            }
            if state.pages == capacity {
                return (page * PAGE).saturating_sub(at);
            }
            pages.insert(page);
            state.pages += 1;
        }
        len
    }

    /// Gives the pages that lie within the `len` bytes from `at` back.
    fn vacate(&self, at: u64, len: u64) {
        let mut state = self.fs.state();
        let mut pages = self.pages();
        for page in at.div_ceil(PAGE)..(at.saturating_add(len)) / PAGE {
            if pages.remove(&page) {
                state.pages -= 1;
            }
        }
    }
}

impl ScratchFile for FaultyFile {
    fn write_at(&self, parts: &[IoSlice<'_>], at: u64) -> io::Result<usize> {
        let mut len = parts.iter().map(|part| part.len()).sum::<usize>();
        if let Some(Fault::Short(most)) = self.fs.call(Operation::Write)? {
            len = len.min(most);
        }
        let mut room = self.occupy(at, len as u64) as usize;
        if room == 0 && len > 0 {
            return Err(Errno::NOSPC.into());
        }
        let mut cut = Vec::with_capacity(parts.len());
        for part in parts {
            let part = &part[..part.len().min(room)];
            room -= part.len();
            cut.push(IoSlice::new(part));
        }
        self.file.write_at(&cut, at)
    }

    fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        match self.fs.call(Operation::Read)? {
            Some(Fault::Short(most)) => {
                let most = most.min(buf.len());
                self.file.read_at(&mut buf[..most], at)
            }
            Some(Fault::Flip(byte)) => {
                let read = self.file.read_at(buf, at)?;
                if let Some(byte) = buf[..read].get_mut(byte) {
                    *byte = !*byte;
                }
                Ok(read)
            }
            _ => self.file.read_at(buf, at),
        }
    }

    fn punch(&self, at: u64, len: u64) -> io::Result<()> {
        self.fs.call(Operation::Punch)?;
        self.file.punch(at, len)?;
        self.vacate(at, len);
        Ok(())
    }
}

impl Drop for FaultyFile {
    fn drop(&mut self) {
        let held = self.pages().len() as u64;
        let mut state = self.fs.state();
        if state.capacity.is_some() {
            state.pages -= held;
        }
        state.open_files -= 1;
    }
}
