//! Lists the sources, depth first, in rsync's order.
//!
//! Runs on one thread of its own ahead of the workers. It needs the kind of an entry, which directories tell, and so
//! stats nothing but what some file systems do not tell.

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::above::Above;
use crate::asked::Asked;
use crate::deep;
use crate::dir::{Base, Dir, SourceDir};
use crate::error::Error;
use crate::filter::{Folder, Local, Place, Rule, Side};
use crate::fs::{self, Stat};
use crate::item::Item;
use crate::links;
use crate::listing::{Double, Listing};
use crate::outcome::Outcome;
use crate::roots::Top;
use crate::shared::Shared;
use crate::totals::{Kinds, Totals};

/// Names in one item. Large enough that handing an item over costs little beside the work, small enough that a few
/// large files among the names leave work for the other workers.
const GROUP: usize = 32;

/// Yields the items of a mirror.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    shared: &'a Shared<'a>,
    stack: Vec<Frame>,
    asked: Asked,
    /// How often the list has directories, because they are on the way to something, that have not been entered yet.
    passages: u64,
    /// What to say before the next item.
    note: Outcome,
    /// An item that waits for the note before it.
    held: Option<Item>,
    /// Why it ends here.
    broken: Option<Error>,
    /// What there is to say of this tree has been said by an earlier pass over it.
    silent: bool,
}

#[derive(Debug)]
struct Frame {
    dir: Arc<Dir>,
    next: usize,
    /// The names beneath it that are asked for. None: everything.
    asked: Range<usize>,
    /// Everything beneath it is listed in any case.
    whole: bool,
    /// For each of its sources, which of the root's it is beneath.
    roots: Vec<u32>,
}

/// A directory that the walk will go into.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ahead {
    /// Where it is in the listing of the directory that it is in.
    pub(crate) at: usize,
    /// What it leads to is meant.
    pub(crate) follow: bool,
    /// Everything in it will be listed.
    pub(crate) content: bool,
    /// Something is asked for that is it or is beneath it.
    pub(crate) passed: bool,
}

/// What a directory was found as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// On the way to something.
    Passed,
    /// Its names are not read: it is on another file system, or that is not permitted.
    Unread,
    /// With what is in it.
    Whole,
}

/// Those at `run` in the listing, which have one name, that are to be opened: nothing is opened for being passed that is there
/// anyway.
fn opened(listing: &Listing, run: Range<usize>) -> impl Iterator<Item = usize> {
    let others = run.clone();
    let is_there = move |source| others.clone().any(|at| !listing.passes(at) && listing.source(at) == source);
    run.filter(move |&at| !listing.passes(at) || !is_there(listing.source(at)))
}

/// Reports a directory that cannot be listed.
fn unlisted(shared: &Shared<'_>, shown: &[u8], errno: Errno, note: &mut Outcome) {
    shared.io_error.store(true, Ordering::Relaxed);
    shared.fail(note, "[sender] opendir", shown, errno);
}

/// The directory `fd`, if names can be looked for in it: to be read is not enough.
fn searchable(fd: OwnedFd) -> Result<OwnedFd, Errno> {
    Stat::at(fd.as_fd(), c".").map(|_| fd)
}

impl<'a> Walk<'a> {
    /// Begins at `top`, with `note` to be said first. Without a note it says nothing at all.
    pub(crate) fn new(shared: &'a Shared<'a>, top: Top, note: Option<Outcome>) -> Self {
        let Top { dir: mut root, asked, .. } = top;
        let passages = asked.passages.count;
        prune(shared, &mut root);
        let silent = note.is_none();
        let note = note.unwrap_or_default();
        if !silent {
            shared.found.fetch_add((root.listing.len() + usize::from(root.transferred)) as u64, Ordering::Relaxed);
        }
        let root = Arc::new(root);
        let roots = (0u32..).zip(&root.sources).map(|(at, _)| at).collect();
        let stack = vec![Frame { dir: Arc::clone(&root), next: 0, asked: asked.all(), whole: false, roots }];
        Walk { shared, stack, asked, passages, note, held: Some(Item::Enter(root)), broken: None, silent }
    }

