//! Copies without the zeros: what the source has as a hole is not read, and pages of zeros become holes.
//!
//! Data is read 256 KiB at a time, and what lies between two pages of zeros is written with one call.

use std::ops::Range;

use rustix::io::Errno;

use super::copy::{BUFFER, Failure};
use super::parts::Pair;

/// What a file system can leave out, in bytes. Zeros within an aligned page that has other bytes are written.
const PAGE: usize = 4096;

static ZEROS: [u8; PAGE] = [0; PAGE];

impl Pair<'_> {
    /// Copies a range, or as much of it as there is, without its zeros. Counts the bytes in `done`, holes included.
    pub(super) fn sparsely(self, range: Range<u64>, buffer: &mut Vec<u8>, done: &mut u64) -> Result<(), Failure> {
        let mut at = range.start;
        while at < range.end {
            if self.cancel.is_cancelled() {
                return Err(Failure::Cancelled);
            }
            let data = self.next_data(at, range.end)?;
            if data.start > at {
                self.hole(at, data.start - at, buffer)?;
                *done += data.start - at;
                self.count(data.start - at);
            }
            at = data.start;
            while at < data.end {
                if self.cancel.is_cancelled() {
                    return Err(Failure::Cancelled);
                }
                // So that all reads but the first begin at the border of a page.
                let to_border = BUFFER - usize::try_from(at % PAGE as u64).unwrap_or(0);
                let left = usize::try_from(data.end - at).unwrap_or(usize::MAX);
                let left = self.pace(left.min(to_border))?;
                let n = self.read(at, left, buffer)?;
                if n == 0 {
                    return Ok(());
                }
                self.dense(at, &buffer[..n])?;
                at += n as u64;
                *done += n as u64;
                self.count(n as u64);
            }
            if data.is_empty() {
                return Ok(()); // Nothing but a hole up to the end.
            }
        }
        Ok(())
    }

    /// The first run of data in `at..end`, which is empty, at the end of the file or of the range, if there is none.
    #[cfg(target_os = "linux")]
    fn next_data(self, at: u64, end: u64) -> Result<Range<u64>, Failure> {
        use rustix::fs::{SeekFrom, seek};
        let data = match seek(self.src, SeekFrom::Data(at)) {
            Ok(data) if data < end => data,
            Ok(_) => return Ok(end..end),
            Err(Errno::NXIO) => {
                let size = rustix::fs::fstat(self.src).map_err(Failure::Read)?.st_size;
                let size = u64::try_from(size).unwrap_or(0).clamp(at, end);
                return Ok(size..size);
            }
            // This file system does not tell.
            Err(_) => return Ok(at..end),
        };
        Ok(data..seek(self.src, SeekFrom::Hole(data)).map_or(end, |hole| hole.min(end)))
    }

    #[cfg(not(target_os = "linux"))]
    fn next_data(self, at: u64, end: u64) -> Result<Range<u64>, Failure> {
        Ok(at..end)
    }

    /// Writes `bytes` but for whole pages of zeros.
    pub(super) fn dense(self, at: u64, bytes: &[u8]) -> Result<(), Failure> {
        let mut from = 0;
        while from < bytes.len() {
            let (end, zeros) = run(at, from, bytes);
            let place = at + from as u64;
            if !zeros || (!self.fresh && !self.punch(place, (end - from) as u64)?) {
                self.write(place, &bytes[from..end])?;
            }
            from = end;
        }
        Ok(())
    }

    /// Makes a hole of `len` bytes, which are zeros.
    fn hole(self, at: u64, len: u64, buffer: &mut Vec<u8>) -> Result<(), Failure> {
        if self.fresh || self.punch(at, len)? {
            return Ok(());
        }
        buffer.clear();
        buffer.resize(BUFFER, 0);
        let mut done = 0;
        while done < len {
            if self.cancel.is_cancelled() {
                return Err(Failure::Cancelled);
            }
            let n = usize::try_from(len - done).unwrap_or(BUFFER).min(BUFFER);
            self.write(at + done, &buffer[..n])?;
            done += n as u64;
        }
        Ok(())
    }

    /// Takes allocated bytes away. False where that is not possible.
    #[cfg(target_os = "linux")]
    fn punch(self, at: u64, len: u64) -> Result<bool, Failure> {
        use rustix::fs::FallocateFlags;
        match rustix::fs::fallocate(self.dst, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, at, len) {
            Ok(()) => Ok(true),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(false),
            Err(errno) => Err(Failure::Write(errno)),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn punch(self, _: u64, _: u64) -> Result<bool, Failure> {
        Ok(false)
    }
}

/// Where the run that begins at `from` ends, and whether it is whole pages of zeros. `bytes` begins at `at` in the file.
fn run(at: u64, from: usize, bytes: &[u8]) -> (usize, bool) {
    let zeros_at = |from: usize| {
        let page = PAGE - usize::try_from((at + from as u64) % PAGE as u64).unwrap_or(0);
        let end = (from + page).min(bytes.len());
        (end, bytes[from..end] == ZEROS[..end - from])
    };
    let (mut end, zeros) = zeros_at(from);
    while end < bytes.len() {
        let (next, same) = zeros_at(end);
        if same != zeros {
            break;
        }
        end = next;
    }
    (end, zeros)
}
