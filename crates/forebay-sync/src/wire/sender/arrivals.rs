//! What has arrived, as the receiving side tells it beside the stream: with `--remove-source-files` it goes from the source.
//!
//! It is removed when everything is answered that was asked for before it was told, and never without that option.

use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::beneath::Folders;
use super::live::Found;
use crate::outcome::Outcome;
use crate::removal::Source;
use crate::shared::Shared;
use crate::wire::error::WireError;
use crate::wire::mux::Tag;

/// Numbers that were told and are not worked on yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arrivals(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    told: VecDeque<i32>,
    /// Entries that have been listed: no more can arrive.
    listed: usize,
}

impl Arrivals {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many entries more have been listed.
    pub(crate) fn listed(&self, entries: usize) {
        self.lock().listed += entries;
    }

    /// Takes a message that tells an arrival. Whether it does.
    ///
    /// # Errors
    /// More wait than there are entries.
    pub(crate) fn take(&self, tag: Tag, payload: &[u8]) -> Result<bool, WireError> {
        if tag != Tag::Success {
            return Ok(false);
        }
        let short = || WireError::protocol("a message that is too short", payload.len() as i64);
        let index = payload.first_chunk().map(|bytes| i32::from_le_bytes(*bytes)).ok_or_else(short)?;
        let mut state = self.lock();
        if state.told.len() >= state.listed {
            return Err(WireError::protocol("more arrivals than entries", state.told.len() as i64));
        }
        state.told.push_back(index);
        Ok(true)
    }

    /// The next that was told.
    pub(super) fn next(&self) -> Option<i32> {
        self.lock().told.pop_front()
    }
}

/// Removes `found`, which has arrived, if that is asked for and it is as it was listed.
pub(super) fn remove(shared: &Shared<'_>, folders: &mut Folders, found: &Found, out: &mut Outcome) {
    if !shared.options.remove_source_files || shared.options.dry_run {
        return;
    }
    let rel = [&found.folder().rel, found.name().to_bytes()].concat();
    let follow = found.follow && shared.options.copy_links;
    let source = Source { rel, stat: found.stat, inode: None, follow, arrived: None };
    if shared.options.leads_through_links() {
        return source.remove_beneath(shared, (&found.folder().shown, &found.folder().rel), found.name(), out);
    }
    match folders.open(shared, found.folder()).and_then(|dir| dir.place(found.name())) {
        Ok((at, name)) => source.remove(shared, at.as_fd(), &name, out),
        Err(errno) => source.not_reached(shared, errno, out),
    }
}
