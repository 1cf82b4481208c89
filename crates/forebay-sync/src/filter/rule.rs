//! One include or exclude rule: what its pattern is held against, and when it counts.

use std::sync::Arc;

use super::parse::Modifiers;
use super::{Place, Side};
use crate::wildmatch::Pattern;

/// One include or exclude rule.
#[derive(Clone, Debug)]
pub struct Rule {
    include: bool,
    modifiers: Modifiers,
    /// As it was given.
    pattern: Vec<u8>,
    /// What messages show of it.
    label: Label,
    only_dirs: bool,
    /// Matches the directory itself, too, as if its path ended in a slash: ends in three stars, as `dir/***` does.
    with_dir: bool,
    scope: Scope,
    matcher: Matcher,
}

/// How messages name a rule.
#[derive(Clone, Debug)]
pub(super) struct Label {
    /// The pattern as it was given. `None`: it is from a file, whose content may not be for everybody to read.
    pub(super) pattern: Option<Vec<u8>>,
    /// The list that it belongs to: ` [global CVS]` or ` [per-dir NAME]`.
    pub(super) list: Option<Arc<[u8]>>,
}

/// Which part of a path the pattern is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// The whole path: the pattern began with a slash, or contains `**`.
    Whole,
    /// The last so many components.
    Tail(usize),
    /// The whole path with a slash before it: the pattern begins with `**`.
    Slashed,
}

#[derive(Clone, Debug)]
enum Matcher {
    Literal(Vec<u8>),
    Wild(Pattern),
    /// Contains `**` and is no anchored one: matches from any component on.
    Tail(Pattern),
}

impl Rule {
    /// Reads a pattern. `anchor` is the directory, with a slash at its end, that one with a leading slash begins at:
    /// relative to the root of the transfer or, of a directory above that, absolute.
    pub(super) fn new(include: bool, pattern: &[u8], mut modifiers: Modifiers, label: Label, anchor: &[u8]) -> Self {
        let given = pattern.to_vec();
        let (only_dirs, pattern) = match pattern {
            [head @ .., b'/'] if !head.is_empty() => (true, head),
            _ => (false, pattern),
        };
        let crosses = pattern.windows(2).any(|pair| pair == b"**");
        let with_dir = pattern.ends_with(b"***");
        let floats = crosses && !pattern.starts_with(b"/") && !pattern.starts_with(b"**");
        let anchored;
        let (scope, pattern) = match pattern {
            // As with rsync, the anchor becomes part of the pattern: what is special in a pattern is special there.
            [b'/', tail @ ..] if !modifiers.absolute && !anchor.is_empty() => {
                modifiers.absolute = anchor.starts_with(b"/");
                anchored = [anchor.strip_prefix(b"/").unwrap_or(anchor), tail].concat();
                (Scope::Whole, &anchored[..])
            }
            [b'/', tail @ ..] => (Scope::Whole, tail),
            _ if pattern.starts_with(b"**") => (Scope::Slashed, pattern),
            _ if crosses => (Scope::Whole, pattern),
            _ => (Scope::Tail(1 + pattern.iter().filter(|&&b| b == b'/').count()), pattern),
        };
        let wild = pattern.iter().any(|b| b"*?[".contains(b));
        let matcher = if floats {
            Matcher::Tail(Pattern::new(pattern))
        } else if wild {
            Matcher::Wild(Pattern::new(pattern))
        } else {
            Matcher::Literal(pattern.to_vec())
        };
        Rule { include, modifiers, pattern: given, label, only_dirs, with_dir, scope, matcher }
    }

    /// Whether it lets in what it matches.
    pub fn includes(&self) -> bool {
        self.include
    }

    /// What messages show of it.
    pub fn text(&self) -> Vec<u8> {
        let pattern = self.label.pattern.as_deref().unwrap_or(b"<rule from a file read earlier>");
        [pattern, self.label.list.as_deref().unwrap_or_default()].concat()
    }

    /// How it is told to another machine: section 5 of the protocol. `None`: it has nothing to say there, on the sending
    /// side or the other.
    pub(super) fn told(&self, to_sender: bool, delete_excluded: bool) -> Option<Vec<u8>> {
        let mut modifiers = self.modifiers;
        modifiers.sides.sender |= delete_excluded && !modifiers.sides.given();
        let sign = if self.include { b'+' } else { b'-' };
        modifiers.told(to_sender).map(|letters| [&[sign], &letters[..], b" ", &self.pattern].concat())
    }

    /// Whether it has a say about names of extended attributes, and not about entries.
    pub(super) fn is_about_xattrs(&self) -> bool {
        self.modifiers.xattr
    }

    /// As [`decides`](Rule::decides), about the extended attribute `name`.
    pub(super) fn decides_xattr(&self, side: Side, name: &[u8], delete_excluded: bool) -> bool {
        self.modifiers.xattr
            && self.counts(side, delete_excluded)
            && self.modifiers.negated != self.matches(name, false)
    }

    /// Whether it has a say on this side.
    fn counts(&self, side: Side, delete_excluded: bool) -> bool {
        let sides = self.modifiers.sides;
        match side {
            Side::Sender => sides.sender || !sides.given(),
            Side::Receiver => sides.receiver || !(sides.given() || delete_excluded),
        }
    }

    /// Whether it has a say at `place` about an entry, and what it says is what decides.
    pub(super) fn decides(&self, place: &Place<'_>, delete_excluded: bool) -> bool {
        let Modifiers { absolute, negated, perishable, xattr, .. } = self.modifiers;
        !(xattr || (perishable && place.doomed))
            && self.counts(place.side, delete_excluded)
            && negated
                != match absolute {
                    true => self.matches(&place.absolute(), place.is_dir),
                    false => self.matches(place.path, place.is_dir),
                }
    }

    fn matches(&self, path: &[u8], is_dir: bool) -> bool {
        if self.only_dirs && !is_dir {
            return false;
        }
        let slashed;
        let path = match (self.scope, self.with_dir && is_dir) {
            (Scope::Slashed, dir) => {
                slashed = [&b"/"[..], path, if dir { b"/" } else { b"" }].concat();
                &slashed
            }
            (_, true) => {
                slashed = [path, b"/"].concat();
                &slashed
            }
            (_, false) => path,
        };
        match self.scope {
            Scope::Whole | Scope::Slashed => self.matcher.matches(path),
            Scope::Tail(components) => {
                let mut starts = (0..=path.len()).rev().filter(|&at| at == 0 || path[at - 1] == b'/');
                // What has fewer components than the pattern does not match, although a class with a slash in it could.
                let tail = starts.nth(components - 1);
                tail.is_some_and(|at| self.matcher.matches(&path[at..]))
            }
        }
    }
}

impl Matcher {
    fn matches(&self, text: &[u8]) -> bool {
        match self {
            Matcher::Literal(literal) => literal == text,
            Matcher::Wild(pattern) => pattern.matches(text),
            Matcher::Tail(pattern) => pattern.matches_a_tail(text),
        }
    }
}
