//! Which names take part, and which are safe from deletion: rsync's filter rules.
//!
//! The first rule that matches decides, and what no rule matches is in. A merge rule stands for the rules of a file; a
//! per-directory one for those of a file that is looked for in each directory on the way, and holds from there down.
//!
//! ```text
//! parse   a rule's text: its kind, modifiers, pattern
//! rule    one pattern: when it counts and what it matches
//! list    rules in their order; merge files are read into it
//! file    a file of rules, read and split
//! cvs     the rules that stand for CVS's
//! local   what per-directory files say in one directory
//! ```

mod cvs;
mod file;
mod list;
mod local;
mod parse;
mod rule;

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use list::{Context, Entry, List};
pub(crate) use local::{Folder, Local, clean};
use parse::Style;
pub use rule::Rule;

/// Rules in the order in which they were given.
#[derive(Clone, Debug, Default)]
pub struct Filters {
    list: List,
    /// `--from0`: the files of rules that are read from here on end each rule with NUL.
    pub nul: bool,
    /// `--delete-excluded`: rules that name no side have nothing to say of what is deleted.
    pub delete_excluded: bool,
    /// As [`Options::insecure_links`](crate::Options::insecure_links), for the files of rules that are read from here on.
    pub insecure_links: bool,
}

/// Whose decision it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What is sent.
    Sender,
    /// What is deleted.
    Receiver,
}

/// What is wrong with a rule. The texts are rsync's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FilterError {
    /// The rule makes no sense: exit code 1.
    Syntax(String),
    /// A file of rules cannot be read: exit code 11.
    Read(String),
}

impl FilterError {
    /// rsync's exit code for it.
    pub fn exit_code(&self) -> u8 {
        match self {
            FilterError::Syntax(_) => 1,
            FilterError::Read(_) => 11,
        }
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FilterError::Syntax(text) | FilterError::Read(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for FilterError {}

impl Filters {
    /// Adds the argument of `--include` or `--exclude`. A leading `+ ` or `- ` overrides `include`; `!` alone drops the
    /// rules before it; an empty pattern adds nothing.
    ///
    /// # Errors
    /// [`FilterError::Syntax`] for a sign without a pattern behind it.
    pub fn push(&mut self, include: bool, argument: &[u8]) -> Result<(), FilterError> {
        let context = Context::argument(Style::Simple(include), self);
        list::add(&mut self.list, argument, &context)
    }

    /// Adds the argument of `--filter`. Merge files are read at once.
    ///
    /// # Errors
    /// A rule that makes no sense, or a file that cannot be read.
    pub fn push_rule(&mut self, rule: &[u8]) -> Result<(), FilterError> {
        let context = Context::argument(Style::Full, self);
        list::add(&mut self.list, rule, &context)
    }

    /// Adds the file of `--include-from` or `--exclude-from`; `-` is standard input.
    ///
    /// # Errors
    /// As for [`push_rule`](Filters::push_rule).
    pub fn push_file(&mut self, include: bool, path: &OsStr) -> Result<(), FilterError> {
        let path = path.as_bytes();
        // As with rsync, no name stands for no rules.
        let text = if path.is_empty() { Vec::new() } else { file::named(path, include, self.insecure_links)? };
        let context = Context::argument(Style::Simple(include), self);
        list::add_file(&mut self.list, &text, path, &context)
    }

    /// What is to be said of the rules that were added, a line each: those that are too long count for nothing.
    pub fn take_notes(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.list.notes)
    }

    /// The rules as they are told to another machine, which sends or receives.
    pub(crate) fn for_the_other_side(&self, it_sends: bool) -> Vec<Vec<u8>> {
        let told = |entry: &Entry| match entry {
            Entry::Rule(rule) => rule.told(it_sends, self.delete_excluded),
            Entry::PerDir(file) => {
                let letters = file.modifiers.told(it_sends)?;
                Some([b":", &letters[..], b" ", &file.above, &file.name].concat())
            }
        };
        self.list.entries.iter().filter_map(told).collect()
    }

    /// Adds what `--cvs-exclude` stands for. rsync does this behind all other rules.
    ///
    /// # Errors
    /// As for [`push_rule`](Filters::push_rule).
    pub fn push_cvs(&mut self) -> Result<(), FilterError> {
        self.push_rule(b":C")?;
        self.push_rule(b"-C")
    }

    /// Whether there are files of rules in directories.
    pub(crate) fn has_per_dir(&self) -> bool {
        self.list.entries.iter().any(|entry| matches!(entry, Entry::PerDir(_)))
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.list.entries.is_empty()
    }

    /// The first rule that matches `path` (relative to the root of the transfer, without slashes at its ends), if any.
    /// Per-directory files are not looked for.
    pub fn first(&self, side: Side, path: &[u8], is_dir: bool) -> Option<&Rule> {
        let dir_len = path.iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1);
        let place = Place { side, path, is_dir, dir_len, dir_shown: b"/", doomed: false };
        self.list.entries.iter().find_map(|entry| match entry {
            Entry::Rule(rule) if rule.decides(&place, self.delete_excluded) => Some(rule),
            _ => None,
        })
    }

    /// The first rule that matches at `place`, where `local` holds.
    pub(crate) fn decide<'r>(&'r self, place: &Place<'_>, local: &'r Local) -> Option<&'r Rule> {
        first(&self.list.entries, local, 0, &|rule| rule.decides(place, self.delete_excluded))
    }

    /// Whether a rule is about the names of extended attributes.
    pub(crate) fn has_xattr_rules(&self) -> bool {
        self.list.entries.iter().any(|entry| matches!(entry, Entry::Rule(rule) if rule.is_about_xattrs()))
    }

    /// Whether the rules about names of extended attributes, and those in `local`, let `name` take part on this side.
    pub(crate) fn takes_xattr(&self, side: Side, local: &Local, name: &[u8]) -> bool {
        let decides = |rule: &Rule| rule.decides_xattr(side, name, self.delete_excluded);
        first(&self.list.entries, local, 0, &decides).is_none_or(Rule::includes)
    }

    fn has_merge_files(&self) -> bool {
        self.list.entries.iter().any(|entry| matches!(entry, Entry::PerDir(_)))
    }
}

