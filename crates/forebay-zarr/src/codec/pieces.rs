//! `Pieces`: reads a chunk that lies in several places.

use std::slice;

/// A place in a chunk whose bytes are those of `pieces`, one behind the other.
#[derive(Clone, Debug)]
pub(crate) struct Pieces<'a> {
    run: &'a [u8],
    behind: slice::Iter<'a, &'a [u8]>,
}

impl<'a> Pieces<'a> {
    pub(crate) fn new(pieces: &'a [&'a [u8]]) -> Self {
        Pieces { run: &[], behind: pieces.iter() }
    }

    /// The next bytes, as many as lie together and at most `most`. Empty at the end of the chunk, or if `most` is 0.
    pub(crate) fn take(&mut self, most: usize) -> &'a [u8] {
        while self.run.is_empty() {
            match self.behind.next() {
                Some(piece) => self.run = piece,
                None => return &[],
            }
        }
        let (run, rest) = self.run.split_at(most.min(self.run.len()));
        self.run = rest;
        run
    }

    /// Fills `to` with the next bytes, as far as there are some. Returns how many there were.
    pub(crate) fn gather(&mut self, to: &mut [u8]) -> usize {
        let mut filled = 0;
        while filled < to.len() {
            let run = self.take(to.len() - filled);
            if run.is_empty() {
                break;
            }
            to[filled..filled + run.len()].copy_from_slice(run);
            filled += run.len();
        }
        filled
    }
}
