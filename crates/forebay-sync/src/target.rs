//! The destination side of a directory: entered by whichever worker needs it first, finished when all beneath is done.

use std::ffi::CStr;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, PoisonError};

use rustix::fs::{AtFlags, FileType, Mode, Timespec};
use rustix::io::Errno;

use crate::above::{Above, Named};
use crate::alternates;
use crate::attrs;
use crate::deep::{self, Deep};
use crate::delayed::Waiting;
use crate::delete;
use crate::dir::Dir;
use crate::error::Error;
use crate::extended::{self, Long, Place};
use crate::fake;
use crate::filter::{FilterError, Folder, Local, clean};
use crate::fs::{self, Stat};
use crate::fuzzy;
use crate::itemize::{self, Action, Change, Time};
use crate::modes::Modes;
use crate::outcome::Outcome;
use crate::select::{DeleteWhen, Pass};
use crate::shared::Shared;
use crate::totals::Kinds;

/// What became of a destination directory.
#[derive(Debug)]
pub(crate) enum Target {
    Ready(Ready),
    /// The same, too far down to be held open. What `Ready` has open is above it.
    Deep(Deep, Box<Ready>),
    /// A dry run did not make it: everything in it would be new.
    Absent,
    /// It could not be made or entered, which has been reported. Everything in it is passed over.
    Failed,
    /// Something else has its name and stays. Everything in it fails.
    Blocked,
}

/// A destination directory that can be worked in.
/// What became of a directory, to be worked with: one that is deep is open as long as this is there.
#[derive(Debug)]
pub(crate) enum Entered<'d> {
    Known(&'d Target),
    Again(Target),
}

