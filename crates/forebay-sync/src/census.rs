//! The look at the tree that `-H` needs before anything is done: which names are one file, and which of them leads.
//!
//! It lists the sources as the mirror itself will, in parallel, and remembers only what has several names. A file whose
//! other names are outside of the tree is forgotten at its end.

use std::collections::HashMap;
use std::os::fd::AsFd;

use forebay::Weigh;

use crate::content::copy::Failure;
use crate::error::Error;
use crate::fs;
use crate::fuzzy;
use crate::hardlinks::{Existing, Groups, Inode};
use crate::item::Item;
use crate::outcome::Outcome;
use crate::select::DeleteWhen;
use crate::totals::Kinds;
use crate::worker::{Entry, Worker};

/// One name of a file that has several.
#[derive(Debug)]
pub(crate) struct Name {
    inode: Inode,
    path: Vec<u8>,
    /// Of files, whichever is there first leads; of anything else, the first.
    file: bool,
    /// What the destination has stays, unless another name before it leads.
    stays: bool,
    existing: Option<Existing>,
    /// Another tree of the destination's has a file under this name.
    elsewhere: bool,
}

/// The names in one item.
#[derive(Debug)]
pub(crate) struct Names(Vec<Name>);

impl Names {
    /// Without those whose leader is settled.
    pub(crate) fn unsettled(mut self, groups: &Groups) -> Self {
        self.0.retain(|name| !groups.contains(name.inode));
        self
    }

    /// What they are names of.
    pub(crate) fn inodes(&self) -> impl Iterator<Item = Inode> {
        self.0.iter().map(|name| name.inode)
    }
}

impl Weigh for Names {
    fn weight(&self) -> usize {
        size_of::<Self>() + self.0.iter().map(|name| size_of::<Name>() + name.path.capacity()).sum::<usize>()
    }
}

/// What is known so far, in the order of the list.
#[derive(Debug, Default)]
pub(crate) struct Census(HashMap<Inode, Found>);

#[derive(Debug, Default)]
struct Found {
    names: u64,
    leader: Option<Vec<u8>>,
    /// The number of the list that the leader is in.
    list: i32,
    existing: Option<Existing>,
    settled: bool,
}

impl Census {
    /// Takes in the next item's names, which are in the list number `list`.
    pub(crate) fn add(&mut self, names: Names, list: i32) {
        for Name { inode, path, file, stays, existing, elsewhere } in names.0 {
            let settled = !stays && (!file || existing.is_some() || elsewhere);
            let found = self.0.entry(inode).or_default();
            found.names += 1;
            if !stays && !found.settled {
                (found.leader, found.existing, found.settled) = (Some(path), existing, settled);
                found.list = list;
            }
        }
    }

    /// Settles who leads what has several names in the tree.
    pub(crate) fn groups(self, groups: &Groups) {
        for (inode, found) in self.0 {
            if found.names > 1 {
                found.enter(inode, groups);
            }
        }
    }

    /// Settles who leads the names of `inode`, of which more may come.
    pub(crate) fn settle(&mut self, inode: Inode, groups: &Groups) {
        if let Some(found) = self.0.remove(&inode) {
            found.enter(inode, groups);
        }
    }
}

impl Found {
    fn enter(self, inode: Inode, groups: &Groups) {
        if let Some(leader) = self.leader {
            groups.insert(inode, leader, self.existing, self.list);
        }
    }
}

impl Worker<'_> {
    /// Looks for names of files that have several.
    pub(crate) fn count_names(&mut self, item: Item) -> Result<Names, Error> {
        let mut names = Vec::new();
        let Item::Names(dir, range) = item else {
            return Ok(Names(names));
        };
        let (mut there, mut like) = (None, None);
        // What is deleted by then is like nothing.
        let deletion = &self.shared.options.deletion;
        let gone = self.shared.options.delete && matches!(deletion.when, DeleteWhen::Before | DeleteWhen::During);
        for at in range {
            if self.shared.options.cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let name = dir.listing.name(at);
            let (Ok(source), Ok(src)) = (dir.source_of(at), dir.stat_of(at)) else { continue };
            if src.nlink < 2 || !self.shared.takes(&src) || !dir.is_readable(self.shared, at, &mut Outcome::default()) {
                continue;
            }
            let src = self.shared.changed(src);
            let fd = there.get_or_insert_with(|| {
                let root = self.shared.root.fd.as_ref()?;
                fs::open_beneath(root.as_fd(), &dir.rel, self.shared.options.keep_dirlinks).ok()
            });
            let target = self.shared.target_name(&dir, name);
            let old = fd.as_ref().and_then(|fd| self.shared.stat_there(fd.as_fd(), target).ok());
            let follow = dir.listing.follows(at);
            let entry = Entry { dir: &dir, at, source, name, src, follow, ready: None, target, old, closed: false };
            if self.left_alone(&entry) {
                continue;
            }
            let file = src.kinds() == Kinds::File;
            let existing = match entry.old_of_kind() {
                Some(old) if !file => Some((old.inode(), false)),
                Some(old) => match fd.as_ref().map(|fd| self.unchanged(&entry, fd.as_fd(), target, &old)).transpose() {
                    Err(Failure::Cancelled) => return Err(Error::Cancelled),
                    // What cannot be read is reported when it is its turn.
                    current => Some((old.inode(), current.ok().flatten().unwrap_or(false))),
                },
                None => None,
            };
            // A dry run does not make it what it would be. Else it does not stay what it is.
            let dry_run = self.shared.options.dry_run;
            let link = if file && (dry_run || existing.is_some()) { self.link_of(&entry) } else { None };
            let replaced = link.is_some_and(|inode| existing.is_some_and(|(old, _)| old != inode));
            let existing = link.filter(|_| dry_run).map(|inode| (inode, true)).or(existing);
            let differs = existing.is_some_and(|(_, current)| !current);
            let stays = file && (self.is_newer(&entry) || (differs && self.is_no_shorter(&entry)));
            // As with rsync, what is like a name that is not there counts as being there, also where it is of no use.
            let mut is_like = || {
                let all = like.get_or_insert_with(|| {
                    let mut all = fuzzy::all(self.shared, &dir.rel, fd.as_ref().map(AsFd::as_fd));
                    all.retain(|candidate| !gone || dir.listing.contains(&candidate.name));
                    all
                });
                fuzzy::best(self.shared, all, target, &src).is_some()
            };
            let new = file && existing.is_none();
            let elsewhere = new && ((self.shared.options.fuzzy > 0 && is_like()) || self.is_elsewhere(&entry));
            // As with rsync, what was to be read and may not be is like nothing.
            let closed = file && differs && !stays && self.shared.options.reads_old();
            let at = fd.as_ref().filter(|_| closed);
            let existing =
                existing.filter(|_| at.is_none_or(|at| entry.unreadable_at(self.shared, at.as_fd()).is_none()));
            let existing = existing.map(|(inode, current)| (inode, current && (dry_run || !replaced)));
            names.push(Name { inode: src.inode(), path: entry.rel(), file, stays, existing, elsewhere });
        }
        Ok(Names(names))
    }
}
