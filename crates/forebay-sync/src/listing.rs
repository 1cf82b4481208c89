//! The names of one directory, in rsync's order.

use std::ffi::{CStr, CString};
use std::ops::Range;

use crate::order;

/// Names in one block of memory, sorted; other entries before directories. Duplicates come from merged sources only:
/// of several directories of one name all stay, next to each other, anything else keeps its first.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Each name with its NUL.
    names: Vec<u8>,
    entries: Vec<Entry>,
    /// Some are where they would be with a slash before them.
    slashed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: usize,
    /// Which of the directory's sources has it.
    source: u32,
    /// Without the NUL.
    len: u16,
    dir: bool,
    way: Way,
}

/// What stands for a name in the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// What has the name.
    Itself,
    /// What that leads to.
    Followed,
    /// Either, and it was asked for by this name.
    Given { follow: bool },
    /// Nothing: it was given, and is not there.
    Missing,
    /// The directory is on the way to what was asked for, and is not itself asked for here.
    Passed,
}

impl Way {
    fn follows(self) -> bool {
        matches!(self, Way::Followed | Way::Given { follow: true })
    }
}

/// An entry that has gone from a listing, because something before it has its name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Double {
    pub(crate) name: CString,
    pub(crate) source: usize,
    pub(crate) follow: bool,
    /// It was given, and is not there.
    pub(crate) missing: bool,
}

impl Listing {
    /// Adds a name, which is a directory or not, and a symbolic link to be followed or not; [`sort`](Listing::sort) comes after the last. Names over 64 KiB do not exist on any file system.
    pub(crate) fn push(&mut self, name: &CStr, source: u32, dir: bool, follow: bool) {
        self.push_by(name, source, dir, if follow { Way::Followed } else { Way::Itself });
    }

    fn push_by(&mut self, name: &CStr, source: u32, dir: bool, way: Way) {
        let Ok(len) = u16::try_from(name.count_bytes()) else {
            return;
        };
        self.entries.push(Entry { start: self.names.len(), source, len, dir, way });
        self.names.extend_from_slice(name.to_bytes_with_nul());
    }

    /// As [`push`](Listing::push), for a name that was asked for.
    pub(crate) fn push_given(&mut self, name: &CStr, source: u32, dir: bool, follow: bool) {
        self.push_by(name, source, dir, Way::Given { follow });
    }

    /// Adds a name that was given and is not there, which is to be missing at the destination, too.
    pub(crate) fn push_missing(&mut self, name: &CStr, source: u32) {
        self.push_by(name, source, false, Way::Missing);
    }

    /// Adds a directory that is on the way to something.
    pub(crate) fn push_passed(&mut self, name: &CStr, source: u32) {
        self.push_by(name, source, true, Way::Passed);
    }

    /// Makes room for a source before all others.
    pub(crate) fn shift_sources(&mut self) {
        self.entries.iter_mut().for_each(|e| e.source += 1);
    }

    /// Drops directories that `keep` does not want.
    pub(crate) fn retain_dirs(&mut self, keep: impl Fn(&[u8]) -> bool) {
        let names = &self.names;
        self.entries.retain(|e| !e.dir || keep(&names[e.start..e.start + usize::from(e.len)]));
    }

    /// Brings the names into order and, if some may be there twice, drops those that are, and returns them.
    pub(crate) fn sort(&mut self, merged: bool) -> Vec<Double> {
        let Listing { names, entries, .. } = self;
        let mut doubles = Vec::new();
        let name = |e: &Entry| &names[e.start..e.start + usize::from(e.len)];
        let key = |e: &Entry| (name(e), e.dir);
        entries.sort_by(|a, b| order::compare(key(a), key(b)));
        if merged {
            let mut drops = |e: &Entry, drop| {
                if drop {
                    let name = CString::new(name(e)).unwrap_or_default();
                    let (follow, missing) = (e.way.follows(), e.way == Way::Missing);
                    doubles.push(Double { name, source: e.source as usize, follow, missing });
                }
                drop
            };
            entries.dedup_by(|later, first| drops(later, !first.dir && key(later) == key(first)));
            let split = entries.partition_point(|e| !e.dir);
            let dirs = entries[split..].to_vec();
            let mut at = 0;
            entries.retain(|e| {
                at += 1;
                at > split || !drops(e, dirs.binary_search_by(|d| order::compare(key(d), (name(e), true))).is_ok())
            });
        }
        doubles
    }

