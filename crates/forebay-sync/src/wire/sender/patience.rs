//! `Patience`: spills answers only while the receiving side takes none.
//!
//! As long as the head of the line moves, what lies behind it will be sent soon: whoever would make more waits, and nothing
//! goes to disk and back that can be read from the source a moment later. When a large file is at the head, nothing else is
//! sent for a long time: then the engine's [`Threshold`] has its way, and the files behind it are made ready meanwhile.

use std::time::{Duration, Instant};

use forebay::{Decision, SpillPolicy, Threshold, View};

/// For how long the head may stand still. It is also how often that is looked at, while answers wait.
pub(super) const STILL: Duration = Duration::from_millis(50);

#[derive(Debug, Default)]
pub(super) struct Patience {
    threshold: Threshold,
    /// The head, and when it was first seen.
    head: Option<(u64, Instant)>,
}

impl Patience {
    /// Whether `head` was the head for as long as it may be.
    fn stands_still(&mut self, head: u64, now: Instant) -> bool {
        match self.head {
            Some((seen, since)) if seen == head => now.duration_since(since) >= STILL,
            _ => {
                self.head = Some((head, now));
                false
            }
        }
    }
}

impl SpillPolicy for Patience {
    fn decide(&mut self, view: &View) -> Decision {
        match self.stands_still(view.head, Instant::now()) {
            true => self.threshold.decide(view),
            false => Decision::default(),
        }
    }

    fn every(&self) -> Option<Duration> {
        Some(STILL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_stands_still_when_it_was_the_same_for_a_while() {
        let (mut patience, begun) = (Patience::default(), Instant::now());
        let mut at = |head, millis| patience.stands_still(head, begun + Duration::from_millis(millis));
        assert!(!at(7, 0) && !at(7, 49) && at(7, 50));
        assert!(!at(8, 60) && !at(8, 109) && at(8, 110) && at(8, 500));
        assert!(!at(9, 501));
    }
}
