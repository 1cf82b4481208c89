//! Puts a file together from what comes one after the other: bytes, and ranges of an old file.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use super::copy::{BUFFER, Copier, Failure, Job};
use super::parts::Pair;
use crate::fs;

/// A file that grows. The old file may be the file itself, as long as nothing is taken from before where it has grown to.
#[derive(Debug)]
pub(crate) struct Building<'a> {
    pair: Pair<'a>,
    basis: Option<BorrowedFd<'a>>,
    /// The basis is the file itself.
    itself: bool,
    /// Bytes that are in place.
    at: u64,
}

impl<'a> Building<'a> {
    /// Goes on at `from` with the file `dst`. If that `existed` before, the old content is its own.
    pub(crate) fn new<'c: 'a>(
        copier: &Copier<'c>,
        dst: BorrowedFd<'a>,
        existed: bool,
        basis: Option<BorrowedFd<'a>>,
        from: u64,
    ) -> Self {
        let job = Job { src: dst, dst, range: from..from, devices: (0, 0), fresh: !existed, seen: existed };
        let basis = if existed { Some(dst) } else { basis };
        Building { pair: copier.pair(&job, None), basis, itself: existed, at: from }
    }

    /// How far it has grown.
    pub(crate) fn len(&self) -> u64 {
        self.at
    }

    /// Adds bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self.pair.sparse {
            true => self.pair.dense(self.at, bytes)?,
            false => self.pair.write(self.at, bytes)?,
        }
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Adds `len` bytes at `offset` of the basis, and shows them to `each`.
    pub(crate) fn copy(
        &mut self,
        mut offset: u64,
        mut len: u64,
        buffer: &mut Vec<u8>,
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), Failure> {
        let basis = self.basis.ok_or(Failure::Read(Errno::NOENT))?;
        buffer.resize(BUFFER, 0);
        while len > 0 {
            let step = usize::try_from(len).unwrap_or(BUFFER).min(BUFFER);
            let piece = buffer.get_mut(..step).unwrap_or_default();
            let n =
                rustix::io::retry_on_intr(|| rustix::io::pread(basis, &mut *piece, offset)).map_err(Failure::Read)?;
            if n == 0 {
                // It has become shorter.
                return Err(Failure::Read(Errno::NODATA));
            }
            let bytes = piece.get(..n).unwrap_or_default();
            each(bytes);
            if self.itself && offset == self.at {
                self.at += n as u64;
            } else {
                self.write(bytes)?;
            }
            offset += n as u64;
            len -= n as u64;
        }
        Ok(())
    }

    /// Nothing more comes: what is behind goes.
    pub(crate) fn end(&self) -> Result<(), Failure> {
        if self.itself || self.pair.sparse {
            fs::end_at(self.pair.dst, self.at).map_err(Failure::Write)?;
        }
        Ok(())
    }
}
