//! `Group`: the rows of one key, as they were before a commit and as they are after it.

use std::cmp::Ordering;
use std::ops::Range;

use crate::error::ExchangeError;
use crate::memory::Memory;
use crate::rows::Rows;
use crate::runs::cursor::Cursor;
use crate::runs::run::{Block, Loaded, Place, Run};
use crate::runs::search::search;
use crate::runs::spots::{AHEAD, Spots};
use crate::runs::writer::RunWriter;

/// The rows of one key, merged over all levels and the commit's changes, in order. What is not asked for is not read.
pub struct Group<'g, 'l, R: Rows> {
    delta: &'g mut Delta<R>,
    levels: &'g mut [Level<'l, R>],
    scratch: &'g mut Scratch<R>,
    hash: u64,
}

/// Rows of a group's own, kept from group to group for their memory.
pub(crate) struct Scratch<R> {
    /// One row, whose key is the group's.
    key: R,
    /// The row that is visited, before and after the commit: one row each, or none.
    before: R,
    after: R,
}

/// One row, before and after a commit. It is missing where it has no weight.
#[derive(Debug)]
pub struct Change<'a, R: Rows> {
    /// As it was.
    pub before: Option<R::Row<'a>>,
    /// As it is.
    pub after: Option<R::Row<'a>>,
}

impl<R: Rows> Scratch<R> {
    pub(crate) fn like(rows: &R) -> Self {
        Scratch { key: rows.like(), before: rows.like(), after: rows.like() }
    }
}

