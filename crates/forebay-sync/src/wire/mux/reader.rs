//! `MuxReader`: frames that come, data apart from messages.

use std::io::{self, BufRead, Read};
use std::time::{Duration, Instant};

use super::incoming::{Incoming, ReadAhead};
use super::tag::{BASE, Tag};
use crate::wire::error::WireError;
use crate::wire::limits;

/// The data of a multiplexed stream; messages go to whoever wants them.
#[derive(Debug)]
pub(crate) struct MuxReader<R, M> {
    pub(crate) from: R,
    messages: M,
    /// Bytes of the current frame that are still to come.
    left: usize,
}

/// Who is told of messages. An error ends the session.
pub(crate) trait Messages {
    fn message(&mut self, tag: Tag, payload: &[u8]) -> Result<(), WireError>;
}

impl<F: FnMut(Tag, &[u8]) -> Result<(), WireError>> Messages for F {
    fn message(&mut self, tag: Tag, payload: &[u8]) -> Result<(), WireError> {
        self(tag, payload)
    }
}

impl<R: Read, M: Messages> MuxReader<R, M> {
    pub(crate) fn new(from: R, messages: M) -> Self {
        MuxReader { from, messages, left: 0 }
    }

    /// Reads frames until one has data. `false` at the end of the stream.
    fn next_frame(&mut self) -> io::Result<bool> {
        let mut header = [0; 4];
        if !read_all_or_none(&mut self.from, &mut header)? {
            return Ok(false);
        }
        let [a, b, c, code] = header;
        let len = u32::from_le_bytes([a, b, c, 0]) as usize;
        let tag = code.checked_sub(BASE).and_then(Tag::of);
        match tag {
            Some(Tag::Data) => self.left = len,
            Some(tag) if len <= limits::MESSAGE => {
                let mut payload = vec![0; len];
                self.from.read_exact(&mut payload)?;
                self.messages.message(tag, &payload)?;
            }
            Some(_) => return Err(WireError::protocol("a message that is too long", len as i64).into()),
            None => return Err(WireError::protocol("a frame of no known kind", code).into()),
        }
        Ok(true)
    }
}

impl<M: Messages> MuxReader<Incoming, M> {
    /// Hears messages for `most` about; data means nothing any more.
    ///
    /// # Errors
    /// What a message is an error of, or the stream, also that the other side has closed it.
    pub(crate) fn hear_out(&mut self, most: Duration) -> Result<(), WireError> {
        let until = Instant::now() + most;
        self.from.ends_after(most);
        while Instant::now() < until {
            let len = self.fill_buf()?.len();
            if len == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            self.consume(len);
        }
        Ok(())
    }
}

fn read_all_or_none(from: &mut impl Read, into: &mut [u8]) -> io::Result<bool> {
    let mut filled = 0;
    while let Some(rest) = into.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) if filled == 0 => return Ok(false),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

impl<R: Read, M: Messages> Read for MuxReader<R, M> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 {
            if into.is_empty() || !self.next_frame()? {
                return Ok(0);
            }
        }
        let most = into.len().min(self.left);
        let n = self.from.read(into.get_mut(..most).unwrap_or_default())?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= n;
        Ok(n)
    }
}

impl<R: BufRead, M: Messages> BufRead for MuxReader<R, M> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.left == 0 {
            if !self.next_frame()? {
                return Ok(&[]);
            }
        }
        let there = self.from.fill_buf()?;
        if there.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(there.get(..self.left).unwrap_or(there))
    }

    fn consume(&mut self, n: usize) {
        let n = n.min(self.left);
        self.from.consume(n);
        self.left -= n;
    }
}

impl<R: ReadAhead, M: Messages> ReadAhead for MuxReader<R, M> {
    fn at_hand(&self) -> usize {
        self.from.at_hand()
    }
}
