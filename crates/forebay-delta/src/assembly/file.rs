//! One file of an assembly: what has come of it, and how far it is.

use std::collections::BTreeMap;

use forebay::Lease;

use super::chunk::Chunk;
use super::{Done, Target};
use crate::error::Error;

/// A chunk that has come.
pub(super) enum Slot {
    /// Somebody is checking it.
    Checking,
    /// It can be applied, or is not what its sum says.
    Checked(Result<Chunk, Error>),
}

/// A chunk that was not applied yet, and what it weighs.
pub(super) struct Waiting {
    pub(super) slot: Slot,
    pub(super) weight: usize,
    /// It stands for much more than it weighs.
    pub(super) long: bool,
    /// Pays for it.
    pub(super) lease: Lease,
}

/// A chunk that can be applied, or what is wrong with it.
pub(super) struct Next {
    pub(super) chunk: Result<Chunk, Error>,
    pub(super) weight: usize,
    pub(super) long: bool,
    /// Pays for it.
    pub(super) lease: Lease,
}

pub(super) struct File<'d, T: Target> {
    /// `None` while somebody applies chunks to it.
    pub(super) target: Option<T>,
    /// Somebody has been told to.
    pub(super) due: bool,
    pub(super) basis_len: u64,
    /// The next chunk to be applied.
    pub(super) next: u64,
    /// The first chunk that has not come.
    pub(super) upto: u64,
    /// Bytes that are in place.
    pub(super) at: u64,
    /// Chunks from `next` on.
    pub(super) waiting: BTreeMap<u64, Waiting>,
    /// Why nothing more is applied.
    pub(super) failed: Option<T::Error>,
    /// How many chunks it has, and what then is to be done.
    pub(super) end: Option<(u64, Done<'d, T>)>,
}

impl<T: Target> File<'_, T> {
    pub(super) fn new(basis_len: u64, target: T) -> Self {
        let waiting = BTreeMap::new();
        File { target: Some(target), due: false, basis_len, next: 0, upto: 0, at: 0, waiting, failed: None, end: None }
    }

    /// Whether the next chunk can be applied.
    pub(super) fn is_ready(&self) -> bool {
        self.waiting.get(&self.next).is_some_and(|waiting| matches!(waiting.slot, Slot::Checked(_)))
    }

    /// Whether all its chunks are applied, and no more come.
    pub(super) fn ends(&self) -> bool {
        self.end.as_ref().is_some_and(|(chunks, _)| *chunks == self.next)
    }

    /// The next chunk, if it can be applied.
    pub(super) fn take_next(&mut self) -> Option<Next> {
        if !self.is_ready() {
            return None;
        }
        let Waiting { slot, weight, long, lease } = self.waiting.remove(&self.next)?;
        self.next += 1;
        match slot {
            Slot::Checked(chunk) => Some(Next { chunk, weight, long, lease }),
            Slot::Checking => None,
        }
    }
}