impl<'g, 'l, R: Rows> Group<'g, 'l, R> {
    /// The group of the next row of `delta`, which is ready.
    pub(crate) fn new(
        delta: &'g mut Delta<R>,
        levels: &'g mut [Level<'l, R>],
        scratch: &'g mut Scratch<R>,
    ) -> Result<Self, ExchangeError> {
        let row = delta.rows.get(delta.at);
        let hash = R::hash(row);
        scratch.key.clear();
        scratch.key.push(row);
        let key = scratch.key.get(0);
        let nth = delta.at - delta.probed.start;
        for level in &mut *levels {
            level.skip_to(nth);
            // Rows of other keys with the same hash may come first.
            level.seek(hash, |row| R::order(row, key).is_lt() && !R::same_group(row, key))?;
        }
        Ok(Group { delta, levels, scratch, hash })
    }

    /// A row with the group's key. What is below the key, and its weight, say nothing.
    pub fn key(&self) -> R::Row<'_> {
        self.scratch.key.get(0)
    }

    /// The next row of the group, changed or not; none after the last.
    ///
    /// # Errors
    /// If a block cannot be read back.
    #[allow(clippy::should_implement_trait, reason = "it can fail, and it lends")]
    pub fn next(&mut self) -> Result<Option<Change<'_, R>>, ExchangeError> {
        self.next_if(|_| true)
    }

    /// As [`next`](Self::next), if that row is `wanted`; if it is not, there is none, and it stays the next one.
    ///
    /// # Errors
    /// If a block cannot be read back.
    pub fn next_if(&mut self, wanted: impl Fn(R::Row<'_>) -> bool) -> Result<Option<Change<'_, R>>, ExchangeError> {
        let Scratch { key, before, after } = &mut *self.scratch;
        let key = key.get(0);
        loop {
            let mut least = self.delta.peek(key)?;
            let changed = least;
            for level in &mut *self.levels {
                level.look(self.hash)?;
            }
            for level in &*self.levels {
                let Some(row) = level.peek(key) else { continue };
                if least.is_none_or(|least| R::order(row, least).is_lt()) {
                    least = Some(row);
                }
            }
            let Some(least) = least.filter(|row| wanted(*row)) else { return Ok(None) };
            before.clear();
            after.clear();
            let mut taken = 0_u64;
            for (index, level) in self.levels.iter().enumerate() {
                if let Some(row) = level.peek(key).filter(|row| R::order(*row, least).is_eq()) {
                    before.push_merged(row);
                    after.push_merged(row);
                    taken |= 1 << index;
                }
            }
            let changed = changed.filter(|row| R::order(*row, least).is_eq());
            if let Some(row) = changed {
                after.push_merged(row);
            }
            let changed = changed.is_some();
            let mut absorbed = false;
            for (_, level) in self.levels.iter_mut().enumerate().filter(|(index, _)| taken >> index & 1 == 1) {
                if changed && !absorbed {
                    absorbed = level.absorb(self.delta.rows.get(self.delta.at));
                }
                level.at += 1;
            }
            if absorbed {
                self.delta.absorbed.push(self.delta.at);
            }
            self.delta.at += usize::from(changed);
            if !before.is_empty() || !after.is_empty() {
                break;
            }
        }
        let only = |rows: &'_ R| !rows.is_empty();
        let (before, after) = (&self.scratch.before, &self.scratch.after);
        Ok(Some(Change { before: only(before).then(|| before.get(0)), after: only(after).then(|| after.get(0)) }))
    }

    /// The next row of the group that the commit changes; none after the last. Reads nothing of what lies between.
    ///
    /// # Errors
    /// If a block cannot be read back.
    pub fn next_changed(&mut self) -> Result<Option<Change<'_, R>>, ExchangeError> {
        self.next_changed_if(|_| true)
    }

    /// As [`next_changed`](Self::next_changed), if that row is `wanted`; if it is not, there is none, and nothing is
    /// passed over.
    ///
    /// # Errors
    /// If a block cannot be read back.
    pub fn next_changed_if(
        &mut self,
        wanted: impl Fn(R::Row<'_>) -> bool,
    ) -> Result<Option<Change<'_, R>>, ExchangeError> {
        let row = self.delta.peek(self.scratch.key.get(0))?;
        let Some(row) = row.filter(|row| wanted(*row)) else { return Ok(None) };
        for level in &mut *self.levels {
            level.seek(self.hash, |other| R::order(other, row).is_lt())?;
        }
        self.next()
    }

    /// Goes forward to the first row of the group that is not `before` what is wanted; those that are come first in the
    /// order of rows. Reads nothing of what lies between.
    ///
    /// # Errors
    /// If a block cannot be read back.
    pub fn seek(&mut self, before: impl Fn(R::Row<'_>) -> bool) -> Result<(), ExchangeError> {
        let key = self.scratch.key.get(0);
        for level in &mut *self.levels {
            level.seek(
                self.hash,
                |row| if R::same_group(row, key) { before(row) } else { R::order(row, key).is_lt() },
            )?;
        }
        while self.delta.peek(key)?.is_some_and(&before) {
            self.delta.at += 1;
        }
        Ok(())
    }

    /// Adds `row` to what the commit changes: it is of the group, comes after all that the commit has of it, and after
    /// what was inserted before. What was not visited of the changes is gone past.
    ///
    /// # Errors
    /// If a block cannot be read back.
    pub fn insert(&mut self, row: R::Row<'_>) -> Result<(), ExchangeError> {
        self.skip()?;
        self.delta.insert(row);
        Ok(())
    }

    /// Goes past the changes that were not visited.
    pub(crate) fn end(mut self) -> Result<(), ExchangeError> {
        self.skip()
    }

    fn skip(&mut self) -> Result<(), ExchangeError> {
        while self.delta.peek(self.scratch.key.get(0))?.is_some() {
            self.delta.at += 1;
        }
        Ok(())
    }
}

impl<R: Rows> std::fmt::Debug for Group<'_, '_, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group").field("hash", &self.hash).finish_non_exhaustive()
    }
}

