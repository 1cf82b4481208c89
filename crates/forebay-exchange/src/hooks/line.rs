//! `Line`: the entries of one queue that are not in the queue itself, oldest first.
//!
//! Timely's queue holds an opaque handle for each of them, in the same order. The line is what lets the reader look
//! ahead: the two policies of a queue share it, and both run under the queue's mutex, so its own lock is never waited
//! for.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::entry::Entry;

#[derive(Default)]
pub(super) struct Line {
    entries: Mutex<VecDeque<Arc<Entry>>>,
}

impl Line {
    pub(super) fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Entry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
