//! Writes one file: opens its draft, fills it, gives it its attributes, and commits it.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use rustix::fs::{Mode, Timespec};
use rustix::io::Errno;

use super::copy::{Copier, Failure, Job, Method, SMALL};
use super::delta::{Delta, Stats};
use super::draft::Draft;
use super::partial;
use super::plan::{Plan, Way};
use super::temp::Temp;
use crate::attrs;
use crate::backup;
use crate::error::Error;
use crate::extended;
use crate::fake;
use crate::fs::{self, Stat};
use crate::outcome::Outcome;
use crate::shared::Shared;
use crate::target::{Habits, Ready};
use crate::worker::{Entry, Worker};

/// A draft that is open.
#[derive(Debug)]
pub(crate) struct Open<'d> {
    pub(crate) draft: Draft<'d>,
    /// The mode that it was made with.
    early: u32,
    habits: Habits,
}

/// What became of a file that was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// There was nothing to write to, which has been reported.
    Unopened,
    /// It has its content, and what else failed has been reported.
    Done,
    /// It has not, which has been reported and counted.
    Failed,
    /// The source could not be read as far as it was to reach, which has been reported but not counted.
    Unread,
}

/// A draft that is open and goes from thread to thread, without what it borrows. It has to be
/// [taken up](Parked::unpark) again: a temporary file is not removed by itself.
#[derive(Debug)]
pub(crate) struct Parked {
    pub(crate) file: OwnedFd,
    /// It existed before.
    pub(crate) existed: bool,
    temp: Option<CString>,
    early: u32,
    habits: Habits,
}

impl<'d> Open<'d> {
    /// Whether it has its name already.
    pub(crate) fn is_seen(&self) -> bool {
        self.draft.temp.is_none()
    }

    pub(crate) fn park(self) -> Parked {
        let Open { draft: Draft { file, temp, existed }, early, habits } = self;
        Parked { file, existed, temp: temp.map(Temp::park), early, habits }
    }
}

impl Parked {
    /// Takes it up again: `ready` is the directory that it is for.
    pub(crate) fn unpark<'d>(self, shared: &'d Shared<'_>, ready: &'d Ready) -> Open<'d> {
        let Parked { file, existed, temp, early, habits } = self;
        let dir = shared.places.temp.as_ref().map_or(ready.fd.as_fd(), |place| place.fd.as_fd());
        let temp = temp.map(|name| Temp::unpark(dir, name));
        Open { draft: Draft { file, temp, existed }, early, habits }
    }
}

