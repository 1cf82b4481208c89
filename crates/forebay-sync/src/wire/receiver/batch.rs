//! A list as it came, in order, and what of it is beneath what.

use std::collections::HashSet;
use std::ffi::CString;
use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};

use rustix::fs::FileType;

use crate::dir::{Base, Dir, Reads, SourceDir};
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
    /// Of a directory: it is only on the way to something, and left as it is (`--no-implied-dirs`).
    pub(crate) way: bool,
}

/// A list in rsync's order.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    /// The number of its first entry.
    pub(crate) first: i32,
    facts: Arc<[Facts]>,
    places: Arc<[Place]>,
    /// Paths of directories that are left out. Their numbers stay.
    left_out: Arc<HashSet<Vec<u8>>>,
}

#[derive(Debug)]
struct Place {
    path: Box<[u8]>,
    content: bool,
    way: bool,
    /// Where what is beneath it ends.
    end: u32,
}

impl Batch {
    /// Takes sorted entries.
    pub(crate) fn new(first: i32, arrivals: Vec<Arrival>) -> Self {
        let mut facts = Vec::with_capacity(arrivals.len());
        let mut places: Vec<Place> = Vec::with_capacity(arrivals.len());
        // The directories that the entry at hand is in.
        let mut above: Vec<usize> = Vec::new();
        for (at, Arrival { path, facts: own, content, way }) in arrivals.into_iter().enumerate() {
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
            places.push(Place { path: path.into(), content, way, end: end.saturating_add(1) });
        }
        let len = u32::try_from(places.len()).unwrap_or(u32::MAX);
        above.into_iter().for_each(|dir| places[dir].end = len);
        // A directory that is on the way to something may be named as well: then it is that.
        for same in places.chunk_by_mut(|a, b| a.path == b.path).filter(|same| same.len() > 1) {
            let (content, way) = (same.iter().any(|place| place.content), same.iter().all(|place| place.way));
            same.iter_mut().for_each(|place| (place.content, place.way) = (content, way));
        }
        Batch { first, facts: facts.into(), places: places.into(), left_out: Arc::default() }
    }

