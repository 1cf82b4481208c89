//! What has been asked for and is not there yet.
//!
//! Every number of the file lists belongs to one list. A list is done when the walk has been through it and nothing of it is
//! awaited; in incremental recursion the other side is told then, oldest list first, and forgets it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::values::Lacking;
use crate::dir::Dir;
use crate::fs::Stat;
use crate::itemize::Change;
use crate::totals::Totals;
use crate::wire::sums::SumHead;

/// Files that are asked for at most before the walk waits for some to come.
const MOST: usize = 8192;
/// Files that are still to come when it goes on: not for each that has come, or it would be woken for every one.
const FEW: usize = MOST / 2;

/// A request, or a report that comes back.
#[derive(Debug, Default)]
pub(crate) struct Awaited {
    /// What is said when it comes: lines for standard output and for the log file.
    pub(crate) text: Vec<u8>,
    pub(crate) log: Vec<u8>,
    /// What counts when it comes.
    pub(crate) totals: Totals,
    /// What is said behind the content.
    pub(crate) said: Option<Box<Change>>,
    /// Whether content comes with it.
    pub(crate) file: Option<Box<Expected>>,
    /// The values of extended attributes that come with it.
    pub(crate) values: Option<Box<Lacking>>,
    /// What was sent, up to those and the block sums: it comes back as it was.
    pub(crate) item: Vec<u8>,
}

/// A file whose content comes.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) dir: Arc<Dir>,
    /// Where it is in the listing of `dir`.
    pub(crate) at: usize,
    pub(crate) old: Option<Stat>,
    pub(crate) size: u64,
    /// What its mode is that of where modes are not preserved.
    pub(crate) like: Option<Stat>,
    pub(crate) basis: Basis,
    pub(crate) head: SumHead,
    /// Bytes that are there already and are not sent (`--append`).
    pub(crate) from: u64,
    /// Their sum is part of that of the file.
    pub(crate) verify: bool,
    /// It is the second attempt.
    pub(crate) again: bool,
}

/// Where blocks of a file come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Basis {
    None,
    /// What has its name.
    Itself,
    /// What an interrupted run has left.
    Partial,
    /// What has its name in an alternate tree.
    Alternate(usize),
    /// Something like it, by name, in the destination or in an alternate tree.
    Like(std::ffi::CString, Option<usize>),
}

/// A file to be asked for again, because what came was not what the other side has.
#[derive(Debug)]
pub(crate) struct Again {
    pub(crate) dir: Arc<Dir>,
    pub(crate) at: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lists: VecDeque<List>,
    /// Entries of them, and one for each.
    live: usize,
    awaited: HashMap<i32, Box<Awaited>>,
    again: Vec<Again>,
    /// Ends of lists and phases that the other side has told.
    dones: u32,
    /// Ends of lists that have been told to it.
    told: u32,
    /// Entries that have come.
    found: u64,
    /// All lists have come.
    complete: bool,
    /// Nothing more comes.
    ended: bool,
}

#[derive(Debug)]
struct List {
    first: i32,
    entries: usize,
    /// Entries of it that something is still to be done for.
    open: u64,
    walked: bool,
}

impl State {
    fn list(&mut self, index: i32) -> Option<&mut List> {
        let at = self.at(index)?;
        self.lists.get_mut(at)
    }

    /// Where the list is that `index` is in.
    fn at(&self, index: i32) -> Option<usize> {
        // The number before the first is that of the directory that the list is of.
        self.lists.partition_point(|list| list.first - 1 <= index).checked_sub(1)
    }
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A list of so many entries has come whose first number is `first`.
    pub(crate) fn add_list(&self, first: i32, entries: usize) {
        let mut state = self.lock();
        state.lists.push_back(List { first, entries, open: 0, walked: false });
        state.live += entries + 1;
        state.found += entries as u64;
        drop(state);
        self.changed.notify_all();
    }

    /// How many entries have come, and whether that is all.
    pub(crate) fn found(&self) -> (u64, bool) {
        let state = self.lock();
        (state.found, state.complete)
    }

    /// Which list `index` is in, counted from the first of all.
    pub(crate) fn list_of(&self, index: i32) -> usize {
        let state = self.lock();
        state.told as usize + state.at(index).unwrap_or(0)
    }

    /// How many lists have come.
    pub(crate) fn lists(&self) -> u64 {
        let state = self.lock();
        u64::from(state.told) + state.lists.len() as u64
    }

    /// Entries and lists that have come and are not done with.
    pub(crate) fn live(&self) -> usize {
        self.lock().live
    }