impl Deref for Entered<'_> {
    type Target = Target;

    fn deref(&self) -> &Target {
        match self {
            Entered::Known(target) => target,
            Entered::Again(target) => target,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Ready {
    pub(crate) fd: Arc<OwnedFd>,
    /// We made it, so nothing is in it that we did not put there.
    pub(crate) made: bool,
    pub(crate) dev: u64,
    /// What per-directory filter files here say of what is deleted.
    pub(crate) local: Local,
    /// What files created in it look like, learned from the first.
    pub(crate) habits: OnceLock<Habits>,
    /// What entries made in it may permit where permissions are not preserved.
    permits: OnceLock<u32>,
    /// The modification time that it gets in the end, and whether it has it as long as nothing happens in it.
    time: Option<(Timespec, bool)>,
    /// The mode that it gets in the end, where it had to be another until then.
    mode: Option<u32>,
    /// It belongs to somebody else, and we may not change that.
    is_anothers: bool,
}

impl Ready {
    fn new(fd: OwnedFd, made: bool, dev: u64) -> Self {
        Ready {
            fd: Arc::new(fd),
            made,
            dev,
            local: Local::default(),
            habits: OnceLock::new(),
            permits: OnceLock::new(),
            time: None,
            mode: None,
            is_anothers: false,
        }
    }

    /// What entries made in it may permit where permissions are not preserved: what its default ACL says, or else the mask.
    pub(crate) fn permits(&self, shared: &Shared<'_>) -> u32 {
        let limits = || attrs::default_acl(self.fd.as_fd()).unwrap_or(0o777 & !shared.me.umask);
        *self.permits.get_or_init(limits)
    }
}

/// How a directory shapes the files that are created in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    /// Their group: the process's, or the directory's.
    pub(crate) gid: u32,
    /// A default ACL decides their mode, not the mask.
    pub(crate) acl: bool,
    /// That writing failed may come to light only when the file is flushed.
    pub(crate) fails_late: bool,
}

/// The destination of `dir`, which is entered if nobody has done so yet: made, or given its attributes and rid of what
/// the source does not have. Others who need it meanwhile wait.
pub(crate) fn enter<'d>(shared: &Shared<'_>, dir: &'d Dir) -> Entered<'d> {
    let target = dir.target.get_or_init(|| {
        let mut out = Outcome::default();
        let mut target = match &dir.parent {
            _ if shared.pass == Pass::Delete => enter_there(shared, dir),
            None => enter_root(shared, dir, &mut out),
            Some(parent) => match &*enter(shared, parent) {
                Target::Failed => Target::Failed,
                Target::Blocked => enter_blocked(shared, dir, &mut out),
                Target::Absent | Target::Deep(..) if !dir.transferred => Target::Absent,
                Target::Absent | Target::Deep(..) => enter_absent(shared, dir, &mut out),
                Target::Ready(ready) if !dir.transferred => enter_on_the_way(shared, dir, parent, ready, &mut out),
                Target::Ready(ready) => enter_child(shared, dir, parent, ready, &mut out),
            },
        };
        // Before anybody can put anything in: what others are writing there under temporary names is not extraneous.
        if shared.options.delete
            && let Target::Ready(ready) = &mut target
        {
            match local(shared, dir, ready, &mut out) {
                Ok(local) => ready.local = local,
                Err(error) => shared.break_off(error.into()),
            }
            if dir.transferred && shared.deletes() {
                delete::extraneous(shared, dir, ready, &mut out);
            }
        } else if shared.pass == Pass::Delete && dir.parent.is_some() && dir.transferred && shared.deletes() {
            // As with rsync, of what is not there as well.
            delete::say_where(shared, dir, &mut out);
        }
        if let Target::Ready(ready) = &target {
            dir.candidates.get_or_init(|| fuzzy::candidates(shared, dir, ready));
        }
        match dir.entered.lock() {
            Ok(mut entered) => *entered = out,
            Err(poisoned) => *poisoned.into_inner() = out,
        }
        let_go(shared, dir, target)
    });
    open_again(shared, dir, target)
}

/// Closes what is too far down to be held open. Over a connection, content comes when it comes.
fn let_go(shared: &Shared<'_>, dir: &Dir, target: Target) -> Target {
    let Target::Ready(ready) = target else { return target };
    let held = shared.remote.is_some() || deep::is_held(&dir.rel, shared.most_held);
    let parent = dir.parent.as_ref().filter(|_| !held);
    let deep = parent.and_then(|parent| {
        let name = shared.target_name(parent, &dir.name);
        match parent.target.get()? {
            Target::Ready(above) => Deep::new(&above.fd, b"", name, ready.fd.as_fd()).ok(),
            Target::Deep(Deep { above, path, .. }, _) => Deep::new(above, path, name, ready.fd.as_fd()).ok(),
            _ => None,
        }
    });
    match deep {
        Some(deep) => {
            let fd = Arc::clone(&deep.above);
            Target::Deep(deep, Box::new(Ready { fd, ..ready }))
        }
        None => Target::Ready(ready),
    }
}

/// What became of `dir`, to be worked with.
fn open_again<'d>(shared: &Shared<'_>, dir: &Dir, target: &'d Target) -> Entered<'d> {
    let Target::Deep(deep, ready) = target else { return Entered::Known(target) };
    Entered::Again(match deep.open() {
        Ok(fd) => Target::Ready(Ready { fd: Arc::new(fd), ..Ready::clone(ready) }),
        Err(errno) => {
            // Somebody has moved it away while it was worked in.
            let path = String::from_utf8_lossy(&shared.target_dir(&dir.rel)).into_owned();
            shared
                .break_off(Error::Io(format!("rsync: [generator] opendir \"{path}\" failed: {}", fs::describe(errno))));
            Target::Failed
        }
    })
}

/// What per-directory filter files in and above the destination of `dir` say.
fn local(shared: &Shared<'_>, dir: &Dir, ready: &Ready, out: &mut Outcome) -> Result<Local, FilterError> {
    let filters = &shared.options.filters;
    let above = match dir.parent.as_ref().map(|parent| parent.target.get()) {
        Some(Some(Target::Ready(parent))) => parent.local.clone(),
        Some(Some(Target::Deep(_, parent))) => parent.local.clone(),
        Some(_) => Local::default(),
        None => Local::above(filters, &clean(&shared.root.shown), !dir.transferred, &mut out.errors)?,
    };
    if !dir.transferred {
        return Ok(above);
    }
    let shown = shared.target_path(&dir.rel, b"");
    let folder = Folder { fd: ready.fd.as_fd(), rel: &dir.rel, shown: &shown };
    above.enter(filters, folder, &mut out.errors)
}

/// The destination of `dir` as it is, if it is there.
fn enter_there(shared: &Shared<'_>, dir: &Dir) -> Target {
    let opened = match &dir.parent {
        None => match &shared.root.fd {
            // Opened anew: whoever listed it before has left the place of a duplicate at its end.
            Some(fd) => fs::open_dir(fd.as_fd(), c".", false),
            None => return Target::Absent,
        },
        Some(parent) => match &*enter(shared, parent) {
            Target::Ready(ready) => fs::open_dir(ready.fd.as_fd(), shared.target_name(parent, &dir.name), false),
            _ => return Target::Absent,
        },
    };
    // What is not there, or no directory, has nothing to delete; the pass that copies says so if it is in the way.
    let Ok((fd, now)) = opened.and_then(|fd| rustix::fs::fstat(&fd).map(|stat| (fd, Stat::from(stat)))) else {
        return Target::Absent;
    };
    let after = shared.options.deletion.when != DeleteWhen::Before && dir.transferred && shared.options.dir_times();
    let time = dir.stat().ok().filter(|_| after).map(|src| (src.mtime, true));
    let mut ready = Ready::new(fd, false, now.dev);
    ready.time = time;
    ready.is_anothers = is_anothers(shared, false, &now);
    Target::Ready(ready)
}

/// The absolute path of the source directory.
fn source_path(dir: &Dir) -> &[u8] {
    let path = dir.sources.first().map_or(&b""[..], |source| &source.shown);
    path.strip_suffix(b"/").unwrap_or(path)
}

/// Stats the source directory, reporting a failure.
fn source(shared: &Shared<'_>, dir: &Dir, out: &mut Outcome) -> Option<Stat> {
    dir.stat()
        .map(|stat| shared.changed(stat))
        .map_err(|errno| {
            shared.unreadable(out, "[sender] link_stat", source_path(dir), errno);
        })
        .ok()
}

fn enter_root(shared: &Shared<'_>, dir: &Dir, out: &mut Outcome) -> Target {
    let Some(fd) = &shared.root.fd else {
        return if dir.transferred { enter_absent(shared, dir, out) } else { Target::Absent };
    };
    let opened = fd.try_clone().map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO));
    let (fd, now) = match opened.and_then(|fd| shared.stat_open(fd.as_fd()).map(|stat| (fd, stat))) {
        Ok(found) => found,
        Err(errno) => {
            shared.fail(out, "[generator] stat", &shared.root.shown, errno);
            return Target::Failed;
        }
    };
    let mut ready = Ready::new(fd, shared.root.created, now.dev);
    if dir.transferred {
        let Some(src) = source(shared, dir, out) else {
            return Target::Failed;
        };
        adopt(shared, dir, &src, &now, &mut ready, out);
    }
    Target::Ready(ready)
}

