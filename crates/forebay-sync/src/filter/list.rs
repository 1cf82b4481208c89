//! A list of rules, in which a per-directory merge file stands where it was named.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};

use super::parse::{Kind, Modifiers, Origin, Sides, Style, parse};
use super::rule::{Label, Rule};
use super::{FilterError, Filters, cvs, file};
use crate::given;

/// One line of a list.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    Rule(Rule),
    PerDir(Arc<PerDir>),
}

/// A per-directory merge file: what it is called, and how it is read.
#[derive(Debug)]
pub(super) struct PerDir {
    /// One component.
    pub(super) name: Vec<u8>,
    /// What was before the name: the directory above the source to begin at. Empty if none was given.
    pub(super) above: Vec<u8>,
    pub(super) modifiers: Modifiers,
    /// ` [per-dir NAME]`
    label: Arc<[u8]>,
}

impl PerDir {
    /// Reads the file of the directory `at`, if there is one. `shown` is its absolute path, `anchor` where patterns
    /// with a leading slash begin, and `root` the absolute path of what the transfer begins in, all with a slash at their end.
    pub(super) fn read(
        &self,
        at: BorrowedFd<'_>,
        shown: &[u8],
        anchor: &[u8],
        root: &[u8],
        filters: &Filters,
    ) -> Result<Option<List>, FilterError> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        // What cannot be opened counts as absent, as with rsync.
        let fd = match given::open(at, &self.name, flags, Mode::empty(), filters.insecure_links) {
            Ok(fd) => fd,
            Err(given::REFUSED) => {
                let notes = given::warning(given::REFUSED).into_bytes();
                return Ok(Some(List { notes, ..List::default() }));
            }
            Err(_) => return Ok(None),
        };
        let path = [shown, &self.name].concat();
        let text = file::read(fd, &path)?;
        let mut list = List::default();
        let context = Context {
            origin: Origin::Argument,
            style: style(self.modifiers),
            within: self.modifiers,
            list: Some(&self.label),
            anchor,
            base: shown,
            root,
            nul: filters.nul,
            insecure_links: filters.insecure_links,
            both_sides: false,
            depth: 1,
        };
        add_file(&mut list, &text, &path, &context)?;
        Ok(Some(list))
    }
}

/// Bytes of a pattern at most, and of a rule in a file.
const MAX_PATTERN: usize = 4095;
const MAX_LINE: usize = 5119;

/// Merge files within merge files at most.
const MAX_DEPTH: usize = 32;

/// Where rules are read from, and what that means for them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'c> {
    pub(super) origin: Origin<'c>,
    pub(super) style: Style,
    /// Modifiers of the file that they are in.
    pub(super) within: Modifiers,
    /// The list that they belong to, for messages.
    pub(super) list: Option<&'c Arc<[u8]>>,
    /// The directory of the per-directory file, relative to the root of the transfer and with a slash at its end.
    pub(super) anchor: &'c [u8],
    /// Where relative paths of merge files begin; the working directory if empty.
    pub(super) base: &'c [u8],
    /// The same of names alone: as with rsync, which looks for those where it runs.
    pub(super) root: &'c [u8],
    /// Files end their rules with NUL.
    pub(super) nul: bool,
    /// As [`Filters::insecure_links`].
    pub(super) insecure_links: bool,
    /// Whatever rules say of sides, they count for both, also with `--delete-excluded`. As with rsync, that is so in files that
    /// are named in those of directories.
    pub(super) both_sides: bool,
    pub(super) depth: usize,
}

impl Context<'_> {
    /// For a rule on the command line.
    pub(super) fn argument(style: Style, filters: &Filters) -> Self {
        let within = Modifiers::default();
        let &Filters { nul, insecure_links, .. } = filters;
        let origin = Origin::Argument;
        Context {
            origin,
            style,
            within,
            list: None,
            anchor: b"",
            base: b"",
            root: b"",
            nul,
            insecure_links,
            both_sides: false,
            depth: 0,
        }
    }
}

/// Rules in their order, and whether they began with dropping those before them.
#[derive(Clone, Debug, Default)]
pub(super) struct List {
    pub(super) entries: Vec<Entry>,
    pub(super) cleared: bool,
    /// Lines about what was left out of it.
    pub(super) notes: Vec<u8>,
}

