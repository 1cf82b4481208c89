//! What a search has found.

/// Counters of a search.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes of the new file that are copied from the basis.
    pub matched: u64,
    /// Bytes of the new file that are not in the basis, or were not found there.
    pub literal: u64,
    /// Blocks that were found, some of them perhaps twice where segments meet.
    pub matches: u64,
    /// Windows whose weak sum was that of a block, so that the strong one was computed. Guesses are not counted.
    pub hash_hits: u64,
    /// Those of them that then matched no block.
    pub false_alarms: u64,
    /// How often so much was hashed in vain that the search of a segment went on at block boundaries only.
    pub leaps: u64,
    /// Threads that searched at least one segment.
    pub workers: u64,
}

impl Stats {
    /// Adds what the search of a segment has counted.
    pub(crate) fn add(&mut self, other: &Stats) {
        self.matches += other.matches;
        self.hash_hits += other.hash_hits;
        self.false_alarms += other.false_alarms;
        self.leaps += other.leaps;
    }
}