/// A directory that is not there: a dry run tells that it would be made, unless `--existing` forbids that.
fn enter_absent(shared: &Shared<'_>, dir: &Dir, out: &mut Outcome) -> Target {
    if shared.options.select.existing {
        not_created(shared, dir, out);
        // As with rsync, what is directly in a root that is not there is looked at.
        return if dir.parent.is_some() { Target::Failed } else { Target::Absent };
    }
    match source(shared, dir, out) {
        Some(src) => {
            if say_created(shared, dir, &src, out) {
                out.totals.count_created(Kinds::Dir);
            }
            Target::Absent
        }
        None => Target::Failed,
    }
}

/// Tells that `--existing` keeps a directory from being made, by the name that it would have.
fn not_created(shared: &Shared<'_>, dir: &Dir, out: &mut Outcome) {
    let path = match shared.renamed(dir.parent.as_ref().map_or(b"", |parent| &parent.rel)) {
        Some(name) => name.to_bytes(),
        None if dir.parent.is_none() => b".",
        None => dir.path(),
    };
    shared.pass_over(out, "not creating new directory \"", path, "\"\n");
}

/// A directory that is only on the way to something: it is taken as it is, or made without a word. A link in its place is
/// followed, as long as it leads to somewhere in the tree of the destination.
fn enter_on_the_way(shared: &Shared<'_>, dir: &Dir, parent: &Dir, at: &Ready, out: &mut Outcome) -> Target {
    let (place, name) = (at.fd.as_fd(), shared.target_name(parent, &dir.name));
    let mut made = false;
    let opened = match fs::open_dir(place, name, false) {
        Err(Errno::NOENT) if shared.options.dry_run || shared.options.select.existing => return Target::Absent,
        Err(Errno::NOENT) => {
            made = true;
            parent.touched.store(true, Ordering::Relaxed);
            rustix::fs::mkdirat(place, name, Mode::from_raw_mode(0o777)).and_then(|()| fs::open_dir(place, name, false))
        }
        Err(errno @ (Errno::NOTDIR | Errno::LOOP)) => {
            kept_link(shared, dir, place, name).map_or(Err(errno), |kept| kept.map(|(fd, _)| fd))
        }
        opened => opened,
    };
    match opened.and_then(|fd| rustix::fs::fstat(&fd).map(|stat| (fd, Stat::from(stat)))) {
        Ok((fd, now)) => Target::Ready(Ready::new(fd, made, now.dev)),
        Err(errno) => {
            shared.fail(out, "[generator] recv_generator: mkdir", &shared.target_dir(&dir.rel), errno);
            Target::Failed
        }
    }
}

