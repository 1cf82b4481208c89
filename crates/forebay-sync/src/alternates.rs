//! `--compare-dest`, `--copy-dest`, `--link-dest`: other trees that may have what the destination lacks.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;

use rustix::fs::AtFlags;
use rustix::io::Errno;

use crate::attrs;
use crate::content::copy::Failure;
use crate::content::temp::Temp;
use crate::delete;
use crate::dir::Dir;
use crate::extended::{self, Place};
use crate::fs::Stat;
use crate::given;
use crate::hardlinks::Inode;
use crate::itemize::{self, Action, Change, Time};
use crate::options::AlternateKind;
use crate::outcome::Outcome;
use crate::shared::Shared;
use crate::totals::Kinds;
use crate::worker::{Entry, Worker};

/// An entry of the same kind and name in another tree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    /// Which tree.
    pub(crate) tree: usize,
    pub(crate) stat: Stat,
    pub(crate) likeness: Likeness,
}

/// How like the source's it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Likeness {
    /// The same kind.
    Kind,
    /// The same content.
    Content,
    /// In every attribute that is preserved, too.
    Exact,
}

/// The directories of the other trees that correspond to the one that a worker is in.
#[derive(Debug, Default)]
pub(crate) struct AlternateDirs {
    rel: Option<Vec<u8>>,
    dirs: Vec<Result<OwnedFd, Errno>>,
}

impl AlternateDirs {
    pub(crate) fn enter(&mut self, shared: &Shared<'_>, rel: &[u8]) -> &[Result<OwnedFd, Errno>] {
        if self.rel.as_deref() != Some(rel) {
            self.dirs = shared.places.alternates.iter().map(|place| place.dir(shared.options, rel)).collect();
            self.rel = Some(rel.to_vec());
        }
        &self.dirs
    }

    /// The directory of the tree `tree`.
    pub(crate) fn get(&self, tree: usize) -> Option<&OwnedFd> {
        self.dirs.get(tree).and_then(|dir| dir.as_ref().ok())
    }
}

