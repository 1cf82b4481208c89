//! Copies the content of one file: by sharing extents, by `copy_file_range`, or by reading and writing.
//!
//! Which of them works is a property of the two file systems, so it is remembered for each pair: a way that failed
//! once for lack of support is not tried again. Small files are read and written, which costs two system calls and is
//! never beaten. Large files are copied in parts by several threads.

use std::collections::HashMap;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use forebay::{Budget, CancelToken};
use rustix::io::Errno;

use super::parts::{LARGE, Pair};
use super::rate::Rate;
use crate::fs;
use crate::options::Reflink;

/// Up to this many bytes a file is read and written.
pub(super) const SMALL: u64 = 64 << 10;

/// The buffer for reading and writing, in bytes.
pub(super) const BUFFER: usize = 256 << 10;

/// Which way a file was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Method {
    Reflink,
    Range,
    Stream,
}

/// Why a copy failed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Failure {
    Read(Errno),
    Write(Errno),
    /// Extents cannot be shared, and nothing else would do.
    Share(Errno),
    Cancelled,
}

/// The best method that may still work, for each pair of source and destination device.
#[derive(Debug, Default)]
pub(crate) struct Methods(Mutex<HashMap<(u64, u64), Method>>);

impl Methods {
    pub(super) fn best(&self, devices: (u64, u64)) -> Method {
        // Neither sharing nor copying within the kernel is possible between most different file systems, but the
        // first attempt tells.
        let methods = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        methods.get(&devices).copied().unwrap_or(if cfg!(target_os = "linux") {
            Method::Reflink
        } else {
            Method::Stream
        })
    }

    pub(super) fn at_best(&self, devices: (u64, u64), method: Method) {
        let mut methods = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let best = methods.entry(devices).or_insert(method);
        *best = method.max(*best);
    }
}

/// One copy: which bytes of which file, to the same place in another.
#[derive(Clone, Debug)]
pub(crate) struct Job<'a> {
    pub(crate) src: BorrowedFd<'a>,
    pub(crate) dst: BorrowedFd<'a>,
    pub(crate) range: Range<u64>,
    /// The devices of both.
    pub(crate) devices: (u64, u64),
    /// Nothing has been written or allocated at `dst` yet.
    pub(crate) fresh: bool,
    /// `dst` is seen meanwhile, and stays however this ends: it is written from the beginning on, so that what is there of it
    /// can be appended to.
    pub(crate) seen: bool,
}

/// What a copy needs beside the files.
#[derive(Debug)]
pub(crate) struct Copier<'a> {
    pub(crate) methods: &'a Methods,
    pub(crate) budget: &'a Budget,
    pub(crate) cancel: &'a CancelToken,
    pub(crate) workers: usize,
    /// What may be written in a second.
    pub(crate) rate: Option<&'a Rate>,
    /// Make holes of zeros.
    pub(crate) sparse: bool,
    pub(crate) reflink: Reflink,
    /// Reused from file to file.
    pub(crate) buffer: Vec<u8>,
    /// How many bytes of the last job are in place, from the beginning of its range on without a gap.
    pub(crate) done: u64,
    /// Where somebody wants to know how far it is.
    pub(crate) watched: Option<Arc<AtomicU64>>,
}

impl<'a> Copier<'a> {
    /// Copies the job's range, or as much of it as there is, and ends `dst` there. Returns the way it went; how many
    /// bytes were copied is in [`done`](Copier::done), also after a failure.
    ///
    /// What is appended meanwhile is left to the next run, which sees another size: a file that grows as fast as it is
    /// read would never end.
    pub(crate) fn copy(&mut self, job: &Job<'_>) -> Result<Method, Failure> {
        let size = job.range.end.saturating_sub(job.range.start);
        self.done = 0;
        let whole = job.range.start == 0;
        if whole && (size > SMALL || self.reflink == Reflink::Always) && self.share(job)? {
            return Ok(Method::Reflink);
        }
        if whole && size <= SMALL && !self.sparse {
            self.small(job.src, job.dst, size)?;
            if !job.fresh {
                fs::end_at(job.dst, self.done).map_err(Failure::Write)?;
            }
            return Ok(Method::Stream);
        }
        let watched = self.watched.clone();
        let pair = self.pair(job, watched.as_deref());
        let copied = if size >= LARGE && self.workers > 1 && !job.seen {
            pair.in_parts(&job.range, self.workers, self.budget, &mut self.done)
        } else {
            pair.part(job.range.clone(), &mut self.buffer, &mut self.done)
        };
        copied?;
        if self.sparse || !job.fresh || self.done < size {
            fs::end_at(job.dst, job.range.start + self.done).map_err(Failure::Write)?;
        }
        // A file that could not be shared although others can was copied in the next best way.
        Ok(if self.sparse { Method::Stream } else { self.methods.best(job.devices).max(Method::Range) })
    }