/// A directory in what is none.
fn enter_blocked(shared: &Shared<'_>, dir: &Dir, out: &mut Outcome) -> Target {
    if let Target::Failed = enter_absent(shared, dir, out) {
        return Target::Failed;
    }
    if shared.options.dry_run {
        return Target::Absent;
    }
    shared.fail(out, "[generator] recv_generator: mkdir", &shared.target_dir(&dir.rel), Errno::NOTDIR);
    shared.complain(out, SKIPPING, b"", "");
    Target::Failed
}

/// What is said of a directory that could not be made.
const SKIPPING: &str = "*** Skipping any contents from this failed directory ***";

fn enter_child(shared: &Shared<'_>, dir: &Dir, parent: &Dir, at: &Ready, out: &mut Outcome) -> Target {
    let Some(src) = source(shared, dir, out) else {
        return Target::Failed;
    };
    let place = at.fd.as_fd();
    let path = || shared.target_dir(&dir.rel);
    let name = shared.target_name(parent, &dir.name);
    let old = if at.made { Err(Errno::NOENT) } else { shared.stat_there(place, name) };
    let dry_run = shared.options.dry_run;
    let kept = match &old {
        Ok(old) if old.kind == FileType::Symlink && shared.options.keep_dirlinks => kept_link(shared, dir, place, name),
        _ => None,
    };
    let (kept, old) = match kept {
        Some(Ok((fd, stat))) => (Some(fd), Ok(stat)),
        Some(Err(errno)) => {
            shared.fail(out, "[generator] opendir", &path(), errno);
            return Target::Failed;
        }
        None => (None, old),
    };
    let made = match old {
        Ok(_) if kept.is_some() => false,
        Ok(old) if old.kind == FileType::Directory => {
            if !dry_run && !shared.privileged() && old.mode & 0o700 != 0o700 {
                // Needed to work in it; the mode it is to have is set further down. If this fails, so will entering.
                let _ = attrs::chmod(place, name, old.mode | 0o700);
            }
            false
        }
        Ok(_) if shared.options.select.ignore_existing => {
            let how = if shared.options.levels.skip > 1 { " (type change)" } else { "" };
            shared.pass_over(out, "", dir.path(), &format!(" exists{how}\n"));
            return Target::Blocked;
        }
        Ok(old) => {
            if !delete::make_way(shared, out, at, name, &old, dir.path(), "directory") {
                return Target::Failed;
            }
            true
        }
        Err(Errno::NOENT) if shared.options.select.existing => {
            not_created(shared, dir, out);
            return Target::Failed;
        }
        Err(Errno::NOENT) => true,
        Err(errno) => {
            shared.fail(out, "[generator] recv_generator: failed to stat", &path(), errno);
            return Target::Failed;
        }
    };
    if made {
        let created = say_created(shared, dir, &src, out);
        if dry_run {
            if created {
                out.totals.count_created(Kinds::Dir);
            }
            return Target::Absent;
        }
        let mode = (attrs::wanted_mode(shared, &src, None, Some(at)) | 0o700) & 0o777;
        if let Err(errno) = rustix::fs::mkdirat(place, name, Mode::from_raw_mode(mode as _)) {
            shared.fail(out, "[generator] recv_generator: mkdir", &path(), errno);
            shared.complain(out, SKIPPING, b"", "");
            return Target::Failed;
        }
        if created {
            out.totals.count_created(Kinds::Dir);
        }
        parent.touched.store(true, Ordering::Relaxed);
    }
    let opened = kept.map_or_else(|| fs::open_dir(place, name, false), Ok);
    let opened = opened.and_then(|fd| shared.stat_open(fd.as_fd()).map(|stat| (fd, stat)));
    let (fd, now) = match opened {
        Ok(found) => found,
        Err(errno) => {
            shared.fail(out, "[generator] opendir", &path(), errno);
            return Target::Failed;
        }
    };
    let mut ready = Ready::new(fd, made, now.dev);
    // What was there before we made it accessible counts for what has changed.
    let before = old.ok().filter(|_| !made).unwrap_or(now);
    adopt_changed(shared, dir, &src, &now, &before, &mut ready, out);
    Target::Ready(ready)
}

