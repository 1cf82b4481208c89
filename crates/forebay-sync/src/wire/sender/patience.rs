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
    fn decide_at(&mut self, view: &View, now: Instant) -> Decision {
        match self.head {
            Some((head, since)) if head == view.head => match now.duration_since(since) >= STILL {
                true => self.threshold.decide(view),
                false => Decision::default(),
            },
            _ => {
                self.head = Some((view.head, now));
                Decision::default()
            }
        }
    }
}

impl SpillPolicy for Patience {
    fn decide(&mut self, view: &View) -> Decision {
        self.decide_at(view, Instant::now())
    }

    fn every(&self) -> Option<Duration> {
        Some(STILL)
    }
}
