//! Copies the content of one file: by sharing extents, by `copy_file_range`, or by reading and writing.
//!
//! Which of them works is a property of the two file systems, so it is remembered for each pair: a way that failed
//! once for lack of support is not tried again. Small files are read and written, which costs two system calls and is
//! never beaten. Large files are copied in parts by several threads.

use std::collections::HashMap;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::{Mutex, PoisonError};

use forebay::{Budget, CancelToken, Cause, Pipeline, Weigh};
use rustix::io::Errno;

/// Up to this many bytes a file is read and written.
const SMALL: u64 = 64 << 10;

/// The buffer for reading and writing, in bytes.
const BUFFER: usize = 256 << 10;

/// How much is asked of `copy_file_range` at a time, in bytes, so that a cancellation is seen soon.
const STEP: usize = 8 << 20;

/// A part of a large file that one thread copies, in bytes.
const PART: u64 = 32 << 20;

/// Files from this size on, in bytes, are copied in parts.
const LARGE: u64 = 4 * PART;

/// Which way a file was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Method {
    Reflink,
    Range,
    Stream,
}

/// Why a copy failed.
#[derive(Debug)]
pub(crate) enum Failure {
    Read(Errno),
    Write(Errno),
    Cancelled,
}

/// The best method that may still work, for each pair of source and destination device.
#[derive(Debug, Default)]
pub(crate) struct Methods(Mutex<HashMap<(u64, u64), Method>>);

impl Methods {
    fn best(&self, devices: (u64, u64)) -> Method {
        // Neither sharing nor copying within the kernel is possible between most different file systems, but the
        // first attempt tells.
        let methods = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        methods.get(&devices).copied().unwrap_or(if cfg!(target_os = "linux") {
            Method::Reflink
        } else {
            Method::Stream
        })
    }

    fn at_best(&self, devices: (u64, u64), method: Method) {
        let mut methods = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let best = methods.entry(devices).or_insert(method);
        *best = method.max(*best);
    }
}

/// What a copy needs beside the files.
#[derive(Debug)]
pub(crate) struct Copier<'a> {
    pub(crate) methods: &'a Methods,
    pub(crate) budget: &'a Budget,
    pub(crate) cancel: &'a CancelToken,
    pub(crate) workers: usize,
    /// Reused from file to file.
    pub(crate) buffer: Vec<u8>,
}

impl Copier<'_> {
    /// Copies the first `size` bytes of `src`, or as many as there are, into the empty `dst`. `devices` are the devices
    /// of both. Returns how many bytes were copied, and how.
    ///
    /// What is appended meanwhile is left to the next run, which sees another size: a file that grows as fast as it is
    /// read would never end.
    pub(crate) fn copy(
        &mut self,
        src: BorrowedFd<'_>,
        dst: BorrowedFd<'_>,
        size: u64,
        devices: (u64, u64),
    ) -> Result<(u64, Method), Failure> {
        if size <= SMALL {
            return Ok((self.small(src, dst, size)?, Method::Stream));
        }
        #[cfg(target_os = "linux")]
        if self.methods.best(devices) == Method::Reflink {
            match rustix::fs::ioctl_ficlone(dst, src) {
                Ok(()) => return Ok((length(dst)?, Method::Reflink)),
                Err(Errno::XDEV | Errno::OPNOTSUPP | Errno::NOTTY | Errno::NOSYS) => {
                    self.methods.at_best(devices, Method::Range);
                }
                // Something about these two files; the next may share.
                Err(_) => {}
            }
        }
        let pair = Pair { src, dst, devices, methods: self.methods, cancel: self.cancel };
        let copied = if size >= LARGE && self.workers > 1 {
            pair.in_parts(size, self.workers, self.budget)?;
            length(dst)?
        } else {
            pair.part(0..size, &mut self.buffer)?
        };
        // A file that could not be shared although others can was copied in the next best way.
        Ok((copied, self.methods.best(devices).max(Method::Range)))
    }

    /// Reads and writes with the files' own positions. A file of the expected size needs one call of each.
    fn small(&mut self, src: BorrowedFd<'_>, dst: BorrowedFd<'_>, size: u64) -> Result<u64, Failure> {
        self.buffer.resize(BUFFER, 0);
        let mut copied = 0;
        while copied < size {
            let left = usize::try_from(size - copied).map_or(BUFFER, |left| left.min(BUFFER));
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
            copied += n as u64;
        }
        Ok(copied)
    }
}

