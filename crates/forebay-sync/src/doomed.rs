//! `--delete-delay`: what is found to be extraneous when its directory is entered goes when everything else is done.
//!
//! Until then the names are in memory, up to [`HELD`] bytes of them, and behind that in the spill store, if there is one that has
//! room.

use std::ffi::{CStr, CString};
use std::io::IoSlice;
use std::sync::{Arc, Mutex, PoisonError};

use forebay::{Extent, SpillStore};
use rustix::fs::{FileType, Timespec};

use crate::delete;
use crate::error::Error;
use crate::filter::Local;
use crate::order;
use crate::outcome::Outcome;
use crate::shared::Shared;

/// Bytes of names that stay in memory.
const HELD: usize = 256 << 10;
/// Whose bytes they are in the store: no consumer of a budget has this number.
const OWNER: u64 = u64::MAX;

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

/// The same while it waits.
#[derive(Debug)]
struct Waiting {
    rel: Vec<u8>,
    local: Local,
    names: Names,
    time: Option<Timespec>,
}

/// Each entry: a byte for its kind, its name, a NUL.
#[derive(Debug)]
enum Names {
    Here(Vec<u8>),
    Spilled(Extent),
}

/// Everything that is to go. In memory it grows with the number of directories that something goes from.
#[derive(Debug, Default)]
pub(crate) struct Dooms {
    state: Mutex<State>,
    store: Option<Arc<dyn SpillStore>>,
}

#[derive(Debug, Default)]
struct State {
    all: Vec<Waiting>,
    /// Bytes of names in memory.
    held: usize,
}

impl Dooms {
    /// What does not stay in memory goes to `store`.
    pub(crate) fn spilling(store: Option<Arc<dyn SpillStore>>) -> Self {
        Dooms { store, ..Dooms::default() }
    }

    pub(crate) fn push(&self, Doomed { rel, local, entries, time }: Doomed) {
        let names = pack(&entries);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let here = state.held + names.len() <= HELD;
        if here {
            state.held += names.len();
        }
        drop(state);
        let names = match self.store.as_ref().filter(|_| !here) {
            // What the store does not take stays where it is.
            Some(store) => store.append(OWNER, &[IoSlice::new(&names)]).map_or(Names::Here(names), Names::Spilled),
            None => Names::Here(names),
        };
        let waiting = Waiting { rel, local, names, time };
        self.state.lock().unwrap_or_else(PoisonError::into_inner).all.push(waiting);
    }

    /// Removes it, in the order of the list, and delivers what there is to say directory by directory.
    ///
    /// # Errors
    /// Those of `deliver`; [`Error::Engine`] if names cannot be read back; [`Error::Cancelled`].
    pub(crate) fn finish(
        &self,
        shared: &Shared<'_>,
        deliver: &mut dyn FnMut(Outcome) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut all = std::mem::take(&mut *self.state.lock().unwrap_or_else(PoisonError::into_inner)).all;
        let path = |waiting: &Waiting| waiting.rel.strip_suffix(b"/").unwrap_or(b".").to_vec();
        all.sort_by(|a, b| order::compare_entries((&path(a), true), (&path(b), true)));
        for waiting in all {
            let mut out = Outcome::default();
            delete::doomed(shared, &waiting.read()?, &mut out);
            deliver(out)?;
            if shared.options.cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
        }
        Ok(())
    }
}

impl Waiting {
    fn read(self) -> Result<Doomed, Error> {
        let Waiting { rel, local, names, time } = self;
        let names = match names {
            Names::Here(names) => names,
            Names::Spilled(extent) => {
                // As many as were written.
                let mut names = vec![0; usize::try_from(extent.len()).unwrap_or(usize::MAX)];
                extent.read(0, &mut names).map_err(|error| Error::Engine(error.to_string()))?;
                names
            }
        };
        Ok(Doomed { rel, local, entries: unpack(&names), time })
    }
}

fn pack(entries: &[(CString, FileType)]) -> Vec<u8> {
    let mut names = Vec::with_capacity(entries.iter().map(|(name, _)| name.as_bytes().len() + 2).sum());
    for (name, kind) in entries {
        // The bits of a mode that say the kind are its highest four.
        names.push((kind.as_raw_mode() >> 12) as u8);
        names.extend_from_slice(name.as_bytes_with_nul());
    }
    names
}

fn unpack(mut names: &[u8]) -> Vec<(CString, FileType)> {
    let mut entries = Vec::new();
    while let Some((kind, rest)) = names.split_first()
        && let Ok(name) = CStr::from_bytes_until_nul(rest)
    {
        entries.push((name.to_owned(), FileType::from_raw_mode(u32::from(*kind) << 12)));
        names = rest.get(name.to_bytes_with_nul().len()..).unwrap_or_default();
    }
    entries
}

#[cfg(test)]
mod tests {
    use forebay::MemoryStore;

    use super::*;

    fn doomed(rel: &str, names: usize) -> Doomed {
        let kinds = [FileType::RegularFile, FileType::Directory, FileType::Symlink, FileType::Socket, FileType::Fifo];
        let name = |at: usize| (CString::new(format!("a name {at}")).unwrap(), kinds[at % kinds.len()]);
        let (local, entries) = (Local::default(), (0..names).map(name).collect());
        Doomed { rel: rel.into(), local, entries, time: None }
    }

    fn entries(dooms: &Dooms) -> Vec<Vec<(CString, FileType)>> {
        let all = std::mem::take(&mut dooms.state.lock().unwrap().all);
        all.into_iter().map(|waiting| waiting.read().unwrap().entries).collect()
    }

    #[test]
    fn names_beyond_a_buffer_wait_in_the_store() {
        let store = Arc::new(MemoryStore::new(1 << 20));
        let dooms = Dooms::spilling(Some(store.clone()));
        let expected: Vec<_> = [100, 10_000, 20_000, 0, 50].map(|names| doomed("in/", names).entries).into();
        expected.iter().for_each(|entries| dooms.push(Doomed { entries: entries.clone(), ..doomed("in/", 0) }));
        assert!(dooms.state.lock().unwrap().held <= HELD);
        assert!(store.usage().live > 20_000 * 8, "{:?}", store.usage());
        assert!(entries(&dooms) == expected);
        assert_eq!(store.usage().live, 0);
    }

    #[test]
    fn names_that_no_store_takes_stay_in_memory() {
        for store in [None, Some(Arc::new(MemoryStore::new(1)) as Arc<dyn SpillStore>)] {
            let dooms = Dooms::spilling(store);
            dooms.push(doomed("a/", 30_000));
            assert!(entries(&dooms) == [doomed("a/", 30_000).entries]);
        }
    }
}
