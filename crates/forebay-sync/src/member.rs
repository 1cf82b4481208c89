//! What a worker does with a name that is one of several of a file: makes the file, or links to it, and says so in
//! rsync's order. See [`hardlinks`](crate::hardlinks).

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::io::Errno;

use crate::alternates::{Found, Likeness};
use crate::backup;
use crate::content::copy::Failure;
use crate::content::temp::Temp;
use crate::content::{Plan, Way, Written};
use crate::dir::Dir;
use crate::error::Error;
use crate::fs::{self, Stat};
use crate::hardlinks::{Inode, Lines, Link, Role, Turn, Waiting};
use crate::itemize::{self, Action, Change};
use crate::options::AlternateKind;
use crate::order;
use crate::outcome::Outcome;
use crate::regular::length;
use crate::shared::Shared;
use crate::target::{self, Entered};
use crate::totals::Kinds;
use crate::wire::Notice;
use crate::worker::{Entry, Worker, replaced_time};

impl Worker<'_> {
    /// Works on `entry`, at `at` in the listing of `dir`. Leaves a hole in `out` where lines may be missing yet.
    pub(crate) fn member(
        &mut self,
        dir: &Arc<Dir>,
        at: usize,
        entry: &Entry<'_>,
        out: &mut Outcome,
    ) -> Result<(), Error> {
        let (inode, path) = (entry.src.inode(), entry.rel());
        let failed = out.totals.failed;
        (self.arrived, self.dressed) = (false, false);
        let Some((role, leader, existing)) = self.shared.groups.role(inode, &path) else {
            self.alone(entry, out)?;
            self.remove_source(entry, failed, out);
            return Ok(());
        };
        if self.shared.options.dry_run {
            // Nothing is made, so nothing waits. What has the leader's number now would keep it.
            let linked = existing.is_some_and(|(inode, _)| entry.old.is_some_and(|old| old.inode() == inode));
            if role == Role::Leader {
                self.alone(entry, out)?;
                self.leave_hole(inode, path, out);
            } else {
                let change = self.changes(entry, role, linked, existing.map(|(inode, _)| inode));
                let options = self.shared.options;
                // As with rsync, which finds that it is a link to the leader, and then what would change of both.
                if linked && change.any() && options.levels.name > 1 && !options.has_codes() {
                    self.shared.say_same(out, &path, b" is uptodate\n");
                }
                self.say_linked(entry, role, linked, &change, &leader, out);
            }
            return Ok(());
        }
        let waiting = || {
            self.shared.remote.iter().for_each(|remote| remote.wait(entry.src.index, false));
            Waiting { dir: Arc::clone(dir), at }
        };
        let stays = existing.is_some_and(|(_, same)| same);
        // Only one is sent; the others are told as links to it.
        let sent = role == Role::Leader || !self.shared.options.only_sent;
        // Without -p, the mode is that of what the leader replaces. In another tree it is the leader that is looked for. In place,
        // it is the leader's file that is written.
        let elsewhere = !self.shared.places.alternates.is_empty();
        let in_place = self.shared.options.writes_in_place();
        let later = self.shared.remote.is_some() || !self.shared.options.perms || elsewhere || in_place;
        let turn = self.shared.groups.turn(inode, &path, later, waiting);
        if role == Role::BeforeLeader && entry.src.kinds() == Kinds::File && !matches!(turn, Turn::Wait) {
            // As with rsync, which has looked at it before it knows of the leader.
            self.is_closed(entry, out);
        }
        match turn {
            Turn::Wait => {
                self.leave_hole(inode, path, out);
                return Ok(());
            }
            Turn::Link(link) => {
                self.link_member(entry, (role, stays), &link, &leader, out);
                self.arrived &= sent;
                self.remove_source(entry, failed, out);
                if role == Role::Leader {
                    let waiting = self.shared.groups.done(inode, &path, Some(link));
                    self.work_off(waiting, &path, out)?;
                }
            }
            Turn::Make => {
                let before =
                    (role == Role::BeforeLeader).then(|| replacing(self.linked_change(entry, role, false), stays));
                match role {
                    Role::BeforeLeader if self.shared.remote.is_none() => {
                        let mut quiet = Outcome::default();
                        self.make_member(entry, &mut quiet)?;
                        out.totals += &quiet.totals;
                        out.errors.extend_from_slice(&quiet.errors);
                    }
                    _ => self.alone(entry, out)?,
                }
                if self.dressed && role == Role::Leader {
                    self.shared.groups.dress(inode);
                }
                if let (Some(remote), Some(index)) = (&self.shared.remote, entry.src.index)
                    && remote.ledger.expects_file(index)
                {
                    return Ok(());
                }
                let made = entry
                    .ready
                    .filter(|_| out.totals.failed == failed)
                    .and_then(|ready| self.shared.stat_there(ready.fd.as_fd(), entry.target).ok())
                    .filter(|now| now.kind == entry.src.kind)
                    .map(|now| Link { path: [&dir.rel, entry.target.to_bytes()].concat(), inode: now.inode() });
                if let (Some(change), Some(_)) = (before, &made) {
                    self.say_linked(entry, role, false, &change, &leader, out);
                }
                self.arrived &= made.is_some() && sent;
                self.remove_source(entry, failed, out);
                let waiting = self.shared.groups.done(inode, &path, made);
                self.work_off(waiting, &path, out)?;
            }
        }
        if role == Role::Leader {
            self.leave_hole(inode, path, out);
        }
        Ok(())
    }

    /// Leaves room for what other names have to say here. What comes over the wire is told in the order in which it is done.
    fn leave_hole(&self, inode: Inode, path: Vec<u8>, out: &mut Outcome) {
        if self.shared.remote.is_none() {
            out.leave_hole(inode, path);
        }
    }

    /// What was asked for under the name at `at` in the listing of `dir` has come, or will not: `made` is where it is.
    pub(crate) fn settle(
        &mut self,
        dir: &Arc<Dir>,
        at: usize,
        made: Option<Link>,
        out: &mut Outcome,
    ) -> Result<(), Error> {
        let Ok(src) = dir.stat_of(at) else { return Ok(()) };
        if src.nlink < 2 {
            return Ok(());
        }
        let leader = [&dir.rel, dir.listing.name(at).to_bytes()].concat();
        let waiting = self.shared.groups.done(src.inode(), &leader, made);
        self.work_off(waiting, &leader, out)
    }

    /// Works on those who have waited for `leader`; their lines go to their own places.
    fn work_off(&mut self, mut waiting: Vec<Waiting>, leader: &[u8], out: &mut Outcome) -> Result<(), Error> {
        // As with rsync: those before it backwards, those behind it forwards.
        waiting.sort_by(|a, b| {
            let (a, b) = (a.path(), b.path());
            let behind = [&a, &b].map(|path| order::compare_paths(path, leader).is_gt());
            behind[0].cmp(&behind[1]).then_with(|| match behind[0] {
                true => order::compare_paths(&a, &b),
                false => order::compare_paths(&b, &a),
            })
        });
        for Waiting { dir, at } in waiting {
            self.has_waited(&dir, at);
            let mut late = Outcome::default();
            let entered = target::enter(self.shared, &dir);
            if let Some(entry) = Self::again(self.shared, &dir, at, &entered, &mut late) {
                let (inode, path) = (entry.src.inode(), entry.rel());
                self.member(&dir, at, &entry, &mut late)?;
                if self.shared.remote.is_none() {
                    self.shared.groups.keep_late(inode, &path, Lines::of(&mut late));
                }
            }
            settled(&dir, at, &mut late);
            out.text.append(&mut late.text);
            out.notices.append(&late.notices);
            out.totals += &late.totals;
            out.errors.extend_from_slice(&late.errors);
            out.log.extend_from_slice(&late.log);
            self.let_go(dir, out);
        }
        Ok(())
    }

    /// Works on those whose leader was to come in the list number `list`, and did not.
    pub(crate) fn work_off_abandoned(&mut self, list: i32) -> Result<Outcome, Error> {
        let mut out = Outcome::default();
        for Waiting { dir, at } in self.shared.groups.abandoned(list) {
            self.has_waited(&dir, at);
            let entered = target::enter(self.shared, &dir);
            if let Some(entry) = Self::again(self.shared, &dir, at, &entered, &mut out) {
                self.member(&dir, at, &entry, &mut out)?;
            }
            settled(&dir, at, &mut out);
            self.let_go(dir, &mut out);
        }
        Ok(out)
    }

    /// Whoever has waited at `at` in the listing of `dir` has a turn now.
    fn has_waited(&self, dir: &Dir, at: usize) {
        if let (Some(remote), Ok(src)) = (&self.shared.remote, dir.stat_of(at)) {
            remote.wait(src.index, true);
        }
    }

    /// Looks again at an entry that has waited.
    fn again<'d>(
        shared: &'d Shared<'_>,
        dir: &'d Arc<Dir>,
        at: usize,
        entered: &'d Entered<'_>,
        out: &mut Outcome,
    ) -> Option<Entry<'d>> {
        let src = Entry::stat(shared, dir, at, out)?;
        Entry::look(shared, dir, at, src, entered, out)
    }

    /// Makes the file under a name that comes before the leader, about which the leader's line will tell.
    fn make_member(&mut self, entry: &Entry<'_>, out: &mut Outcome) -> Result<(), Error> {
        let Some(ready) = entry.ready else { return Ok(()) };
        let source = match entry.open(self.shared) {
            Ok(source) => source,
            Err(errno) => return self.unopened(entry, None, Failure::Read(errno), out),
        };
        if !self.make_way(entry, out) {
            return Ok(());
        }
        let (from, like) = ((length(entry, &source), entry.src.dev), entry.old_of_kind());
        let way = Way::new(self.shared.options.writes_in_place(), false);
        let plan = Plan { onto_device: entry.is_device(), ..Plan::whole(source, from, like, way) };
        match self.write(entry, ready, &plan, out)? {
            Written::Unread => self.once_more(entry, ready, plan, None, out),
            _ => Ok(()),
        }
    }

    /// Makes the name a link to the file, unless it is one, and says so. `stays`: the leader is what it was before.
    fn link_member(
        &mut self,
        entry: &Entry<'_>,
        (role, stays): (Role, bool),
        link: &Link,
        leader: &[u8],
        out: &mut Outcome,
    ) {
        let Some(ready) = entry.ready else { return };
        let at = ready.fd.as_fd();
        // The file may have got other attributes since the entry was looked at.
        let old = self.shared.stat_there(at, entry.target).ok();
        let linked = old.is_some_and(|old| old.inode() == link.inode);
        let entry = Entry { old: if linked { old } else { entry.old }, ..*entry };
        // What is there is compared before it is replaced.
        let mut counted = Outcome::default();
        // As with rsync, that the file has got other extended attributes is told of each name.
        let dressed = linked && role != Role::Leader && self.shared.groups.is_dressed(entry.src.inode());
        let change = match role {
            Role::Leader => self.transfer_change(&entry, None, &mut counted),
            _ if linked => {
                let change = self.changes(&entry, role, true, Some(link.inode));
                Change { xattr: change.xattr || dressed, ..change }
            }
            _ => replacing(self.changes(&entry, role, false, Some(link.inode)), stays),
        };
        if !linked {
            if !self.make_way(&entry, out) {
                return;
            }
            let keeps = self.shared.options.backup && entry.old_stays();
            if keeps && !backup::take(self.shared, out, at, entry.target, &entry.target_rel(), true) {
                return;
            }
            if let Err(errno) = self.hard_link(&entry, at, link) {
                out.totals.failed += 1;
                let path = self.shared.target_path(&entry.dir.rel, entry.target.to_bytes());
                let mut to = b"\" => ".to_vec();
                self.shared.options.escape.push(&mut to, leader);
                let rest = format!("{} failed: {}", String::from_utf8_lossy(&to), fs::describe(errno));
                return self.shared.complain(out, "rsync: [generator] link \"", &path, &rest);
            }
            entry.dir.touched.store(true, Ordering::Relaxed);
        }
        self.arrived = true;
        if role == Role::Leader && !linked {
            out.append(counted);
            itemize::log(self.shared, out, &change, &entry.named(), None);
            self.count_transfer(&entry, out);
        } else if role != Role::Leader {
            self.say_linked(&entry, role, linked, &change, leader, out);
            let options = self.shared.options;
            if dressed && options.levels.name > 1 && !options.has_codes() && !options.json {
                self.shared.say_same(out, &entry.rel(), b"\n");
            }
        }
    }

    fn hard_link(&mut self, entry: &Entry<'_>, at: BorrowedFd<'_>, link: &Link) -> Result<(), Errno> {
        let split = link.path.iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1);
        let (rel, name) = link.path.split_at(split);
        let name = CString::new(name).map_err(|_| Errno::INVAL)?;
        let opened: OwnedFd;
        let from = if rel == entry.dir.rel {
            at
        } else {
            let root = self.shared.root.fd.as_ref().ok_or(Errno::NOENT)?;
            opened = fs::open_beneath(root.as_fd(), rel, self.shared.options.keep_dirlinks)?;
            opened.as_fd()
        };
        let temp = Temp::hard_link(&mut self.names, at, entry.target, from, &name)?;
        // Whoever can write there may have put something else under the name meanwhile.
        if Stat::at(at, &temp.name)?.inode() != link.inode {
            return Err(Errno::STALE);
        }
        temp.commit_link(entry.target)
    }

    /// What changes for a name that is not the leader. `linked`: it is another name of the file already. As with rsync, with
    /// `--link-dest` it is like what another tree has only if that is the `leader` itself.
    fn changes(&mut self, entry: &Entry<'_>, role: Role, linked: bool, leader: Option<Inode>) -> Change {
        // What cannot be read elsewhere is linked all the same.
        let found =
            if entry.old.is_none() { self.alternate(entry, &mut Outcome::default()).unwrap_or_default() } else { None };
        let like = |found: &Found| match self.shared.options.alternates.kind {
            AlternateKind::Link => found.likeness == Likeness::Exact && Some(found.stat.inode()) == leader,
            AlternateKind::Compare | AlternateKind::Copy => found.likeness >= Likeness::Content,
        };
        match found.filter(like) {
            Some(found) => self.like_elsewhere(entry, &found),
            None => self.linked_change(entry, role, linked),
        }
    }

    /// What changes for a name that is not the leader, and that another tree has the same file for. With `--link-dest` that is
    /// nothing, as rsync tells it, where nothing differs.
    fn like_elsewhere(&self, entry: &Entry<'_>, found: &Found) -> Change {
        let options = self.shared.options;
        let mut change = self.like(entry, found);
        change.hard = true;
        let all = options.has_codes() && (options.itemize_all || options.levels.name > 1);
        if options.alternates.kind == AlternateKind::Link && !all {
            change.action = Action::Keep;
        } else if !options.times {
            change.time = itemize::Time::Now;
        }
        entry.sum(self.shared, &mut change);
        change
    }

    /// As [`changes`](Worker::changes), whatever other trees have.
    fn linked_change(&self, entry: &Entry<'_>, role: Role, linked: bool) -> Change {
        let shared = self.shared;
        // As with rsync, what would be in the way is compared with what would take its name, and so is what is in the way of a name
        // behind the leader.
        let counts =
            |old: &Stat| shared.options.dry_run || role == Role::AfterLeader || old.kinds() == entry.src.kinds();
        let old = entry.old.filter(counts);
        let action = match (&old, linked) {
            (_, true) => Action::Keep,
            (Some(_), false) => Action::Replace,
            (None, false) => Action::Create,
        };
        let mut change = Change::new(&entry.src, action);
        change.hard = true;
        if let Some(old) = &old {
            entry.compare(shared, &mut change, old);
            if old.kinds() != entry.src.kinds() {
                change.perms = old.mode != entry.src.mode;
            }
            change.size = entry.src.kinds() == Kinds::File && entry.src.size != old.size;
            change.time = replaced_time(shared, &entry.src, old);
            if linked && !shared.options.times {
                change.time = itemize::Time::Same;
            }
        }
        entry.sum(shared, &mut change);
        change
    }

    /// Says what changes for a name that is not the leader, and counts what is new.
    fn say_linked(
        &self,
        entry: &Entry<'_>,
        role: Role,
        linked: bool,
        change: &Change,
        leader: &[u8],
        out: &mut Outcome,
    ) {
        let shared = self.shared;
        if change.action == Action::Create {
            out.totals.count_created(entry.src.kinds());
        }
        let mut text = Outcome::default();
        let named = entry.named();
        if linked || change.action == Action::Keep {
            let to = entry.read_link().ok().filter(|_| entry.src.kinds() == Kinds::Link);
            itemize::log(shared, &mut text, change, &named, to.as_deref().map(CStr::to_bytes));
        } else {
            itemize::log_hard(shared, &mut text, change, &named, leader);
        }
        match role {
            Role::BeforeLeader if shared.remote.is_none() => {
                shared.groups.keep_line(entry.src.inode(), &entry.rel(), Lines::of(&mut text));
            }
            _ => out.append(text),
        }
    }

    /// As if it had no other names.
    fn alone(&mut self, entry: &Entry<'_>, out: &mut Outcome) -> Result<(), Error> {
        match entry.src.kinds() {
            Kinds::File => return self.regular(entry, out),
            Kinds::Link => self.link(entry, out),
            _ => self.node(entry, out),
        }
        Ok(())
    }
}

/// What is told of `change` where a name becomes a link to the file in place of something else. As with rsync, which compares
/// ACLs when it is one already, and extended attributes too unless the leader `stays` as it was, they are the same by then.
fn replacing(change: Change, stays: bool) -> Change {
    let xattr = change.xattr && (stays || change.kind != Kinds::File);
    Change { acl: false, xattr, ..change }
}

/// Whoever waited at `at` in the listing of `dir` does not any more, once what there is to tell of it is told.
fn settled(dir: &Dir, at: usize, out: &mut Outcome) {
    if let Some(index) = dir.stat_of(at).ok().filter(|_| dir.sent.is_some()).and_then(|src| src.index) {
        out.notices.push(Notice::Settled(index));
    }
}

/// Where the log has to ask for lines: at this many bytes of the text, what belongs to the place of this path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hole {
    pub(crate) at: usize,
    /// The same of the log.
    pub(crate) log_at: usize,
    pub(crate) inode: Inode,
    pub(crate) path: Vec<u8>,
}