    /// The files of `job`, as ranges of them are copied, and where bytes are counted.
    pub(super) fn pair<'j>(&self, job: &Job<'j>, watched: Option<&'j AtomicU64>) -> Pair<'j>
    where
        'a: 'j,
    {
        Pair {
            src: job.src,
            dst: job.dst,
            devices: job.devices,
            methods: self.methods,
            cancel: self.cancel,
            rate: self.rate,
            sparse: self.sparse,
            fresh: job.fresh,
            watched,
        }
    }

    /// Shares the extents of the whole file, if that is wanted and possible.
    #[cfg(target_os = "linux")]
    fn share(&mut self, job: &Job<'_>) -> Result<bool, Failure> {
        let always = self.reflink == Reflink::Always;
        if !always && (self.reflink == Reflink::Never || self.methods.best(job.devices) != Method::Reflink) {
            return Ok(false);
        }
        match rustix::fs::ioctl_ficlone(job.dst, job.src) {
            Ok(()) => {
                let size = rustix::fs::fstat(job.src).map_err(Failure::Read)?.st_size;
                self.done = u64::try_from(size).unwrap_or(0);
                // What it has grown by is left out here as well.
                if !job.fresh || self.done > job.range.end {
                    self.done = self.done.min(job.range.end);
                    fs::end_at(job.dst, self.done).map_err(Failure::Write)?;
                }
                return Ok(true);
            }
            Err(errno) if always => return Err(Failure::Share(errno)),
            Err(Errno::XDEV | Errno::OPNOTSUPP | Errno::NOTTY | Errno::NOSYS) => {
                self.methods.at_best(job.devices, Method::Range);
            }
            // Something about these two files; the next may share.
            Err(_) => {}
        }
        Ok(false)
    }

    #[cfg(not(target_os = "linux"))]
    fn share(&mut self, _: &Job<'_>) -> Result<bool, Failure> {
        if self.reflink == Reflink::Always { Err(Failure::Share(Errno::NOTSUP)) } else { Ok(false) }
    }

    /// Reads and writes with the files' own positions. A file of the expected size needs one call of each.
    fn small(&mut self, src: BorrowedFd<'_>, dst: BorrowedFd<'_>, size: u64) -> Result<(), Failure> {
        self.buffer.resize(BUFFER, 0);
        while self.done < size {
            let mut left = usize::try_from(size - self.done).map_or(BUFFER, |left| left.min(BUFFER));
            if let Some(rate) = self.rate {
                left = left.min(rate.step());
                rate.wait(left, || self.cancel.is_cancelled())?;
            }
            if self.cancel.is_cancelled() {
                return Err(Failure::Cancelled);
            }
            let n =
                rustix::io::retry_on_intr(|| rustix::io::read(src, &mut self.buffer[..left])).map_err(Failure::Read)?;
            if n == 0 {
                break;
            }
            let mut rest = &self.buffer[..n];
            while !rest.is_empty() {
                let n = rustix::io::retry_on_intr(|| rustix::io::write(dst, rest)).map_err(Failure::Write)?;
                rest = &rest[n..];
            }
            self.done += n as u64;
        }
        Ok(())
    }

    /// Whether the first `len` bytes of two files are the same, or all if there are fewer of both.
    pub(crate) fn same(&mut self, a: BorrowedFd<'_>, b: BorrowedFd<'_>, len: u64) -> Result<bool, Failure> {
        self.buffer.resize(BUFFER, 0);
        let (left, right) = self.buffer.split_at_mut(BUFFER / 2);
        let mut at = 0;
        while at < len {
            if self.cancel.is_cancelled() {
                return Err(Failure::Cancelled);
            }
            let wanted = usize::try_from(len - at).unwrap_or(usize::MAX).min(left.len());
            let n = fill(a, at, &mut left[..wanted])?;
            let m = fill(b, at, &mut right[..wanted])?;
            if left[..n] != right[..m] {
                return Ok(false);
            }
            if n < wanted {
                break;
            }
            at += n as u64;
        }
        Ok(true)
    }
}

/// Reads at `at` until the buffer is full or the file ends.
fn fill(file: BorrowedFd<'_>, at: u64, buffer: &mut [u8]) -> Result<usize, Failure> {
    let mut filled = 0;
    while filled < buffer.len() {
        let read = rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut buffer[filled..], at + filled as u64));
        match read.map_err(Failure::Read)? {
            0 => break,
            n => filled += n,
        }
    }
    Ok(filled)
}
