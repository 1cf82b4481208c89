//! `--no-whole-file`: builds a file from blocks that the destination has and from what only the source has.
//!
//! Both files are at hand, so nothing is sent: blocks are copied from the basis to the draft, or stay where they are if
//! the draft is the basis. Signing and searching are done by several threads on a large file, and what they find is
//! written in order by one.

use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use forebay_delta::{Error, Format, Input, Options, Role, Settings, Signature, Strong, Token, Weak, block_len, search};
use rustix::io::Errno;

use super::copy::{BUFFER, Failure};
use super::parts::Pair;
use crate::shared::Shared;

/// What is built, of what.
#[derive(Debug)]
pub(super) struct Delta<'a> {
    pub(super) pair: Pair<'a>,
    pub(super) size: u64,
    /// `None` where `dst` is the basis itself.
    pub(super) basis: Option<BorrowedFd<'a>>,
}

/// What of a new file was found in the old one.
pub(super) use forebay_delta::Stats;

impl Delta<'_> {
    /// Builds the file. `None` if the basis cannot be read, or blocks of its length do not fit into the budget: then it
    /// must be copied whole. `done` counts the bytes that are in place.
    pub(super) fn build(
        &self,
        shared: &Shared<'_>,
        workers: usize,
        buffer: &mut Vec<u8>,
        done: &mut u64,
    ) -> Result<Option<Stats>, Failure> {
        let settings = shared.settings(workers);
        match self.with(shared, &settings, buffer, done) {
            Ok(stats) => Ok(Some(stats)),
            Err(Error::Cancelled) => Err(Failure::Cancelled),
            Err(Error::Write(error)) => Err(Failure::Write(errno(&error))),
            Err(Error::Read { file: Role::New, source, .. }) => Err(Failure::Read(errno(&source))),
            Err(Error::Short { file: Role::New, .. }) => Err(Failure::Read(Errno::NODATA)),
            Err(_) => Ok(None),
        }
    }

    fn with(
        &self,
        shared: &Shared<'_>,
        settings: &Settings,
        buffer: &mut Vec<u8>,
        done: &mut u64,
    ) -> Result<Stats, Error> {
        let basis = file(self.basis.unwrap_or(self.pair.dst), Role::Basis)?;
        let new = file(self.pair.src, Role::New)?;
        let len = basis.metadata().map_err(|source| Error::Read { file: Role::Basis, offset: 0, source })?.len();
        let block = shared.options.block_size.map_or_else(|| block_len(len), |size| size.get());
        let format = Format::new(Weak::Rsync, Strong::Xxh128(shared.seed), block, 16)?;
        let signature = Signature::of(Input::File(&basis, len), &format, settings)?;
        let mut writer = Writer { delta: self, at: 0, buffer };
        let options = Options { in_place: self.basis.is_none() };
        let stats = search(&signature, Input::File(&new, self.size), options, settings, |token| {
            writer.apply(token)?;
            self.pair.count(writer.at - *done);
            *done = writer.at;
            Ok::<_, Error>(())
        })?;
        rustix::fs::ftruncate(self.pair.dst, self.size).map_err(|errno| Error::Write(errno.into()))?;
        Ok(stats)
    }
}

/// Writes tokens one behind the other.
struct Writer<'a> {
    delta: &'a Delta<'a>,
    at: u64,
    buffer: &'a mut Vec<u8>,
}

impl Writer<'_> {
    fn apply(&mut self, token: Token<'_>) -> Result<(), Error> {
        match token {
            Token::Literal { bytes, .. } => self.write(bytes),
            // It is there already.
            Token::Copy { offset, len } if self.delta.basis.is_none() && offset == self.at => {
                self.at += len;
                Ok(())
            }
            Token::Copy { offset, len } => self.block(offset, len),
        }
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        let pair = &self.delta.pair;
        while !bytes.is_empty() {
            let step = pair.pace(bytes.len()).map_err(error)?;
            let (now, rest) = bytes.split_at(step);
            let written = if pair.sparse { pair.dense(self.at, now) } else { pair.write(self.at, now) };
            self.at += step as u64;
            written.map_err(error)?;
            bytes = rest;
        }
        Ok(())
    }

    fn block(&mut self, mut offset: u64, mut len: u64) -> Result<(), Error> {
        #[cfg(target_os = "linux")]
        if let (Some(basis), false) = (self.delta.basis, self.delta.pair.sparse) {
            while len > 0 {
                let (mut from, mut to) = (offset, self.at);
                let step = self.delta.pair.pace(usize::try_from(len).unwrap_or(usize::MAX)).map_err(error)?;
                match rustix::fs::copy_file_range(basis, Some(&mut from), self.delta.pair.dst, Some(&mut to), step) {
                    Ok(n) if n > 0 => (offset, self.at, len) = (from, to, len - n as u64),
                    Err(errno @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => return Err(Error::Write(errno.into())),
                    // Between these two, bytes must be read and written.
                    _ => break,
                }
            }
        }
        let basis = self.delta.basis.unwrap_or(self.delta.pair.dst);
        let mut buffer = std::mem::take(self.buffer);
        buffer.resize(BUFFER, 0);
        while len > 0 {
            let step = usize::try_from(len).unwrap_or(BUFFER).min(BUFFER);
            let n = rustix::io::retry_on_intr(|| rustix::io::pread(basis, &mut buffer[..step], offset))
                .map_err(|errno| Error::Read { file: Role::Basis, offset, source: errno.into() })?;
            if n == 0 {
                return Err(Error::Short { file: Role::Basis, offset });
            }
            self.write(&buffer[..n])?;
            offset += n as u64;
            len -= n as u64;
        }
        *self.buffer = buffer;
        Ok(())
    }
}

/// The same open file, as the search takes it.
fn file(fd: BorrowedFd<'_>, role: Role) -> Result<File, Error> {
    let owned: OwnedFd = fd.try_clone_to_owned().map_err(|source| Error::Read { file: role, offset: 0, source })?;
    Ok(owned.into())
}

fn error(failure: Failure) -> Error {
    match failure {
        Failure::Read(errno) | Failure::Write(errno) | Failure::Share(errno) => Error::Write(errno.into()),
        Failure::Cancelled => Error::Cancelled,
    }
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