impl Worker<'_> {
    /// The best of what the other trees have for the entry: the first that is exactly the same, else the first of the
    /// greatest likeness. Where the destination has one of the same kind, nothing less than exactly the same counts,
    /// and for copies nothing at all.
    pub(crate) fn alternate(&mut self, entry: &Entry<'_>, out: &mut Outcome) -> Result<Option<Found>, Failure> {
        let shared = self.shared;
        if shared.places.alternates.is_empty() {
            return Ok(None);
        }
        let there = entry.old_of_kind().is_some();
        // As with rsync, what is no file is looked for elsewhere only where the destination has nothing at all.
        let is_file = entry.src.kinds() == Kinds::File;
        let only_there =
            if is_file { there && shared.options.alternates.kind == AlternateKind::Copy } else { entry.old.is_some() };
        if only_there {
            return Ok(None);
        }
        let mut best: Option<Found> = None;
        for tree in 0..self.alternates.enter(shared, &entry.dir.rel).len() {
            let dir = match &self.alternates.dirs[tree] {
                Ok(dir) => dir,
                Err(errno) => {
                    out.errors.extend_from_slice(given::warning(*errno).as_bytes());
                    continue;
                }
            };
            let Ok(stat) = shared.stat_there(dir.as_fd(), entry.target) else { continue };
            if stat.kinds() != entry.src.kinds() {
                continue;
            }
            let mut likeness = Likeness::Kind;
            if self.same_as_alternate(entry, tree, &stat)? {
                let mut change = Change::new(&entry.src, Action::Keep);
                entry.compare_with(shared, &mut change, &stat, self.place_of(entry, tree).as_ref());
                let same_time = !attrs::keeps_time(shared, entry.src.kind) || shared.same_time(&entry.src, &stat);
                likeness = if change.any() || !same_time { Likeness::Content } else { Likeness::Exact };
            }
            if best.is_none_or(|best| best.likeness < likeness) {
                best = Some(Found { tree, stat, likeness });
            }
            if likeness == Likeness::Exact {
                break;
            }
        }
        let best = best.filter(|found| !there || found.likeness == Likeness::Exact);
        if let Some(place) = best.and_then(|found| self.place_of(entry, found.tree))
            && shared.options.xattrs
            && let Ok(origin) = entry.attributes(shared)
        {
            // What is there need not be asked for.
            origin.look_for_long(shared, &place);
        }
        Ok(best)
    }

    /// Whether any of the other trees has a file of that name.
    pub(crate) fn is_elsewhere(&mut self, entry: &Entry<'_>) -> bool {
        let shared = self.shared;
        if shared.places.alternates.is_empty() {
            return false;
        }
        self.alternates
            .enter(shared, &entry.dir.rel)
            .iter()
            .flatten()
            .any(|dir| shared.stat_there(dir.as_fd(), entry.target).is_ok_and(|stat| stat.kinds() == entry.src.kinds()))
    }

    /// What `--link-dest` makes the destination's file another name of. What cannot be read is reported when it is its turn.
    pub(crate) fn link_of(&mut self, entry: &Entry<'_>) -> Option<Inode> {
        if self.shared.options.alternates.kind != AlternateKind::Link {
            return None;
        }
        let found = self.alternate(entry, &mut Outcome::default()).unwrap_or_default()?;
        (found.likeness == Likeness::Exact).then(|| found.stat.inode())
    }

    /// Where the extended attributes are of what the tree `tree` has for the entry.
    pub(crate) fn place_of(&self, entry: &Entry<'_>, tree: usize) -> Option<Place> {
        self.alternates.get(tree).map(|dir| self.shared.attributes_at(dir.as_fd(), entry.target))
    }

    /// What the code of a new entry says that is made like `found`.
    pub(crate) fn like(&self, entry: &Entry<'_>, found: &Found) -> Change {
        let mut change = Change::new(&entry.src, Action::Copy);
        entry.compare_with(self.shared, &mut change, &found.stat, self.place_of(entry, found.tree).as_ref());
        made_like(self.shared, change, &entry.src, &found.stat)
    }

    fn same_as_alternate(&mut self, entry: &Entry<'_>, tree: usize, stat: &Stat) -> Result<bool, Failure> {
        let src = &entry.src;
        Ok(match src.kinds() {
            Kinds::File => {
                let Some(dir) = self.alternates.get(tree) else { return Ok(false) };
                let dir = dir.try_clone().map_err(|_| Failure::Read(Errno::MFILE))?;
                self.unchanged(entry, dir.as_fd(), entry.target, stat)?
            }
            Kinds::Link => {
                let ours = entry.read_link().map_err(Failure::Read)?;
                let dir = self.alternates.get(tree);
                dir.is_some_and(|dir| self.shared.link_there(dir.as_fd(), entry.target).is_ok_and(|to| to == ours))
            }
            Kinds::Special => stat.kind == src.kind,
            Kinds::Device => stat.kind == src.kind && stat.rdev == src.rdev,
            Kinds::Dir => true,
        })
    }

    /// Does what the options say with an entry that is exactly the same elsewhere, and says so. False if it must be
    /// made from the source after all.
    pub(crate) fn take_exact(
        &mut self,
        entry: &Entry<'_>,
        found: &Found,
        link: Option<&CStr>,
        out: &mut Outcome,
    ) -> bool {
        let (shared, dry_run) = (self.shared, self.shared.options.dry_run);
        let mut action = Action::Keep;
        match shared.options.alternates.kind {
            AlternateKind::Compare => {
                if let (true, Some(ready), false) = (entry.old_stays(), entry.ready, dry_run) {
                    entry.dir.touched.store(true, Ordering::Relaxed);
                    if let Err(errno) = rustix::fs::unlinkat(&ready.fd, entry.target, AtFlags::empty()) {
                        delete::not_deleted(shared, out, "unlink", &entry.target_rel(), errno);
                    }
                }
            }
            AlternateKind::Copy => return false,
            AlternateKind::Link => {
                let same = entry.old.is_some_and(|old| old.dev == found.stat.dev && old.ino == found.stat.ino);
                if !same {
                    action = Action::Link;
                    if !dry_run && !self.link_alternate(entry, found) {
                        return false;
                    }
                }
            }
        }
        let mut change = Change::new(&entry.src, action);
        if shared.options.alternates.kind == AlternateKind::Link && action == Action::Keep {
            // As with rsync, what is linked already is a file of the destination.
            change.exact_time = shared.corrects_fraction(&entry.src, &found.stat);
            if let (true, Some(ready), false) =
                (shared.options.fake_destination || change.exact_time, entry.ready, dry_run)
            {
                let (at, old) = (ready.fd.as_fd(), &found.stat);
                self.adjust(entry, at, entry.target, old, Some(old), change.exact_time, out);
            }
        }
        entry.sum(shared, &mut change);
        itemize::log(shared, out, &change, &entry.named(), link.map(CStr::to_bytes));
        true
    }

    /// Gives the entry of another tree its name at the destination, too. False where the file system refuses.
    fn link_alternate(&mut self, entry: &Entry<'_>, found: &Found) -> bool {
        let (Some(ready), Some(from)) = (entry.ready, self.alternates.get(found.tree)) else { return false };
        let at = ready.fd.as_fd();
        // Whatever comes of it.
        entry.dir.touched.store(true, Ordering::Relaxed);
        let linked = match &entry.old {
            None => rustix::fs::linkat(from, entry.target, at, entry.target, AtFlags::empty()),
            Some(_) => Temp::hard_link(&mut self.names, at, entry.target, from.as_fd(), entry.target)
                .and_then(|temp| temp.commit(entry.target)),
        };
        linked.is_ok()
    }
}

