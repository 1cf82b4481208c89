//! `Levels`: what a worker keeps from commit to commit.
//!
//! ```text
//!   level 0   10,000,000 rows   [block][block][block] ...     at least twice level 1
//!   level 1      900,000 rows   [block][block] ...            at least twice level 2
//!   level 2      100,000 rows   [block] ...                   the last commit
//! ```
//!
//! Every commit adds a run. Where it, and what is behind it, are more than half of the level before, they are merged
//! with that level: whenever a row is merged, the run that it is in gets half as large again, so n rows are merged
//! O(n log n) times in all, however many commits they come in. A row that differs in its weight only from one that is
//! there, in memory, adds to that one's weight and is in no new run: where keys come again, there is little to merge.
//!
//! # Looking up
//! [`Levels::apply`] goes through a commit's changes and the levels side by side, forward only. Of each level it reads
//! the blocks that rows of a changed group can be in, each once: blocks are found by the hash of their first row and, where
//! they begin within a group, by that row, both of which are kept in memory. Only of rows longer than a KiB they are not: within
//! a group of those, blocks are gone through from its first. A group is visited from its first row, and no further than
//! the visitor asks; what comes first is up to the order of the rows (see `Reverse` as a [`Field`](crate::Field) for the
//! largest first).
//!
//! # Memory
//! Rows stay in memory as far as that leaves half of the budget to others, else they are spilled when a level is
//! written. Looking up takes one block of each spilled level, merging two; there are log2(n) levels at most.

use crate::error::ExchangeError;
use crate::memory::Memory;
use crate::rows::Rows;
use crate::runs::cursor::Cursor;
use crate::runs::group::{Delta, Group, Level, Scratch};
use crate::runs::run::Run;
use crate::runs::sealed::Sealed;
use crate::runs::writer::RunWriter;

/// Rows that are kept, in sorted runs of geometric sizes.
pub struct Levels<R: Rows> {
    /// The largest first.
    levels: Vec<Run<R>>,
    memory: Memory,
    merged: u64,
    touched: u64,
}

impl<R: Rows> Levels<R> {
    /// No rows yet; `memory` pays.
    pub fn new(memory: &Memory) -> Self {
        Levels { levels: Vec::new(), memory: memory.clone(), merged: 0, touched: 0 }
    }

    /// Adds the rows of `run`. For merger threads: it merges and waits for the disk.
    ///
    /// # Errors
    /// If a block cannot be read back, or what is merged is neither taken by the store nor fits.
    pub fn insert(&mut self, run: Run<R>) -> Result<(), ExchangeError> {
        if run.rows() == 0 {
            return Ok(());
        }
        let mut rows = run.rows();
        let mut first = self.levels.len();
        while first > 0 && self.levels[first - 1].rows() < 2 * rows {
            first -= 1;
            rows += self.levels[first].rows();
        }
        let mut runs = self.levels.split_off(first);
        runs.push(run);
        let run = if let [_] = runs[..] {
            runs.remove(0)
        } else {
            self.merged += rows;
            let mut cursor = Cursor::merge(runs, &self.memory)?;
            let mut writer = RunWriter::new(&self.memory);
            while let Some(rows) = cursor.next_block()? {
                writer.push(rows)?;
            }
            writer.finish()
        };
        if run.rows() > 0 {
            self.levels.push(run);
        }
        Ok(())
    }

    /// Has `visit` see every group that `changes` has rows of, in order, and then adds the changes. For merger threads.
    ///
    /// # Errors
    /// Those of `visit` and of [`insert`](Self::insert). The levels are of no use afterwards.
    pub fn apply(
        &mut self,
        changes: Sealed<R>,
        mut visit: impl FnMut(&mut Group<'_, '_, R>) -> Result<(), ExchangeError>,
    ) -> Result<(), ExchangeError> {
        let mut delta = Delta::new(changes.into_cursor()?, &self.memory);
        let mut levels: Vec<Level<'_, R>> = self.levels.iter_mut().map(Level::new).collect();
        let mut scratch = None;
        while delta.ready()? {
            let scratch = scratch.get_or_insert_with(|| Scratch::like(delta.rows()));
            delta.probe(&mut levels);
            let mut group = Group::new(&mut delta, &mut levels, scratch)?;
            visit(&mut group)?;
            group.end()?;
        }
        self.touched += levels.iter().map(Level::touched).sum::<u64>();
        let run = delta.finish();
        drop(levels);
        self.insert(run)
    }

    /// How many rows the levels have together. A row that is in several levels counts several times.
    pub fn rows(&self) -> u64 {
        self.levels.iter().map(Run::rows).sum()
    }

    /// How many levels there are.
    pub fn depth(&self) -> usize {
        self.levels.len()
    }

    /// How many rows have gone through merges so far.
    pub fn merged(&self) -> u64 {
        self.merged
    }

    /// How many blocks were looked into so far.
    pub fn touched(&self) -> u64 {
        self.touched
    }
}

impl<R: Rows> std::fmt::Debug for Levels<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Levels").field("levels", &self.levels).field("merged", &self.merged).finish_non_exhaustive()
    }
}
