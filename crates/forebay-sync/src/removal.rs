//! `--remove-source-files`: what has arrived at the destination goes from the source.
//!
//! An entry goes only after it has its final name at the destination, without any failure on the way, and only if the
//! source still is what was looked at in the beginning. Where something is still to be read, linked or renamed, or the
//! sources are listed again to find out what is to be deleted, removing waits for the end of the run, and a run that
//! is broken off removes nothing more.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::AtFlags;
use rustix::io::Errno;

use crate::dir::open_again;
use crate::fs::{self, Stat};
use crate::given;
use crate::hardlinks::Inode;
use crate::outcome::Outcome;
use crate::select::DeleteWhen;
use crate::shared::Shared;
use crate::wire::Notice;
use crate::worker::{Entry, Worker};

/// What is to be removed in the end.
#[derive(Debug, Default)]
pub(crate) struct Removals {
    waiting: Mutex<Vec<Waiting>>,
    /// What goes is among what is still to be listed: one source is inside another.
    pub(crate) all_wait: bool,
}

#[derive(Debug)]
struct Waiting {
    /// Where it has gone, below the destination.
    target: Vec<u8>,
    origin: Origin,
}

#[derive(Debug)]
enum Origin {
    /// On this machine, in the directory with this absolute path, of which the end was found beneath what was given.
    Here { dir: Vec<u8>, rel: Vec<u8>, name: CString, source: Box<Source> },
    /// On the other side, with this number in the list.
    There(i32),
}

/// An entry of the source as it was when it was looked at.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) rel: Vec<u8>,
    pub(crate) stat: Stat,
    /// Which file it was, where that is known.
    pub(crate) inode: Option<Inode>,
    /// What is meant is what it leads to.
    pub(crate) follow: bool,
    /// What has its name at the destination, where that is on this machine.
    pub(crate) arrived: Option<Inode>,
}

impl Removals {
    fn lock(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what was to arrive at `target` below the destination, which it has not.
    pub(crate) fn keep(&self, target: &[u8]) {
        self.lock().retain(|waiting| waiting.target != target);
    }

    /// Keeps what was to arrive in the directory `dir` below the destination.
    pub(crate) fn keep_in(&self, dir: &[u8]) {
        self.lock().retain(|waiting| !waiting.target.starts_with(dir));
    }

    /// Removes what waits.
    pub(crate) fn finish(&self, shared: &Shared<'_>, out: &mut Outcome) {
        let mut all = std::mem::take(&mut *self.lock());
        all.sort_by(|a, b| a.target.cmp(&b.target));
        for Waiting { origin, .. } in all {
            match origin {
                Origin::Here { dir, rel, name, source } => source.remove_beneath(shared, (&dir, &rel), &name, out),
                Origin::There(index) => out.notices.push(Notice::Arrived(index)),
            }
        }
    }
}

impl Source {
    /// Removes it, which is `name` in the directory `shown`, unless a link in the end `rel` of that leads out of the directory that
    /// the link is in: as with rsync, what is elsewhere was asked for to be copied, but not to be removed.
    pub(crate) fn remove_beneath(
        &self,
        shared: &Shared<'_>,
        (shown, rel): (&[u8], &[u8]),
        name: &CStr,
        out: &mut Outcome,
    ) {
        let opened = open_again(shown, rel).or_else(|errno| match errno {
            Errno::LOOP | Errno::NOTDIR => through_links(shared, shown, rel),
            errno => Err(errno),
        });
        match opened {
            Ok(dir) => self.remove(shared, dir.as_fd(), name, out),
            Err(errno) => self.not_reached(shared, errno, out),
        }
    }