    fn step(&mut self) -> Option<Item> {
        loop {
            if self.broken.is_some() {
                return None;
            }
            let Some(frame) = self.stack.last_mut() else {
                self.shared.found_all.store(true, Ordering::Relaxed);
                (0..std::mem::take(&mut self.passages)).for_each(|_| self.note.totals.count_listed(Kinds::Dir));
                return None;
            };
            let (at, listing) = (frame.next, &frame.dir.listing);
            if at >= listing.len() {
                return self.stack.pop().map(|frame| Item::Leave(frame.dir));
            }
            if !listing.is_dir(at) {
                let end = listing.first_dir().min(at + GROUP);
                frame.next = end;
                return Some(Item::Names(Arc::clone(&frame.dir), at..end));
            }
            let run = listing.same_name(at);
            frame.next = run.end;
            let parent = Arc::clone(&frame.dir);
            let options = self.shared.options;
            // What is on the way to a name is a directory of the list in any case.
            if options.recursive || options.select.dirs || options.select.relative {
                if let Some(frame) = self.descend(parent, run) {
                    let dir = Arc::clone(&frame.dir);
                    self.stack.push(frame);
                    return Some(Item::Enter(dir));
                }
            } else {
                self.shared.skip_dir(&mut self.note, parent.listing.name(at).to_bytes());
            }
        }
    }

    /// The directories in the one that has just been entered, each by where its name is first.
    pub(crate) fn ahead(&self) -> Vec<Ahead> {
        let Some(Frame { dir, asked, whole: all_whole, roots, .. }) = self.stack.last() else { return Vec::new() };
        let (listing, mut all) = (&dir.listing, Vec::new());
        let mut at = listing.first_dir();
        while at < listing.len() {
            let run = listing.same_name(at);
            let group = self.asked.group(asked.clone(), dir.rel.len(), listing.name(at).to_bytes());
            let asks = |root: u32| group.sources.iter().any(|asked| asked.source == root && asked.contents > 0);
            let whole = |at| {
                let root = roots.get(listing.source(at)).copied().unwrap_or_default();
                !listing.passes(at) && (self.shared.options.recursive || asks(root))
            };
            let follow = listing.follows(at) || (!all_whole && !group.beneath.is_empty());
            all.push(Ahead { at, follow, content: run.clone().any(whole), passed: !group.sources.is_empty() });
            at = run.end;
        }
        all
    }

    /// Whether `-x` keeps the walk out of `dir`, which was found in `parent`.
    fn crosses(&self, parent: &Base, dir: &OwnedFd) -> bool {
        let Some(Ok(parent)) = parent.fd().filter(|_| self.shared.options.select.one_file_system > 0) else {
            return false;
        };
        let device = |fd: BorrowedFd<'_>| rustix::fs::fstat(fd).map(|stat| stat.st_dev).ok();
        device(parent.as_fd()) != device(dir.as_fd())
    }