impl Copier<'_> {
    /// Whether two files have the same content, read from their positions on.
    pub(crate) fn same(&mut self, a: BorrowedFd<'_>, b: BorrowedFd<'_>) -> Result<bool, Failure> {
        self.buffer.resize(BUFFER, 0);
        let (left, right) = self.buffer.split_at_mut(BUFFER / 2);
        loop {
            if self.cancel.is_cancelled() {
                return Err(Failure::Cancelled);
            }
            let n = fill(a, left)?;
            let m = fill(b, right)?;
            if left[..n] != right[..m] {
                return Ok(false);
            }
            if n < left.len() {
                return Ok(true);
            }
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(file: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, Failure> {
    let mut filled = 0;
    while filled < buffer.len() {
        match rustix::io::retry_on_intr(|| rustix::io::read(file, &mut buffer[filled..])).map_err(Failure::Read)? {
            0 => break,
            n => filled += n,
        }
    }
    Ok(filled)
}

/// A file of more than a few bytes, and its copy.
#[derive(Clone, Copy, Debug)]
struct Pair<'a> {
    src: BorrowedFd<'a>,
    dst: BorrowedFd<'a>,
    devices: (u64, u64),
    methods: &'a Methods,
    cancel: &'a CancelToken,
}

impl Pair<'_> {
    /// Copies the first `size` bytes in parts, on several threads. Where the file has become shorter, the copy is as
    /// long as its last part that there was.
    fn in_parts(self, size: u64, workers: usize, budget: &Budget) -> Result<(), Failure> {
        let parts = (0..size.div_ceil(PART)).map(|i| Ok(Part(i * PART, ((i + 1) * PART).min(size))));
        Pipeline::new()
            .name("sync-parts")
            .workers(workers)
            .budget(budget)
            .cancel(self.cancel)
            .worker_init(Vec::new)
            .run(parts, |buffer, Part(from, to)| self.part(from..to, buffer).map(|_| Done), |Done| Ok(()))
            .map(|_| ())
            .map_err(|error| match error.cause {
                Cause::Source(failure) => failure,
                Cause::Work { error, .. } | Cause::Sink { error, .. } => error,
                _ => Failure::Cancelled,
            })
    }

    /// Copies a range to the same place, or as much of it as there is. Returns the number of bytes.
    fn part(self, range: Range<u64>, buffer: &mut Vec<u8>) -> Result<u64, Failure> {
        let mut at = range.start;
        while at < range.end {
            if self.cancel.is_cancelled() {
                return Err(Failure::Cancelled);
            }
            let left = usize::try_from(range.end - at).unwrap_or(usize::MAX);
            let n = match self.within_kernel(at, left.min(STEP))? {
                0 => self.through_buffer(at, left.min(BUFFER), buffer)?,
                n => n,
            };
            if n == 0 {
                break;
            }
            at += n as u64;
        }
        Ok(at - range.start)
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
        buffer.resize(BUFFER, 0);
        let n =
            rustix::io::retry_on_intr(|| rustix::io::pread(self.src, &mut buffer[..len], at)).map_err(Failure::Read)?;
        let mut done = 0;
        while done < n {
            done += rustix::io::retry_on_intr(|| rustix::io::pwrite(self.dst, &buffer[done..n], at + done as u64))
                .map_err(Failure::Write)?;
        }
        Ok(n)
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

/// A range has been copied.
#[derive(Debug)]
struct Done;

impl Weigh for Done {
    fn weight(&self) -> usize {
        size_of::<Self>()
    }
}

fn length(file: BorrowedFd<'_>) -> Result<u64, Failure> {
    rustix::fs::fstat(file).map(|stat| u64::try_from(stat.st_size).unwrap_or(0)).map_err(Failure::Read)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::os::fd::AsFd;

    use super::*;

    /// Copies a file of `len` bytes of which `expected` were announced, and compares.
    fn check(len: usize, expected: u64, workers: usize, method: Option<Method>) {
        let dir = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
        File::create(dir.path().join("src")).unwrap().write_all(&content).unwrap();
        let src = File::open(dir.path().join("src")).unwrap();
        let dst = File::create(dir.path().join("dst")).unwrap();
        let (methods, budget, cancel) = (Methods::default(), Budget::new(1 << 20), CancelToken::new());
        if let Some(method) = method {
            methods.at_best((1, 1), method);
        }
        let mut copier = Copier { methods: &methods, budget: &budget, cancel: &cancel, workers, buffer: Vec::new() };
        let (copied, used) = copier.copy(src.as_fd(), dst.as_fd(), expected, (1, 1)).unwrap();
        let whole = &content[..len.min(expected as usize)];
        if used != Method::Reflink {
            assert_eq!(copied, whole.len() as u64);
            assert!(std::fs::read(dir.path().join("dst")).unwrap() == whole, "{len} of {expected}");
        }
        assert!(method.is_none_or(|method| used >= method));
    }

    #[test]
    fn every_method_copies_what_was_announced_or_what_there_is() {
        for method in [None, Some(Method::Range), Some(Method::Stream)] {
            for (len, expected) in [(0, 0), (1, 1), (70_000, 70_000), (300_000, 300_000), (9, 5), (5, 9)] {
                check(len, expected, 2, method);
            }
            // Grown, and cut off, meanwhile.
            check(400_000, 300_000, 2, method);
            check(300_000, 400_000, 2, method);
            let large = LARGE as usize;
            check(large + 5, LARGE + 5, 2, method);
            check(large + 99, LARGE + 5, 3, method);
        }
    }

    #[test]
    fn a_cancelled_copy_stops() {
        let dir = tempfile::tempdir().unwrap();
        let src = File::create_new(dir.path().join("src")).unwrap();
        src.set_len(LARGE).unwrap();
        let src = File::open(dir.path().join("src")).unwrap();
        let dst = File::create(dir.path().join("dst")).unwrap();
        let (methods, budget, cancel) = (Methods::default(), Budget::new(1 << 20), CancelToken::new());
        cancel.cancel();
        methods.at_best((1, 1), Method::Range);
        for workers in [1, 2] {
            let mut copier =
                Copier { methods: &methods, budget: &budget, cancel: &cancel, workers, buffer: Vec::new() };
            let result = copier.copy(src.as_fd(), dst.as_fd(), LARGE, (1, 1));
            assert!(matches!(result, Err(Failure::Cancelled)));
        }
    }
}