    /// Everything in the list that begins at `first` has been looked at, and what was to be asked for has been.
    pub(crate) fn walked(&self, first: i32) {
        // The number of a list without entries is also that of the next list's directory.
        if let Some(list) = self.lock().lists.iter_mut().find(|list| list.first == first) {
            list.walked = true;
        }
        self.changed.notify_all();
    }

    /// Something is to be done for `index`.
    pub(crate) fn open(&self, index: i32) {
        if let Some(list) = self.lock().list(index) {
            list.open += 1;
        }
    }

    /// It is done.
    pub(crate) fn close(&self, index: i32) {
        let mut state = self.lock();
        let Some(list) = state.list(index) else { return };
        list.open = list.open.saturating_sub(1);
        // Whoever waits for a list that has not been walked is woken when it has been.
        let done = list.open == 0 && list.walked;
        drop(state);
        if done {
            self.changed.notify_all();
        }
    }

    /// Notes what comes for `index`, which is open until that is done.
    pub(crate) fn expect(&self, index: i32, awaited: Box<Awaited>) {
        let mut state = self.lock();
        if let Some(list) = state.list(index) {
            list.open += 1;
        }
        if state.awaited.insert(index, awaited).is_some()
            && let Some(list) = state.list(index)
        {
            list.open -= 1;
        }
    }

    /// What was asked for by `index`.
    pub(crate) fn take(&self, index: i32) -> Option<Box<Awaited>> {
        let mut state = self.lock();
        let awaited = state.awaited.remove(&index);
        let few = state.awaited.len() == FEW;
        drop(state);
        if few {
            self.changed.notify_all();
        }
        awaited
    }

    /// Whether content was asked for by `index` that has not begun to come.
    pub(crate) fn expects_file(&self, index: i32) -> bool {
        self.lock().awaited.get(&index).is_some_and(|awaited| awaited.file.is_some())
    }

    /// `index` is to be asked for again.
    pub(crate) fn again(&self, again: Again) {
        self.lock().again.push(again);
    }

    pub(crate) fn take_again(&self) -> Vec<Again> {
        std::mem::take(&mut self.lock().again)
    }

    /// The other side has told the end of a list or phase. Gives how many phases have ended.
    pub(crate) fn done(&self) -> u32 {
        let mut state = self.lock();
        state.dones += 1;
        // It repeats the ends of lists that it was told; all of them come before the end of the first phase.
        let phases = state.dones.saturating_sub(state.told);
        drop(state);
        self.changed.notify_all();
        phases
    }

    /// Nothing more comes from the other side.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// Waits until `ready`, or until nothing more comes. Whether it is.
    fn wait(&self, mut ready: impl FnMut(&mut State) -> bool) -> bool {
        let mut state = self.lock();
        loop {
            if ready(&mut state) {
                return true;
            }
            if state.ended {
                return false;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until not too much is awaited.
    pub(crate) fn wait_for_room(&self) -> bool {
        self.wait(|state| state.awaited.len() < MOST)
    }

    /// Waits until the other side has told the ends of `phases`, and everything is done that came before.
    pub(crate) fn wait_for_end(&self, phases: u32) -> bool {
        self.wait(|state| state.dones >= state.told + phases && state.lists.iter().all(|list| list.open == 0))
    }

    /// All lists have come.
    pub(crate) fn complete(&self) {
        self.lock().complete = true;
        self.changed.notify_all();
    }

    /// Waits until the oldest list is done and others follow, and forgets it: the other side is to be told. False when only
    /// the last is left, or nothing more comes.
    pub(crate) fn finished_list(&self) -> bool {
        let mut oldest = false;
        self.wait(|state| {
            oldest = state.lists.front().is_some_and(|list| list.walked && list.open == 0) && state.lists.len() > 1;
            if oldest {
                let done = state.lists.pop_front().map_or(0, |list| list.entries + 1);
                state.live = state.live.saturating_sub(done);
                state.told += 1;
            }
            oldest || (state.complete && state.lists.len() <= 1)
        });
        oldest
    }

    /// Waits until all lists but the last have been forgotten and that has been gone through; where it is `closed` with the
    /// first phase, until it is done, too: nothing in it can be asked for behind that.
    pub(crate) fn wait_for_lists(&self, closed: bool) -> bool {
        self.wait(|state| {
            let done = || state.lists.iter().all(|list| list.walked && (!closed || list.open == 0));
            state.complete && state.lists.len() <= 1 && done()
        })
    }
}
