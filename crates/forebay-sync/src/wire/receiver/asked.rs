//! `Asked`: what was asked for, held against the names that come.

use std::collections::HashSet;
use std::iter;

use super::lists::parent;
use crate::options::Options;
use crate::wildmatch::Pattern;
use crate::wire::shell::escape;

/// What the paths in a list may be.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    /// Anything: the other side has been told what it is to send by whoever runs it.
    Anything,
    /// Anything, even what our own rules leave out: it is trusted.
    Trusted,
    /// What these name, directories on the way there, and what is beneath, as far down as was asked for.
    Paths(Box<Paths>),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Paths {
    /// Paths as they are; empty where the contents of a directory come as if they were beside it.
    named: HashSet<Vec<u8>>,
    /// Paths with wildcards.
    patterns: Vec<Pattern>,
    /// Directories on the way to those that are named.
    ways: HashSet<Vec<u8>>,
    /// The same with wildcards.
    way_patterns: Vec<Pattern>,
    /// How many levels beneath are asked for. `None`: all.
    levels: Option<usize>,
}

impl Asked {
    /// What `sources` name, as a client has given them: arguments, with their wildcards.
    pub(crate) fn of(sources: &[impl AsRef<[u8]>], options: &Options) -> Self {
        let mut paths = Paths::new(options);
        for source in sources {
            let parts = parts_of(source.as_ref(), options.select.relative);
            if parts.first() == Some(&&b".."[..]) {
                return Asked::Anything;
            }
            paths.add(&parts);
            paths.add_pattern(&parts);
        }
        Asked::Paths(paths.into())
    }

    /// What the names of `--files-from` name, each of which has a NUL behind it. As with rsync, one that leads upwards names
    /// nothing that can come, although the sender takes it from beneath the source.
    pub(crate) fn names(listed: &[u8], options: &Options) -> Self {
        let mut paths = Paths::new(options);
        for name in listed.split(|&b| b == 0).filter(|name| !name.is_empty()) {
            paths.add(&parts_of(name, options.select.relative));
        }
        Asked::Paths(paths.into())
    }

    /// Whether an entry may be at `path`.
    pub(crate) fn allows(&self, path: &[u8], is_dir: bool) -> bool {
        match self {
            Asked::Anything | Asked::Trusted => true,
            Asked::Paths(paths) => paths.allow(path, is_dir),
        }
    }
}

impl Paths {
    fn new(options: &Options) -> Self {
        let levels = match (options.recursive, options.select.dirs) {
            (true, _) => None,
            // As with rsync, whether or not there is a slash behind the name.
            (false, true) => Some(1),
            (false, false) => Some(0),
        };
        Paths { levels, ..Paths::default() }
    }

    fn add(&mut self, parts: &[&[u8]]) {
        for len in 1..parts.len() {
            self.ways.insert(parts[..len].join(&b'/'));
        }
        self.named.insert(parts.join(&b'/'));
    }

    fn add_pattern(&mut self, parts: &[&[u8]]) {
        for len in 1..=parts.len() {
            let text = parts[..len].join(&b'/');
            if !text.iter().any(|byte| b"*?[\\".contains(byte)) {
                continue;
            }
            let patterns = if len == parts.len() { &mut self.patterns } else { &mut self.way_patterns };
            // Who expands it may have been told of a backslash what it is to a shell, or that it is one.
            patterns.extend([&text, &escape(&text, true)].map(|text| Pattern::new(text)));
        }
    }

    fn allow(&self, path: &[u8], is_dir: bool) -> bool {
        // Mostly everything beneath the root.
        if self.levels.is_none() && self.named.contains(&b""[..]) {
            return true;
        }
        let among = |named: &HashSet<Vec<u8>>, patterns: &[Pattern], path: &[u8]| {
            named.contains(path) || patterns.iter().any(|pattern| pattern.matches(path))
        };
        let levels = self.levels.map_or(usize::MAX, |levels| levels.saturating_add(1));
        let mut upwards = iter::successors(Some(path), |&path| (!path.is_empty()).then(|| parent(path))).take(levels);
        upwards.any(|path| among(&self.named, &self.patterns, path))
            || (is_dir && among(&self.ways, &self.way_patterns, path))
    }
}

/// The components of the path at which an entry comes that the argument `source` names; none where its contents do.
fn parts_of(source: &[u8], relative: bool) -> Vec<&[u8]> {
    let shown = match relative {
        // From `/./` on, the path is kept.
        true => source.windows(3).position(|three| three == b"/./").map_or(source, |at| &source[at + 3..]),
        false => source,
    };
    let mut parts: Vec<_> = shown.split(|&b| b == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    if !relative {
        let contents = shown.ends_with(b"/") || shown.ends_with(b"/.") || shown == b".";
        parts.drain(..parts.len().saturating_sub(usize::from(!contents)));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(recursive: bool, dirs: bool, relative: bool) -> Options {
        let mut options = Options { recursive, ..Options::default() };
        (options.select.dirs, options.select.relative) = (dirs, relative);
        options
    }

    #[test]
    fn what_is_beneath_comes_as_far_as_it_was_asked_for() {
        for (recursive, dirs, levels) in [(true, false, 9), (false, true, 1), (false, false, 0)] {
            for (source, name) in [("x/d", "d"), ("x/[d]", "d"), ("x/d/", "")] {
                let asked = Asked::of(&[source.as_bytes()], &options(recursive, dirs, false));
                let mut path = name.to_owned();
                for level in 1..=3 {
                    path.push_str(if path.is_empty() { "y" } else { "/y" });
                    assert_eq!(asked.allows(path.as_bytes(), true), level <= levels, "{source} {path}");
                }
            }
        }
    }

    #[test]
    fn with_whole_paths_nothing_beside_them_comes() {
        let options = options(true, false, true);
        let of = |source: &str| Asked::of(&[source.as_bytes()], &options);
        let names = |names: &str| Asked::names(names.as_bytes(), &options);
        for asked in [of("x/./a/b"), of("/a//b/"), of("a/[b]"), of("[a]/b"), names("q\0a/b\0"), names("x/./a/b/.\0")] {
            for (path, allowed) in [("a/b", true), ("a/b/c/d", true), ("a/c", false), ("ab", false), ("c/b", false)] {
                assert_eq!(asked.allows(path.as_bytes(), true), allowed, "{asked:?} {path}");
            }
            // What is on the way is a directory.
            assert!(asked.allows(b"a", true) && !asked.allows(b"a", false), "{asked:?}");
        }
        assert!(of("x/./").allows(b"any/thing", false));
    }
}
