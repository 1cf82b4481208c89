//! A list as it came, in order, and what of it is beneath what.

use std::ffi::CString;
use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};

use rustix::fs::FileType;

use crate::dir::{Base, Dir, SourceDir};
use crate::filter::Local;
use crate::listing::Listing;
use crate::sent::{Facts, Sent};

/// One entry on its way into a [`Batch`].
#[derive(Debug)]
pub(crate) struct Arrival {
    /// From the root of the transfer on; `.` is the root itself.
    pub(crate) path: Vec<u8>,
    pub(crate) facts: Facts,
    /// Of a directory: everything in it is listed.
    pub(crate) content: bool,
}

/// A list in rsync's order.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    /// The number of its first entry.
    pub(crate) first: i32,
    facts: Arc<[Facts]>,
    places: Arc<[Place]>,
}

#[derive(Debug)]
struct Place {
    path: Box<[u8]>,
    content: bool,
    /// Where what is beneath it ends.
    end: u32,
    /// Something of the same name is before it.
    twice: bool,
}

impl Batch {
    /// Takes sorted entries.
    pub(crate) fn new(first: i32, arrivals: Vec<Arrival>) -> Self {
        let mut facts = Vec::with_capacity(arrivals.len());
        let mut places: Vec<Place> = Vec::with_capacity(arrivals.len());
        // The directories that the entry at hand is in.
        let mut above: Vec<usize> = Vec::new();
        for (at, Arrival { path, facts: own, content }) in arrivals.into_iter().enumerate() {
            let end = u32::try_from(at).unwrap_or(u32::MAX);
            while let Some(&dir) = above.last()
                && !is_beneath(&path, &places[dir].path)
            {
                places[dir].end = end;
                above.pop();
            }
            if own.stat.kind == FileType::Directory {
                above.push(at);
            }
            facts.push(own);
            places.push(Place { path: path.into(), content, end: end.saturating_add(1), twice: false });
        }
        let len = u32::try_from(places.len()).unwrap_or(u32::MAX);
        above.into_iter().for_each(|dir| places[dir].end = len);
        Batch { first, facts: facts.into(), places: places.into() }
    }

    pub(crate) fn len(&self) -> usize {
        self.facts.len()
    }

    pub(crate) fn path(&self, at: usize) -> &[u8] {
        self.places.get(at).map_or(b"", |place| &place.path)
    }

    pub(crate) fn is_dir(&self, at: usize) -> bool {
        self.facts.get(at).is_some_and(|facts| facts.stat.kind == FileType::Directory)
    }

    /// Whether the root itself is transferred.
    pub(crate) fn has_root(&self) -> bool {
        self.path(0) == b"."
    }

    /// The root, and which of the listed directories are in it.
    pub(crate) fn root(&self) -> (Dir, Vec<usize>) {
        let own = self.has_root().then_some(0);
        let index = own.map(|_| self.first);
        self.dir(None, Vec::new(), own, usize::from(self.has_root())..self.len(), index)
    }

    /// The directory at `at`, which is in `parent`.
    pub(crate) fn child(&self, parent: &Arc<Dir>, at: usize) -> (Dir, Vec<usize>) {
        let rel = [self.path(at), b"/"].concat();
        let end = self.places.get(at).map_or(at + 1, |place| place.end as usize);
        self.dir(Some(Arc::clone(parent)), rel, Some(at), at + 1..end, self.index(at))
    }

    fn index(&self, at: usize) -> Option<i32> {
        i32::try_from(at).ok().and_then(|at| self.first.checked_add(at))
    }

    fn dir(
        &self,
        parent: Option<Arc<Dir>>,
        rel: Vec<u8>,
        own: Option<usize>,
        beneath: Range<usize>,
        index: Option<i32>,
    ) -> (Dir, Vec<usize>) {
        let (mut listing, mut places, mut dirs) = (Listing::default(), Vec::new(), Vec::new());
        let mut at = beneath.start;
        while at < beneath.end {
            let path = self.path(at).strip_prefix(&rel[..]).unwrap_or_default();
            let is_dir = self.is_dir(at);
            // What is further down has been refused before, and what is there twice is passed over.
            if let Ok(name) = CString::new(path)
                && !name.is_empty()
                && !name.as_bytes().contains(&b'/')
                && !self.places.get(at).is_some_and(|place| place.twice)
            {
                listing.push(&name, 0, is_dir, false);
                places.push(u32::try_from(at).unwrap_or(u32::MAX));
                if is_dir {
                    dirs.push(at);
                }
            }
            at = if is_dir { self.places.get(at).map_or(at + 1, |place| place.end as usize) } else { at + 1 };
        }
        let name = match &parent {
            None => CString::default(),
            Some(parent) => {
                let name = rel.get(parent.rel.len()..rel.len() - 1).unwrap_or_default();
                CString::new(name).unwrap_or_default()
            }
        };
        let content = own.and_then(|own| self.places.get(own)).is_some_and(|place| place.content);
        let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let dir = Dir {
            rel,
            name,
            parent,
            sources: vec![SourceDir { base: Base::Closed, shown: Vec::new(), local: Local::default() }],
            sent: Some(Sent {
                list: Arc::clone(&self.facts),
                at: places,
                own: own.map(|own| (Arc::clone(&self.facts), number(own))),
                index,
            }),
            in_parent: 0,
            links: 0,
            listing,
            transferred: own.is_some(),
            complete: content,
            target: OnceLock::new(),
            entered: Mutex::default(),
            touched: AtomicBool::new(false),
            delayed: Mutex::default(),
            candidates: OnceLock::new(),
        };
        (dir, dirs)
    }
}

/// Whether `path` is in the directory `dir`, however deep.
fn is_beneath(path: &[u8], dir: &[u8]) -> bool {
    dir == b"." || path.strip_prefix(dir).is_some_and(|rest| rest.first() == Some(&b'/'))
}
