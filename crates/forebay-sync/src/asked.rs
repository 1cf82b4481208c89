//! Names that are asked for with their paths, by `--relative` and `--files-from`.
//!
//! They are kept in one block, sorted as the walk goes. A directory on the way to some of them is then a range of the
//! sorted names, so that a million of them cost a sort and one pass for each level of directories.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::ffi::CString;
use std::ops::Range;

use crate::listing::Listing;
use crate::order;

/// What is asked for, relative to the sources that the names have in common.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    paths: Vec<u8>,
    names: Vec<Name>,
    /// A path has begun with `./`, which asks for what it is relative to as well.
    pub(crate) dotted: bool,
    /// The directory of the path before: no link that is somebody else's leads there.
    pub(crate) way: Vec<u8>,
    pub(crate) passages: Passages,
}

/// How often rsync's list has a directory because it is on the way to a path: once more whenever the paths have been elsewhere
/// meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Passages {
    pub(crate) count: u64,
    /// The directory of the path before, and the source that it is beneath.
    way: Vec<u8>,
    source: u32,
    /// In incremental recursion, for each directory, which of those in it was passed last.
    last: HashMap<Vec<u8>, Vec<u8>>,
}

impl Passages {
    /// The next path. With `one_list`, everything is listed before anything else happens.
    pub(crate) fn pass(&mut self, path: &[u8], source: u32, one_list: bool) {
        let Some(end) = path.iter().rposition(|&b| b == b'/') else { return };
        let dir = &path[..end];
        if one_list {
            let same = dir.iter().zip(&self.way).take_while(|(a, b)| a == b).count();
            if same == dir.len() && self.way.get(same).is_none_or(|&b| b == b'/') {
                return;
            }
            // As with rsync, which goes back to a slash, also from the end of a name.
            let from = dir[..same].iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1);
            self.count += dir[from..].split(|&b| b == b'/').count() as u64;
        } else {
            if self.source != source {
                self.last.remove(&b""[..]);
            } else if self.way == dir {
                return;
            }
            let mut begin = 0;
            for component in dir.split(|&b| b == b'/') {
                let last = self.last.entry(dir[..begin].to_vec()).or_default();
                if last.as_slice() != component {
                    *last = component.to_vec();
                    self.count += 1;
                }
                begin += component.len() + 1;
            }
        }
        (self.way, self.source) = (dir.to_vec(), source);
    }
}

/// One path: components, without slashes at its ends.
#[derive(Clone, Copy, Debug)]
struct Name {
    start: usize,
    len: usize,
    /// Which of the root's sources it is beneath.
    source: u32,
    dir: bool,
    /// It is a symbolic link, and what it leads to is meant.
    follow: bool,
    /// What is in the directory is asked for, too.
    contents: bool,
    /// It is not there.
    missing: bool,
}

/// What one directory stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Group {
    /// Names that go on beneath it.
    pub(crate) beneath: Range<usize>,
    pub(crate) sources: Vec<Source>,
}

/// What is asked for of a directory in one of the root's sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) source: u32,
    /// It is itself asked for, and not just on the way to something.
    pub(crate) own: bool,
    /// How often together with what is in it.
    pub(crate) contents: usize,
}

impl Group {
    /// Whether the directory is not itself asked for, but what is beneath it.
    pub(crate) fn is_on_the_way(&self) -> bool {
        !self.sources.is_empty() && self.sources.iter().all(|source| !source.own)
    }
}

impl Asked {
    /// Adds a path; [`sort`](Asked::sort) comes after the last.
    pub(crate) fn push(&mut self, path: &[u8], source: u32, (dir, follow): (bool, bool), contents: bool) {
        let (start, len) = (self.paths.len(), path.len());
        self.names.push(Name { start, len, source, dir, follow, contents, missing: false });
        self.paths.extend_from_slice(path);
    }