impl Worker<'_> {
    /// Writes the file as planned, with its attributes.
    pub(crate) fn write(
        &mut self,
        entry: &Entry<'_>,
        ready: &Ready,
        plan: &Plan,
        out: &mut Outcome,
    ) -> Result<Written, Error> {
        self.arrived = false;
        let old = entry.old.filter(|old| plan.way != Way::Aside && old.nlink > 1);
        let _turn = old.map(|old| self.shared.turns.take(old.inode()));
        let Some(open) = self.open_draft(entry, ready, plan.like.as_ref(), plan.way, out) else {
            return Ok(Written::Unopened);
        };
        let failure = match self.fill_in_view(entry, plan, ready, &open, out) {
            Ok(()) => {
                self.close_draft(entry, ready, open, plan.like.as_ref(), out);
                return Ok(Written::Done);
            }
            Err(failure) => failure,
        };
        // What is going to be tried once more leaves nothing behind but what was written in place.
        let unread = matches!(failure, Failure::Read(_));
        if unread && plan.way != Way::Aside {
            // As with rsync, what stays in place is the source's but for its time.
            self.dress(entry, &open, plan.like.as_ref(), false, out);
        } else if !(matches!(failure, Failure::Share(_)) || unread && !plan.last) && self.copier.done > 0 {
            self.keep_partial(entry, ready, open.draft, self.copier.done, out);
        }
        self.failed(entry, plan, failure, out)
    }

    /// Fills the draft; where that may take long, somebody says meanwhile how far it is.
    fn fill_in_view(
        &mut self,
        entry: &Entry<'_>,
        plan: &Plan,
        ready: &Ready,
        open: &Open<'_>,
        out: &mut Outcome,
    ) -> Result<(), Failure> {
        let options = self.shared.options;
        // Of names of one file, the lines may belong to another place; over a connection, they come later.
        let in_place = !(options.hard_links && entry.src.nlink > 1) && self.shared.remote.is_none();
        let live = self.shared.live.as_ref().filter(|_| plan.size > SMALL && in_place);
        let Some(live) = live else { return self.fill(plan, ready, open, out) };
        self.copier.watched = live.begin(self.item, &mut out.text, plan.size, options.levels.progress == 1);
        self.copier.watched.iter().for_each(|watched| watched.store(plan.from, Ordering::Relaxed));
        let filled = self.fill(plan, ready, open, out);
        if self.copier.watched.take().is_some() {
            live.end(self.item, &mut out.text);
        }
        filled
    }

    /// Opens what the content goes to, which is to have a mode `like` that. `None` if that is not possible, which has been
    /// reported.
    pub(crate) fn open_draft<'d>(
        &mut self,
        entry: &Entry<'_>,
        ready: &'d Ready,
        like: Option<&Stat>,
        way: Way,
        out: &mut Outcome,
    ) -> Option<Open<'d>>
    where
        Self: 'd,
    {
        let shared = self.shared;
        let path = |name: &[u8]| shared.target_path(&entry.dir.rel, name);
        let exists = entry.old_of_kind().is_some();
        let in_place = way != Way::Aside;
        if way == Way::InPlace
            && let Some(failed) = self.clear_for_in_place(entry, ready, exists, out)
        {
            if let Err(errno) = failed {
                shared.fail(out, "[receiver] open", &path(entry.target.to_bytes()), errno);
            }
            return None;
        }
        let wanted = attrs::wanted_mode(shared, &entry.src, like, Some(ready));
        let early = early_mode(entry, ready, wanted, self);
        let draft = match (in_place, &shared.places.temp) {
            (true, _) => Draft::in_place(ready.fd.as_fd(), entry.target, early, shared.options.write_devices),
            (false, None) => Draft::aside(&mut self.names, ready.fd.as_fd(), entry.target, true, early),
            (false, Some(dir)) => Draft::aside(&mut self.names, dir.fd.as_fd(), entry.target, false, early),
        };
        let draft = match draft {
            Ok(draft) => draft,
            Err(errno) if in_place => {
                // As with rsync, with `-p` it is the mode that cannot be changed.
                let stays = shared.options.perms && entry.old.is_some_and(|old| old.mode & 0o200 == 0);
                let errno = if errno == Errno::ACCESS && stays { Errno::PERM } else { errno };
                shared.fail(out, "[receiver] open", &path(entry.target.to_bytes()), errno);
                return None;
            }
            Err(errno) => {
                let hidden: &[u8] = if shared.places.temp.is_some() { b"" } else { b"." };
                let name = [hidden, entry.target.to_bytes(), b".XXXXXX"].concat();
                shared.fail(out, "[receiver] mkstemp", &self.shown_temp(entry, &name), errno);
                return None;
            }
        };
        entry.dir.touched.store(true, Ordering::Relaxed);
        match self.habits(ready, &draft) {
            Ok(habits) => Some(Open { draft, early, habits }),
            Err(errno) => {
                shared.fail(out, "[receiver] fstat", &path(entry.target.to_bytes()), errno);
                None
            }
        }
    }

    /// Gives the finished content its attributes, a mode `like` that among them, and its name.
    pub(crate) fn close_draft(
        &mut self,
        entry: &Entry<'_>,
        ready: &Ready,
        open: Open<'_>,
        like: Option<&Stat>,
        out: &mut Outcome,
    ) {
        self.dress(entry, &open, like, true, out);
        self.commit(entry, ready, open.draft, out);
    }

    /// Copies or builds the content, and counts it.
    fn fill(&mut self, plan: &Plan, ready: &Ready, open: &Open<'_>, out: &mut Outcome) -> Result<(), Failure> {
        let (shared, options, draft) = (self.shared, self.shared.options, &open.draft);
        let mut fresh = !draft.existed;
        let seen = draft.temp.is_none();
        // What is beyond the end of a file cannot be made a hole.
        #[cfg(target_os = "linux")]
        if options.preallocate && plan.size > plan.from && !(seen && options.sparse) {
            use rustix::fs::FallocateFlags;
            // What is seen ends where it has been written. Where this is not possible the file grows as it is written; if there is
            // no room, writing will fail.
            let flags = if seen { FallocateFlags::KEEP_SIZE } else { FallocateFlags::empty() };
            fresh &= rustix::fs::fallocate(&draft.file, flags, plan.from, plan.size - plan.from).is_err();
        }
        let to = shared.places.temp.as_ref().map_or(ready.dev, |dir| dir.dev);
        let job = Job {
            src: plan.source.as_fd(),
            dst: draft.file.as_fd(),
            range: plan.from..plan.size,
            // What works for a device says nothing of the file system that it is on.
            devices: (plan.dev, if plan.onto_device { u64::MAX } else { to }),
            fresh,
            seen,
        };
        if let Some(stats) = self.delta(plan, draft, &job)? {
            count_delta(out, &stats);
            return self.settle_draft(open);
        }
        let method = self.copier.copy(&job)?;
        // A source that has become shorter meanwhile is neither what it was nor what it is now.
        if plan.from > plan.size || self.copier.done < plan.size - plan.from {
            return Err(Failure::Read(Errno::NODATA));
        }
        count(out, plan, method, self.copier.done);
        self.settle_draft(open)
    }

    /// Sees that the content is there to stay, where that was asked for.
    pub(crate) fn settle_draft(&self, open: &Open<'_>) -> Result<(), Failure> {
        if self.shared.options.fsync || open.habits.fails_late {
            rustix::fs::fsync(&open.draft.file).map_err(Failure::Write)?;
        }
        Ok(())
    }

    /// Builds the file from blocks that the destination has, where that is asked for and it has some.
    fn delta(&mut self, plan: &Plan, draft: &Draft<'_>, job: &Job<'_>) -> Result<Option<Stats>, Failure> {
        let itself = draft.existed;
        if plan.whole || plan.onto_device || plan.size == 0 || (plan.basis.is_none() && !itself) {
            return Ok(None);
        }
        let basis = plan.basis.as_ref().filter(|_| !itself).map(AsFd::as_fd);
        let watched = self.copier.watched.clone();
        let delta = Delta { pair: self.copier.pair(job, watched.as_deref()), size: plan.size, basis };
        let Copier { workers, buffer, done, .. } = &mut self.copier;
        *done = 0;
        let built = delta.build(self.shared, *workers, buffer, done)?;
        if built.is_none() && !draft.existed {
            // What there is of it may have data where the source has a hole.
            rustix::fs::ftruncate(&draft.file, 0).map_err(Failure::Write)?;
        }
        Ok(built)
    }

    /// Says what kept the content from being written. Only a failed write and a cancellation end the run.
    fn failed(&self, entry: &Entry<'_>, plan: &Plan, failure: Failure, out: &mut Outcome) -> Result<Written, Error> {
        let shared = self.shared;
        let path = || shared.target_path(&entry.dir.rel, entry.target.to_bytes());
        match failure {
            // What another tree has may still come from the source.
            Failure::Read(_) if plan.local => Ok(Written::Unread),
            Failure::Read(errno) => {
                let rest = format!("\": {}", fs::describe(errno));
                let path = entry.source.path_of(entry.name);
                shared.complain(out, "rsync: [sender] read errors mapping \"", &path, &rest);
                Ok(Written::Unread)
            }
            Failure::Share(errno) => {
                shared.fail(out, "[receiver] reflink", &path(), errno);
                Ok(Written::Failed)
            }
            Failure::Write(errno) => {
                let mut line = b"rsync: [receiver] write failed on \"".to_vec();
                shared.options.escape.push(&mut line, &path());
                line.extend_from_slice(format!("\": {}", fs::describe(errno)).as_bytes());
                Err(Error::Io(String::from_utf8_lossy(&line).into_owned()))
            }
            Failure::Cancelled => Err(Error::Cancelled),
        }
    }

    /// Before something is written in place: what is there goes, if it is no regular file, and is copied to its backup
    /// name, if it is one and that is asked for. Says in the log what fails, and gives it back if it is not said yet.
    fn clear_for_in_place(
        &mut self,
        entry: &Entry<'_>,
        ready: &Ready,
        exists: bool,
        out: &mut Outcome,
    ) -> Option<Result<(), Errno>> {
        let (shared, at) = (self.shared, ready.fd.as_fd());
        if exists {
            let kept = !shared.options.backup || backup::copy(self, entry, ready, out);
            return (!kept).then_some(Ok(()));
        }
        if !entry.old_stays() {
            return None;
        }
        if shared.options.backup && !backup::take(shared, out, at, entry.target, &entry.target_rel(), true) {
            return Some(Ok(()));
        }
        match rustix::fs::unlinkat(at, entry.target, rustix::fs::AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => None,
            Err(errno) => Some(Err(errno)),
        }
    }

    /// Gives the content its owner and mode and, if it is `finished`, its times.
    pub(crate) fn dress(
        &self,
        entry: &Entry<'_>,
        open: &Open<'_>,
        like: Option<&Stat>,
        finished: bool,
        out: &mut Outcome,
    ) {
        let Open { draft, early, habits } = open;
        let (shared, src, file) = (self.shared, &entry.src, &draft.file);
        let path = || shared.target_path(&entry.dir.rel, entry.target.to_bytes());
        let mut wanted = attrs::wanted_mode(shared, src, like, entry.ready);
        // A new file in its own directory is what others there are; of any other we ask.
        let asked = draft.existed || shared.places.temp.is_some();
        let (mut mode_now, uid, gid) = match asked.then(|| rustix::fs::fstat(file).map(Stat::from)) {
            Some(Ok(now)) => (now.mode, now.uid, now.gid),
            _ if habits.acl => (u32::MAX, shared.me.uid, habits.gid),
            _ => (*early & !shared.me.umask, shared.me.uid, habits.gid),
        };
        let fake = shared.options.fake_destination;
        let owner = if fake { (None, None) } else { attrs::wanted_owner(shared, src, uid, gid) };
        if owner != (None, None) {
            let (uid, gid) = attrs::ids(owner);
            if let Err(errno) = rustix::fs::fchown(file, uid, gid) {
                let word = attrs::chown_word(owner.0);
                shared.fail(out, &format!("[receiver] {word}"), &path(), errno);
                wanted &= 0o1777; // Not with the wrong owner.
            }
            if wanted & 0o6000 != 0 {
                mode_now = u32::MAX; // A change of owner takes these bits away.
            }
        }
        if extended::wanted(shared)
            && extended::copy(
                shared,
                (&entry.attributes(shared), || entry.source.path_of(entry.name)),
                &shared.attributes_of(file.as_fd()),
                "receiver",
                path,
                out,
            )
        {
            mode_now = u32::MAX; // An ACL changes it.
        }
        if fake {
            let place = shared.attributes_of(file.as_fd());
            let chmod = |own| rustix::fs::fchmod(file, Mode::from_raw_mode(own as _));
            let dressed = shared.stat_open(file.as_fd()).and_then(|now| {
                let to_be = shared.wanted_there(src, wanted, &now);
                rustix::fs::fstat(file).and_then(|real| fake::dress(&place, real.into(), &to_be, chmod))
            });
            if let Err(errno) = dressed {
                shared.fail(out, "[receiver] failed to write xattr user.rsync.%stat for", &path(), errno);
            }
        } else if wanted != mode_now
            && let Err(errno) = rustix::fs::fchmod(file, Mode::from_raw_mode(wanted as _))
        {
            shared.fail(out, "[receiver] failed to set permissions on", &path(), errno);
        }
        if finished
            && let Some(times) = attrs::wanted_times(shared, src, true)
            && let Err(errno) = rustix::fs::futimens(file, &times)
        {
            shared.fail(out, "[receiver] failed to set times on", &path(), errno);
        }
    }

    /// Gives the draft its name: at once, or when everything else is done.
    fn commit(&mut self, entry: &Entry<'_>, ready: &Ready, draft: Draft<'_>, out: &mut Outcome) {
        let (shared, options) = (self.shared, self.shared.options);
        let path = || shared.target_path(&entry.dir.rel, entry.target.to_bytes());
        let Some(temp) = draft.temp else {
            self.arrived = true;
            return;
        };
        drop(draft.file);
        // What other names are linked to must be there under its own.
        if options.delay_updates && !(options.hard_links && entry.src.nlink > 1) {
            let kept = partial::dir(shared, ready.fd.as_fd(), true)
                .and_then(|dir| temp.commit_to(dir.as_fd(), entry.target).map_err(|(errno, _)| errno));
            match kept {
                Ok(()) => {
                    self.arrived = true;
                    let mut delayed = entry.dir.delayed.lock().unwrap_or_else(PoisonError::into_inner);
                    delayed.push(entry.target.to_owned());
                }
                Err(errno) => shared.fail(out, "[receiver] rename", &path(), errno),
            }
            return;
        }
        if options.backup
            && entry.old_stays()
            && !backup::take(shared, out, ready.fd.as_fd(), entry.target, &entry.target_rel(), true)
        {
            return;
        }
        let result = match temp.commit_to(ready.fd.as_fd(), entry.target) {
            // The temporary directory is on another file system.
            Err((Errno::XDEV, temp)) => self.carry_over(entry, ready, &temp),
            Err((errno, temp)) => {
                out.totals.failed += 1;
                let mut rest = b"\" -> \"".to_vec();
                options.escape.push(&mut rest, &entry.target_rel());
                let rest = format!("{}\": {}", String::from_utf8_lossy(&rest), fs::describe(errno));
                let from = self.shown_temp(entry, temp.name.to_bytes());
                return shared.complain(out, "rsync: [receiver] rename \"", &from, &rest);
            }
            Ok(()) => Ok(()),
        };
        match result {
            Ok(()) => {
                self.arrived = true;
                partial::discard(shared, ready.fd.as_fd(), entry.target);
            }
            Err(errno) => shared.fail(out, "[receiver] rename", &path(), errno),
        }
    }

    /// How messages show the temporary file `name`.
    fn shown_temp(&self, entry: &Entry<'_>, name: &[u8]) -> Vec<u8> {
        match &self.shared.places.temp {
            Some(dir) => [&dir.shown[..], b"/", name].concat(),
            None => self.shared.target_path(&entry.dir.rel, name),
        }
    }

    /// Copies a finished file to beside its name and renames it there.
    fn carry_over(&mut self, entry: &Entry<'_>, ready: &Ready, from: &super::temp::Temp<'_>) -> Result<(), Errno> {
        let (shared, source) = (self.shared, from.open()?);
        let stat = Stat::from(rustix::fs::fstat(&source)?);
        let draft = Draft::aside(&mut self.names, ready.fd.as_fd(), entry.target, true, 0o600)?;
        let job = Job {
            src: source.as_fd(),
            dst: draft.file.as_fd(),
            range: 0..stat.size,
            devices: (stat.dev, ready.dev),
            fresh: true,
            seen: false,
        };
        self.copier.copy(&job).map_err(|failure| match failure {
            Failure::Read(errno) | Failure::Write(errno) | Failure::Share(errno) => errno,
            Failure::Cancelled => Errno::INTR,
        })?;
        if self.shared.options.fsync {
            rustix::fs::fsync(&draft.file)?;
        }
        let (here, there) = (shared.attributes_of(source.as_fd()), shared.attributes_of(draft.file.as_fd()));
        if extended::wanted(shared) {
            extended::copy_as_is(shared, &here, &there)?;
        }
        if shared.options.fake_destination {
            fake::copy(&here, &there)?;
        }
        attrs::copy_to(draft.file.as_fd(), &stat)?;
        draft.temp.map_or(Ok(()), |temp| temp.commit(entry.target))
    }

    /// Keeps what there is of a file that could not be finished, if that is asked for.
    pub(crate) fn keep_partial(
        &self,
        entry: &Entry<'_>,
        ready: &Ready,
        draft: Draft<'_>,
        done: u64,
        out: &mut Outcome,
    ) {
        let (shared, options) = (self.shared, self.shared.options);
        let Some(temp) = draft.temp else { return };
        if !options.partial && options.partial_dir.is_none() && !options.delay_updates {
            return;
        }
        // Threads that copy parts may be ahead of the first that is missing.
        let mut result = rustix::fs::ftruncate(&draft.file, done);
        let dir = if options.partial_dir.is_some() || options.delay_updates {
            partial::dir(shared, ready.fd.as_fd(), true).map(Some)
        } else {
            // So that it is never taken for the source's.
            let epoch = Timespec { tv_sec: 0, tv_nsec: 0 };
            result = result.and_then(|()| rustix::fs::futimens(&draft.file, &attrs::times(epoch)));
            Ok(None)
        };
        let wanted = attrs::wanted_mode(shared, &entry.src, entry.old_of_kind().as_ref(), Some(ready)) & 0o777;
        let wanted = if options.fake_destination { fake::own_mode(wanted, entry.src.kind) } else { wanted };
        let kept = result.and_then(|()| rustix::fs::fchmod(&draft.file, Mode::from_raw_mode(wanted as _)));
        // What has the name is not lost.
        if kept.is_ok()
            && matches!(dir, Ok(None))
            && options.backup
            && entry.old_stays()
            && !backup::take(shared, out, ready.fd.as_fd(), entry.target, &entry.target_rel(), true)
        {
            return;
        }
        let kept = kept.and(dir).and_then(|dir| {
            let at = dir.as_ref().map_or(ready.fd.as_fd(), AsFd::as_fd);
            temp.commit_to(at, entry.target).map_err(|(errno, _)| errno)
        });
        if let Err(errno) = kept {
            let path = shared.target_path(&entry.dir.rel, entry.target.to_bytes());
            shared.fail(out, "[receiver] rename", &path, errno);
        }
    }

    /// What files that are created in `ready` look like; `draft` may be one.
    fn habits(&self, ready: &Ready, draft: &Draft<'_>) -> Result<Habits, Errno> {
        if let Some(habits) = ready.habits.get() {
            return Ok(*habits);
        }
        let habits = Habits {
            gid: rustix::fs::fstat(&draft.file)?.st_gid,
            acl: has_default_acl(ready.fd.as_fd()),
            fails_late: fails_late(draft.file.as_fd()),
        };
        if draft.existed || self.shared.places.temp.is_some() {
            return Ok(habits);
        }
        Ok(*ready.habits.get_or_init(|| habits))
    }
}

