//! `Run`: sorted rows in blocks, in memory or on disk.

use std::collections::VecDeque;

use forebay::{Lease, Page, PageState};

use crate::error::ExchangeError;
use crate::memory::Memory;
use crate::rows::{BLOCK, Rows};

/// The longest row that an index holds: of rows that are longer it would take a good part of what they take themselves.
const LONGEST_FIRST: usize = BLOCK / 64;

/// Sorted, consolidated rows: within a block, and from block to block. No two of them differ in their weight only.
///
/// A block is in memory, paid for by the run's lease, or a page of the spill store.
pub struct Run<R> {
    blocks: VecDeque<Block<R>>,
    rows: u64,
    /// First rows of blocks that begin within the rows of one hash, unless they are long.
    firsts: Option<R>,
    /// The hash of the last row.
    last: u64,
    /// Pays for the blocks that are in memory, and for the index: hash and place of every block, and first rows.
    lease: Lease,
}

/// Some rows of a run.
pub(crate) struct Block<R> {
    /// The hash of its first row.
    pub(crate) first: u64,
    start: Start,
    pub(crate) rows: usize,
    /// Its bytes in memory.
    pub(crate) bytes: usize,
    pub(crate) place: Place<R>,
}

/// What the first row of a block is.
#[derive(Clone, Copy)]
enum Start {
    /// The first with its hash.
    OfHash,
    /// One of several with its hash, which others in the block before have, too.
    Within {
        /// Where it is among the first rows, if it is there.
        at: Option<u32>,
    },
}

pub(crate) enum Place<R> {
    Memory(R),
    Paged(Page),
}

/// Rows in memory and what pays for them.
pub(crate) struct Loaded<R> {
    pub(crate) rows: R,
    pub(crate) lease: Lease,
}

impl<R: Rows> Block<R> {
    /// What a block costs beyond its rows.
    const INDEX: usize = size_of::<Self>();

    fn new(rows: R, start: Start) -> Self {
        Block { first: R::hash(rows.get(0)), start, rows: rows.len(), bytes: rows.bytes(), place: Place::Memory(rows) }
    }

    /// The rows of a page, read back.
    pub(crate) fn load(page: &Page) -> Result<Loaded<R>, ExchangeError> {
        let paged = page.get()?;
        let rows = R::decode(&paged.bytes)?;
        let mut lease = paged.lease;
        lease.shrink_to(rows.bytes());
        let missing = rows.bytes() - lease.bytes();
        lease.grow_head(missing);
        Ok(Loaded { rows, lease })
    }
}

impl<R: Rows> Run<R> {
    /// A run of `blocks`, which `lease` pays for. Empty blocks are left out.
    pub fn resident(blocks: Vec<R>, lease: Lease) -> Self {
        let mut run = Run { blocks: VecDeque::with_capacity(blocks.len()), rows: 0, firsts: None, last: 0, lease };
        for rows in blocks {
            run.append(rows);
        }
        run
    }

    /// No rows yet; `memory` pays.
    pub(crate) fn empty(memory: &Memory) -> Self {
        Run { blocks: VecDeque::new(), rows: 0, firsts: None, last: 0, lease: memory.consumer().empty_lease() }
    }

    /// Has the run's lease pay for `bytes` more bytes, if they fit and leave `headroom` bytes to others.
    pub(crate) fn try_pay(&mut self, bytes: usize, headroom: usize) -> bool {
        let paid = self.lease.try_grow(bytes.saturating_add(headroom));
        if paid {
            self.lease.shrink_to(self.lease.bytes() - headroom);
        }
        paid
    }

    /// Has the run's lease pay for `bytes` more bytes, whether they fit or not.
    pub(crate) fn pay_head(&mut self, bytes: usize) {
        self.lease.grow_head(bytes);
    }

    /// Adds rows that come after all others, and that the run's lease pays for already.
    pub(crate) fn append(&mut self, rows: R) {
        if rows.is_empty() {
            return;
        }
        self.rows += rows.len() as u64;
        let (start, index) = self.start(&rows);
        self.last = R::hash(rows.get(rows.len() - 1));
        // The index is small, and a run without it is none.
        self.lease.grow_head(Block::<R>::INDEX + index);
        self.blocks.push_back(Block::new(rows, start));
    }

    /// What the first of `rows`, which come next, is, and what is kept of it in bytes.
    fn start(&mut self, rows: &R) -> (Start, usize) {
        let first = rows.get(0);
        if self.blocks.is_empty() || R::hash(first) != self.last {
            return (Start::OfHash, 0);
        }
        let mut one = rows.like();
        one.push(first);
        let bytes = one.bytes();
        if bytes <= LONGEST_FIRST {
            let firsts = self.firsts.get_or_insert_with(|| rows.like());
            let at = u32::try_from(firsts.len()).ok();
            firsts.append(&one, 0..1);
            return (Start::Within { at }, bytes);
        }
        (Start::Within { at: None }, 0)
    }