/// What the link `name` leads to, if that is a directory: with `-K` it stays, as long as it leads to somewhere in the
/// tree of the destination.
fn kept_link(
    shared: &Shared<'_>,
    dir: &Dir,
    at: BorrowedFd<'_>,
    name: &CStr,
) -> Option<Result<(OwnedFd, Stat), Errno>> {
    if !Stat::followed(at, name).is_ok_and(|stat| stat.kind == FileType::Directory) {
        return None;
    }
    let root = shared.root.fd.as_ref()?;
    let opened = fs::open_beneath(root.as_fd(), dir.path(), true);
    Some(opened.and_then(|fd| rustix::fs::fstat(&fd).map(|stat| (fd, Stat::from(stat)))))
}

/// Says that a directory is made. Whether it counts as created, which one that another tree has does not.
fn say_created(shared: &Shared<'_>, dir: &Dir, src: &Stat, out: &mut Outcome) -> bool {
    let like = alternates::directory(shared, dir, src, out);
    let new = like.is_none();
    let mut change = like.unwrap_or(Change::new(src, Action::Create));
    change.lacking = lacking(shared, dir, None);
    log(shared, dir, &change, out);
    new
}

/// The extended attributes whose values have to be asked for, where `there` is.
fn lacking(shared: &Shared<'_>, dir: &Dir, there: Option<Place>) -> Vec<Long> {
    match &dir.sent {
        Some(sent) if shared.options.xattrs && !shared.options.dry_run => {
            sent.own().map_or_else(Vec::new, |(own, _)| own.origin(there).lacking(shared))
        }
        _ => Vec::new(),
    }
}

fn log(shared: &Shared<'_>, dir: &Dir, change: &Change, out: &mut Outcome) {
    let above = dir.sources.first().map_or(Above::NOTHING, |source| &source.above);
    let (rel, name) = match dir.parent.as_deref() {
        None => (&b""[..], &b"."[..]),
        Some(parent) => (&parent.rel[..], dir.name.to_bytes()),
    };
    itemize::log(shared, out, change, &Named { above, rel, name }, None);
}

fn adopt(shared: &Shared<'_>, dir: &Dir, src: &Stat, now: &Stat, ready: &mut Ready, out: &mut Outcome) {
    if ready.made && say_created(shared, dir, src, out) {
        out.totals.count_created(Kinds::Dir);
    }
    adopt_changed(shared, dir, src, now, now, ready, out);
}

