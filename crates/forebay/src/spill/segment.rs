//! [`Segment`]: one file of a [`SegmentStore`](super::SegmentStore), and the calls on it.
//!
//! Interrupted and short calls are continued here. No lock is held across a call: a claim is nobody else's until it is
//! released, and never claimed again after that.

use std::fmt;
use std::io::{self, IoSlice};

use super::SpillError;
use super::fs::ScratchFile;
use super::ledger::Ledger;
use super::segment_store::Shared;
use super::store::Backing;
use crate::sync::{Arc, Mutex, MutexGuard, Ordering, lock};

/// One file. It is closed, and its space is free, when its last extent goes.
#[derive(Debug)]
pub(super) struct Segment {
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
    /// A segment in `file` whose first `len` bytes are claimed.
    pub(super) fn new(store: Arc<Shared>, file: Box<dyn ScratchFile>, number: u64, owner: u64, len: u64) -> Self {
        let capacity = store.segment_size.max(len);
        let mut ledger = Ledger::default();
        ledger.claim(len, capacity);
        let books = Books { ledger: Mutex::new(ledger), owner, store };
        Segment { file, number, capacity, books }
    }

    /// Claims `len` bytes; `None` if they do not fit. The caller is to release them.
    pub(super) fn claim(&self, len: u64) -> Option<u64> {
        self.books.ledger().claim(len, self.capacity)
    }

    /// Writes all of a claim. On an error its bytes were given back, and it is still to be released.
    pub(super) fn write(&self, parts: &[IoSlice<'_>], at: u64, len: u64) -> Result<(), SpillError> {
        write_all(&*self.file, parts, at).map_err(|error| {
            self.erase(at, len);
            SpillError::io("write a segment in", &self.books.store.dir, error)
        })
    }

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
        if open.get(&self.owner).is_some_and(|segment| segment.strong_count() == 0) {
            open.remove(&self.owner);
        }
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segment {} in {}", self.number, self.books.store.dir.display())
    }
}

impl fmt::Debug for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Books").field("owner", &self.owner).field("ledger", &self.ledger).finish_non_exhaustive()
    }
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
    let mut parts = parts.to_vec();
    let mut left = &mut parts[..];
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