    /// Opens and lists the directories at `run` in the listing of `parent`. `None` if they are gone.
    fn descend(&mut self, parent: Arc<Dir>, run: Range<usize>) -> Option<Frame> {
        let name: CString = parent.listing.name(run.start).to_owned();
        let (asked, above, listed) = match self.stack.last() {
            Some(frame) => (frame.asked.clone(), &frame.roots[..], frame.whole),
            None => return None,
        };
        let group = self.asked.group(asked, parent.rel.len(), name.to_bytes());
        let mut roots = Vec::new();
        let rel = [&parent.rel, name.as_bytes(), b"/"].concat();
        let in_parent = parent.listing.source(run.start);
        let filters = &self.shared.options.filters;
        let mut sources = Vec::with_capacity(run.len());
        let mut complete = true;
        let mut links = parent.links;
        let passed = run.clone().all(|at| parent.listing.passes(at));
        if passed {
            self.passages = self.passages.saturating_sub(1);
        }
        let mut found = Vec::new();
        for at in opened(&parent.listing, run) {
            let follow = parent.listing.follows(at);
            let Ok(place) = parent.source(parent.listing.source(at)) else {
                continue;
            };
            if !place.is_readable(self.shared, &name, follow, parent.parent.is_none(), &mut self.note) {
                complete = false;
                continue;
            }
            let shown = place.path_of(&name);
            links = links.max(parent.links + u8::from(follow));
            let passes = parent.listing.passes(at);
            let follow = follow || (!listed && !group.beneath.is_empty());
            let mut opened =
                if links > links::MOST { Err(Errno::LOOP) } else { place.open_dir(&name, follow).and_then(searchable) };
            // To reach what is in it, it need not be readable.
            let mut closed = None;
            if let Err(errno @ Errno::ACCESS) = opened
                && (passes || !group.beneath.is_empty())
                && let Ok(fd) = place.reach_dir(&name, follow).and_then(searchable)
            {
                (opened, closed) = (Ok(fd), Some(errno).filter(|_| !passes));
            }
            let asked = passes || parent.listing.is_given(at);
            let crosses = !asked && opened.as_ref().is_ok_and(|fd| self.crosses(&place.base, fd));
            let root = above.get(parent.listing.source(at)).copied().unwrap_or_default();
            let on_the_way = group.sources.iter().any(|asked| asked.source == root && !asked.own);
            let base = match opened {
                // What is mounted is not entered for being found.
                Ok(_) if crosses && !on_the_way => match self.shared.options.select.one_file_system {
                    1 => Base::Closed,
                    _ => {
                        self.shared.skip_mount(&mut self.note, "[sender]", &rel[..rel.len() - 1]);
                        continue;
                    }
                },
                Ok(fd) => place.base.beneath(&name, fd, deep::is_held(&rel, self.shared.most_held)),
                Err(Errno::NOENT) => {
                    let kind = if group.is_on_the_way() { "file" } else { "directory" };
                    self.shared.vanished(&mut self.note, kind, &shown);
                    continue;
                }
                Err(errno) => {
                    unlisted(self.shared, &shown, errno, &mut self.note);
                    Base::Closed
                }
            };
            if let Some(errno) = closed {
                unlisted(self.shared, &shown, errno, &mut self.note);
            }
            let shown = [&shown[..], b"/"].concat();
            let local = match &base {
                _ if let Some(Ok(fd)) = base.fd() => {
                    let folder = Folder { fd: fd.as_fd(), rel: &rel, shown: &shown };
                    place.local.enter(filters, folder, &mut self.note.errors)
                }
                _ => Ok(Local::default()),
            };
            match local {
                Ok(local) => {
                    sources.push(SourceDir { base, shown, above: Arc::clone(&place.above), local, reads: place.reads });
                    // Nothing is beneath what is not entered.
                    roots.push(if crosses && !on_the_way { u32::MAX } else { root });
                    found.push(match passes {
                        true => Found::Passed,
                        false if crosses || closed.is_some() => Found::Unread,
                        false => Found::Whole,
                    });
                }
                Err(error) => {
                    self.broken = Some(error.into());
                    return None;
                }
            }
        }
        if sources.is_empty() {
            return None;
        }
        let times = found.iter().filter(|found| **found != Found::Passed).count();
        (1..times).for_each(|_| self.note.totals.count_listed(Kinds::Dir));
        let recursive = self.shared.options.recursive;
        let mut asked: Vec<(u32, usize)> = group.sources.iter().map(|asked| (asked.source, asked.contents)).collect();
        let mut asks = |root: u32| {
            let left = asked.iter_mut().find(|(source, left)| *source == root && *left > 0);
            left.map(|(_, left)| *left -= 1).is_some()
        };
        let mut whole: Vec<bool> = found
            .iter()
            .zip(&roots)
            .map(|(&found, &root)| found == Found::Whole && (recursive || asks(root)))
            .collect();
        if !self.shared.options.lists_at_once() {
            leave_out_again(&sources, &mut whole);
        }
        let mut dir = Dir {
            rel,
            name,
            parent: Some(parent),
            sources,
            sent: None,
            in_parent,
            links,
            listing: Listing::default(),
            // What the list has for being in what was asked for is not implied.
            transferred: listed || !passed || !(self.shared.options.select.no_implied_dirs && group.is_on_the_way()),
            complete,
            target: OnceLock::new(),
            entered: Mutex::default(),
            touched: AtomicBool::new(false),
            delayed: Mutex::default(),
            candidates: OnceLock::new(),
        };
        for (number, _) in whole.iter().enumerate().filter(|(_, whole)| **whole) {
            read_source(self.shared, &mut dir, number, &mut self.note);
        }
        // What is on the way to something, or not entered, is not all there is.
        dir.complete &= whole.contains(&true);
        let beneath = group.beneath;
        let all_read = !found.contains(&Found::Unread);
        found.retain(|found| *found != Found::Unread);
        let listed = (listed && all_read && !passed)
            || (recursive && !found.is_empty() && found.iter().all(|found| *found == Found::Whole));
        let merged = dir.sources.len() > 1 || !beneath.is_empty();
        let mut doubles = Vec::new();
        if listed && !beneath.is_empty() {
            doubles = dir.listing.sort(merged);
            self.asked.list_again(beneath.clone(), dir.rel.len(), &roots, &mut dir.listing);
        } else if !listed {
            self.asked.list(beneath.clone(), dir.rel.len(), &roots, &mut dir.listing);
        }
        prune(self.shared, &mut dir);
        doubles.append(&mut dir.listing.sort(merged));
        count_doubles(&dir, doubles, &mut self.note);
        if !self.silent {
            self.shared.found.fetch_add(dir.listing.len() as u64, Ordering::Relaxed);
        }
        Some(Frame { dir: Arc::new(dir), next: 0, asked: beneath, whole: listed, roots })
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Item, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.held.take().or_else(|| self.step());
        if self.silent {
            self.note = Outcome::default();
        }
        let says = !(self.note.text.is_empty() && self.note.errors.is_empty() && self.note.log.is_empty());
        if !says && (item.is_some() || self.note.totals == Totals::default()) {
            return item.map(Ok).or_else(|| self.broken.take().map(Err));
        }
        self.held = item;
        Some(Ok(Item::Note(Box::new(std::mem::take(&mut self.note)))))
    }
}

