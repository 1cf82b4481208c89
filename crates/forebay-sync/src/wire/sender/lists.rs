//! `Lists`: the lists that have been sent and that the receiving side is not done with.
//!
//! In incremental recursion each directory has a list of its own. They are sent ahead of what is asked for, but not much:
//! the next one goes when fewer than [`AHEAD`] entries are behind the list that the receiving side has got to, which is the one
//! of its furthest request, or else the oldest. So one list at least is always ahead of it, and whatever there is to
//! list, what is kept of it is bounded: the receiving side says which list it is done with, oldest first, and that one goes.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::live::{Found, Live};

/// Entries, and lists, that are ahead of the receiving side before it has to catch up: as many as in stock rsync.
const AHEAD: usize = 1000;

/// What all threads of the sending role know of the lists.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    open: VecDeque<Arc<Live>>,
    /// Lists that were before them.
    gone: usize,
    /// Which of them the receiving side has got to.
    reached: usize,
    /// Entries and lists behind that one.
    ahead: usize,
    /// Entries of the first list of all.
    begun: Option<usize>,
    /// No more lists follow.
    complete: Option<Summary>,
    /// Nobody waits any more.
    ended: bool,
}

/// What is known of all lists.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Summary {
    /// Sizes of all files and links in them.
    pub(crate) size_bytes: u64,
    /// How long it took to make them, and to send them.
    pub(crate) made: Duration,
    pub(crate) sent: Duration,
}

/// What an end that the receiving side has told is the end of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    List,
    Phase,
}

impl State {
    /// The receiving side is at the list `at`, or further.
    fn reach(&mut self, at: usize) {
        while self.reached < at {
            self.reached += 1;
            self.caught_up();
        }
    }

    /// What it has got to is not ahead of it any more.
    fn caught_up(&mut self) {
        let weight = self.open.get(self.reached).map_or(0, |list| weight(list));
        self.ahead = self.ahead.saturating_sub(weight);
    }
}

/// A list of nothing is something to be kept, too.
fn weight(list: &Live) -> usize {
    list.len() + 1
}