    /// Adds the path of something that is not there.
    pub(crate) fn push_missing(&mut self, path: &[u8], source: u32) {
        self.push(path, source, (false, false), false);
        self.names.iter_mut().next_back().into_iter().for_each(|name| name.missing = true);
    }

    /// Makes room for a source before all others.
    pub(crate) fn shift_sources(&mut self) {
        self.names.iter_mut().for_each(|name| name.source += 1);
    }

    pub(crate) fn sort(&mut self) {
        let paths = &self.paths;
        self.names.sort_by(|a, b| compare(paths, a, b));
    }

    /// How many entries there are at least, directories on the way among them.
    pub(crate) fn len(&self) -> usize {
        let on_the_way = self.names.iter().any(|name| self.component(name, 0).1);
        self.names.len() + usize::from(on_the_way)
    }

    /// All names.
    pub(crate) fn all(&self) -> Range<usize> {
        0..self.names.len()
    }

    /// Adds to `listing` what the names in `range` have behind their first `skip` bytes, which they have in common.
    /// `roots` tells for each source of the directory which of the root's it is.
    pub(crate) fn list(&self, range: Range<usize>, skip: usize, roots: &[u32], listing: &mut Listing) {
        let mut last: Option<(&[u8], bool)> = None;
        let mut seen: Vec<u32> = Vec::new();
        for name in self.names.get(range).unwrap_or_default() {
            let (component, more) = self.component(name, skip);
            let entry = (component, more || name.dir);
            if last != Some(entry) {
                last = Some(entry);
                seen.clear();
            }
            // What is asked for comes before what is on the way.
            if let (true, Some(source)) = (!more || !seen.contains(&name.source), position(roots, name.source))
                && let Ok(component) = CString::new(component)
            {
                if !seen.contains(&name.source) {
                    seen.push(name.source);
                }
                match (more, name.missing) {
                    (true, _) => listing.push_passed(&component, source),
                    (false, true) => listing.push_missing(&component, source),
                    (false, false) => listing.push_given(&component, source, name.dir, name.follow),
                }
            }
        }
    }

    /// Adds to `listing`, which is sorted and has everything, what of that the names in `range` ask for once more, what of them is
    /// not there, and what rules leave out and is on the way to some.
    pub(crate) fn list_again(&self, range: Range<usize>, skip: usize, roots: &[u32], listing: &mut Listing) {
        let mut again: Vec<(CString, u32, &Name, bool)> = Vec::new();
        for name in self.names.get(range).unwrap_or_default() {
            let (component, more) = self.component(name, skip);
            let last = || again.last().is_some_and(|(last, ..)| last.as_bytes() == component);
            let wanted = match more {
                false => listing.has(component, name.dir) != name.missing,
                true => !listing.has(component, true) && !last(),
            };
            if let (true, Some(source)) = (wanted, position(roots, name.source))
                && let Ok(component) = CString::new(component)
            {
                again.push((component, source, name, more));
            }
        }
        for (component, source, name, more) in again {
            match (more, name.missing) {
                (true, _) => listing.push_passed(&component, source),
                (false, true) => listing.push_missing(&component, source),
                (false, false) => listing.push_given(&component, source, name.dir, name.follow),
            }
        }
    }

    /// What the directory `component` stands for among the names in `range`, which have `skip` bytes in common.
    pub(crate) fn group(&self, range: Range<usize>, skip: usize, component: &[u8]) -> Group {
        let names = self.names.get(range.clone()).unwrap_or_default();
        let key = |name: &Name| {
            let (own, more) = self.component(name, skip);
            (own, more || name.dir)
        };
        let begin = names.partition_point(|name| order::compare(key(name), (component, true)) == Ordering::Less);
        let len = names[begin..].partition_point(|name| key(name) == (component, true));
        let group = &names[begin..begin + len];
        let own = group.partition_point(|name| !self.component(name, skip).1);
        let beneath = range.start + begin + own..range.start + begin + len;
        let mut sources: Vec<Source> = Vec::new();
        for (at, name) in group.iter().enumerate() {
            let known = sources.iter().position(|known| known.source == name.source);
            let known = known.unwrap_or_else(|| {
                sources.push(Source { source: name.source, own: false, contents: 0 });
                sources.len() - 1
            });
            if let Some(source) = sources.get_mut(known).filter(|_| at < own) {
                source.own = true;
                source.contents += usize::from(name.contents);
            }
        }
        Group { beneath, sources }
    }