    /// Leaves out the directories at `paths`.
    pub(crate) fn leave_out(&mut self, paths: HashSet<Vec<u8>>) {
        self.left_out = Arc::new(paths);
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

    /// Where the directories are.
    pub(crate) fn dirs(&self) -> impl Iterator<Item = usize> {
        (0..self.len()).filter(|at| self.is_dir(*at))
    }

    pub(crate) fn facts(&self) -> Arc<[Facts]> {
        Arc::clone(&self.facts)
    }

    /// Whether everything in the directory at `at` is listed.
    pub(crate) fn content(&self, at: usize) -> bool {
        self.places.get(at).is_some_and(|place| place.content)
    }

    /// The directory at `at` itself, unless it is left as it is.
    pub(crate) fn own(&self, at: usize) -> Option<(Arc<[Facts]>, usize)> {
        self.places.get(at).is_some_and(|place| !place.way).then(|| (self.facts(), at))
    }

    fn end(&self, at: usize) -> usize {
        self.places.get(at).map_or(at + 1, |place| place.end as usize)
    }

    /// The root, and which of the listed directories are in it: where each is itself, and where what is in it begins.
    pub(crate) fn root(&self) -> (Dir, Vec<(usize, usize)>) {
        let roots = (0..self.len()).take_while(|at| self.path(*at) == b".").count();
        let own = (roots > 0).then(|| self.own(0)).flatten();
        // The number 0 is free for it where a list begins with 1.
        let index = (roots > 0).then_some(0);
        self.dir(None, Vec::new(), own, self.content(0), roots..self.len(), index)
    }

    /// The directory at `own`, which is in `parent`; behind `at` is what is in it.
    pub(crate) fn child(&self, parent: &Arc<Dir>, (own, at): (usize, usize)) -> (Dir, Vec<(usize, usize)>) {
        let rel = [self.path(own), b"/"].concat();
        let index = i32::try_from(own).ok().and_then(|own| self.first.checked_add(own));
        self.dir(Some(Arc::clone(parent)), rel, self.own(own), self.content(own), at + 1..self.end(at), index)
    }

    /// The directory at `path`, which is in `parent` and is in another list itself: this one is what is in it.
    pub(crate) fn contents_of(
        &self,
        parent: Arc<Dir>,
        path: &[u8],
        own: Option<(Arc<[Facts]>, usize)>,
        content: bool,
    ) -> (Dir, Vec<(usize, usize)>) {
        let index = self.first.checked_sub(1);
        self.dir(Some(parent), [path, b"/"].concat(), own, content, 0..self.len(), index)
    }

    fn dir(
        &self,
        parent: Option<Arc<Dir>>,
        rel: Vec<u8>,
        own: Option<(Arc<[Facts]>, usize)>,
        content: bool,
        beneath: Range<usize>,
        index: Option<i32>,
    ) -> (Dir, Vec<(usize, usize)>) {
        let mut entries: Vec<(&[u8], usize)> = Vec::new();
        let mut dirs: Vec<(&[u8], usize, usize)> = Vec::new();
        let mut at = beneath.start;
        while at < beneath.end {
            let name = self.path(at).strip_prefix(&rel[..]).unwrap_or_default();
            // What is further down is in no directory of the list, and is passed over.
            let usable = !name.is_empty() && !name.contains(&b'/') && !name.contains(&0);
            match self.is_dir(at) {
                _ if !usable => {}
                true if self.left_out.contains(self.path(at)) => {}
                // Of several of one name, the first counts; what is in them is behind the last.
                true => match dirs.last_mut().filter(|(last, ..)| *last == name) {
                    Some((_, _, contents)) => *contents = at,
                    None => dirs.push((name, at, at)),
                },
                false if entries.last().is_some_and(|(last, _)| *last == name) => {}
                false => entries.push((name, at)),
            }
            at = if self.is_dir(at) { self.end(at) } else { at + 1 };
        }
        if !entries.is_empty() && !dirs.is_empty() {
            let names: HashSet<&[u8]> = dirs.iter().map(|(name, ..)| *name).collect();
            entries.retain(|(name, _)| !names.contains(name));
        }
        let (mut listing, mut places) = (Listing::default(), Vec::new());
        let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let files = entries.iter().map(|(name, at)| (*name, *at, false));
        for (name, at, is_dir) in files.chain(dirs.iter().map(|(name, own, _)| (*name, *own, true))) {
            if let Ok(name) = CString::new(name) {
                match self.facts.get(at).map(|facts| facts.stat.kind) {
                    // It was asked for and is not there.
                    Some(FileType::Unknown) => listing.push_missing(&name, 0),
                    _ => listing.push(&name, 0, is_dir, false),
                }
                places.push(number(at));
            }
        }
        let name = match &parent {
            None => CString::default(),
            Some(parent) => {
                let name = rel.get(parent.rel.len()..rel.len() - 1).unwrap_or_default();
                CString::new(name).unwrap_or_default()
            }
        };
        let dir = Dir {
            rel,
            name,
            parent,
            sources: vec![SourceDir {
                base: Base::Closed,
                shown: Vec::new(),
                above: Arc::default(),
                local: Local::default(),
                reads: Reads::default(),
            }],
            sent: Some(Sent {
                list: self.facts(),
                at: places,
                own: own.as_ref().map(|(list, own)| (Arc::clone(list), number(*own))),
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
        (dir, dirs.into_iter().map(|(_, own, contents)| (own, contents)).collect())
    }
}

/// Whether `path` is in the directory `dir`, however deep.
fn is_beneath(path: &[u8], dir: &[u8]) -> bool {
    dir == b"." || path.strip_prefix(dir).is_some_and(|rest| rest.first() == Some(&b'/'))
}
