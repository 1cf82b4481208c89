//! All or none: what every process has done becomes final for all of them, or every process takes it back.
//!
//! ```text
//! process n       process 0
//! Ready    ◄──►   Ready         what is slow or may fail is behind all of them; each does what is left, a rename
//! Published ──►                 it is done here
//!          ◄───   Ask           are you still there?
//! Answer   ───►                 yes, and I have not given up on you
//!          ◄───   Stands        from now on it is final; whoever hears it passes it on to all
//! ```
//!
//! Process 0 alone decides, at one moment. So it does not matter who was stopped or killed before or after it: who said
//! `Published` takes it back only when it knows that there was no such moment, or that nobody is left who could tell of it.
//!
//! *Why it asks.* Stopped for long, process 0 finds all words that it has waited for when it goes on, while the others have given it
//! up. An answer to a question that it asked half a deadline ago at most is of somebody who has heard it since, and will not
//! give it up before the other half has passed.
//!
//! *What is left.* Nobody can exclude that the one who decides is stopped for a whole deadline between its decision and the next
//! instruction, which tells it; and a network that is cut in that moment keeps the word from those behind the cut.

use std::sync::PoisonError;
use std::time::Instant;

use super::frame::Frame;
use super::membership::Membership;
use crate::error::ExchangeError;

impl Membership {
    /// This process has published, and `mark` was told before. Returns when that is final everywhere.
    pub(crate) fn conclude(&self) -> Result<(), ExchangeError> {
        if self.me == 0 {
            self.preside()
        } else {
            self.tell(&Frame::Published);
            self.await_verdict()
        }
    }

    /// Process 0: decides.
    fn preside(&self) -> Result<(), ExchangeError> {
        self.await_all(|peer| peer.published)?;
        let mut round = 0;
        let asked = loop {
            round += 1;
            let asked = Instant::now();
            self.tell(&Frame::Ask { round });
            self.await_all(|peer| peer.answered >= round)?;
            let mut state = self.lock();
            if let Some(story) = &state.story {
                return Err(story.clone());
            }
            if asked.elapsed() < self.deadline / 2 {
                state.stands = true;
                break asked;
            }
        };
        self.tell(&Frame::Stands);
        if asked.elapsed() >= self.deadline {
            // Stopped in between: whether they heard it before they gave this process up is what their goodbyes say.
            self.part();
            self.await_all(|peer| peer.goodbye)?;
        }
        Ok(())
    }

    /// The others: wait for the word of process 0, which may come after the run has failed otherwise, and from anybody.
    fn await_verdict(&self) -> Result<(), ExchangeError> {
        let over = self.changed.wait_while(self.lock(), |state| !state.stands && state.story.is_none());
        // Who is not lost ends its connection when it has heard of the failure: then there is no word to come.
        let heard =
            self.changed.wait_timeout_while(over.unwrap_or_else(PoisonError::into_inner), self.deadline, |state| {
                !state.stands && state.running > 0
            });
        let state = heard.unwrap_or_else(PoisonError::into_inner).0;
        match &state.story {
            Some(story) if !state.stands => Err(story.clone()),
            _ => Ok(()),
        }
    }

    /// The marks of the others that have told theirs, by process.
    pub(crate) fn marks(&self) -> Vec<(usize, u64)> {
        let state = self.lock();
        state.peers.iter().flatten().filter_map(|peer| Some((peer.seen.process, peer.ready?))).collect()
    }
}