/// What the code of a new entry says that is made like one in another tree, which has been compared.
fn made_like(shared: &Shared<'_>, change: Change, src: &Stat, found: &Stat) -> Change {
    let mut change = Change { action: Action::Copy, ..change };
    let options = shared.options;
    let is_dir = src.kinds() == Kinds::Dir;
    change.time = match options.times {
        true if (is_dir || attrs::keeps_time(shared, src.kind)) && !shared.same_time(src, found) => Time::Set,
        // As with rsync, of a directory that does not get its time it is told beside something else only.
        times if is_dir && !options.dir_times() && change.differs() => {
            if times {
                Time::Set
            } else {
                Time::Now
            }
        }
        _ => Time::Same,
    };
    change
}

/// How `like`, which is as `src` says, differs from the directory in the first of the other trees that has it as it is, or else
/// that has it.
pub(crate) fn directory(shared: &Shared<'_>, like: &Dir, src: &Stat, out: &mut Outcome) -> Option<Change> {
    let mut all = shared.places.alternates.iter().filter_map(|place| {
        let dir = place.dir_itself(shared.options, like.path());
        let dir = dir.map_err(|errno| out.errors.extend_from_slice(given::warning(errno).as_bytes())).ok()?;
        let stat = shared.stat_open(dir.as_fd()).ok()?;
        let mut change = Change::new(src, Action::Copy);
        attrs::compare(shared, &mut change, src, &stat);
        if extended::wanted(shared) {
            extended::compare(shared, &mut change, &like.attributes(), &shared.attributes_of(dir.as_fd()));
        }
        // As with rsync, its time counts even where directories do not get theirs.
        let exact = !change.any() && (!shared.options.times || shared.same_time(src, &stat));
        Some((exact, made_like(shared, change, src, &stat)))
    });
    let (exact, first) = all.next()?;
    let other = if exact { None } else { all.find(|(exact, _)| *exact) };
    Some(other.map_or(first, |(_, change)| change))
}
