//! Joins what was found in the segments, in order, to one sequence of tokens.
//!
//! A match may reach over the end of its segment, and the next segment was searched without knowledge of it. What the
//! earlier segment has found stands; matches of the later one begin at the first block that is not covered yet, and the
//! bytes up to there are literal. That loses less than a block for each segment, and nothing where the files are aligned.

use crate::scan::Match;
use crate::stats::Stats;
use crate::token::Token;

/// What was found so far.
pub(crate) struct Stitch<F> {
    emit: F,
    block_len: u64,
    /// Up to where the new file is told.
    told: u64,
    /// A copy that the next match may continue.
    open: Option<Match>,
    pub(crate) stats: Stats,
}

impl<E, F: FnMut(Token<'_>) -> Result<(), E>> Stitch<F> {
    pub(crate) fn new(block_len: u32, emit: F) -> Self {
        Stitch { emit, block_len: block_len.into(), told: 0, open: None, stats: Stats::default() }
    }

    /// Takes the matches in the segment whose own `bytes` lie at `at`.
    pub(crate) fn segment(&mut self, at: u64, bytes: &[u8], matches: &[Match]) -> Result<(), E> {
        let end = at + bytes.len() as u64;
        for found in matches {
            // Whole blocks only: not every receiver of tokens can copy part of one.
            let covered = self.told.saturating_sub(found.at).next_multiple_of(self.block_len);
            if covered >= found.len {
                continue;
            }
            let found = Match { at: found.at + covered, offset: found.offset + covered, len: found.len - covered };
            if found.at >= end {
                // The next segment has found it too.
                break;
            }
            self.literal(at, bytes, found.at)?;
            self.copy(found)?;
        }
        self.literal(at, bytes, end)
    }

    /// The file is at its end.
    pub(crate) fn finish(mut self) -> Result<Stats, E> {
        self.close()?;
        Ok(self.stats)
    }

    fn copy(&mut self, found: Match) -> Result<(), E> {
        match &mut self.open {
            Some(open) if open.offset + open.len == found.offset => open.len += found.len,
            _ => {
                self.close()?;
                self.open = Some(found);
            }
        }
        self.told += found.len;
        self.stats.matched += found.len;
        Ok(())
    }

    /// Tells what lies before `upto`, if that was not done. `bytes` lie at `at`.
    fn literal(&mut self, at: u64, bytes: &[u8], upto: u64) -> Result<(), E> {
        if self.told >= upto {
            return Ok(());
        }
        self.close()?;
        let bytes = &bytes[(self.told - at) as usize..(upto - at) as usize];
        let offset = std::mem::replace(&mut self.told, upto);
        self.stats.literal += bytes.len() as u64;
        (self.emit)(Token::Literal { offset, bytes })
    }

    fn close(&mut self) -> Result<(), E> {
        match self.open.take() {
            Some(Match { offset, len, .. }) => (self.emit)(Token::Copy { offset, len }),
            None => Ok(()),
        }
    }
}