/// Gives the open directory owner and mode, says what changes against `before`, and notes what is left for the end.
fn adopt_changed(
    shared: &Shared<'_>,
    dir: &Dir,
    src: &Stat,
    now: &Stat,
    before: &Stat,
    ready: &mut Ready,
    out: &mut Outcome,
) {
    let options = shared.options;
    let mut change = Change::new(src, Action::Keep);
    attrs::compare(shared, &mut change, src, before);
    let extended = extended::wanted(shared);
    if extended {
        extended::compare(shared, &mut change, &dir.attributes(), &shared.attributes_of(ready.fd.as_fd()));
    }
    if attrs::keeps_time(shared, FileType::Directory) {
        let same = shared.same_time(src, before);
        // As with rsync, what gets other extended attributes gets its exact time, too.
        let right = if change.xattr { src.mtime == before.mtime } else { same };
        ready.time = Some((src.mtime, right && !ready.made));
        change.time = if same { Time::Same } else { Time::Set };
    }
    if !ready.made {
        change.lacking = lacking(shared, dir, Some(shared.attributes_of(ready.fd.as_fd())));
        log(shared, dir, &change, out);
    }
    if options.dry_run {
        return;
    }
    ready.is_anothers = is_anothers(shared, ready.made, now);
    // As with rsync, what the destination itself may permit is what entries in it may.
    let above = dir.parent.as_ref().and_then(|parent| Some(open_again(shared, parent, parent.target.get()?)));
    let above = match above.as_deref() {
        Some(Target::Ready(above)) => above,
        _ => &*ready,
    };
    let wanted = attrs::wanted_mode(shared, src, (!ready.made).then_some(before), Some(above));
    // Without -p, a directory that inherited its set-group-ID bit keeps it.
    let wanted = if ready.made && !options.perms { wanted | (now.mode & 0o2000) } else { wanted };
    let owned = give_owner(shared, dir, src, now, ready, out);
    let fd = ready.fd.as_fd();
    let path = || shown(shared, dir);
    if options.fake_destination {
        if owned.is_none() {
            return;
        }
        // Its owner can always work in it.
        let (place, to_be) = (shared.attributes_of(fd), shared.wanted_there(src, wanted, now));
        let chmod = |own| rustix::fs::chmodat(fd, c".", Mode::from_raw_mode(own as _), AtFlags::empty());
        let dressed = rustix::fs::fstat(fd).and_then(|real| fake::dress(&place, real.into(), &to_be, chmod));
        if let Err(errno) = dressed {
            shared.fail(out, "[generator] failed to write xattr user.rsync.%stat for", &path(), errno);
        }
        return;
    }
    // As with rsync, the mode stays where one of the others could not be set, but who is to work there must be able to.
    let mode_now = owned.unwrap_or(wanted);
    let for_now = if shared.privileged() { wanted } else { wanted | 0o700 };
    let closed = for_now != wanted;
    ready.mode = closed.then_some(wanted);
    if (for_now != mode_now || (closed && ready.is_anothers))
        && let Err(errno) = rustix::fs::chmodat(fd, c".", Mode::from_raw_mode(for_now as _), AtFlags::empty())
    {
        ready.mode = None;
        if wanted != mode_now {
            shared.fail(out, "[generator] failed to set permissions on", &path(), errno);
        }
        if closed {
            shared.fail(out, "[generator] failed to modify permissions on", &path(), errno);
        }
    }
}

/// Whether a directory belongs to somebody else, and we may not change that.
fn is_anothers(shared: &Shared<'_>, made: bool, now: &Stat) -> bool {
    !(made || shared.me.is_root() || now.uid == shared.me.uid)
}

/// Gives the open directory owner and extended attributes. Its mode then, if that is known: any, if a change may have taken bits
/// away. `None` if something failed, which has been reported.
fn give_owner(
    shared: &Shared<'_>,
    dir: &Dir,
    src: &Stat,
    now: &Stat,
    ready: &mut Ready,
    out: &mut Outcome,
) -> Option<u32> {
    let fd = ready.fd.as_fd();
    let path = || shown(shared, dir);
    let fake = shared.options.fake_destination;
    let owner = if fake { (None, None) } else { attrs::wanted_owner(shared, src, now.uid, now.gid) };
    let mut mode_now = now.mode;
    if owner != (None, None) {
        let (uid, gid) = attrs::ids(owner);
        if let Err(errno) = rustix::fs::chownat(fd, c".", uid, gid, AtFlags::empty()) {
            let word = attrs::chown_word(owner.0);
            shared.fail(out, &format!("[generator] {word}"), &path(), errno);
            return None;
        }
        mode_now = u32::MAX;
    }
    let from = || source_path(dir).to_vec();
    if extended::wanted(shared)
        && extended::copy(shared, (&dir.attributes(), from), &shared.attributes_of(fd), "generator", path, out)
    {
        mode_now = u32::MAX;
    }
    // Who may not set the time of what is another's finds out now, as with rsync. That it changes again is not worth a word.
    if let Some((time, false)) = ready.time
        && ready.is_anothers
        && let Err(errno) = rustix::fs::utimensat(fd, c".", &attrs::times(time), AtFlags::empty())
    {
        ready.time = None;
        shared.fail(out, "[generator] failed to set times on", &path(), errno);
        return None;
    }
    Some(mode_now)
}