/// The changes of a commit: read once, and kept for the level that they become.
pub(crate) struct Delta<R: Rows> {
    cursor: Cursor<R>,
    rows: R,
    at: usize,
    /// The rows whose places in the levels are known.
    probed: Range<usize>,
    /// Rows whose weights were added to those of a level: nothing is left of them.
    absorbed: Vec<usize>,
    /// Rows that were added, and before which of `rows` each belongs.
    inserted: R,
    inserted_at: Vec<usize>,
    done: RunWriter<R>,
}

impl<R: Rows> Delta<R> {
    pub(crate) fn new(cursor: Cursor<R>, memory: &Memory) -> Self {
        Delta {
            cursor,
            rows: R::default(),
            at: 0,
            probed: 0..0,
            absorbed: Vec::new(),
            inserted: R::default(),
            inserted_at: Vec::new(),
            done: RunWriter::new(memory),
        }
    }

    pub(crate) fn rows(&self) -> &R {
        &self.rows
    }

    /// Whether there is another row, which then lies at `at`.
    pub(crate) fn ready(&mut self) -> Result<bool, ExchangeError> {
        while self.at == self.rows.len() {
            self.keep()?;
            (self.at, self.probed) = (0, 0..0);
            match self.cursor.next_block()? {
                Some(rows) => self.rows = rows,
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Adds a row in front of the next one.
    fn insert(&mut self, row: R::Row<'_>) {
        self.inserted.push(row);
        self.inserted_at.push(self.at);
    }

    /// What is not absorbed, and what was inserted, goes into a run.
    fn keep(&mut self) -> Result<(), ExchangeError> {
        let mut rows = std::mem::take(&mut self.rows);
        if !self.absorbed.is_empty() || !self.inserted_at.is_empty() {
            let mut kept = rows.like();
            let mut begin = 0;
            let mut absorbed = self.absorbed.drain(..).peekable();
            for (index, at) in self.inserted_at.drain(..).enumerate() {
                while let Some(gone) = absorbed.next_if(|gone| *gone < at) {
                    kept.append(&rows, begin..gone);
                    begin = gone + 1;
                }
                kept.append(&rows, begin..at);
                begin = at;
                kept.push(self.inserted.get(index));
            }
            for gone in absorbed {
                kept.append(&rows, begin..gone);
                begin = gone + 1;
            }
            kept.append(&rows, begin..rows.len());
            rows = kept;
            self.inserted.clear();
        }
        self.done.push(rows)
    }

    /// Has `levels` find where the next row, which is ready, and some behind it begin.
    pub(crate) fn probe(&mut self, levels: &mut [Level<'_, R>]) {
        if self.probed.contains(&self.at) {
            return;
        }
        self.probed = self.at..self.rows.len().min(self.at + AHEAD);
        let mut hashes = [0; AHEAD];
        let hashes = &mut hashes[..self.probed.len()];
        for (hash, index) in hashes.iter_mut().zip(self.probed.clone()) {
            *hash = R::hash(self.rows.get(index));
        }
        levels.iter_mut().for_each(|level| level.probe(hashes));
    }

    /// The next row, if it is of the group of `key`.
    fn peek(&mut self, key: R::Row<'_>) -> Result<Option<R::Row<'_>>, ExchangeError> {
        Ok(if self.ready()? { Some(self.rows.get(self.at)).filter(|row| R::same_group(*row, key)) } else { None })
    }

    /// What was read, as a run.
    pub(crate) fn finish(self) -> Run<R> {
        self.done.finish()
    }
}

/// A level, read forward.
pub(crate) struct Level<'l, R: Rows> {
    run: &'l mut Run<R>,
    block: usize,
    /// The block, if it is a page and was read.
    loaded: Option<Loaded<R>>,
    /// Whether the block was looked into.
    open: bool,
    /// The next row in the block.
    at: usize,
    touched: u64,
    /// Of the keys that were probed last.
    spots: Spots,
}

impl<'l, R: Rows> Level<'l, R> {
    pub(crate) fn new(run: &'l mut Run<R>) -> Self {
        Level { run, block: 0, loaded: None, open: false, at: 0, touched: 0, spots: Spots::default() }
    }

    /// How many blocks were looked into.
    pub(crate) fn touched(&self) -> u64 {
        self.touched
    }

    /// Notes where the rows with `hashes`, which are in order, begin.
    fn probe(&mut self, hashes: &[u64]) {
        let (run, block, loaded) = (&*self.run, self.block, &self.loaded);
        self.spots.find(hashes, run.blocks(), block, |index| match (&run.blocks()[index].place, loaded) {
            (Place::Memory(rows), _) => Some(rows),
            (Place::Paged(_), Some(loaded)) if index == block => Some(&loaded.rows),
            (Place::Paged(_), _) => None,
        });
    }

    /// Goes forward to where the `nth` of the hashes that were probed last begins.
    fn skip_to(&mut self, nth: usize) {
        let Some(spot) = self.spots.get(nth) else { return };
        if spot.block > self.block {
            self.go_to(spot.block);
        }
        if spot.block == self.block {
            self.at = self.at.max(spot.row);
        }
    }

    /// Goes forward to the first row with the hash that is not `before` what is wanted, or to where it would be.
    fn seek(&mut self, hash: u64, before: impl Fn(R::Row<'_>) -> bool) -> Result<(), ExchangeError> {
        let begins_before = |index: usize| match self.run.blocks()[index].first.cmp(&hash) {
            Ordering::Less => true,
            Ordering::Equal => self.run.begins_before(index, &before),
            Ordering::Greater => false,
        };
        // The last block that begins before the rows: they may begin in it.
        let (next, end) = (self.block + 1, self.run.blocks().len());
        if next < end && begins_before(next) {
            self.go_to(search(next..end, next, begins_before) - 1);
        }
        while self.look(hash)? {
            let rows = self.rows();
            let is_before = |index: usize| {
                let row = rows.get(index);
                match R::hash(row).cmp(&hash) {
                    Ordering::Less => true,
                    Ordering::Equal => before(row),
                    Ordering::Greater => false,
                }
            };
            let len = rows.len();
            self.at = search(self.at..len, self.at, is_before);
            if self.at < len {
                break;
            }
        }
        Ok(())
    }

    /// Opens the block that the next row is in, if it can have the hash; whether it can.
    fn look(&mut self, hash: u64) -> Result<bool, ExchangeError> {
        loop {
            let Some(block) = self.run.blocks().get(self.block) else { return Ok(false) };
            if self.at == block.rows {
                self.go_to(self.block + 1);
                continue;
            }
            if self.at == 0 && block.first > hash {
                return Ok(false);
            }
            if !self.open {
                if let Place::Paged(page) = &block.place {
                    self.loaded = Some(Block::load(page)?);
                }
                self.open = true;
                self.touched += 1;
            }
            return Ok(true);
        }
    }

    /// Adds the weight of `row` to that of the next row, of which it differs in its weight only, if that row is in
    /// memory to stay and has weight left; whether it was done.
    fn absorb(&mut self, row: R::Row<'_>) -> bool {
        self.loaded.is_none() && self.run.merge_at(self.block, self.at, row)
    }

    fn go_to(&mut self, block: usize) {
        (self.block, self.at, self.open, self.loaded) = (block, 0, false, None);
    }

    fn rows(&self) -> &R {
        match (&self.loaded, &self.run.blocks()[self.block].place) {
            (Some(loaded), _) => &loaded.rows,
            (None, Place::Memory(rows)) => rows,
            (None, Place::Paged(_)) => unreachable!("a block is read before it is looked into"),
        }
    }

    /// The next row, if its block is open and it is of the group of `key`.
    fn peek(&self, key: R::Row<'_>) -> Option<R::Row<'_>> {
        if self.open { Some(self.rows().get(self.at)).filter(|row| R::same_group(*row, key)) } else { None }
    }
}
