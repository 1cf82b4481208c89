//! `Cursor`: reads runs as one.
//!
//! A tree of losers looks at every row log(k) times, and each look is a branch that is guessed wrong half of the time.
//! Hashes are even, so it is faster to take all rows of a *slice* of the hashes from all runs, a few thousand, sort
//! their hashes, which is done in the first-level cache, and copy the rows out in that order.
//!
//! A slice ends at the least of the rows up to which the runs' blocks are known, so it holds all rows that are equal to
//! any of its rows, and the next one continues behind it. Rows with one hash, however many, are compared in full.
//!
//! # Memory
//! A block of each run, paid for while it is read; the next one of a spilled run if the budget has room for it; the
//! block that is given out, paid for until the next is asked for; and the slice, as large as a block.

use std::cmp::Ordering;
use std::sync::Arc;

use forebay::Lease;

use crate::error::ExchangeError;
use crate::memory::Memory;
use crate::rows::{BLOCK, Rows};
use crate::runs::run::{Block, Loaded, Place, Run};
use crate::sort::Order;

/// Rows that a slice has, about.
const SLICE: usize = 4096;

/// What is taken from a run at least, or the bookkeeping per slice is more than the slice.
const FEWEST: usize = 16;

/// A merge of runs, block by block.
pub struct Cursor<R: Rows> {
    sources: Vec<Source<R>>,
    memory: Memory,
    /// The rows of the slice, and their order; of that, those before `given` are given out.
    slice: Vec<Entry>,
    order: Order,
    given: usize,
    /// Pays for what was given out last.
    paid: Lease,
}

/// A row of the slice.
#[derive(Clone, Copy)]
struct Entry {
    hash: u64,
    source: u32,
    row: u32,
}

struct Source<R: Rows> {
    supply: Supply<R>,
    head: Head<R>,
    /// The first row of the head that is in no slice yet.
    next: usize,
}

pub(crate) enum Supply<R: Rows> {
    /// What is read is given back.
    Owned(Run<R>),
    /// Others read it too. The number is that of the next block.
    Shared(Arc<Run<R>>, usize),
}

/// The block that is being read.
enum Head<R> {
    Loaded(Loaded<R>),
    /// A block of a shared run, in memory.
    Borrowed(usize),
}

impl<R: Rows> Supply<R> {
    /// The next block, if there is one. Has the one after it read ahead.
    fn next(&mut self, memory: &Memory) -> Result<Option<Head<R>>, ExchangeError> {
        let (head, after) = match self {
            Supply::Owned(run) => (run.pop_front()?.map(Head::Loaded), run.blocks().front()),
            Supply::Shared(run, next) => {
                let Some(block) = run.blocks().get(*next) else { return Ok(None) };
                let head = match &block.place {
                    Place::Memory(_) => Head::Borrowed(*next),
                    Place::Paged(page) => Head::Loaded(Block::load(page)?),
                };
                *next += 1;
                (Some(head), run.blocks().get(*next))
            }
        };
        if let Some(Block { place: Place::Paged(page), .. }) = after {
            memory.prefetch(page);
        }
        Ok(head)
    }
}

impl<R: Rows> Source<R> {
    fn rows(&self) -> &R {
        match (&self.head, &self.supply) {
            (Head::Loaded(loaded), _) => &loaded.rows,
            (Head::Borrowed(index), Supply::Shared(run, _)) => match &run.blocks()[*index].place {
                Place::Memory(rows) => rows,
                Place::Paged(_) => unreachable!("a block that was borrowed is in memory"),
            },
            (Head::Borrowed(_), Supply::Owned(_)) => unreachable!("only a shared run lends blocks"),
        }
    }
}

impl<R: Rows> Cursor<R> {
    pub(crate) fn new(supplies: Vec<Supply<R>>, memory: &Memory) -> Result<Self, ExchangeError> {
        let mut sources = Vec::with_capacity(supplies.len());
        for mut supply in supplies {
            if let Some(head) = supply.next(memory)? {
                sources.push(Source { supply, head, next: 0 });
            }
        }
        let paid = memory.consumer().empty_lease();
        let (slice, order) = (Vec::new(), Order::default());
        Ok(Cursor { sources, memory: memory.clone(), slice, order, given: 0, paid })
    }

    /// A merge of `runs`, which are given back as they are read.
    ///
    /// # Errors
    /// If a block cannot be read back.
    pub fn merge(runs: Vec<Run<R>>, memory: &Memory) -> Result<Self, ExchangeError> {
        Self::new(runs.into_iter().map(Supply::Owned).collect(), memory)
    }

