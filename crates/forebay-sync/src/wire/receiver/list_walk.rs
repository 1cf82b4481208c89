//! `ListWalk`: the items of a mirror whose directories come one by one.
//!
//! Lists come depth first, each directory's when those before it have come. A directory is entered when its list is there,
//! so that what it does not have can be deleted, and left when those of its directories are done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::batch::Batch;
use super::lists::{Contents, Queue};
use super::notices::Notice;
use crate::dir::Dir;
use crate::error::Error;
use crate::item::Item;
use crate::outcome::Outcome;
use crate::sent::Facts;
use crate::shared::Shared;

/// Names in one item, as in the walk of a source.
const GROUP: usize = 32;

/// A directory whose list has not come.
#[derive(Debug)]
struct Ahead {
    parent: Arc<Dir>,
    path: Box<[u8]>,
    /// Where it is itself.
    list: Arc<[Facts]>,
    at: usize,
    content: bool,
}

/// Yields the items of lists as they come.
#[derive(Debug)]
pub(crate) struct ListWalk<'a> {
    shared: &'a Shared<'a>,
    queue: &'a Queue,
    ahead: BTreeMap<usize, Ahead>,
    /// Directories of all lists so far.
    dirs: usize,
    /// The directories on the way.
    stack: Vec<Arc<Dir>>,
    /// The list at hand: its first number, and which of its names are next.
    current: Option<(i32, usize, usize)>,
    held: Option<Item>,
    /// A list that is gone into when what is above it on the way has been left.
    next: Option<(Ahead, Batch)>,
}

impl<'a> ListWalk<'a> {
    /// Begins with the first list.
    pub(crate) fn new(shared: &'a Shared<'a>, first: &Batch, queue: &'a Queue) -> Self {
        let ahead = BTreeMap::new();
        let (dirs, stack, current, held, next) = (0, Vec::new(), None, None, None);
        let mut walk = ListWalk { shared, queue, ahead, dirs, stack, current, held, next };
        let (dir, dirs) = first.root();
        walk.enter(first, dir, &dirs);
        walk
    }

    /// Goes into `dir`, whose contents are `batch`: `dirs` are where its directories are.
    fn enter(&mut self, batch: &Batch, dir: Dir, dirs: &[(usize, usize)]) {
        self.shared.found.fetch_add(batch.len() as u64, Ordering::Relaxed);
        let dir = Arc::new(dir);
        let mut dirs = dirs.iter().map(|(own, _)| *own).peekable();
        for at in batch.dirs() {
            // The root has no list of its own, and of several of one name only the first has.
            if dirs.next_if_eq(&at).is_some() {
                let (parent, path, list) = (Arc::clone(&dir), batch.path(at).into(), batch.facts());
                let ahead = Ahead { parent, path, list, at, content: batch.content(at) };
                self.ahead.insert(self.dirs, ahead);
            }
            self.dirs += 1;
        }
        self.current = Some((batch.first, 0, dir.listing.first_dir()));
        self.held = Some(Item::Enter(Arc::clone(&dir)));
        self.stack.push(dir);
    }

    fn step(&mut self) -> Option<Item> {
        loop {
            if let Some(item) = self.held.take() {
                return Some(item);
            }
            if let Some((first, next, names)) = self.current {
                let dir = self.stack.last()?;
                if next < names {
                    let end = names.min(next + GROUP);
                    self.current = Some((first, end, names));
                    return Some(Item::Names(Arc::clone(dir), next..end));
                }
                self.current = None;
                let mut note = Outcome::default();
                note.notices.push(Notice::Walked(first));
                return Some(Item::Note(Box::new(note)));
            }
            if let Some((ahead, batch)) = self.next.take() {
                if self.stack.last().is_some_and(|last| !Arc::ptr_eq(last, &ahead.parent)) {
                    self.next = Some((ahead, batch));
                    return self.stack.pop().map(Item::Leave);
                }
                let Ahead { parent, path, list, at, content } = ahead;
                let (dir, dirs) = batch.contents_of(parent, &path, (list, at), content);
                self.enter(&batch, dir, &dirs);
                continue;
            }
            let Some(Contents { dir, batch }) = self.queue.next() else {
                return self.rest();
            };
            self.next = self.ahead.remove(&dir).map(|ahead| (ahead, batch));
        }
    }

    /// What is to be done when no more lists come: directories without one are made, as what is mounted with `-x`.
    fn rest(&mut self) -> Option<Item> {
        let Some((_, ahead)) = self.ahead.pop_first() else {
            self.shared.found_all.store(true, Ordering::Relaxed);
            return self.stack.pop().map(Item::Leave);
        };
        let Ahead { parent, path, list, at, .. } = ahead;
        let (dir, _) = Batch::new(0, Vec::new()).contents_of(parent, &path, (list, at), false);
        Some(Item::Enter(Arc::new(dir)))
    }
}

impl Iterator for ListWalk<'_> {
    type Item = Result<Item, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(remote) = &self.shared.remote
            && !remote.ledger.wait_for_room()
        {
            return None;
        }
        self.step().map(Ok)
    }
}
