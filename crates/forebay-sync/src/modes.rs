//! Modes that keep us from working in our own directories: where something is done late, they come when that is over.

use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{AtFlags, Mode};

use crate::fs;
use crate::options::Options;
use crate::outcome::Outcome;
use crate::select::DeleteWhen;
use crate::shared::Shared;

/// Directories below the destination, with a slash at their ends, and the modes that they are to have. Grows with the number of
/// directories that permit their owner less than everything.
#[derive(Debug, Default)]
pub(crate) struct Modes(Mutex<Vec<(Vec<u8>, u32)>>);

impl Modes {
    /// Whether directories may be needed again when everything beneath them is done.
    pub(crate) fn wait(options: &Options) -> bool {
        let late = matches!(options.deletion.when, DeleteWhen::Delay | DeleteWhen::After);
        options.delay_updates || options.hard_links || (options.delete && late)
    }

    pub(crate) fn push(&self, rel: &[u8], mode: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((rel.to_vec(), mode));
    }

    /// Sets them, those of what is inside first.
    pub(crate) fn finish(&self, shared: &Shared<'_>, out: &mut Outcome) {
        let Some(root) = &shared.root.fd else { return };
        let mut all = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        all.sort_by(|a, b| b.0.cmp(&a.0));
        for (rel, mode) in all {
            let path = rel.strip_suffix(b"/").unwrap_or(&rel);
            let set = fs::open_beneath(root.as_fd(), path, shared.options.keep_dirlinks)
                .and_then(|dir| rustix::fs::chmodat(&dir, c".", Mode::from_raw_mode(mode as _), AtFlags::empty()));
            if let Err(errno) = set {
                shared.fail(out, "[generator] failed to set permissions on", &shared.target_dir(&rel), errno);
            }
        }
    }
}
