//! `ListWalk`: the items of a mirror whose directories come one by one.
//!
//! Lists come depth first, each directory's when those before it have come. A directory is entered when its list is there,
//! so that what it does not have can be deleted, and left when those of its directories are done.
//!
//! With `-H`, the names in a list are counted when it comes, and who leads those of one file is settled when the first of them
//! is gone into. So that this is who would lead if everything were in one list, as long as there is not much of it, the walk
//! then waits until more lists have come, as stock rsync does.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::batch::Batch;
use super::lists::{Contents, Queue};
use super::notices::Notice;
use crate::census::Census;
use crate::dir::Dir;
use crate::error::Error;
use crate::hardlinks::Inode;
use crate::item::Item;
use crate::outcome::Outcome;
use crate::passes;
use crate::sent::Facts;
use crate::shared::Shared;
use crate::worker::Worker;

/// Names in one item, as in the walk of a source.
const GROUP: usize = 32;

/// Entries and lists that have come and are not done with, before names of one file are gone into: half of what senders send
/// ahead, who wait then until some are done with.
const LIVE: usize = 500;

/// A directory whose list has not come.
#[derive(Debug)]
struct Ahead {
    parent: Arc<Dir>,
    path: Box<[u8]>,
    /// Where it is itself, unless it is only on the way to something.
    own: Option<(Arc<[Facts]>, usize)>,
    content: bool,
}

/// A directory whose list has come, and that has not been gone into.
#[derive(Debug)]
struct Next {
    dir: Arc<Dir>,
    /// The number of the list.
    first: i32,
    /// Which files names in it are among several of.
    linked: Vec<Inode>,
}

/// Yields the items of lists as they come.
#[derive(Debug)]
pub(crate) struct ListWalk<'a> {
    shared: &'a Shared<'a>,
    queue: &'a Queue,
    ahead: BTreeMap<usize, Ahead>,
    /// Directories of all lists so far.
    dirs: usize,
    next: VecDeque<Next>,
    /// No more lists come.
    ended: bool,
    /// The directories on the way.
    stack: Vec<Arc<Dir>>,
    /// The list at hand: its number, and what of it is next.
    current: Option<(i32, VecDeque<Item>)>,
    /// With `-H`: counts names.
    names: Option<(Worker<'a>, Census)>,
}

impl<'a> ListWalk<'a> {
    /// Begins with the first list.
    ///
    /// # Errors
    /// The session has been cancelled.
    pub(crate) fn new(shared: &'a Shared<'a>, first: &Batch, queue: &'a Queue) -> Result<Self, Error> {
        let names = shared.options.hard_links.then(|| (passes::worker(shared, 1), Census::default()));
        let mut walk = ListWalk {
            shared,
            queue,
            ahead: BTreeMap::new(),
            dirs: 0,
            next: VecDeque::new(),
            ended: false,
            stack: Vec::new(),
            current: None,
            names,
        };
        let (dir, dirs) = first.root();
        walk.come(first, dir, &dirs)?;
        Ok(walk)
    }

    /// The list of `dir` has come, which is `batch`: `dirs` are where its directories are.
    fn come(&mut self, batch: &Batch, dir: Dir, dirs: &[(usize, usize)]) -> Result<(), Error> {
        let dir = Arc::new(dir);
        let mut next = Next { dir: Arc::clone(&dir), first: batch.first, linked: Vec::new() };
        self.count_names(&mut next)?;
        let mut dirs = dirs.iter().map(|(own, _)| *own).peekable();
        for at in batch.dirs() {
            // The root has no list of its own, and of several of one name only the first has.
            if dirs.next_if_eq(&at).is_some() {
                let (parent, path) = (Arc::clone(&dir), batch.path(at).into());
                self.ahead.insert(self.dirs, Ahead { parent, path, own: batch.own(at), content: batch.content(at) });
            }
            self.dirs += 1;
        }
        self.next.push_back(next);
        Ok(())
    }

    /// Counts the names in a list that are among several of a file.
    fn count_names(&mut self, next: &mut Next) -> Result<(), Error> {
        let Some((worker, census)) = &mut self.names else { return Ok(()) };
        for item in groups(&next.dir) {
            let names = worker.count_names(item)?.unsettled(&self.shared.groups);
            next.linked.extend(names.inodes());
            census.add(names, next.first);
        }
        Ok(())
    }

    /// Takes lists that have come, and waits for as many as there are to be.
    fn gather(&mut self) -> Result<(), Error> {
        let few = |walk: &Self| match (&walk.names, &walk.shared.remote) {
            (Some(_), Some(remote)) => remote.ledger.live() < LIVE,
            _ => false,
        };
        while !self.ended && (self.next.is_empty() || few(self)) {
            let Some(Contents { dir, batch }) = self.queue.next() else {
                self.ended = true;
                break;
            };
            match (self.ahead.remove(&dir), &self.shared.remote) {
                (Some(Ahead { parent, path, own, content }), _) => {
                    let (dir, dirs) = batch.contents_of(parent, &path, own, content);
                    self.come(&batch, dir, &dirs)?;
                }
                // Nothing in it will be asked for.
                (None, Some(remote)) => remote.ledger.walked(batch.first),
                (None, None) => {}
            }
        }
        Ok(())
    }

    fn step(&mut self) -> Result<Option<Item>, Error> {
        if let Some((first, items)) = &mut self.current {
            if let Some(item) = items.pop_front() {
                return Ok(Some(item));
            }
            let mut note = Outcome::default();
            note.notices.push(Notice::Walked(*first));
            self.current = None;
            return Ok(Some(Item::Note(Box::new(note))));
        }
        self.gather()?;
        let Some(next) = self.next.front() else { return Ok(self.rest()) };
        if let Some(last) = self.stack.last()
            && next.dir.parent.as_ref().is_none_or(|parent| !Arc::ptr_eq(last, parent))
        {
            return Ok(self.stack.pop().map(Item::Leave));
        }
        let Some(Next { dir, first, linked }) = self.next.pop_front() else { return Ok(None) };
        if let Some((_, census)) = &mut self.names {
            linked.into_iter().for_each(|inode| census.settle(inode, &self.shared.groups));
        }
        let items = groups(&dir).collect();
        self.current = Some((first, items));
        self.stack.push(Arc::clone(&dir));
        Ok(Some(Item::Enter(dir)))
    }

    /// What is to be done when no more lists come: directories without one are made, as what is mounted with `-x`.
    fn rest(&mut self) -> Option<Item> {
        let Some((_, ahead)) = self.ahead.pop_first() else {
            return self.stack.pop().map(Item::Leave);
        };
        let Ahead { parent, path, own, .. } = ahead;
        let (dir, _) = Batch::new(0, Vec::new()).contents_of(parent, &path, own, false);
        Some(Item::Enter(Arc::new(dir)))
    }
}

/// The names in `dir` that are no directories.
fn groups(dir: &Arc<Dir>) -> impl Iterator<Item = Item> + use<> {
    let (dir, names) = (Arc::clone(dir), dir.listing.first_dir());
    (0..names).step_by(GROUP).map(move |at| Item::Names(Arc::clone(&dir), at..names.min(at + GROUP)))
}

impl Iterator for ListWalk<'_> {
    type Item = Result<Item, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(remote) = &self.shared.remote
            && !remote.ledger.wait_for_room()
        {
            return None;
        }
        self.step().transpose()
    }
}