    /// The component behind the first `skip` bytes, and whether more follow.
    fn component(&self, name: &Name, skip: usize) -> (&[u8], bool) {
        let path = &self.paths[name.start..name.start + name.len];
        let rest = path.get(skip..).unwrap_or_default();
        match rest.iter().position(|&b| b == b'/') {
            Some(slash) => (&rest[..slash], true),
            None => (rest, false),
        }
    }
}

fn position(roots: &[u32], source: u32) -> Option<u32> {
    roots.iter().position(|&root| root == source).and_then(|at| u32::try_from(at).ok())
}

/// The order of the walk; a directory comes before what is in it. What is asked for twice stays in the order in which it was.
fn compare(paths: &[u8], a: &Name, b: &Name) -> Ordering {
    let path = |name: &Name| &paths[name.start..name.start + name.len];
    let (mut left, mut right) = (path(a), path(b));
    loop {
        let split = |rest: &[u8]| rest.iter().position(|&b| b == b'/');
        let (l, r) = (split(left), split(right));
        let first = (&left[..l.unwrap_or(left.len())], l.is_some() || a.dir);
        let second = (&right[..r.unwrap_or(right.len())], r.is_some() || b.dir);
        match (order::compare(first, second), l, r) {
            (Ordering::Equal, Some(l), Some(r)) => (left, right) = (&left[l + 1..], &right[r + 1..]),
            (Ordering::Equal, l, r) => return l.is_some().cmp(&r.is_some()),
            (order, ..) => return order,
        }
    }
}

/// `path` without empty and `.` components; `None` if one is `..` and `collapse` does not take that back.
pub(crate) fn components(path: &[u8], collapse: bool) -> Option<Vec<u8>> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|&b| b == b'/') {
        match part {
            b"" | b"." => {}
            b".." if collapse => drop(parts.pop()),
            b".." => return None,
            part => parts.push(part),
        }
    }
    Some(parts.join(&b'/'))
}

/// `path` without empty and `.` components, where each `..` takes back the one before it, if there is one.
pub(crate) fn collapsed(path: &[u8]) -> Vec<u8> {
    // Nothing is refused where all are taken back.
    components(path, true).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Asked, Source, components};
    use crate::listing::Listing;

    #[test]
    fn names_group_by_directory_in_the_order_of_the_walk() {
        let mut asked = Asked::default();
        for (path, dir) in [("b/c/1", false), ("b/c", true), ("a", false), ("b-x/2", false), ("b/d", false)] {
            asked.push(path.as_bytes(), 0, (dir, false), false);
        }
        asked.sort();
        let mut listing = Listing::default();
        asked.list(asked.all(), 0, &[0], &mut listing);
        listing.sort(false);
        let names: Vec<_> = (0..listing.len()).map(|at| (listing.name(at), listing.is_dir(at))).collect();
        assert_eq!(names, [(c"a", false), (c"b-x", true), (c"b", true)]);
        let b = asked.group(asked.all(), 0, b"b");
        assert_eq!((b.beneath.clone(), &b.sources[..]), (2..5, &[Source { source: 0, own: false, contents: 0 }][..]));
        let c = asked.group(b.beneath, 2, b"c");
        assert_eq!((c.beneath, &c.sources[..]), (4..5, &[Source { source: 0, own: true, contents: 0 }][..]));
        assert_eq!(components(b"/a//./b/../c/", true).unwrap(), b"a/c");
        assert_eq!(components(b"a/../b", false), None);
    }
}
