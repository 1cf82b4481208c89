//! `Turns`: in which order parts hand over what they have, whoever is fastest.
//!
//! Part 0, part 1, ..., part 0 again: each hands over one block a turn, and parts that have nothing more for this
//! commit are passed over. So the order is a function of what each part writes and of nothing else. Whose turn it is
//! not waits, with one block in its hands. Parts of alike length lose no time by it, and a long one ends alone.

use std::sync::{Condvar, Mutex, MutexGuard};

/// What a part has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stand {
    /// More may come.
    Writing,
    /// Nothing more of this commit.
    Committed,
    /// Nothing more.
    Finished,
}

#[derive(Debug)]
struct State {
    /// Whose turn it is.
    at: usize,
    /// The next turn is that of the first part that has anything to write: a commit has begun.
    again: bool,
    parts: Vec<Stand>,
    /// Nobody gets a turn any more.
    over: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Turns {
    state: Mutex<State>,
    moved: Condvar,
}

/// A part's turn. Passed on when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'t> {
    turns: &'t Turns,
}

impl Turns {
    pub(crate) fn new(parts: usize) -> Self {
        Turns {
            state: Mutex::new(State { at: 0, again: false, parts: vec![Stand::Writing; parts], over: false }),
            moved: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Waits for the turn of `part`. `None` once everything is over.
    pub(crate) fn wait(&self, part: usize) -> Option<Turn<'_>> {
        let state = self.moved.wait_while(self.lock(), |state| !state.over && state.at != part);
        let over = state.unwrap_or_else(|poisoned| poisoned.into_inner()).over;
        (!over).then_some(Turn { turns: self })
    }

    /// Ends everything: who waits is told.
    pub(crate) fn end(&self) {
        self.lock().over = true;
        self.moved.notify_all();
    }

    /// Whether every part is finished.
    pub(crate) fn all_finished(&self) -> bool {
        self.lock().parts.iter().all(|stand| *stand == Stand::Finished)
    }
}

impl Turn<'_> {
    /// Says how this part stands. Returns whether that completes a commit: everybody has nothing more of it. The next
    /// one begins then, once this turn ends.
    pub(crate) fn stand(&self, stand: Stand) -> bool {
        let mut state = self.turns.lock();
        let at = state.at;
        state.parts[at] = stand;
        let complete = !state.parts.contains(&Stand::Writing) && state.parts.contains(&Stand::Committed);
        if complete {
            for part in state.parts.iter_mut().filter(|part| **part == Stand::Committed) {
                *part = Stand::Writing;
            }
            state.again = true;
        }
        complete
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.turns.lock();
        let parts = state.parts.len();
        let first = if std::mem::take(&mut state.again) { 0 } else { state.at + 1 };
        let next = (first..first + parts).map(|part| part % parts).find(|part| state.parts[*part] == Stand::Writing);
        // Without one, all are finished.
        if let Some(next) = next {
            state.at = next;
        }
        drop(state);
        self.turns.moved.notify_all();
    }
}