/// The mode to create a file with. Until we know what files in this directory look like, and where the owner is going
/// to change, nobody else may look into the file. Else it is the mode that it is to have.
fn early_mode(entry: &Entry<'_>, ready: &Ready, wanted: u32, worker: &Worker<'_>) -> u32 {
    let shared = worker.shared;
    match ready.habits.get() {
        Some(habits)
            if !habits.acl
                && shared.places.temp.is_none()
                && attrs::wanted_owner(shared, &entry.src, shared.me.uid, habits.gid) == (None, None) =>
        {
            wanted & 0o777
        }
        _ => 0o600,
    }
}

fn count(out: &mut Outcome, plan: &Plan, method: Method, copied: u64) {
    if !plan.local {
        out.totals.literal_bytes += copied;
    }
    *match method {
        Method::Reflink => &mut out.totals.reflinked,
        Method::Range => &mut out.totals.ranged,
        Method::Stream => &mut out.totals.streamed,
    } += 1;
}

fn count_delta(out: &mut Outcome, stats: &Stats) {
    let totals = &mut out.totals;
    totals.deltas += 1;
    totals.delta_workers += stats.workers;
    totals.literal_bytes += stats.literal;
    totals.matched_bytes += stats.matched;
    totals.matches += stats.matches;
    // What a guess has found is no less a block, and its weak sum is that of one.
    totals.hash_hits += stats.matches + stats.false_alarms;
    totals.false_alarms += stats.false_alarms;
}

