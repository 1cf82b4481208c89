//! What a worker does with an item: compare, copy, set attributes, report.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;

use crate::alternates::{AlternateDirs, Likeness};
use crate::attrs;
use crate::backup;
use crate::content::copy::Copier;
use crate::content::temp::{Temp, TempNames};
use crate::delete;
use crate::dir::Dir;
pub(crate) use crate::entry::Entry;
use crate::error::Error;
use crate::extended;
use crate::fake;
use crate::fs::{self, Stat};
use crate::hardlinks::Lines;
use crate::item::Item;
use crate::itemize::{self, Action, Change, Time};
use crate::links;
use crate::list;
use crate::outcome::Outcome;
use crate::select::Pass;
use crate::shared::Shared;
use crate::target::{self, Target};
use crate::totals::Kinds;

/// One worker's state.
#[derive(Debug)]
pub(crate) struct Worker<'a> {
    pub(crate) shared: &'a Shared<'a>,
    pub(crate) copier: Copier<'a>,
    pub(crate) names: TempNames,
    pub(crate) alternates: AlternateDirs,
    /// What is being worked on has its name at the destination, whole, or will have it in the end.
    pub(crate) arrived: bool,
    /// What is being worked on stays and has got other extended attributes.
    pub(crate) dressed: bool,
    /// What it works on comes in the order of the reports.
    pub(crate) delivers: bool,
    /// The number of what is being worked on, among the items of the pass.
    pub(crate) item: u64,
}

