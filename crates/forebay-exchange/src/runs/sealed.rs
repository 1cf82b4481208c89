//! `Sealed`: what one worker has of one commit.
//!
//! # Fan-in
//! The last merge happens while the batch is read. It takes two blocks of every spilled run, which are leased when the
//! batch is sealed: a *reserve* of at most a quarter of the budget. As long as the spilled runs need more than that,
//! or than there is, what is in memory is spilled, and then the smallest runs are merged into one. Two runs can always
//! be merged: their blocks overdraw the budget if they must.
//!
//! The first cursor uses the reserve up. Others, side by side with it or later, overdraw the budget by as much.

use std::cmp::Reverse;
use std::sync::{Arc, Mutex};

use forebay::Lease;

use crate::error::ExchangeError;
use crate::memory::Memory;
use crate::rows::{BLOCK, Rows};
use crate::runs::cursor::{Cursor, Supply};
use crate::runs::run::Run;
use crate::runs::writer::{ON_THEIR_WAY, RunWriter};

/// What one worker has of one commit, consolidated. Cloning gives another handle; the rows go with the last one.
pub struct Sealed<R: Rows> {
    batch: Arc<Batch<R>>,
}

struct Batch<R> {
    commit: u64,
    runs: Vec<Arc<Run<R>>>,
    memory: Memory,
    reserve: Mutex<Option<Lease>>,
    merges: u32,
}

/// Makes `runs` one batch. For merger threads: where the runs are too many for one merge, it merges the smallest.
///
/// # Errors
/// If runs have to be merged, and one cannot be read back, or the merged one is neither taken by the store nor fits.
pub fn seal<R: Rows>(commit: u64, mut runs: Vec<Run<R>>, memory: &Memory) -> Result<Sealed<R>, ExchangeError> {
    runs.retain(|run| run.rows() > 0);
    let mut merges = 0;
    let reserve = loop {
        // Smallest last, as those are merged first.
        runs.sort_by_key(|run| Reverse(run.bytes()));
        let spilled = runs.iter().filter(|run| !run.is_resident()).count();
        if let Some(reserve) = reserve(memory, need(&runs)) {
            break reserve;
        }
        if let Some(resident) = runs.iter_mut().find(|run| memory.can_spill() && run.is_resident()) {
            // What is in memory is in the way of what has to be read.
            resident.spill(memory);
            resident.pages_from_back().for_each(|page| memory.settle(page));
            continue;
        }
        if spilled <= 2 {
            break memory.consumer().lease_head(need(&runs));
        }
        // No more than it takes for the rest to be read at once, or every row is merged twice.
        let few = affordable(&runs, memory);
        let few = few.min(runs.len() + 1 - few).max(2);
        let smallest = runs.split_off(runs.len() - few);
        runs.push(merged(smallest, memory)?);
        merges += 1;
    };
    let runs = runs.into_iter().map(Arc::new).collect();
    Ok(Sealed {
        batch: Arc::new(Batch { commit, runs, memory: memory.clone(), reserve: Mutex::new(Some(reserve)), merges }),
    })
}

/// Bytes that it takes to read `runs` side by side, beyond those that are in memory anyway.
fn need<R: Rows>(runs: &[Run<R>]) -> usize {
    let blocks = runs.iter().filter(|run| !run.is_resident()).map(|run| run.largest_block().max(BLOCK));
    blocks.map(|block| block * 2).sum()
}

fn reserve(memory: &Memory, bytes: usize) -> Option<Lease> {
    if bytes <= memory.consumer().budget().limit() / 4 { memory.try_lease(bytes) } else { None }
}

/// How many of the last of `runs` can be merged at once.
fn affordable<R: Rows>(runs: &[Run<R>], memory: &Memory) -> usize {
    let mut few = runs.len();
    while few > 2 && reserve(memory, need(&runs[runs.len() - few..]) + (ON_THEIR_WAY + 1) * BLOCK).is_none() {
        few = few.div_ceil(2);
    }
    few
}

fn merged<R: Rows>(runs: Vec<Run<R>>, memory: &Memory) -> Result<Run<R>, ExchangeError> {
    let mut cursor = Cursor::merge(runs, memory)?;
    let mut writer = RunWriter::to_disk(memory);
    while let Some(rows) = cursor.next_block()? {
        writer.push(rows)?;
    }
    Ok(writer.finish())
}

impl<R: Rows> Sealed<R> {
    /// The commit.
    pub fn commit(&self) -> u64 {
        self.batch.commit
    }

    /// How many times runs had to be merged before the last merge.
    pub fn merges(&self) -> u32 {
        self.batch.merges
    }

    /// Reads the batch from its beginning. Several cursors may read it, on several threads.
    ///
    /// # Errors
    /// If the first blocks cannot be read back.
    pub fn cursor(&self) -> Result<Cursor<R>, ExchangeError> {
        self.batch.release();
        let supplies = self.batch.runs.iter().map(|run| Supply::Shared(Arc::clone(run), 0)).collect();
        Cursor::new(supplies, &self.batch.memory)
    }

    /// Reads the batch and gives back what was read, if this is its only handle.
    ///
    /// # Errors
    /// If the first blocks cannot be read back.
    pub fn into_cursor(self) -> Result<Cursor<R>, ExchangeError> {
        let batch = match Arc::try_unwrap(self.batch) {
            Ok(batch) => batch,
            Err(batch) => return Sealed { batch }.cursor(),
        };
        batch.release();
        let owned = |run| Arc::try_unwrap(run).map_or_else(|run| Supply::Shared(run, 0), Supply::Owned);
        Cursor::new(batch.runs.into_iter().map(owned).collect(), &batch.memory)
    }
}

impl<R> Batch<R> {
    /// Gives the reserve back, for what is read to take it.
    fn release(&self) {
        drop(self.reserve.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take());
    }
}

impl<R: Rows> Clone for Sealed<R> {
    fn clone(&self) -> Self {
        Sealed { batch: Arc::clone(&self.batch) }
    }
}

impl<R: Rows> std::fmt::Debug for Sealed<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealed")
            .field("commit", &self.batch.commit)
            .field("runs", &self.batch.runs)
            .finish_non_exhaustive()
    }
}
