//! `Pace`: how far ahead of the way to the receiving side requests are read.
//!
//! As long as answers go out, so many of them in advance keep the workers busy, and more would only take memory that nobody has
//! touched yet. When a large file is at the head, nothing else goes out for a long time: then there is no bound but that of the
//! budget, and the files behind it are made ready meanwhile. So nobody waits for long, whatever the other side does.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::patience::STILL;

/// Answers that are asked for and not sent.
const AHEAD: usize = 512;

#[derive(Debug, Default)]
pub(crate) struct Pace {
    state: Mutex<State>,
    room: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// What is asked for and not sent.
    ahead: usize,
    sent: u64,
    /// Nothing was sent for a while.
    still: bool,
    waits: bool,
}

impl Pace {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more is asked for. Waits while many are, and some are sent all the time.
    pub(super) fn ask(&self) {
        let mut state = self.lock();
        while state.ahead >= AHEAD && !state.still {
            let sent = state.sent;
            state.waits = true;
            let timed_out;
            (state, timed_out) = match self.room.wait_timeout(state, STILL) {
                Ok((state, waited)) => (state, waited.timed_out()),
                Err(poisoned) => (poisoned.into_inner().0, true),
            };
            state.still = timed_out && state.sent == sent;
        }
        state.waits = false;
        state.ahead += 1;
    }

    /// One more is sent.
    pub(super) fn sent(&self) {
        let mut state = self.lock();
        state.ahead = state.ahead.saturating_sub(1);
        state.sent += 1;
        state.still = false;
        if state.waits && state.ahead <= AHEAD / 2 {
            state.waits = false;
            self.room.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn whoever_asks_waits_for_what_is_sent_and_not_for_what_is_not() {
        let pace = Pace::default();
        (0..AHEAD).for_each(|_| pace.ask());
        thread::scope(|scope| {
            scope.spawn(|| pace.ask());
            while !pace.lock().waits {
                thread::yield_now();
            }
            (0..AHEAD / 2).for_each(|_| pace.sent());
        });
        assert_eq!(pace.lock().ahead, AHEAD / 2 + 1);
        // Nothing is sent any more.
        (0..2 * AHEAD).for_each(|_| pace.ask());
        assert!(pace.lock().still && pace.lock().ahead > 2 * AHEAD);
        pace.sent();
        assert!(!pace.lock().still);
    }
}
