//! A range of a large file, and its parts, which several threads copy at once.

use std::collections::BTreeMap;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use forebay::{Budget, CancelToken, Cause, Pipeline, Weigh};
use rustix::io::Errno;

use super::copy::{BUFFER, Failure, Method, Methods};
use super::rate::Rate;

/// How much is asked of `copy_file_range` at a time, in bytes, so that a cancellation is seen soon.
const STEP: usize = 8 << 20;

/// A part of a large file that one thread copies, in bytes.
pub(super) const PART: u64 = 32 << 20;

/// Ranges from this size on, in bytes, are copied in parts.
pub(super) const LARGE: u64 = 4 * PART;

/// A file of more than a few bytes, and its copy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair<'a> {
    pub(super) src: BorrowedFd<'a>,
    pub(super) dst: BorrowedFd<'a>,
    pub(super) devices: (u64, u64),
    pub(super) methods: &'a Methods,
    pub(super) cancel: &'a CancelToken,
    /// What may be written in a second.
    pub(super) rate: Option<&'a Rate>,
    /// Make holes of zeros.
    pub(super) sparse: bool,
    /// Where `dst` has not been written to, it is a hole.
    pub(super) fresh: bool,
    /// Counts bytes that are in place, whatever their order.
    pub(super) watched: Option<&'a AtomicU64>,
}

impl Pair<'_> {
    /// Copies a range in parts, on several threads. Counts in `done` the bytes up to the first gap.
    pub(super) fn in_parts(
        self,
        range: &Range<u64>,
        workers: usize,
        budget: &Budget,
        done: &mut u64,
    ) -> Result<(), Failure> {
        let Range { start, end } = *range;
        let parts =
            (0..(end - start).div_ceil(PART)).map(|i| Ok(Part(start + i * PART, (start + (i + 1) * PART).min(end))));
        // By where they begin, those that were broken off as well: where the run ends early, their beginnings are kept.
        let copied = Mutex::new(BTreeMap::new());
        let copied = &copied;
        let result = Pipeline::new()
            .name("sync-parts")
            .workers(workers)
            .budget(budget)
            .cancel(self.cancel)
            .worker_init(Vec::new)
            .run(
                parts,
                |buffer, Part(from, to)| {
                    let mut n = 0;
                    let result = self.part(from..to, buffer, &mut n);
                    copied.lock().unwrap_or_else(PoisonError::into_inner).insert(from, n);
                    result.map(|()| Part(from, to))
                },
                |_| Ok(()),
            );
        // Where the file has become shorter, the copy ends.
        for (from, n) in copied.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            if *from == start + *done {
                *done += n;
            }
        }
        result.map(|_| ()).map_err(|error| match error.cause {
            Cause::Source(failure) => failure,
            Cause::Work { error, .. } | Cause::Sink { error, .. } => error,
            _ => Failure::Cancelled,
        })
    }

    /// Copies a range to the same place, or as much of it as there is. Counts the bytes in `done`.
    pub(super) fn part(self, range: Range<u64>, buffer: &mut Vec<u8>, done: &mut u64) -> Result<(), Failure> {
        if self.sparse {
            return self.sparsely(range, buffer, done);
        }
        let mut at = range.start;
        while at < range.end {
            if self.cancel.is_cancelled() {
                return Err(Failure::Cancelled);
            }
            let left = self.pace(usize::try_from(range.end - at).unwrap_or(usize::MAX))?;
            let n = match self.within_kernel(at, left.min(STEP))? {
                0 => self.through_buffer(at, left.min(BUFFER), buffer)?,
                n => n,
            };
            if n == 0 {
                break;
            }
            at += n as u64;
            *done += n as u64;
            self.count(n as u64);
        }
        Ok(())
    }

    /// Tells whoever wants to know that so many more bytes are in place.
    pub(super) fn count(self, bytes: u64) {
        if let Some(watched) = self.watched {
            watched.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// How much of `left` bytes may be written now; waits for that.
    pub(super) fn pace(self, left: usize) -> Result<usize, Failure> {
        let Some(rate) = self.rate else { return Ok(left) };
        let step = left.min(rate.step()).min(STEP);
        rate.wait(step, || self.cancel.is_cancelled())?;
        Ok(step)
    }

    /// One `copy_file_range`. 0 says that the other way must be tried: this one does not work, or claims to be at the
    /// end, or failed in a way that may concern either file.
    #[cfg(target_os = "linux")]
    fn within_kernel(self, at: u64, len: usize) -> Result<usize, Failure> {
        if self.methods.best(self.devices) == Method::Stream {
            return Ok(0);
        }
        let (mut from, mut to) = (at, at);
        match rustix::fs::copy_file_range(self.src, Some(&mut from), self.dst, Some(&mut to), len) {
            Ok(n) => Ok(n),
            Err(errno @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => Err(Failure::Write(errno)),
            Err(Errno::INTR) => Ok(0),
            Err(_) => {
                self.methods.at_best(self.devices, Method::Stream);
                Ok(0)
            }
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn within_kernel(self, _: u64, _: usize) -> Result<usize, Failure> {
        Ok(0)
    }

    fn through_buffer(self, at: u64, len: usize, buffer: &mut Vec<u8>) -> Result<usize, Failure> {
        let n = self.read(at, len, buffer)?;
        self.write(at, &buffer[..n])?;
        Ok(n)
    }

    /// Reads at most `len` bytes into `buffer`, at most its fixed size.
    pub(super) fn read(self, at: u64, len: usize, buffer: &mut Vec<u8>) -> Result<usize, Failure> {
        buffer.resize(BUFFER, 0);
        let len = len.min(BUFFER);
        rustix::io::retry_on_intr(|| rustix::io::pread(self.src, &mut buffer[..len], at)).map_err(Failure::Read)
    }

    pub(super) fn write(self, at: u64, bytes: &[u8]) -> Result<(), Failure> {
        let mut done = 0;
        while done < bytes.len() {
            done += rustix::io::retry_on_intr(|| rustix::io::pwrite(self.dst, &bytes[done..], at + done as u64))
                .map_err(Failure::Write)?;
        }
        Ok(())
    }
}

/// A range of bytes.
#[derive(Debug)]
struct Part(u64, u64);

impl Weigh for Part {
    fn weight(&self) -> usize {
        size_of::<Self>()
    }
}
