//! `Patience`: spills answers only while the receiving side takes none.
//!
//! As long as the head of the line moves, what lies behind it will be sent soon: whoever would make more waits, and nothing
//! goes to disk and back that can be read from the source a moment later. When a large file is at the head, nothing else is
//! sent for a long time: then the engine's [`Threshold`] has its way, and the files behind it are made ready meanwhile.

use std::time::Duration;

use forebay::{Decision, SpillPolicy, Threshold, View};

/// How often it is looked whether the head moves, while answers wait.
const LOOK: Duration = Duration::from_millis(50);

#[derive(Debug, Default)]
pub(super) struct Patience {
    threshold: Threshold,
    /// The head when it was last looked at.
    head: Option<u64>,
}

impl SpillPolicy for Patience {
    fn decide(&mut self, view: &View) -> Decision {
        match self.head.replace(view.head) {
            Some(before) if before == view.head => self.threshold.decide(view),
            _ => Decision::default(),
        }
    }

    fn every(&self) -> Option<Duration> {
        Some(LOOK)
    }
}