impl Worker<'_> {
    /// Works on an item.
    ///
    /// # Errors
    /// Only what makes it pointless to go on: writing failed, or the mirror was cancelled.
    pub(crate) fn work(&mut self, item: Item) -> Result<Outcome, Error> {
        let mut out = Outcome::default();
        let dir = match item {
            Item::Note(note) => return Ok(*note),
            Item::Enter(dir) => {
                self.enter(&dir, &mut out);
                dir
            }
            Item::Names(dir, _) if self.shared.pass == Pass::Delete => dir,
            Item::Names(dir, range) => {
                for at in range {
                    if self.shared.options.cancel.is_cancelled() {
                        return Err(Error::Cancelled);
                    }
                    self.entry(&dir, at, &mut out)?;
                }
                dir
            }
            Item::Leave(dir) => dir,
        };
        self.let_go(dir, &mut out);
        self.shared.broken().map_or(Ok(out), Err)
    }

    /// Whoever gives the last reference back finishes the directory, and maybe those above it.
    pub(crate) fn let_go(&self, dir: Arc<Dir>, out: &mut Outcome) {
        let mut dir = Some(dir);
        while let Some(last) = dir.and_then(Arc::into_inner) {
            target::finish(self.shared, &last, out);
            dir = last.parent;
        }
    }

    fn enter(&mut self, dir: &Dir, out: &mut Outcome) {
        if self.shared.options.list_only.is_some() {
            return self.list_dir(dir, out);
        }
        target::enter(self.shared, dir);
        if (dir.transferred || dir.parent.is_some()) && self.shared.pass != Pass::Delete {
            out.totals.count_listed(Kinds::Dir);
            out.totals.name_bytes += dir.name.count_bytes() as u64;
        }
        out.append(match dir.entered.lock() {
            Ok(mut entered) => std::mem::take(&mut entered),
            Err(poisoned) => std::mem::take(&mut poisoned.into_inner()),
        });
    }

    /// Says what the directory is in the source.
    fn list_dir(&mut self, dir: &Dir, out: &mut Outcome) {
        let (shared, level) = (self.shared, self.shared.options.list_only.unwrap_or_default());
        if !dir.transferred {
            return;
        }
        out.totals.count_listed(Kinds::Dir);
        out.totals.name_bytes += dir.name.count_bytes() as u64;
        match dir.stat() {
            Ok(src) => {
                let src = shared.changed(src);
                let (rel, name) = match dir.parent.as_deref() {
                    None => (&b""[..], &b"."[..]),
                    Some(parent) => (&parent.rel[..], dir.name.to_bytes()),
                };
                list::entry(shared, out, level, &src, rel, name, None);
            }
            Err(errno) => shared.unreadable(out, "[sender] link_stat", &dir.rel, errno),
        }
    }

    fn entry(&mut self, dir: &Arc<Dir>, at: usize, out: &mut Outcome) -> Result<(), Error> {
        let (shared, options) = (self.shared, self.shared.options);
        if dir.listing.is_missing(at) {
            missing(shared, dir, at, out);
            return Ok(());
        }
        let Some(src) = Entry::stat(shared, dir, at, out) else {
            return Ok(());
        };
        if !dir.is_readable(shared, at, out) {
            return Ok(());
        }
        out.totals.count_listed(src.kinds());
        out.totals.name_bytes += dir.listing.name(at).count_bytes() as u64;
        if matches!(src.kinds(), Kinds::File | Kinds::Link) {
            out.totals.size_bytes += src.size;
        }
        if let Some(level) = options.list_only {
            let name = dir.listing.name(at);
            let is_link = src.kinds() == Kinds::Link && options.links;
            let link = if is_link { dir.link_of(at).ok() } else { None };
            list::entry(shared, out, level, &src, &dir.rel, name.to_bytes(), link.as_deref().map(CStr::to_bytes));
            return Ok(());
        }
        let entered = target::enter(shared, dir);
        let Some(entry) = Entry::look(shared, dir, at, src, &entered, out) else {
            return Ok(());
        };
        if options.select.existing && entry.old.is_none() {
            shared.pass_over(out, "not creating new file \"", &entry.target_rel(), "\"\n");
            return Ok(());
        }
        if options.select.ignore_existing && entry.old.is_some() {
            let how = self.how_it_exists(&entry);
            shared.pass_over(out, "", &entry.target_rel(), &format!(" exists{how}\n"));
            return Ok(());
        }
        let several = options.hard_links && src.nlink > 1;
        if several && shared.takes(&src) && !self.left_alone(&entry) && self.is_grouped(&entry) {
            return self.member(dir, at, &entry, out);
        }
        let failed = out.totals.failed;
        self.arrived = false;
        match src.kinds() {
            Kinds::File => self.regular(&entry, out)?,
            Kinds::Link if shared.takes(&src) => self.link(&entry, out),
            Kinds::Special | Kinds::Device if shared.takes(&src) => self.node(&entry, out),
            Kinds::Dir => {
                out.totals.failed += 1;
                shared.complain(
                    out,
                    "rsync: [sender] has become a directory: \"",
                    &entry.source.path_of(entry.name),
                    "\"",
                );
            }
            _ if options.levels.nonreg == 0 => {}
            _ => shared.say(out, &[b"skipping non-regular file \""], &entry.rel(), b"\"\n"),
        }
        self.remove_source(&entry, failed, out);
        Ok(())
    }

    /// A symbolic link.
    pub(crate) fn link(&mut self, entry: &Entry<'_>, out: &mut Outcome) {
        let shared = self.shared;
        let to = match entry.read_link() {
            Ok(to) => links::unmunged(shared, to),
            Err(errno) => {
                return shared.unreadable(out, "[sender] readlink", &entry.source.path_of(entry.name), errno);
            }
        };
        if shared.options.safe_links && links::is_unsafe(to.to_bytes(), &entry.dir.rel) {
            if shared.options.levels.name > 0 {
                shared.say_unsafe(out, "ignoring", &entry.rel(), to.to_bytes());
            }
            return;
        }
        let mut action = Action::Create;
        if let (Some(_), Some(ready)) = (entry.old_of_kind(), entry.ready) {
            let there = shared.link_there(ready.fd.as_fd(), entry.target);
            action = if there.is_ok_and(|there| there == to) { Action::Keep } else { Action::Replace };
        }
        let fake = shared.options.fake_destination;
        self.place(entry, out, action, Some(&to), "symlink", |names, at, name| match fake {
            true => Temp::whole(names, at, name, to.to_bytes()),
            false => Temp::link(names, at, name, &to),
        });
    }

    /// A device node, FIFO or socket.
    pub(crate) fn node(&mut self, entry: &Entry<'_>, out: &mut Outcome) {
        let (kind, rdev) = (entry.src.kind, entry.src.rdev);
        let action = match entry.old_of_kind() {
            Some(old) if old.kind == kind && (entry.src.kinds() == Kinds::Special || old.rdev == rdev) => Action::Keep,
            Some(_) => Action::Replace,
            None => Action::Create,
        };
        let what = if entry.src.kinds() == Kinds::Special { "special file" } else { "device file" };
        let fake = self.shared.options.fake_destination;
        self.place(entry, out, action, None, what, |names, at, name| match fake {
            true => Temp::whole(names, at, name, b""),
            false => Temp::node(names, at, name, kind, rdev),
        });
    }

    /// What `--info=skip2` tells of what is there and stays.
    fn how_it_exists(&mut self, entry: &Entry<'_>) -> &'static str {
        let (shared, src) = (self.shared, &entry.src);
        if shared.options.levels.skip < 2 {
            return "";
        }
        let (Some(old), Some(ready)) = (entry.old_of_kind(), entry.ready) else { return " (type change)" };
        let at = ready.fd.as_fd();
        let same = match src.kinds() {
            Kinds::File => self.unchanged(entry, at, entry.target, &old).unwrap_or(false),
            Kinds::Link => entry.read_link().is_ok_and(|to| shared.link_there(at, entry.target) == Ok(to)),
            Kinds::Device => shared.options.devices && old.kind == src.kind && old.rdev == src.rdev,
            Kinds::Special | Kinds::Dir => old.kind == src.kind,
        };
        let mut change = Change::new(src, Action::Keep);
        entry.compare(shared, &mut change, &old);
        let retime = attrs::keeps_time(shared, src.kind) && !shared.same_time(src, &old);
        match same {
            false if shared.options.checksum => " (sum change)",
            false => " (file change)",
            true if change.any() || retime => " (attr change)",
            true => " (uptodate)",
        }
    }

    /// Makes what has no content, or only adjusts its attributes, and says so.
    fn place<'e>(
        &mut self,
        entry: &Entry<'e>,
        out: &mut Outcome,
        action: Action,
        link: Option<&CStr>,
        what: &str,
        make: impl FnOnce(&mut TempNames, BorrowedFd<'e>, &CStr) -> Result<Temp<'e>, Errno>,
    ) {
        let shared = self.shared;
        let unmade = |out: &mut Outcome, errno| {
            let path = shared.target_path(&entry.dir.rel, entry.target.to_bytes());
            let Some(to) = link else { return shared.fail(out, "[generator] mknod", &path, errno) };
            out.totals.failed += 1;
            let mut leads = b"\" -> \"".to_vec();
            shared.options.escape.push(&mut leads, to.to_bytes());
            let rest = format!("{}\" failed: {}", String::from_utf8_lossy(&leads), fs::describe(errno));
            shared.complain(out, "rsync: [generator] symlink \"", &path, &rest);
        };
        if !shared.options.dry_run && matches!(entry.dir.target.get(), Some(Target::Blocked)) {
            return unmade(out, Errno::NOTDIR);
        }
        // What cannot be read here will be found out below.
        let found = self.alternate(entry, out).unwrap_or_default();
        if let Some(found) = &found
            && found.likeness == Likeness::Exact
            && self.take_exact(entry, found, link, out)
        {
            return;
        }
        if let (Action::Keep, Some(old)) = (action, entry.old) {
            return self.keep(entry, &old, link, out);
        }
        if let (Some(ready), Some(old)) = (entry.ready, &entry.old)
            && !delete::make_way(shared, out, ready, entry.target, old, &entry.rel(), what)
        {
            return;
        }
        let mut change = Change::new(&entry.src, action);
        if let (Action::Replace, Some(old)) = (action, &entry.old) {
            change.content = true;
            entry.compare(shared, &mut change, old);
            change.time = replaced_time(shared, &entry.src, old);
        } else if let Some(found) = &found {
            change = self.like(entry, found);
            if found.likeness < Likeness::Exact {
                change.content = true;
                change.time = replaced_time(shared, &entry.src, &found.stat);
            }
        } else {
            out.totals.count_created(entry.src.kinds());
        }
        if let (true, Some(ready)) = (shared.options.dry_run, entry.ready) {
            if shared.options.backup && entry.old_stays() {
                backup::take(shared, out, ready.fd.as_fd(), entry.target, &entry.target_rel(), true);
            }
        } else if let Some(ready) = entry.ready {
            let at = ready.fd.as_fd();
            let path = || shared.target_path(&entry.dir.rel, entry.target.to_bytes());
            let temp = match make(&mut self.names, at, entry.target) {
                Ok(temp) => temp,
                Err(errno) => return unmade(out, errno),
            };
            entry.dir.touched.store(true, Ordering::Relaxed);
            match Stat::at(at, &temp.name) {
                Ok(now) => {
                    // As with rsync, without -p the mode is that of whatever it replaces.
                    let old = entry.old.filter(|old| old.kind != FileType::Directory);
                    self.adjust(entry, at, &temp.name, &now, old.as_ref(), true, out);
                }
                Err(errno) => return shared.fail(out, "[generator] stat", &path(), errno),
            }
            if shared.options.backup
                && entry.old_stays()
                && !backup::take(shared, out, at, entry.target, &entry.target_rel(), true)
            {
                return;
            }
            if let Err(errno) = temp.commit(entry.target) {
                return shared.fail(out, "[generator] rename", &path(), errno);
            }
        }
        self.arrived = link.is_some() || !shared.options.only_sent;
        change.lacking = entry.lacking(shared);
        itemize::log(shared, out, &change, &entry.named(), link.map(CStr::to_bytes));
    }

    /// An entry whose content is right: adjusts its attributes.
    pub(crate) fn keep(&mut self, entry: &Entry<'_>, old: &Stat, link: Option<&CStr>, out: &mut Outcome) {
        let shared = self.shared;
        let mut change = Change::new(&entry.src, Action::Keep);
        entry.compare(shared, &mut change, old);
        let retime = attrs::keeps_time(shared, entry.src.kind) && !shared.same_time(&entry.src, old);
        change.time = if retime { Time::Set } else { Time::Same };
        // With -c, a file gets its exact time, and nothing is said of that but its name.
        change.exact_time = shared.corrects_fraction(&entry.src, old);
        self.dressed = change.xattr;
        // As with rsync, whatever gets other extended attributes does, too.
        let exact = change.exact_time || (change.xattr && attrs::keeps_time(shared, entry.src.kind));
        let quiet = change.exact_time || attrs::other_atime(shared, &entry.src, old);
        // Its other names, which stay names of it, may be about to get what they are to have.
        let in_order = old.nlink > 1
            && entry.src.kind == FileType::RegularFile
            && !(self.delivers || shared.options.hard_links || shared.options.dry_run || shared.remote.is_some());
        if in_order && (change.any() || quiet || shared.options.remove_source_files) {
            return shared.in_order.leave(entry, None, out);
        }
        if (change.any() || quiet || shared.options.fake_destination)
            && !shared.options.dry_run
            && let Some(ready) = entry.ready
        {
            self.adjust(entry, ready.fd.as_fd(), entry.target, old, Some(old), retime || exact, out);
        }
        self.arrived = !shared.options.only_sent;
        change.lacking = entry.lacking(shared);
        if change.any() || shared.options.itemize_all || shared.options.levels.name > 1 {
            entry.sum(shared, &mut change);
        }
        if !in_order {
            return itemize::log(shared, out, &change, &entry.named(), link.map(CStr::to_bytes));
        }
        let mut own = Outcome::default();
        itemize::log(shared, &mut own, &change, &entry.named(), None);
        shared.in_order.leave(entry, Some((*old, Lines::of(&mut own))), out);
        out.append(own);
    }

    /// Gives `name`, which is as `now` says, the owner, mode and (if `retime`) times that are wanted where `old` was.
    #[allow(clippy::too_many_arguments, reason = "where, what is there, what was there, and what is wanted")]
    pub(crate) fn adjust(
        &mut self,
        entry: &Entry<'_>,
        at: BorrowedFd<'_>,
        name: &CStr,
        now: &Stat,
        old: Option<&Stat>,
        retime: bool,
        out: &mut Outcome,
    ) {
        let (shared, src) = (self.shared, &entry.src);
        let path = || shared.target_path(&entry.dir.rel, entry.target.to_bytes());
        let fake = shared.options.fake_destination;
        let owner = if fake { (None, None) } else { attrs::wanted_owner(shared, src, now.uid, now.gid) };
        if owner != (None, None) {
            let (uid, gid) = attrs::ids(owner);
            if let Err(errno) = rustix::fs::chownat(at, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW) {
                let word = attrs::chown_word(owner.0);
                return shared.fail(out, &format!("[generator] {word}"), &path(), errno);
            }
        }
        let changed = extended::wanted(shared)
            && extended::copy(
                shared,
                (&entry.attributes(shared), || entry.source.path_of(entry.name)),
                &shared.attributes_at(at, name),
                "generator",
                path,
                out,
            );
        let mode = attrs::wanted_mode(shared, src, old, entry.ready);
        if fake {
            let (place, wanted) = (shared.attributes_at(at, name), shared.wanted_there(src, mode, now));
            let dressed = Stat::at(at, name)
                .and_then(|real| fake::dress(&place, real, &wanted, |own| attrs::chmod(at, name, own)));
            if let Err(errno) = dressed {
                shared.fail(out, "[generator] failed to write xattr user.rsync.%stat for", &path(), errno);
            }
        } else if src.kind != FileType::Symlink
            && (mode != now.mode || changed || (owner != (None, None) && mode & 0o6000 != 0))
            && let Err(errno) = attrs::chmod(at, name, mode)
        {
            shared.fail(out, "[generator] failed to set permissions on", &path(), errno);
        }
        if let Some(times) = attrs::wanted_times(shared, src, retime)
            && let Err(errno) = rustix::fs::utimensat(at, name, &times, AtFlags::SYMLINK_NOFOLLOW)
        {
            shared.fail(out, "[generator] failed to set times on", &path(), errno);
        }
    }
}

/// What was given and is not there: what it would become goes.
fn missing(shared: &Shared<'_>, dir: &Dir, at: usize, out: &mut Outcome) {
    out.totals.count_listed(Kinds::File);
    let name = dir.listing.name(at);
    if let Some(level) = shared.options.list_only {
        return list::missing(shared, out, level, &[&dir.rel, name.to_bytes()].concat());
    }
    let target = shared.target_name(dir, name);
    if let Target::Ready(ready) = &*target::enter(shared, dir)
        && let Ok(old) = shared.stat_there(ready.fd.as_fd(), target)
        && delete::missing(shared, out, ready, target, &old, &[&dir.rel, name.to_bytes()].concat())
    {
        dir.touched.store(true, Ordering::Relaxed);
    }
}

/// What the code of a replaced entry says of its time. As with rsync, one that does not get the source's all the same is said to.
pub(crate) fn replaced_time(shared: &Shared<'_>, src: &Stat, old: &Stat) -> Time {
    match shared.options.times {
        false => Time::Now,
        true if attrs::keeps_time(shared, src.kind) && shared.same_time(src, old) => Time::Same,
        true => Time::Set,
    }
}
