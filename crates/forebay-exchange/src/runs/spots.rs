//! `Spots`: where in a run the rows of the next few keys begin.
//!
//! A key is found by where its hash would be if hashes were perfectly even, then by how far that was off, and so on:
//! three looks instead of a search. What takes the time is the processor's waiting for memory and its wrong guesses at
//! branches. It waits for many places as long as for one, so all keys have a look before any has its next; and there
//! is no branch that depends on what is found.

use std::collections::VecDeque;
use std::hint::black_box;

use crate::rows::Rows;
use crate::runs::run::Block;
use crate::runs::search::search;

/// Keys that are looked up side by side.
pub(crate) const AHEAD: usize = 32;

/// How often a guess is mended. Of 4,096 rows the first is some 30 off, then 6, then 2.
const LOOKS: usize = 2;

/// Rows around the last guess that are counted instead of searched.
const NEAR: usize = 6;

/// Where each of some keys begins at the earliest.
#[derive(Default)]
pub(crate) struct Spots {
    spots: Vec<Spot>,
}

/// A place in a run.
#[derive(Clone, Copy)]
pub(crate) struct Spot {
    pub(crate) block: usize,
    /// Behind all rows with smaller hashes; 0 if the block is not in memory.
    pub(crate) row: usize,
}

impl Spots {
    /// The spot of the `nth` key.
    pub(crate) fn get(&self, nth: usize) -> Option<Spot> {
        self.spots.get(nth).copied()
    }

    /// Looks for `hashes`, at most [`AHEAD`], which are in order and not before the block `begin`. `rows_of` has the
    /// rows of blocks that need not be read.
    pub(crate) fn find<'r, R: Rows>(
        &mut self,
        hashes: &[u64],
        blocks: &VecDeque<Block<R>>,
        begin: usize,
        rows_of: impl Fn(usize) -> Option<&'r R>,
    ) {
        self.spots.clear();
        // For each key, the rows of its block, and how many there are for one step of the hash.
        let mut within: [Option<(&R, f64)>; AHEAD] = [None; AHEAD];
        let mut at = begin;
        let mut bounds = None;
        for (hash, within) in hashes.iter().zip(&mut within) {
            // The last block that begins before the hash: its rows may begin in it.
            let next = at + 1;
            if blocks.get(next).is_some_and(|next| next.first < *hash) {
                at = search(next..blocks.len(), next, |index| blocks[index].first < *hash) - 1;
                bounds = None;
            }
            let Some(block) = blocks.get(at) else { return self.spots.clear() };
            let (rows, density) = *bounds.get_or_insert_with(|| {
                let end = blocks.get(at + 1).map_or(u64::MAX, |next| next.first);
                (rows_of(at), block.rows as f64 / end.saturating_sub(block.first).max(1) as f64)
            });
            *within = rows.map(|rows| (rows, density));
            let row = (hash.saturating_sub(block.first) as f64 * density) as usize;
            self.spots.push(Spot { block: at, row: if rows.is_some() { row.min(block.rows - 1) } else { 0 } });
        }
        for _ in 0..LOOKS {
            for ((spot, hash), within) in self.spots.iter_mut().zip(hashes).zip(&within) {
                let Some((rows, density)) = *within else { continue };
                let off = hash.wrapping_sub(R::hash(rows.get(spot.row))) as i64;
                // Blocks of one hash are as dense as can be, and the next hash is far away.
                let row = (spot.row as i64).saturating_add((off as f64 * density) as i64);
                spot.row = row.clamp(0, rows.len() as i64 - 1) as usize;
            }
        }
        // What is counted below spans some lines of the cache: here they are asked for, side by side.
        let mut asked = 0;
        for (spot, within) in self.spots.iter().zip(&within) {
            let Some((rows, _)) = *within else { continue };
            let (first, end) = near(spot.row, rows.len());
            asked ^= R::hash(rows.get(first)) ^ R::hash(rows.get(end - 1));
        }
        black_box(asked);
        for ((spot, hash), within) in self.spots.iter_mut().zip(hashes).zip(&within) {
            let Some((rows, _)) = *within else { continue };
            let is_before = |index: usize| R::hash(rows.get(index)) < *hash;
            let (first, end) = near(spot.row, rows.len());
            let before = (first..end).map(|index| usize::from(is_before(index))).sum::<usize>();
            spot.row = first + before;
            if before == 0 || before == end - first {
                spot.row = search(0..rows.len(), spot.row, is_before);
            }
        }
    }
}

/// The rows around `row` that are counted.
fn near(row: usize, len: usize) -> (usize, usize) {
    (row.saturating_sub(NEAR), len.min(row + NEAR))
}
