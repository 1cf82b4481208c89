//! Reads a delta.

use std::io::Read;

use super::command::{COPY, Command, Counts, END, LAST, LITERAL, MAGIC, SHORT};
use super::reader::Reader;
use crate::error::{Error, Malformed, Role};

/// Reads the commands of a delta. What follows the end is not looked at, as `rdiff` does.
#[derive(Debug)]
pub struct DeltaReader<R> {
    file: Reader<R>,
    /// Literal bytes of the last command that were not read yet.
    literal: u64,
    counts: Counts,
}

impl<R: Read> DeltaReader<R> {
    /// Reads the head. The file is buffered here.
    ///
    /// # Errors
    /// [`Error::Malformed`] and [`Error::Read`].
    pub fn new(file: R) -> Result<Self, Error> {
        let mut file = Reader::new(file, Role::Delta);
        let magic = file.u32()?;
        if magic != MAGIC {
            return Err(file.malformed(0, Malformed::Magic(magic)));
        }
        Ok(DeltaReader { file, literal: 0, counts: Counts::default() })
    }

    /// The next command. Literal bytes of the last one that were not taken by [`literal`](DeltaReader::literal) are
    /// skipped.
    ///
    /// # Errors
    /// [`Error::Malformed`] and [`Error::Read`].
    pub fn command(&mut self) -> Result<Command, Error> {
        let mut skipped = [0; 4096];
        while self.literal(&mut skipped)? > 0 {}
        let at = self.file.offset;
        // A number of one byte.
        let byte = self.file.number(1)? as u8;
        let command = match byte {
            END => return Ok(Command::End),
            LITERAL..COPY => Command::Literal { len: self.file.number(1 << (byte - LITERAL))? },
            COPY..=LAST => {
                let offset = self.file.number(1 << ((byte - COPY) / 4))?;
                Command::Copy { offset, len: self.file.number(1 << ((byte - COPY) % 4))? }
            }
            len if u64::from(len) <= SHORT => Command::Literal { len: len.into() },
            _ => return Err(self.file.malformed(at, Malformed::Command(byte))),
        };
        match command {
            Command::Literal { len: 0 } | Command::Copy { len: 0, .. } => {
                return Err(self.file.malformed(at, Malformed::Nothing));
            }
            Command::Literal { len } => self.literal = len,
            _ => {}
        }
        self.counts.add(command);
        Ok(command)
    }

    /// Fills `buf` with literal bytes of the last command, as many as there are left, and returns how many.
    ///
    /// # Errors
    /// [`Error::Malformed`] and [`Error::Read`].
    pub fn literal(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        let len = usize::try_from(self.literal).map_or(buf.len(), |left| left.min(buf.len()));
        self.file.read_exact(&mut buf[..len])?;
        self.literal -= len as u64;
        Ok(len)
    }

    /// What was read so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }
}