/// The first rule of `entries` that `decides`, those of per-directory files as `local` has them among them.
fn first<'r>(
    entries: &'r [Entry],
    local: &'r Local,
    depth: usize,
    decides: &impl Fn(&Rule) -> bool,
) -> Option<&'r Rule> {
    entries.iter().find_map(|entry| match entry {
        Entry::Rule(rule) => Some(rule).filter(|rule| decides(rule)),
        Entry::PerDir(_) if depth > MAX_NESTED => None,
        Entry::PerDir(file) => local.rules(file).iter().find_map(|list| first(list, local, depth + 1, decides)),
    })
}

/// Per-directory files named by per-directory files at most.
const MAX_NESTED: usize = 16;

/// An entry to decide about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'p> {
    pub(crate) side: Side,
    /// Relative to the root of the transfer.
    pub(crate) path: &'p [u8],
    pub(crate) is_dir: bool,
    /// Bytes of `path` before its last component.
    pub(crate) dir_len: usize,
    /// The absolute path of its directory, with a slash at its end.
    pub(crate) dir_shown: &'p [u8],
    /// It is in a directory that is being deleted.
    pub(crate) doomed: bool,
}

impl Place<'_> {
    /// The absolute path without its first slash.
    fn absolute(&self) -> Cow<'_, [u8]> {
        let name = self.path.get(self.dir_len..).unwrap_or_default();
        let path = [&clean(self.dir_shown)[..], name].concat();
        Cow::Owned(path.strip_prefix(b"/").map(<[u8]>::to_vec).unwrap_or(path))
    }
}

#[cfg(test)]
mod tests {
    use super::{Filters, Side};

    fn excluded(rules: &[&str], path: &str, is_dir: bool) -> bool {
        let mut filters = Filters::default();
        rules.iter().for_each(|rule| filters.push(false, rule.as_bytes()).unwrap());
        filters.first(Side::Sender, path.as_bytes(), is_dir).is_some_and(|rule| !rule.includes())
    }

    #[test]
    fn anchors_tails_directories_and_first_match() {
        assert!(excluded(&["*.o"], "a/b.o", false));
        assert!(excluded(&["/a"], "a", true) && !excluded(&["/a"], "b/a", true));
        assert!(excluded(&["a/b"], "x/a/b", false) && !excluded(&["a/b"], "xa/b", false));
        assert!(excluded(&["a/"], "a", true) && !excluded(&["a/"], "a", false));
        assert!(excluded(&["+ a", "*"], "b", false) && !excluded(&["+ a", "*"], "a", false));
        assert!(excluded(&["a/***"], "a", true) && excluded(&["a/***"], "x/a/b/c", false));
        assert!(!excluded(&["a/***"], "a", false));
        assert!(excluded(&["a/*****"], "a", true) && excluded(&["a/*****/"], "x/a", true));
        assert!(excluded(&["**/a"], "a", false) && excluded(&["**/a"], "b/c/a", false));
        assert!(excluded(&["a**b"], "x/a/c/b", false) && !excluded(&["a**b"], "xa/c/b", false));
        assert!(!excluded(&["a", "!"], "a", false));
        // As stock rsync counts components: also the slashes in a class.
        assert!(!excluded(&["[a/b]"], "a", false) && excluded(&["/[a/b]"], "a", false));
    }

    #[test]
    fn one_pass_tries_every_tail_of_a_path() {
        let rule = format!("a{}b", "**/a".repeat(500));
        assert!(!excluded(&[&rule], &"a/".repeat(2048), false));
    }
}
