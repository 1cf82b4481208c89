//! `Commits`: cuts the rows of each input every `n` rows, and delivers commit by commit.

use std::collections::VecDeque;

use arrow::array::RecordBatch;

use super::Piece;
use super::decoded::weight;
use crate::table::TableError;

/// What has been decoded and waits for its commit's turn.
#[derive(Debug)]
pub(super) struct Commits {
    every: u64,
    /// The commit that is delivered.
    commit: u64,
    /// The input whose rows of it are delivered, and how many of them were.
    turn: usize,
    taken: u64,
    /// Rows of this commit, of all inputs.
    rows: u64,
    inputs: Vec<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    batches: VecDeque<RecordBatch>,
    ended: bool,
}

impl Commits {
    /// Commits of `every` rows of each of `inputs` inputs.
    pub(super) fn new(every: u64, inputs: usize) -> Self {
        let inputs = (0..inputs).map(|_| Waiting::default()).collect();
        Commits { every, commit: 0, turn: 0, taken: 0, rows: 0, inputs }
    }

    /// Takes the next rows of `input`, and delivers what can be.
    pub(super) fn push(
        &mut self,
        input: usize,
        batches: Vec<RecordBatch>,
        ended: bool,
        deliver: &mut impl FnMut(Piece) -> Result<(), TableError>,
    ) -> Result<(), TableError> {
        let waiting = &mut self.inputs[input];
        waiting.batches.extend(batches);
        waiting.ended |= ended;
        while let Some(piece) = self.next_piece() {
            deliver(piece)?;
        }
        Ok(())
    }

    /// The last mark, if there were no rows at all.
    pub(super) fn finish(&self, deliver: &mut impl FnMut(Piece) -> Result<(), TableError>) -> Result<(), TableError> {
        if self.commit == 0 { deliver(Piece::Commit(0)) } else { Ok(()) }
    }

    /// Bytes of the batches that wait.
    pub(super) fn waiting(&self) -> usize {
        self.inputs.iter().flat_map(|input| &input.batches).map(weight).sum()
    }

    /// What can be delivered now.
    fn next_piece(&mut self) -> Option<Piece> {
        while let Some(waiting) = self.inputs.get_mut(self.turn) {
            let room = self.every - self.taken;
            if room > 0 {
                if let Some(batch) = waiting.batches.pop_front() {
                    let here = usize::try_from(room).unwrap_or(usize::MAX).min(batch.num_rows());
                    if here < batch.num_rows() {
                        waiting.batches.push_front(batch.slice(here, batch.num_rows() - here));
                    }
                    self.taken += here as u64;
                    self.rows += here as u64;
                    return Some(Piece::Rows { commit: self.commit, batch: batch.slice(0, here) });
                }
                if !waiting.ended {
                    return None;
                }
            }
            self.turn += 1;
            self.taken = 0;
        }
        // No rows: every input has ended.
        if self.rows == 0 {
            return None;
        }
        self.rows = 0;
        self.turn = 0;
        self.commit += 1;
        Some(Piece::Commit(self.commit - 1))
    }
}
