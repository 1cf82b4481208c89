//! `WireWalk`: the items of a mirror whose entries came over the wire, as [`Walk`](crate::walk::Walk) gives those of sources
//! on this machine.

use std::sync::Arc;

use super::batch::Batch;
use super::notices::Notice;
use crate::dir::Dir;
use crate::error::Error;
use crate::item::Item;
use crate::outcome::Outcome;
use crate::shared::Shared;

/// Names in one item, as in the walk of a source.
const GROUP: usize = 32;

/// Yields the items of a list.
#[derive(Debug)]
pub(crate) struct WireWalk<'a> {
    shared: &'a Shared<'a>,
    batch: Batch,
    stack: Vec<Frame>,
    held: Option<Item>,
    /// It is the last look at the list: what was to be asked for will have been.
    asks: bool,
    ended: bool,
}

#[derive(Debug)]
struct Frame {
    dir: Arc<Dir>,
    /// Names that are no directories, and how far the walk is.
    names: usize,
    next: usize,
    /// Directories, and how far the walk is.
    dirs: Vec<(usize, usize)>,
    next_dir: usize,
}

impl Frame {
    fn new((dir, dirs): (Dir, Vec<(usize, usize)>)) -> Self {
        let names = dir.listing.first_dir();
        Frame { dir: Arc::new(dir), names, next: 0, dirs, next_dir: 0 }
    }
}

impl<'a> WireWalk<'a> {
    /// Goes through `batch`. If it `asks`, it does not get too far ahead of the answers.
    pub(crate) fn new(shared: &'a Shared<'a>, batch: Batch, asks: bool) -> Self {
        let root = Frame::new(batch.root());
        let held = Some(Item::Enter(Arc::clone(&root.dir)));
        WireWalk { shared, batch, stack: vec![root], held, asks, ended: false }
    }

    fn step(&mut self) -> Option<Item> {
        let Some(frame) = self.stack.last_mut() else {
            if std::mem::replace(&mut self.ended, true) || !self.asks {
                return None;
            }
            let mut note = Outcome::default();
            note.notices.push(Notice::Walked(self.batch.first));
            return Some(Item::Note(Box::new(note)));
        };
        if frame.next < frame.names {
            let range = frame.next..frame.names.min(frame.next + GROUP);
            frame.next = range.end;
            return Some(Item::Names(Arc::clone(&frame.dir), range));
        }
        let Some(&at) = frame.dirs.get(frame.next_dir) else {
            return self.stack.pop().map(|frame| Item::Leave(frame.dir));
        };
        frame.next_dir += 1;
        let child = Frame::new(self.batch.child(&frame.dir, at));
        let dir = Arc::clone(&child.dir);
        self.stack.push(child);
        Some(Item::Enter(dir))
    }
}

impl Iterator for WireWalk<'_> {
    type Item = Result<Item, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.asks
            && let Some(remote) = &self.shared.remote
            && !remote.ledger.wait_for_room()
        {
            return None;
        }
        self.held.take().or_else(|| self.step()).map(Ok)
    }
}