impl Lists {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<T>(&self, mut ready: impl FnMut(&State) -> Option<T>) -> Option<T> {
        let mut state = self.lock();
        loop {
            if state.ended {
                return None;
            }
            if let Some(value) = ready(&state) {
                return Some(value);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Adds a list of so many entries before it is sent.
    pub(crate) fn add(&self, list: Live, entries: usize) {
        let mut state = self.lock();
        state.begun.get_or_insert(entries);
        if !state.open.is_empty() {
            state.ahead += weight(&list);
        }
        state.open.push_back(Arc::new(list));
        self.changed.notify_all();
    }

    /// No more lists follow.
    pub(crate) fn complete(&self, summary: Summary) {
        self.lock().complete = Some(summary);
        self.changed.notify_all();
    }

    /// What is known of all lists, once none follows.
    pub(crate) fn summary(&self) -> Option<Summary> {
        self.lock().complete
    }

    /// Waits until another list may be sent. `false` if nobody wants it.
    pub(crate) fn wait_for_room(&self) -> bool {
        self.wait(|state| (state.ahead < AHEAD).then_some(())).is_some()
    }

    /// Whether the first list is on its way.
    pub(crate) fn have_begun(&self) -> bool {
        self.lock().begun.is_some()
    }

    /// Waits for the first list. How many entries it has; `None` if it does not come.
    pub(crate) fn wait_for_first(&self) -> Option<usize> {
        self.wait(|state| state.begun)
    }

    /// Nobody is to wait any more.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// The entry with the number `index`. The receiving side has got to its list.
    pub(crate) fn get(&self, index: i32) -> Option<Found> {
        let mut state = self.lock();
        let at = state.open.partition_point(|list| list.begins_before(index)).checked_sub(1)?;
        let found = state.open.get(at)?.get(index)?;
        if at > state.reached {
            state.reach(at);
            self.changed.notify_all();
        }
        Some(found)
    }

    /// Which list `index` is in, counted from the first of all.
    pub(crate) fn list_of(&self, index: i32) -> usize {
        let state = self.lock();
        state.gone + state.open.partition_point(|list| list.begins_before(index)).saturating_sub(1)
    }

    /// The receiving side has told an end: of its oldest list as long as there are others, else of a phase. It may have heard
    /// of what follows before this side has taken note of that. `None` if nothing follows.
    pub(crate) fn done(&self) -> Option<Ended> {
        self.wait(|state| (state.open.len() > 1 || state.complete.is_some()).then_some(()))?;
        let mut state = self.lock();
        if state.open.len() <= 1 {
            return Some(Ended::Phase);
        }
        state.open.pop_front();
        state.gone += 1;
        match state.reached.checked_sub(1) {
            Some(reached) => state.reached = reached,
            None => state.caught_up(),
        }
        self.changed.notify_all();
        Some(Ended::List)
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::CWD;

    use super::super::live::Folder;
    use super::*;
    use crate::filter::Local;
    use crate::fs::Stat;

    /// A list of `len` entries whose numbers begin at `first`.
    fn list(first: i32, len: usize) -> Live {
        let stat = Stat::from(rustix::fs::statat(CWD, c"/", rustix::fs::AtFlags::empty()).unwrap());
        let mut live = Live::new(first);
        let folder = Folder { rel: Vec::new(), shown: b"/".to_vec(), above: Arc::default(), local: Local::default() };
        (0..len).for_each(|_| assert!(live.push(&folder, c"x", &stat, false)));
        live
    }

    fn has_room(lists: &Lists) -> bool {
        lists.lock().ahead < AHEAD
    }

    #[test]
    fn lists_go_ahead_of_the_requests_but_not_far_and_are_forgotten_when_they_are_done() {
        let lists = Lists::default();
        lists.add(list(1, 5000), 5000);
        assert_eq!(lists.wait_for_first(), Some(5000));
        assert!(has_room(&lists), "one list is always ahead, however long the one before is");
        lists.add(list(5002, 999), 999);
        assert!(!has_room(&lists));
        assert!(lists.done() == Some(Ended::List) && has_room(&lists), "what is done is not ahead");
        assert!(lists.get(5000).is_none(), "what is done is forgotten");
        lists.add(list(6002, 600), 600);
        lists.add(list(6603, 500), 500);
        assert!(!has_room(&lists));
        assert!(lists.get(6002).is_some() && has_room(&lists), "what is asked for is not ahead");
        assert_eq!([6002, 6601, 6603].map(|index| lists.list_of(index)), [2, 2, 3]);
        assert!(lists.get(6602).is_none() && lists.get(7103).is_none() && lists.get(-5).is_none());
        assert_eq!(lists.done(), Some(Ended::List));
        let now = lists.lock();
        assert_eq!((now.open.len(), now.reached, now.ahead), (2, 0, 501));
        drop(now);
        assert_eq!(lists.done(), Some(Ended::List));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| lists.done());
            assert!(lists.lock().complete.is_none(), "more lists may follow");
            lists.complete(Summary::default());
            assert_eq!((waiting.join().unwrap(), lists.done()), (Some(Ended::Phase), Some(Ended::Phase)));
        });
        assert!(lists.get(6603).is_some(), "the last may be asked for again");
    }

    #[test]
    fn thousands_of_empty_directories_are_not_sent_at_once() {
        let lists = Lists::default();
        lists.add(list(1, 1), 1);
        let mut next = 3;
        while has_room(&lists) {
            lists.add(list(next, 0), 0);
            next += 1;
        }
        assert_eq!(lists.lock().open.len(), 1 + AHEAD);
    }

    #[test]
    fn nobody_waits_for_a_session_that_has_ended() {
        let lists = Lists::default();
        lists.add(list(1, 1), 1);
        lists.add(list(3, 2000), 2000);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| lists.wait_for_room());
            lists.end();
            assert!(!waiting.join().unwrap());
        });
        assert_eq!(lists.wait_for_first(), None);
    }
}
