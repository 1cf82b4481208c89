//! `Counted`: a stream whose bytes are counted as they are taken.

use std::io::{self, BufRead, Read};

use super::incoming::ReadAhead;

/// Counts what is taken of a stream.
#[derive(Debug)]
pub(crate) struct Counted<'r, R> {
    from: &'r mut R,
    taken: u64,
}

impl<'r, R> Counted<'r, R> {
    pub(crate) fn new(from: &'r mut R) -> Self {
        Counted { from, taken: 0 }
    }

    /// How many have been taken.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(into)?;
        self.taken += n as u64;
        Ok(n)
    }
}

impl<R: BufRead> BufRead for Counted<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.from.fill_buf()
    }

    fn consume(&mut self, n: usize) {
        self.taken += n as u64;
        self.from.consume(n);
    }
}

impl<R: ReadAhead> ReadAhead for Counted<'_, R> {
    fn at_hand(&self) -> usize {
        self.from.at_hand()
    }
}