impl List {
    fn push(&mut self, rule: Rule) {
        self.entries.push(Entry::Rule(rule));
    }

    /// Leaves out what is longer than rsync takes.
    fn discard(&mut self, origin: &Origin<'_>, text: &[u8]) {
        self.notes.extend_from_slice(&[b"discarding over-long filter: ", &origin.show(text)[..], b"\n"].concat());
    }
}

/// Adds what the rule `text` means to `list`.
pub(super) fn add(list: &mut List, text: &[u8], context: &Context<'_>) -> Result<(), FilterError> {
    let Some(parsed) = parse(text, context.style, context.within, &context.origin)? else {
        return Ok(());
    };
    let (modifiers, argument) = (parsed.modifiers, parsed.argument);
    let from_file = matches!(context.origin, Origin::File(..));
    let label = |pattern: &[u8]| Label { pattern: (!from_file).then(|| pattern.to_vec()), list: context.list.cloned() };
    match parsed.kind {
        Kind::Clear => (list.entries, list.cleared) = (Vec::new(), true),
        Kind::Include | Kind::Exclude if modifiers.cvs => {
            list.entries.extend(cvs::rules(parsed.kind == Kind::Include, modifiers, context.insecure_links)?.entries);
        }
        // As with rsync: no path is that long.
        Kind::Include | Kind::Exclude if argument.len() > MAX_PATTERN => list.discard(&context.origin, argument),
        Kind::Include | Kind::Exclude => {
            let sides = if context.both_sides { Sides { sender: true, receiver: true } } else { modifiers.sides };
            let modifiers = Modifiers { sides, ..modifiers };
            list.push(Rule::new(parsed.kind == Kind::Include, argument, modifiers, label(argument), context.anchor));
        }
        Kind::Merge | Kind::DirMerge => {
            let split = argument.iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1);
            let (above, name) = argument.split_at(split);
            if modifiers.hides_file {
                let merged = parsed.kind == Kind::Merge && context.list.is_some();
                let sides = Sides { sender: merged, receiver: merged };
                let hides = Modifiers { sides, ..Modifiers::default() };
                list.push(Rule::new(false, name, hides, label(name), b""));
            }
            if parsed.kind == Kind::DirMerge {
                let shown = if from_file { context.origin.show(argument) } else { name.to_vec() };
                let label = [b" [per-dir ", &shown[..], b"]"].concat().into();
                let (name, above) = (name.to_vec(), above.to_vec());
                list.entries.push(Entry::PerDir(Arc::new(PerDir { name, above, modifiers, label })));
            } else {
                let base = if split == 0 { context.root } else { context.base };
                let path = if argument.starts_with(b"/") { argument.to_vec() } else { [base, argument].concat() };
                let shown = context.origin.show(argument);
                if context.depth >= MAX_DEPTH {
                    let shown = String::from_utf8_lossy(&shown).into_owned();
                    return Err(FilterError::Read(format!("filter files are nested too deeply: {shown}")));
                }
                let (text, style) =
                    (file::open(&path, &shown, from_file, false, context.insecure_links)?, style(modifiers));
                let both_sides = context.list.is_some();
                let inner = Context { style, within: modifiers, both_sides, depth: context.depth + 1, ..*context };
                add_file(list, &text, &shown, &inner)?;
            }
        }
    }
    Ok(())
}

/// How a merge file with these modifiers is written.
fn style(modifiers: Modifiers) -> Style {
    match modifiers.only {
        Some(include) => Style::Plain { include, clears: modifiers.cvs },
        None => Style::Full,
    }
}

/// Adds the rules in `text`, the content of the file that messages call `shown`.
pub(super) fn add_file(list: &mut List, text: &[u8], shown: &[u8], context: &Context<'_>) -> Result<(), FilterError> {
    for (rule, line) in file::split(text, context.within, context.style, context.nul) {
        let origin = Origin::File(shown, line);
        if rule.len() > MAX_LINE {
            list.discard(&origin, rule);
            continue;
        }
        add(list, rule, &Context { origin, ..*context })?;
    }
    Ok(())
}