    /// The next rows, consolidated, in order: a block of about [`BLOCK`] bytes, and none after the last. What it takes
    /// in memory is paid for until the next call.
    ///
    /// # Errors
    /// If a block cannot be read back. The cursor is of no use afterwards.
    pub fn next_block(&mut self) -> Result<Option<R>, ExchangeError> {
        let mut out: Option<R> = None;
        // Few rows need no room for many.
        let another = self.paid.bytes() > 0;
        loop {
            if self.given == self.slice.len() {
                self.refill()?;
                match self.sources.len() {
                    0 => break,
                    1 if out.as_ref().is_none_or(R::is_empty) => return self.pass().map(Some),
                    1 => break,
                    _ => self.cut(),
                }
            }
            let out = out.get_or_insert_with(|| {
                let mut empty = self.sources[0].rows().like();
                if another {
                    empty.reserve(BLOCK);
                }
                empty
            });
            if self.give(out) {
                break;
            }
        }
        let out = out.filter(|out| !out.is_empty());
        let bytes = out.as_ref().map_or(0, R::bytes);
        self.paid.shrink_to(bytes);
        self.paid.grow_head(bytes - self.paid.bytes());
        Ok(out)
    }

    /// Puts a block at the head of every source, and drops the sources that have none.
    fn refill(&mut self) -> Result<(), ExchangeError> {
        let mut index = 0;
        while let Some(source) = self.sources.get_mut(index) {
            if source.next < source.rows().len() {
                index += 1;
                continue;
            }
            match source.supply.next(&self.memory)? {
                Some(head) => (source.head, source.next) = (head, 0),
                None => drop(self.sources.swap_remove(index)),
            }
        }
        Ok(())
    }

    /// What is left of the only source's head, as it is.
    fn pass(&mut self) -> Result<R, ExchangeError> {
        let source = &mut self.sources[0];
        if let (Head::Loaded(loaded), 0) = (&mut source.head, source.next) {
            self.paid = std::mem::replace(&mut loaded.lease, self.memory.consumer().empty_lease());
            return Ok(std::mem::take(&mut loaded.rows));
        }
        let rows = source.rows();
        let len = rows.len();
        let mut out = rows.like();
        out.append(rows, source.next..len);
        source.next = len;
        self.paid = self.memory.consumer().lease_head(out.bytes());
        Ok(out)
    }

    /// Makes the next slice.
    fn cut(&mut self) {
        self.slice.clear();
        self.given = 0;
        let blocks: Vec<&R> = self.sources.iter().map(Source::rows).collect();
        let stride = (SLICE / blocks.len()).max(FEWEST);
        let mut bound: Option<(u64, R::Row<'_>)> = None;
        for (source, rows) in self.sources.iter().zip(&blocks) {
            let last = rows.get(rows.len().min(source.next + stride) - 1);
            let hash = R::hash(last);
            if bound.is_none_or(|(least, row)| compare::<R>((hash, last), (least, row)).is_lt()) {
                bound = Some((hash, last));
            }
        }
        let Some(bound) = bound else { return };
        let mut nexts = Vec::with_capacity(blocks.len());
        for (index, (source, rows)) in self.sources.iter().zip(&blocks).enumerate() {
            let mut next = source.next;
            while next < rows.len() {
                let row = rows.get(next);
                let hash = R::hash(row);
                if compare::<R>((hash, row), bound).is_gt() {
                    break;
                }
                self.slice.push(Entry { hash, source: index as u32, row: next as u32 });
                next += 1;
            }
            nexts.push(next);
        }
        let slice = &self.slice;
        let row = |at: usize| blocks[slice[at].source as usize].get(slice[at].row as usize);
        let inside = |first| {
            let first = row(first);
            move |at| R::inside(row(at), first)
        };
        self.order.sort(slice.iter().map(|entry| entry.hash), |a, b| R::order(row(a), row(b)), inside);
        for (source, next) in self.sources.iter_mut().zip(nexts) {
            source.next = next;
        }
    }

    /// Adds the slice's rows to `out` until it is full, which is said, or the slice is at its end.
    fn give(&mut self, out: &mut R) -> bool {
        let blocks: Vec<&R> = self.sources.iter().map(Source::rows).collect();
        let mut full = false;
        let begin = self.given;
        for (at, alike) in self.order.from(begin) {
            let entry = self.slice[at];
            let row = blocks[entry.source as usize].get(entry.row as usize);
            full = out.bytes() >= BLOCK;
            if alike || self.given == begin {
                // Perhaps the same row, from another run: a full block takes it all the same.
                full = full && out.len().checked_sub(1).is_none_or(|last| R::order(out.get(last), row).is_ne());
                if full {
                    break;
                }
                out.push_merged(row);
            } else {
                if full {
                    break;
                }
                out.push(row);
            }
            self.given += 1;
        }
        full
    }
}

fn compare<R: Rows>(a: (u64, R::Row<'_>), b: (u64, R::Row<'_>)) -> Ordering {
    a.0.cmp(&b.0).then_with(|| R::order(a.1, b.1))
}

impl<R: Rows> std::fmt::Debug for Cursor<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cursor").field("sources", &self.sources.len()).finish_non_exhaustive()
    }
}
