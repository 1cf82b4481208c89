//! `--delete-delay`: what is found to be extraneous when its directory is entered goes when everything else is done.

use std::ffi::CString;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FileType, Timespec};

use crate::delete;
use crate::error::Error;
use crate::filter::Local;
use crate::order;
use crate::outcome::Outcome;
use crate::shared::Shared;

/// What is to go from one directory.
#[derive(Debug)]
pub(crate) struct Doomed {
    /// The directory below the destination, with a slash at its end; empty for the destination itself.
    pub(crate) rel: Vec<u8>,
    /// What per-directory filter files said there.
    pub(crate) local: Local,
    pub(crate) entries: Vec<(CString, FileType)>,
    /// The time that the directory is to have in the end.
    pub(crate) time: Option<Timespec>,
}

/// Everything that is to go. Grows with the number of extraneous entries, not counting what is in them.
#[derive(Debug, Default)]
pub(crate) struct Dooms(Mutex<Vec<Doomed>>);

impl Dooms {
    pub(crate) fn push(&self, doomed: Doomed) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(doomed);
    }

    /// Removes it, in the order of the list, and delivers what there is to say directory by directory.
    pub(crate) fn finish(
        &self,
        shared: &Shared<'_>,
        deliver: &mut dyn FnMut(Outcome) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut all = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let path = |doomed: &Doomed| doomed.rel.strip_suffix(b"/").unwrap_or(b".").to_vec();
        all.sort_by(|a, b| order::compare_entries((&path(a), true), (&path(b), true)));
        for doomed in all {
            let mut out = Outcome::default();
            delete::doomed(shared, &doomed, &mut out);
            deliver(out)?;
            if shared.options.cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
        }
        Ok(())
    }
}