/// The directories on `walk` that hold nothing but directories, and what has failed in them, which nothing else will tell. As
/// with rsync, one that a rule protects from deletion is not among them.
pub(crate) fn barren(
    shared: &Shared<'_>,
    walk: impl Iterator<Item = Result<Item, Error>>,
) -> Result<(HashSet<Vec<u8>>, Outcome), Error> {
    let (mut barren, mut failed) = (HashSet::new(), Outcome::default());
    // For each directory on the way, whether it holds anything, and what has failed there.
    let mut holds: Vec<bool> = Vec::new();
    let (mut failures, mut last): (Vec<Outcome>, _) = (Vec::new(), Outcome::default());
    for item in walk {
        if shared.options.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        match item? {
            Item::Enter(dir) => {
                let path = dir.path();
                let dir_len = path.len() - dir.name.count_bytes();
                let dir_shown = dir.sources.first().map_or(&b""[..], |source| &source.shown);
                let place = Place { side: Side::Receiver, path, is_dir: true, dir_len, dir_shown, doomed: false };
                let local = Local::default();
                let rule = shared.options.filters.decide(&place, &local);
                holds.push(rule.is_some_and(|rule| !rule.includes()));
                failures.push(std::mem::take(&mut last));
            }
            Item::Names(..) => holds.last_mut().into_iter().for_each(|holds| *holds = true),
            Item::Leave(dir) => {
                let here = failures.pop().unwrap_or_default();
                match holds.pop() {
                    Some(false) if dir.parent.is_some() => {
                        barren.insert(dir.path().to_vec());
                        failed.append(here);
                    }
                    _ => holds.last_mut().into_iter().for_each(|holds| *holds = true),
                }
            }
            Item::Note(note) => {
                last.errors = note.errors;
                last.totals.failed = note.totals.failed;
            }
        }
    }
    Ok((barren, failed))
}