    /// Removes it, which is `name` beneath `at`.
    pub(crate) fn remove(&self, shared: &Shared<'_>, at: BorrowedFd<'_>, name: &CStr, out: &mut Outcome) {
        let now = if self.follow { Stat::followed(at, name) } else { Stat::at(at, name) };
        let now = match now {
            Ok(now) => now,
            Err(Errno::NOENT) => return shared.say(out, &[b"sender file already removed: "], &self.rel, b"\n"),
            Err(errno) => return self.not_removed(shared, errno, out),
        };
        let same = |stat: &Stat| (stat.size, stat.mtime.tv_sec, stat.mtime.tv_nsec);
        // With `--fake-super` it has been seen as what it stands for.
        let other_kind = !shared.options.fake_source && now.kind != self.stat.kind;
        if other_kind || same(&now) != same(&self.stat) || self.inode.is_some_and(|inode| inode != now.inode()) {
            out.totals.failed += 1;
            return shared.complain(out, "ERROR: Skipping sender remove for changed file: ", &self.rel, "");
        }
        if self.arrived == Some(now.inode()) {
            out.totals.failed += 1;
            return shared.complain(out, "ERROR: Skipping sender remove of destination file: ", &self.rel, "");
        }
        match rustix::fs::unlinkat(at, name, AtFlags::empty()) {
            Ok(()) if shared.options.levels.remove > 0 => shared.say(out, &[b"sender removed "], &self.rel, b"\n"),
            Ok(()) => {}
            Err(errno) => self.not_removed(shared, errno, out),
        }
    }

    /// Says that it could not be removed.
    fn not_removed(&self, shared: &Shared<'_>, errno: Errno, out: &mut Outcome) {
        self.failed(shared, "remove", errno, out);
    }

    /// Says that the directory that it is in could not be opened.
    pub(crate) fn not_reached(&self, shared: &Shared<'_>, errno: Errno, out: &mut Outcome) {
        self.failed(shared, "secure-open-parent", errno, out);
    }

    fn failed(&self, shared: &Shared<'_>, what: &str, errno: Errno, out: &mut Outcome) {
        out.totals.failed += 1;
        let reason = format!(": {}", fs::describe(errno));
        shared.complain(out, &format!("rsync: [sender] sender failed to {what} "), &self.rel, &reason);
    }
}

/// As [`open_again`], through links. Where names are in a list, and links are not followed otherwise, they are followed by whose they
/// are.
fn through_links(shared: &Shared<'_>, shown: &[u8], rel: &[u8]) -> Result<OwnedFd, Errno> {
    let above = open_again(shown.strip_suffix(rel).unwrap_or(shown), b"")?;
    if shared.options.files_from.is_some() && !shared.options.follows_links() {
        return given::dir(above.as_fd(), rel, shared.options.insecure_links);
    }
    let mut parts = rel.split(|&b| b == b'/').filter(|part| !part.is_empty());
    parts.try_fold(above, |dir, part| match fs::open_beneath(dir.as_fd(), part, true) {
        Err(Errno::XDEV) => Err(Errno::LOOP),
        opened => opened,
    })
}

impl Worker<'_> {
    /// Removes the source of `entry`, if that is asked for, it has arrived, and nothing has `failed` since that was counted.
    pub(crate) fn remove_source(&mut self, entry: &Entry<'_>, failed: u64, out: &mut Outcome) {
        let (shared, options) = (self.shared, self.shared.options);
        let arrived = std::mem::take(&mut self.arrived) && out.totals.failed == failed;
        if !options.remove_source_files || options.dry_run || !arrived {
            return;
        }
        let wait = |origin| shared.removals.lock().push(Waiting { target: entry.target_rel(), origin });
        // Where the source is elsewhere, its side removes.
        if let Some(index) = entry.src.index {
            match options.delay_updates {
                true => wait(Origin::There(index)),
                false => out.notices.push(Notice::Arrived(index)),
            }
            return;
        }
        let there = entry.ready.and_then(|ready| Stat::at(ready.fd.as_fd(), entry.target).ok());
        let source = Source {
            rel: entry.rel(),
            stat: entry.src,
            inode: Some(entry.src.inode()),
            follow: entry.follow && options.copy_links,
            arrived: there.map(|there| there.inode()),
        };
        let listed_again = options.delete && options.deletion.when == DeleteWhen::After;
        // What one name leads to may be needed until the last has been followed.
        if listed_again
            || shared.removals.all_wait
            || options.follows_links()
            || options.delay_updates
            || (options.hard_links && entry.src.nlink > 1)
        {
            return wait(Origin::Here {
                dir: entry.source.shown.clone(),
                rel: entry.dir.rel.clone(),
                name: entry.name.to_owned(),
                source: source.into(),
            });
        }
        if options.leads_through_links() {
            return source.remove_beneath(shared, (&entry.source.shown, &entry.dir.rel), entry.name, out);
        }
        match entry.source.place(entry.name) {
            Ok((at, path)) => source.remove(shared, at.as_fd(), &path, out),
            Err(errno) => source.not_reached(shared, errno, out),
        }
    }
}