/// Whether the file is on another machine, or in another process, which may refuse what it has not been sent yet. There
/// a file is flushed before it takes its name; closing it would do that too, but its failure cannot be seen.
#[cfg(target_os = "linux")]
fn fails_late(file: BorrowedFd<'_>) -> bool {
    // NFS, SMB (two generations), FUSE, Ceph, AFS, 9P.
    const REMOTE: [u32; 7] = [0x6969, 0xff53_4d42, 0xfe53_4d42, 0x6573_5546, 0x00c3_6400, 0x5346_414f, 0x0102_1997];
    #[allow(clippy::cast_sign_loss, clippy::unnecessary_cast, reason = "the type differs between systems")]
    rustix::fs::fstatfs(file).is_ok_and(|stat| REMOTE.contains(&(stat.f_type as u32)))
}

#[cfg(not(target_os = "linux"))]
fn fails_late(_: BorrowedFd<'_>) -> bool {
    true
}

/// Whether a default ACL of the directory shapes what is created in it. What cannot be told counts as one.
#[cfg(target_os = "linux")]
fn has_default_acl(dir: BorrowedFd<'_>) -> bool {
    let mut none: [u8; 0] = [];
    !matches!(
        rustix::fs::fgetxattr(dir, "system.posix_acl_default", &mut none[..]),
        Err(Errno::NODATA | Errno::OPNOTSUPP)
    )
}

#[cfg(not(target_os = "linux"))]
fn has_default_acl(_: BorrowedFd<'_>) -> bool {
    true
}
