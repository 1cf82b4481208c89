//! `Schedule`: the source of units. It says whose turn it is.
//!
//! Without commits, inputs come one after the other. With a commit every `n` rows, each input in turn gives units until
//! it has given the rows of the commit, then the next commit's round begins. How many rows a unit has is known of
//! Parquet; of text the number of lines is taken for it: workers say by how much that was wrong, and an input that is
//! behind is asked for more before any other goes on. So what waits for the order of commits is what is in flight, and a unit
//! an input.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use forebay::Weigh;

use super::cut::Scanner;
use super::open::Start;
use super::parquet_file::{ParquetLayout, Part, Positioned};
use super::text::{Text, TextPiece};
use crate::table::TableError;

/// A piece of work.
#[derive(Debug)]
pub(super) struct Unit {
    /// Which input it is of.
    pub(super) input: usize,
    pub(super) kind: UnitKind,
}

#[derive(Debug)]
pub(super) enum UnitKind {
    Text(TextPiece),
    Part(Part),
    /// The input has no more.
    End,
}

impl Unit {
    /// How many rows it has, as far as that is known before it is decoded.
    pub(super) fn expected_rows(&self) -> u64 {
        match &self.kind {
            UnitKind::Text(piece) => piece.lines,
            UnitKind::Part(part) => part.rows as u64,
            UnitKind::End => 0,
        }
    }

    /// What it takes of the file.
    pub(super) fn bytes(&self) -> u64 {
        match &self.kind {
            UnitKind::Text(piece) => piece.bytes.len() as u64,
            UnitKind::Part(part) => part.bytes,
            UnitKind::End => 0,
        }
    }
}

impl Weigh for Unit {
    fn weight(&self) -> usize {
        let text = if let UnitKind::Text(piece) = &self.kind { piece.bytes.capacity() } else { 0 };
        size_of::<Self>() + text
    }
}

/// How much of an input is a unit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Bytes of text.
    pub(super) piece: usize,
    /// Bytes that a part of Parquet decodes to.
    pub(super) part: usize,
    /// Bytes of the longest row of text.
    pub(super) longest: usize,
}

/// One input, as the source reads it.
pub(super) enum Stream {
    /// Not begun.
    Closed {
        path: Arc<Path>,
        start: Start,
        scanner: Scanner,
    },
    Text(Text),
    /// Not begun.
    Parquet(ParquetLayout),
    Parts(Box<dyn Iterator<Item = Part> + Send>),
    Ended,
}

impl Stream {
    pub(super) fn csv(path: Arc<Path>, start: Start, delimiter: u8) -> Self {
        Stream::Closed { path, start, scanner: Scanner::csv(delimiter) }
    }

    pub(super) fn lines(path: Arc<Path>, start: Start) -> Self {
        Stream::Closed { path, start, scanner: Scanner::lines() }
    }

    /// What comes next; `End` once.
    fn next(&mut self, sizes: Sizes) -> Result<UnitKind, TableError> {
        loop {
            let next = match self {
                Stream::Text(text) => text.next_piece()?.map(UnitKind::Text),
                Stream::Parts(parts) => parts.next().map(UnitKind::Part),
                Stream::Ended => None,
                Stream::Closed { .. } | Stream::Parquet(_) => {
                    *self = match std::mem::replace(self, Stream::Ended) {
                        Stream::Closed { path, start, scanner } => {
                            Stream::Text(start.text(path, scanner, sizes.piece, sizes.longest)?)
                        }
                        Stream::Parquet(layout) => {
                            let file = Positioned::open(&layout.path)?;
                            Stream::Parts(Box::new(layout.parts(&file, sizes.part)))
                        }
                        begun => begun,
                    };
                    continue;
                }
            };
            return Ok(next.unwrap_or_else(|| {
                *self = Stream::Ended;
                UnitKind::End
            }));
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

/// The units of all inputs, in the order in which they are decoded.
#[derive(Debug)]
pub(super) struct Schedule<'m> {
    streams: Vec<Stream>,
    sizes: Sizes,
    every: Option<u64>,
    round: u64,
    /// Rows that each input has given, as far as that is known.
    given: Vec<u64>,
    missing: &'m Missing,
}

impl<'m> Schedule<'m> {
    pub(super) fn new(streams: Vec<Stream>, sizes: Sizes, every: Option<u64>, missing: &'m Missing) -> Self {
        let given = vec![0; streams.len()];
        Schedule { streams, sizes, every, round: 0, given, missing }
    }

    /// The input whose turn it is.
    fn turn(&mut self) -> Option<usize> {
        let is_open = |at: &usize| !matches!(self.streams[*at], Stream::Ended);
        let first = (0..self.streams.len()).find(is_open)?;
        let Some(every) = self.every else { return Some(first) };
        loop {
            let due = every.saturating_mul(self.round.saturating_add(1));
            let is_behind =
                |at: &usize| self.given[*at].saturating_add_signed(self.missing.of(*at).saturating_neg()) < due;
            if let Some(at) = (first..self.streams.len()).filter(is_open).find(is_behind) {
                return Some(at);
            }
            self.round += 1;
        }
    }
}

impl Iterator for Schedule<'_> {
    type Item = Result<Unit, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        let input = self.turn()?;
        let unit = self.streams[input].next(self.sizes).map(|kind| Unit { input, kind });
        if let Ok(unit) = &unit {
            self.given[input] = self.given[input].saturating_add(unit.expected_rows());
        }
        Some(unit)
    }
}

/// For each input, by how many rows it has given less than was thought.
#[derive(Debug)]
pub(super) struct Missing(Vec<AtomicI64>);

impl Missing {
    pub(super) fn new(inputs: usize) -> Self {
        Missing((0..inputs).map(|_| AtomicI64::new(0)).collect())
    }

    /// `input` has given `found` rows where there should have been `expected`.
    pub(super) fn add(&self, input: usize, expected: u64, found: u64) {
        self.0[input].fetch_add(expected.cast_signed().wrapping_sub(found.cast_signed()), Ordering::Relaxed);
    }

    fn of(&self, input: usize) -> i64 {
        self.0[input].load(Ordering::Relaxed)
    }
}
