//! [`Ledger`]: which bytes of a segment are live, and which the file system holds.
//!
//! A segment is cut into ranges of 1 MiB, each with two counts, so a ledger takes 8 bytes per MiB. Space is claimed at
//! the tail only and never twice, so a range behind the tail whose live count is zero stays dead, and may be given back
//! to the file system with no lock held.

/// The unit in which dead space is given back. A multiple of every file system's block size.
const RANGE: u64 = 1 << 20;

/// The counts of one segment.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// First byte that was never claimed.
    tail: u64,
    ranges: Vec<Counts>,
    /// Bytes that could not be given back: they are held until the file is closed.
    stuck: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    /// Claimed and not yet released.
    live: u32,
    /// Claimed and not yet given back.
    held: u32,
}

/// Whole ranges that nobody needs any more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Dead {
    pub(super) at: u64,
    pub(super) len: u64,
    /// Bytes of them that were still held.
    pub(super) held: u64,
}

impl Ledger {
    /// Claims the `len` bytes at the tail if they end within `capacity`; returns where they start.
    pub(super) fn claim(&mut self, len: u64, capacity: u64) -> Option<u64> {
        let at = self.tail;
        let end = at.checked_add(len).filter(|&end| end <= capacity)?;
        self.ranges.resize(end.div_ceil(RANGE) as usize, Counts::default());
        self.tail = end;
        self.each(at, len, |counts, part| {
            counts.live += part;
            counts.held += part;
        });
        Some(at)
    }

    /// The bytes of a claim are dead. Returns the whole ranges that died with them, which are no longer held: the
    /// caller is to give them back.
    pub(super) fn release(&mut self, at: u64, len: u64) -> Option<Dead> {
        let tail = self.tail;
        let mut dead: Option<Dead> = None;
        let mut start = at - at % RANGE;
        self.each(at, len, |counts, part| {
            counts.live -= part;
            if counts.live == 0 && counts.held > 0 && start + RANGE <= tail {
                // Only the first and the last range of a claim have bytes of others, so the dead ones are neighbours.
                let run = dead.get_or_insert(Dead { at: start, len: 0, held: 0 });
                run.len = start + RANGE - run.at;
                run.held += u64::from(counts.held);
                counts.held = 0;
            }
            start += RANGE;
        });
        dead
    }

    /// Exactly these bytes of a claim were given back before its release.
    pub(super) fn erased(&mut self, at: u64, len: u64) {
        self.each(at, len, |counts, part| counts.held -= part);
    }

    /// `held` bytes could not be given back.
    pub(super) fn stuck(&mut self, held: u64) {
        self.stuck += held;
    }

    /// Bytes that the file system holds for this segment.
    pub(super) fn held(&self) -> u64 {
        self.stuck + self.ranges.iter().map(|counts| u64::from(counts.held)).sum::<u64>()
    }

    /// Calls `apply` for each range that has bytes of `at..at + len`, with the number of these bytes.
    fn each(&mut self, at: u64, len: u64, mut apply: impl FnMut(&mut Counts, u32)) {
        let (mut at, end) = (at, at + len);
        while at < end {
            let part = (RANGE - at % RANGE).min(end - at);
            apply(&mut self.ranges[(at / RANGE) as usize], part as u32);
            at += part;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1 << 10;
    const CAPACITY: u64 = 64 * RANGE;

    #[test]
    fn a_range_is_given_back_when_its_last_claim_goes_and_not_before() {
        let mut ledger = Ledger::default();
        let claims: Vec<u64> = (0..6).map(|_| ledger.claim(512 * KIB, CAPACITY).unwrap()).collect();
        assert_eq!(ledger.release(claims[0], 512 * KIB), None);
        assert_eq!(ledger.release(claims[3], 512 * KIB), None);
        let first = Dead { at: 0, len: RANGE, held: RANGE };
        assert_eq!(ledger.release(claims[1], 512 * KIB), Some(first));
        assert_eq!(ledger.held(), 2 * RANGE);
    }

    #[test]
    fn the_range_at_the_tail_is_kept_until_the_tail_has_passed_it() {
        let mut ledger = Ledger::default();
        let first = ledger.claim(768 * KIB, CAPACITY).unwrap();
        assert_eq!(ledger.release(first, 768 * KIB), None, "claims may still land in it");
        let second = ledger.claim(512 * KIB, CAPACITY).unwrap();
        let dead = Dead { at: 0, len: RANGE, held: RANGE };
        assert_eq!(ledger.release(second, 512 * KIB), Some(dead));
        assert_eq!(ledger.held(), 256 * KIB);
    }

    #[test]
    fn a_claim_over_many_ranges_gives_back_those_that_it_does_not_share() {
        let mut ledger = Ledger::default();
        let small = ledger.claim(KIB, CAPACITY).unwrap();
        let large = ledger.claim(5 * RANGE, CAPACITY).unwrap();
        let dead = Dead { at: RANGE, len: 4 * RANGE, held: 4 * RANGE };
        assert_eq!(ledger.release(large, 5 * RANGE), Some(dead));
        let dead = Dead { at: 0, len: RANGE, held: RANGE };
        assert_eq!(ledger.release(small, KIB), Some(dead));
    }

    #[test]
    fn erased_bytes_are_not_given_back_twice() {
        let mut ledger = Ledger::default();
        let failed = ledger.claim(2 * RANGE, CAPACITY).unwrap();
        ledger.erased(failed, 2 * RANGE);
        assert_eq!(ledger.held(), 0);
        assert_eq!(ledger.release(failed, 2 * RANGE), None);
    }

    #[test]
    fn a_full_segment_refuses_and_does_not_change() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.claim(CAPACITY - 1, CAPACITY), Some(0));
        assert_eq!(ledger.claim(2, CAPACITY), None);
        assert_eq!(ledger.claim(u64::MAX, CAPACITY), None);
        assert_eq!(ledger.claim(1, CAPACITY), Some(CAPACITY - 1));
        assert_eq!(ledger.held(), CAPACITY);
    }
}