    /// Puts names of the sources that are `absolute` where they are with a slash before them, the last thing that is done to it.
    pub(crate) fn slash(&mut self, absolute: impl Fn(usize) -> bool) {
        let name = |e: &Entry| &self.names[e.start..e.start + usize::from(e.len)];
        let runs = self.entries.chunk_by(|a, b| name(a) == name(b));
        let mut keyed: Vec<(Vec<u8>, Entry)> = Vec::with_capacity(self.entries.len());
        for run in runs {
            let slash: &[u8] = if run.iter().any(|e| absolute(e.source as usize)) { b"/" } else { b"" };
            keyed.extend(run.iter().map(|e| ([slash, name(e)].concat(), *e)));
        }
        keyed.sort_by(|(a, left), (b, right)| order::compare((a, left.dir), (b, right.dir)));
        self.entries = keyed.into_iter().map(|(_, entry)| entry).collect();
        self.slashed = true;
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many directories come after `name`, or how many there are if it is none of them.
    pub(crate) fn dirs_behind(&self, name: &CStr) -> usize {
        if self.slashed {
            let at = (self.first_dir()..self.len()).rev().find(|&at| self.name(at) == name);
            return self.len() - at.map_or(self.first_dir(), |at| at + 1);
        }
        let key = |e: &Entry| (&self.names[e.start..e.start + usize::from(e.len)], e.dir);
        let at = self.entries.partition_point(|e| order::compare(key(e), (name.to_bytes(), true)).is_le());
        self.len() - at.max(self.first_dir())
    }

    /// Where the directories begin.
    pub(crate) fn first_dir(&self) -> usize {
        self.entries.partition_point(|e| !e.dir)
    }

    pub(crate) fn name(&self, at: usize) -> &CStr {
        self.entries
            .get(at)
            .and_then(|e| CStr::from_bytes_with_nul(&self.names[e.start..=e.start + usize::from(e.len)]).ok())
            .unwrap_or_default()
    }

    pub(crate) fn source(&self, at: usize) -> usize {
        self.entries.get(at).map_or(0, |e| e.source as usize)
    }

    pub(crate) fn is_dir(&self, at: usize) -> bool {
        self.entries.get(at).is_some_and(|e| e.dir)
    }

    /// Whether what it leads to is meant.
    pub(crate) fn follows(&self, at: usize) -> bool {
        self.entries.get(at).is_some_and(|e| e.way.follows())
    }

    /// Whether it was asked for by its name, and is there.
    pub(crate) fn is_given(&self, at: usize) -> bool {
        self.entries.get(at).is_some_and(|e| matches!(e.way, Way::Given { .. }))
    }

    /// Whether it was given and is not there.
    pub(crate) fn is_missing(&self, at: usize) -> bool {
        self.entries.get(at).is_some_and(|e| e.way == Way::Missing)
    }

    /// Whether it is on the way to something, and nothing else.
    pub(crate) fn passes(&self, at: usize) -> bool {
        self.entries.get(at).is_some_and(|e| e.way == Way::Passed)
    }

    /// The run of directories of one name that begins at `at`.
    pub(crate) fn same_name(&self, at: usize) -> Range<usize> {
        let name = self.name(at);
        let mut end = at + 1;
        while end < self.len() && self.name(end) == name {
            end += 1;
        }
        at..end
    }

    /// Whether `name` is in it, as whatever.
    pub(crate) fn contains(&self, name: &CStr) -> bool {
        [false, true].into_iter().any(|dir| self.has(name.to_bytes(), dir))
    }

    /// Whether `name` is in it, as a directory or as anything else.
    pub(crate) fn has(&self, name: &[u8], dir: bool) -> bool {
        let key = |e: &Entry| (&self.names[e.start..e.start + usize::from(e.len)], e.dir);
        if self.slashed {
            return self.entries.iter().any(|e| key(e) == (name, dir));
        }
        self.entries.binary_search_by(|e| order::compare(key(e), (name, dir))).is_ok()
    }

    /// Bytes in memory.
    pub(crate) fn weight(&self) -> usize {
        self.names.capacity() + self.entries.capacity() * size_of::<Entry>()
    }
}

#[cfg(test)]
mod tests {
    use super::Listing;

    #[test]
    fn of_merged_sources_a_directory_wins_and_else_the_first() {
        let mut listing = Listing::default();
        for (name, source, dir) in
            [(c"f", 1, false), (c"g", 1, true), (c"d", 0, true), (c"f", 0, false), (c"g", 0, false), (c"d", 1, true)]
        {
            listing.push(name, source, dir, false);
        }
        let doubles = listing.sort(true);
        let doubles: Vec<_> = doubles.iter().map(|double| (&*double.name, double.source)).collect();
        assert_eq!(doubles, [(c"f", 0), (c"g", 0)]);
        let all: Vec<_> = (0..listing.len()).map(|i| (listing.name(i), listing.source(i), listing.is_dir(i))).collect();
        assert_eq!(all, [(c"f", 1, false), (c"d", 0, true), (c"d", 1, true), (c"g", 1, true)]);
        assert_eq!(listing.same_name(1), 1..3);
        assert_eq!([c"a", c"d", c"g", c"z"].map(|name| listing.dirs_behind(name)), [3, 1, 0, 0]);
        assert!(listing.contains(c"g") && listing.contains(c"f") && !listing.contains(c"x"));
    }

    #[test]
    fn what_has_a_slash_before_it_is_where_that_brings_it() {
        let mut listing = Listing::default();
        for (name, source, dir) in
            [(c"b", 0, false), (c"c", 1, false), (c"+", 0, true), (c"a", 0, true), (c"z", 0, true), (c"z", 1, true)]
        {
            listing.push(name, source, dir, false);
        }
        listing.sort(true);
        listing.slash(|source| source == 1);
        let names: Vec<_> = (0..listing.len()).map(|i| listing.name(i)).collect();
        assert_eq!(names, [c"c", c"b", c"+", c"z", c"z", c"a"]);
        assert_eq!(listing.same_name(3), 3..5);
        assert_eq!([c"+", c"z", c"a", c"x"].map(|name| listing.dirs_behind(name)), [3, 1, 0, 4]);
        assert!(listing.contains(c"z") && listing.contains(c"c") && !listing.contains(c"x"));
    }
}