/// The absolute path of the destination of `dir`, as messages about its attributes show it.
fn shown(shared: &Shared<'_>, dir: &Dir) -> Vec<u8> {
    match dir.parent {
        None => shared.target_path(b"", b"."),
        Some(_) => shared.target_dir(&dir.rel),
    }
}

/// Sets what had to wait until everything beneath `dir` was done.
pub(crate) fn finish(shared: &Shared<'_>, dir: &Dir, out: &mut Outcome) {
    let Some(target) = dir.target.get().filter(|_| !shared.options.dry_run) else {
        return;
    };
    let entered = open_again(shared, dir, target);
    let Target::Ready(ready) = &*entered else {
        return;
    };
    let mode = ready.mode.filter(|&mode| {
        let waits = Modes::wait(shared.options);
        if waits {
            shared.modes.push(&dir.rel, mode);
        }
        !waits
    });
    if let Some((time, _)) = ready.time.filter(|_| !ready.is_anothers) {
        shared.places.note_time(shared.options, dir.parent.is_none(), ready.fd.as_fd(), time);
    }
    let names = std::mem::take(&mut *dir.delayed.lock().unwrap_or_else(PoisonError::into_inner));
    if !names.is_empty() {
        let time = ready.time.filter(|_| !ready.is_anothers).map(|(time, _)| time);
        return shared.delayed.push(Waiting { rel: dir.rel.clone(), names, time });
    }
    let fd = ready.fd.as_fd();
    let path = || shown(shared, dir);
    if let Some((time, same)) = ready.time
        && (!same || dir.touched.load(Ordering::Relaxed))
        && let Err(errno) = rustix::fs::utimensat(fd, c".", &attrs::times(time), AtFlags::empty())
        && !ready.is_anothers
    {
        shared.fail(out, "[generator] failed to set times on", &path(), errno);
    }
    if let Some(mode) = mode
        && let Err(errno) = rustix::fs::chmodat(fd, c".", Mode::from_raw_mode(mode as _), AtFlags::empty())
    {
        shared.fail(out, "[generator] failed to set permissions on", &path(), errno);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;
    use crate::roots;
    use crate::shared::Root;

    #[test]
    fn who_enters_first_deletes_before_anybody_can_write() {
        let temp = tempfile::tempdir().unwrap();
        let [src, dst] = ["src/", "dst"].map(|name| temp.path().join(name));
        for (dir, name) in [(&src, "new"), (&dst, "old")] {
            std::fs::create_dir(dir).unwrap();
            std::fs::write(dir.join(name), name).unwrap();
        }
        let options = Options { recursive: true, delete: true, ..Options::default() };
        let nowhere = Root { fd: None, created: false, rename: None, shown: Vec::new() };
        let mut shared = Shared::new(&options, nowhere);
        let mut note = Outcome::default();
        let top = roots::sources(&shared, &[&src], &mut note).unwrap();
        shared.root = roots::destination(&shared, top.shape(&shared), dst.as_os_str(), &mut note).unwrap();
        // As the worker of an item that comes after the directory's own would, ahead of it.
        assert!(matches!(&*enter(&shared, &top.dir), Target::Ready(_)));
        assert!(!dst.join("old").exists(), "what is written from here on might be taken for extraneous");
        assert_eq!(top.dir.entered.lock().unwrap().totals.deleted_files, 1);
    }
}
