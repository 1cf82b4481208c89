//! `Elements`: bytes that are elements already, or that become elements when they are reversed.

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{Block, InputError};

/// Elements from a reader, to its end or up to a number of bytes.
pub(super) struct Elements {
    reader: Box<dyn Read + Send>,
    path: PathBuf,
    /// Bytes that must still come; `None` if whatever comes is meant.
    left: Option<u64>,
    /// Bytes of an element that is to be reversed; 1 if none is.
    reversed: usize,
}

impl Elements {
    /// Whatever comes, as it is.
    pub(super) fn stream(reader: Box<dyn Read + Send>, path: &Path) -> Self {
        Elements { reader, path: path.to_owned(), left: None, reversed: 1 }
    }

    /// The next `bytes` bytes, each `reversed` of them reversed.
    pub(super) fn exactly(reader: Box<dyn Read + Send>, path: &Path, bytes: u64, reversed: usize) -> Self {
        Elements { reader, path: path.to_owned(), left: Some(bytes), reversed }
    }

    /// Fills `block`, with what one call of the reader gives: what has come through a pipe is not kept until more
    /// comes. False at the end.
    pub(super) fn next_block(&mut self, block: &mut Block) -> Result<bool, InputError> {
        let most = self.left.map_or(Block::USUAL, |left| left.min(Block::USUAL as u64) as usize);
        if most == 0 {
            return Ok(false);
        }
        let fail = |error| InputError::io("read", &self.path, error);
        let room = block.space(most).map_err(|error| fail(error.into()))?;
        let mut got = read(&mut self.reader, room).map_err(fail)?;
        // Half an element cannot be reversed.
        while got > 0 && !got.is_multiple_of(self.reversed) {
            match read(&mut self.reader, &mut room[got..]).map_err(fail)? {
                0 => break,
                more => got += more,
            }
        }
        got -= got % self.reversed;
        if let Some(left) = &mut self.left {
            if got == 0 {
                return Err(InputError::damaged(&self.path, None, format!("the file ends {left} bytes early")));
            }
            *left -= got as u64;
        }
        if self.reversed > 1 {
            room[..got].chunks_exact_mut(self.reversed).for_each(<[u8]>::reverse);
        }
        block.filled(got);
        Ok(got > 0)
    }
}

/// One read that a signal does not end.
fn read(reader: &mut impl Read, room: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(room) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

impl fmt::Debug for Elements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Elements { reader: _, path, left, reversed } = self;
        f.debug_struct("Elements")
            .field("path", path)
            .field("left", left)
            .field("reversed", reversed)
            .finish_non_exhaustive()
    }
}