/// Of the directories `sources` that have one name, those that are not read again for being `whole`. As with rsync in
/// incremental recursion, that is every second one of those at the beginning that are the same.
fn leave_out_again(sources: &[SourceDir], whole: &mut [bool]) {
    let same = |(source, _): &(&SourceDir, _)| sources.first().is_some_and(|first| first.shown == source.shown);
    let same = sources.iter().zip(whole).take_while(same).filter(|(_, whole)| **whole);
    same.skip(1).step_by(2).for_each(|(_, whole)| *whole = false);
}

/// Counts what has gone from the listing of `dir` for being there twice. As with rsync, it was in the list.
pub(crate) fn count_doubles(dir: &Dir, doubles: Vec<Double>, note: &mut Outcome) {
    for Double { name, source, follow, missing } in doubles {
        if missing {
            note.totals.count_listed(Kinds::File);
            continue;
        }
        let Ok(stat) = dir.source(source).and_then(|source| source.stat(&name, follow)) else { continue };
        note.totals.count_listed(stat.kinds());
        if matches!(stat.kinds(), Kinds::File | Kinds::Link) {
            note.totals.size_bytes += stat.size;
        }
    }
}

/// Takes directories out of the listing that are to be left out for being empty.
fn prune(shared: &Shared<'_>, dir: &mut Dir) {
    if !shared.barren.is_empty() {
        let rel = &dir.rel;
        dir.listing.retain_dirs(|name| !shared.barren.contains(&[rel, name].concat()));
    }
}

/// Lists the directory's source `number`, if it is open, filters the names and adds them to the listing, unsorted.
pub(crate) fn read_source(shared: &Shared<'_>, dir: &mut Dir, number: usize, note: &mut Outcome) {
    let Dir { rel, sources, listing, complete, .. } = dir;
    let Some(source @ SourceDir { base, shown, above, local, .. }) = sources.get(number) else {
        return;
    };
    let Some(fd) = base.fd() else { return };
    let Ok(number) = u32::try_from(number) else { return };
    let mut path = rel.clone();
    let listed = fd.and_then(|fd| {
        fs::list(fd.as_fd(), |name, kind| {
            let kind = match kind {
                FileType::Unknown => Stat::at(fd.as_fd(), name).map_or(kind, |stat| stat.kind),
                kind => kind,
            };
            let meant = links::meant(shared, source, name, kind, rel, note);
            let is_dir = meant.is_ok_and(|(is_dir, _)| is_dir);
            if takes_part(shared, local, (&mut path, rel.len(), shown, above), name, is_dir, note) {
                match meant {
                    Ok((_, follow)) => listing.push(name, number, is_dir, follow),
                    // As with rsync, only what takes part is missed.
                    Err(errno) => links::dangling(shared, source, name, errno, note),
                }
            }
        })
    });
    if let Err(errno) = listed {
        *complete = false;
        shared.io_error.store(true, Ordering::Relaxed);
        shared.fail(note, "[sender] readdir", shown.strip_suffix(b"/").unwrap_or(shown), errno);
    }
}

/// Whether the filters let `name` through; `path` holds its directory in the first `rel` bytes, `shown` is its absolute
/// path, and `above` is what the command line says above `path`.
pub(crate) fn takes_part(
    shared: &Shared<'_>,
    local: &Local,
    (path, rel, shown, above): (&mut Vec<u8>, usize, &[u8], &Above),
    name: &CStr,
    is_dir: bool,
    note: &mut Outcome,
) -> bool {
    if shared.options.filters.is_empty() {
        return true;
    }
    path.truncate(rel);
    path.extend_from_slice(name.to_bytes());
    let place = Place { side: Side::Sender, path, is_dir, dir_len: rel, dir_shown: shown, doomed: false };
    let rule = shared.options.filters.decide(&place, local);
    if let Some(rule) = rule {
        let verb = if rule.includes() { "[sender] showing" } else { "[sender] hiding" };
        shared.say_rule(note, verb, is_dir, (above.slash(), path), rule);
    }
    rule.is_none_or(Rule::includes)
}
