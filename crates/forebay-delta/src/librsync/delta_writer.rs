//! Writes a delta.

use std::io::Write;

use super::command::{Command, Counts, MAGIC, encode};
use crate::error::Error;
use crate::token::Token;

/// Short commands are written together, this many bytes at a time.
const PIECE: usize = 64 << 10;

/// Writes tokens as the commands of a delta.
#[derive(Debug)]
pub struct DeltaWriter<W> {
    file: W,
    buf: Vec<u8>,
    counts: Counts,
}

impl<W: Write> DeltaWriter<W> {
    /// Begins a delta. It is buffered here: the file need not be.
    pub fn new(file: W) -> Self {
        DeltaWriter { file, buf: MAGIC.to_be_bytes().to_vec(), counts: Counts::default() }
    }

    /// Writes the next token.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn write(&mut self, token: Token<'_>) -> Result<(), Error> {
        let (command, bytes) = match token {
            Token::Copy { offset, len } => (Command::Copy { offset, len }, &[][..]),
            Token::Literal { bytes, .. } => (Command::Literal { len: bytes.len() as u64 }, bytes),
        };
        if token.is_empty() {
            return Ok(());
        }
        self.counts.add(command);
        encode(command, &mut self.buf);
        if bytes.len() < PIECE {
            self.buf.extend_from_slice(bytes);
        } else {
            self.flush()?;
            self.file.write_all(bytes).map_err(Error::Write)?;
        }
        if self.buf.len() >= PIECE { self.flush() } else { Ok(()) }
    }

    /// What was written so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Ends the delta and returns the file.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn finish(mut self) -> Result<W, Error> {
        encode(Command::End, &mut self.buf);
        self.flush()?;
        self.file.flush().map_err(Error::Write)?;
        Ok(self.file)
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.file.write_all(&self.buf).map_err(Error::Write)?;
        self.buf.clear();
        Ok(())
    }
}