    /// How many rows there are.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes that the rows take in memory, or took before they were spilled.
    pub fn bytes(&self) -> usize {
        self.blocks.iter().map(|block| block.bytes).sum()
    }

    /// Whether all rows are in memory.
    pub fn is_resident(&self) -> bool {
        self.blocks.iter().all(|block| matches!(block.place, Place::Memory(_)))
    }

    /// Hands what is in memory to the spill store, block by block, and returns at once; memory is given back as blocks
    /// get written. Without a spill store nothing happens.
    pub fn spill(&mut self, memory: &Memory) {
        for index in 0..self.blocks.len() {
            self.spill_block(index, memory);
        }
    }

    /// Hands the last block to the spill store.
    pub(crate) fn spill_last(&mut self, memory: &Memory) {
        if let Some(last) = self.blocks.len().checked_sub(1) {
            self.spill_block(last, memory);
        }
    }

    fn spill_block(&mut self, index: usize, memory: &Memory) {
        let block = &mut self.blocks[index];
        let Place::Memory(rows) = &block.place else { return };
        if !memory.can_spill() {
            return;
        }
        let mut bytes = Vec::new();
        rows.encode(&mut bytes);
        let mut lease = self.lease.split(block.bytes);
        lease.shrink_to(bytes.len());
        lease.grow_head(bytes.len() - lease.bytes());
        if let Ok(page) = memory.spill(bytes, block.rows as u64, lease) {
            block.place = Place::Paged(page);
        }
    }

    /// The last of the blocks that are on their way to the spill store. Pages are written in order, so when it is there
    /// all are.
    ///
    /// # Errors
    /// If they cannot be written: they stay in memory.
    pub(crate) fn leaving(&self) -> Result<Option<&Page>, ExchangeError> {
        let Some(last) = self.pages_from_back().next() else { return Ok(None) };
        match last.state() {
            PageState::Failed(error) => Err(error.into()),
            PageState::OnDisk => Ok(None),
            PageState::Resident | PageState::Writing => Ok(Some(last)),
        }
    }

    pub(crate) fn blocks(&self) -> &VecDeque<Block<R>> {
        &self.blocks
    }

    /// Adds the weight of `row` to that of a row, of which it differs in its weight only, if that one is in memory and has
    /// weight left; whether it was done.
    pub(crate) fn merge_at(&mut self, block: usize, index: usize, row: R::Row<'_>) -> bool {
        match self.blocks.get_mut(block).map(|block| &mut block.place) {
            Some(Place::Memory(rows)) => rows.merge_at(index, row),
            Some(Place::Paged(_)) | None => false,
        }
    }

    /// Whether whoever looks for the first row with a hash that is not `before` what is wanted may begin with the block
    /// at `index`, whose first row has that hash. If that is not known he may not: he comes there from a block before.
    pub(crate) fn begins_before(&self, index: usize, before: impl Fn(R::Row<'_>) -> bool) -> bool {
        match (self.blocks[index].start, &self.firsts) {
            (Start::OfHash, _) => true,
            (Start::Within { at: Some(at) }, Some(firsts)) => before(firsts.get(at as usize)),
            (Start::Within { .. }, _) => false,
        }
    }

    /// Takes the first block off; what it cost is given back with the lease that comes with it.
    pub(crate) fn pop_front(&mut self) -> Result<Option<Loaded<R>>, ExchangeError> {
        let Some(block) = self.blocks.pop_front() else { return Ok(None) };
        self.rows -= block.rows as u64;
        drop(self.lease.split(Block::<R>::INDEX));
        match block.place {
            Place::Memory(rows) => Ok(Some(Loaded { rows, lease: self.lease.split(block.bytes) })),
            Place::Paged(page) => Block::load(&page).map(Some),
        }
    }

    /// Bytes of the largest block.
    pub(crate) fn largest_block(&self) -> usize {
        self.blocks.iter().map(|block| block.bytes).max().unwrap_or(0)
    }

    /// The pages of the last blocks, newest first.
    pub(crate) fn pages_from_back(&self) -> impl Iterator<Item = &Page> {
        self.blocks.iter().rev().filter_map(|block| match &block.place {
            Place::Memory(_) => None,
            Place::Paged(page) => Some(page),
        })
    }
}

impl<R> std::fmt::Debug for Run<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("rows", &self.rows).field("blocks", &self.blocks.len()).finish_non_exhaustive()
    }
}
