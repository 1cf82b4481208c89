//! `Steps`: what the walk finds, in the order in which it is listed.
//!
//! One list of everything is in the order of the walk: each directory's own entry is before what is in it. In incremental
//! recursion a directory's entry is in the list of the directory that it is in, behind the names that are no directories, so
//! its names are taken together before the walk goes on into the first of its directories.

use std::ops::Range;
use std::sync::Arc;

use forebay::Weigh;

use crate::dir::Dir;
use crate::error::Error;
use crate::item::Item;
use crate::outcome::Outcome;
use crate::walk::{Ahead, Walk};

/// Directories in one step.
const GROUP: usize = 32;

/// One unit of listing.
#[derive(Debug)]
pub(crate) enum Step {
    /// A directory begins: in one list of everything, this is where it is itself.
    Enter(Arc<Dir>),
    /// Names of a directory that are not directories, as positions in its listing.
    Names(Arc<Dir>, Range<usize>),
    /// Directories in a directory that have lists of their own.
    Dirs(Arc<Dir>, Vec<Ahead>),
    /// Everything beneath the directory that has begun last and not ended has been before.
    Leave,
    /// Something that the walk has to say here.
    Note(Box<Outcome>),
}

impl From<Item> for Step {
    fn from(item: Item) -> Self {
        match item {
            Item::Enter(dir) => Step::Enter(dir),
            Item::Names(dir, range) => Step::Names(dir, range),
            Item::Leave(_) => Step::Leave,
            Item::Note(note) => Step::Note(note),
        }
    }
}

impl Weigh for Step {
    fn weight(&self) -> usize {
        size_of::<Self>()
            + match self {
                Step::Enter(dir) => dir.weight(),
                Step::Dirs(_, dirs) => dirs.capacity() * size_of::<Ahead>(),
                Step::Note(note) => note.weight(),
                Step::Names(..) | Step::Leave => 0,
            }
    }
}

/// Yields the steps of a walk.
#[derive(Debug)]
pub(crate) struct Steps<'a> {
    walk: Walk<'a>,
    /// Each directory has a list of its own.
    incremental: bool,
    /// The directories in the one at hand, and how many of them have been yielded.
    dirs: Option<(Arc<Dir>, Vec<Ahead>, usize)>,
    /// What is behind them.
    held: Option<Item>,
}

impl<'a> Steps<'a> {
    pub(crate) fn new(walk: Walk<'a>, incremental: bool) -> Self {
        Steps { walk, incremental, dirs: None, held: None }
    }

    /// The next directories of the one at hand.
    fn next_dirs(&mut self) -> Option<Step> {
        let (dir, all, next) = self.dirs.as_mut()?;
        let group = all.get(*next..all.len().min(*next + GROUP)).filter(|group| !group.is_empty());
        let Some(group) = group.map(<[_]>::to_vec) else {
            self.dirs = None;
            return None;
        };
        *next += group.len();
        Some(Step::Dirs(Arc::clone(dir), group))
    }
}

impl Iterator for Steps<'_> {
    type Item = Result<Step, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = match self.held.take() {
            Some(item) => item,
            None => match self.walk.next()? {
                Ok(item) => item,
                Err(error) => return Some(Err(error)),
            },
        };
        if !matches!(item, Item::Names(..))
            && let Some(step) = self.next_dirs()
        {
            self.held = Some(item);
            return Some(Ok(step));
        }
        if let Item::Enter(dir) = &item
            && self.incremental
        {
            self.dirs = Some((Arc::clone(dir), self.walk.ahead(), 0));
        }
        Some(Ok(item.into()))
    }
}
