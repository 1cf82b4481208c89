//! Removes from the destination what the source does not have, and what stands in the way.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::attrs;
use crate::backup;
use crate::deep::{self, Fd};
use crate::dir::{Base, Dir};
use crate::doomed::Doomed;
use crate::filter::{Folder, Local, Place, Rule, Side};
use crate::fs::{self, Stat};
use crate::itemize;
use crate::order;
use crate::outcome::Outcome;
use crate::select::DeleteWhen;
use crate::shared::Shared;
use crate::target::Ready;

/// Deletes what is in the destination of `dir` and neither in its listing nor protected by a filter rule, last first,
/// as rsync does.
pub(crate) fn extraneous(shared: &Shared<'_>, dir: &Dir, ready: &Ready, out: &mut Outcome) {
    say_where(shared, dir, out);
    // What could not be opened is looked through, as far as that goes.
    let looks = dir.complete || dir.sources.iter().any(|source| matches!(source.base, Base::Closed));
    if !looks || shared.deletions_off(out) || !dir.complete || ready.made {
        return;
    }
    let there = There {
        at: &Base::Held(Arc::clone(&ready.fd)),
        rel: &dir.rel,
        local: &ready.local,
        doomed: false,
        backs_up: shared.options.backup,
    };
    let entries = match read(shared, out, &there, |name| !dir.listing.contains(name)) {
        Ok((entries, _)) => entries,
        Err(errno) => {
            return shared.fail(out, "[generator] opendir", &shared.target_dir(&dir.rel), errno);
        }
    };
    if shared.options.deletion.when == DeleteWhen::Delay {
        if !entries.is_empty() {
            let time = dir.stat().ok().filter(|_| dir.transferred && shared.options.dir_times()).map(|src| src.mtime);
            shared.dooms.push(Doomed { rel: dir.rel.clone(), local: ready.local.clone(), entries, time });
        }
        return;
    }
    for (name, kind) in entries {
        if shared.options.cancel.is_cancelled() {
            return;
        }
        remove(shared, out, &there, &name, kind, true);
        dir.touched.store(true, Ordering::Relaxed);
    }
}

/// Says with `--debug=del` that a directory of the sources is looked through, if that happens for all of them at once.
pub(crate) fn say_where(shared: &Shared<'_>, dir: &Dir, out: &mut Outcome) {
    let top = dir.parent.as_ref().is_none_or(|parent| !parent.complete);
    let at_once = matches!(shared.options.deletion.when, DeleteWhen::Before | DeleteWhen::After);
    if at_once && top && dir.complete && shared.options.levels.debug_del > 0 {
        let path = dir.rel.strip_suffix(b"/").unwrap_or(b".");
        shared.say(out, &[b"deleting in "], path, b"\n");
    }
}

/// Deletes what was found to be extraneous before.
pub(crate) fn doomed(shared: &Shared<'_>, doomed: &Doomed, out: &mut Outcome) {
    let Doomed { rel, local, entries, time } = doomed;
    let Some(root) = &shared.root.fd else { return };
    let dir = match fs::open_beneath(root.as_fd(), rel.strip_suffix(b"/").unwrap_or(rel), shared.options.keep_dirlinks)
    {
        Ok(dir) => dir,
        Err(Errno::NOENT) => return,
        Err(errno) => {
            return shared.fail(out, "[generator] opendir", &shared.target_dir(rel), errno);
        }
    };
    let dir = Arc::new(dir);
    let held = Base::Held(Arc::clone(&dir));
    let there = There { at: &held, rel, local, doomed: false, backs_up: shared.options.backup };
    for (name, kind) in entries {
        if shared.options.cancel.is_cancelled() {
            return;
        }
        remove(shared, out, &there, name, *kind, true);
    }
    if let Some(time) = time.filter(|_| !shared.options.dry_run)
        && let Err(errno) = rustix::fs::utimensat(&dir, c".", &attrs::times(time), AtFlags::empty())
        && errno != Errno::PERM
    {
        // If the directory is another's, that has been said.
        shared.fail(out, "[generator] failed to set times on", &shared.target_dir(rel), errno);
    }
}

/// Clears the name `name` (at `rel` in the tree) for something of another kind. What is not a directory goes by being
/// replaced; a directory goes if it is empty or `--delete` was given. Says why not, if not.
pub(crate) fn make_way(
    shared: &Shared<'_>,
    out: &mut Outcome,
    ready: &Ready,
    name: &CStr,
    old: &Stat,
    rel: &[u8],
    what: &str,
) -> bool {
    let at = ready.fd.as_fd();
    let done = match (old.kind, what) {
        (FileType::Directory, _) if shared.options.delete || shared.options.deletion.force => {
            let there = There {
                at: &Base::Held(Arc::clone(&ready.fd)),
                rel: parent_of(rel),
                local: &ready.local,
                doomed: false,
                backs_up: shared.options.backup,
            };
            remove(shared, out, &there, name, FileType::Directory, false)
        }
        (FileType::Directory, _) => remove_empty(shared, out, at, name, rel),
        // Only a directory cannot take a name by renaming.
        (_, "directory") if shared.options.backup => backup::take(shared, out, at, name, rel, false),
        (_, "directory") if !shared.options.dry_run => match rustix::fs::unlinkat(at, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => true,
            Err(errno) => {
                not_deleted(shared, out, "unlink", rel, errno);
                false
            }
        },
        _ => true,
    };
    if !done {
        out.totals.failed += 1;
        shared.complain(out, &format!("could not make way for new {what}: "), rel, "");
    }
    done
}

/// Removes what has the name `name` (at `rel` in the tree) because it is missing in the source: a directory if it is empty
/// or `--delete` was given. Says so, and counts it among what `--delete` removes. Whether it is gone.
pub(crate) fn missing(
    shared: &Shared<'_>,
    out: &mut Outcome,
    ready: &Ready,
    name: &CStr,
    old: &Stat,
    rel: &[u8],
) -> bool {
    let at = ready.fd.as_fd();
    let is_dir = old.kind == FileType::Directory;
    let held = Base::Held(Arc::clone(&ready.fd));
    let there =
        There { at: &held, rel: parent_of(rel), local: &ready.local, doomed: false, backs_up: shared.options.backup };
    // As with rsync, which does not know what it was.
    let shown = shared.target_path(there.rel, b"");
    let (path, dir_len) = (rel, there.rel.len());
    let place = Place { side: Side::Receiver, path, is_dir: false, dir_len, dir_shown: &shown, doomed: false };
    if is_protected(shared, out, &place, there.local) {
        return false;
    }
    let counts = shared.options.delete;
    if !counts && !is_dir && !shared.may_delete() {
        return false;
    }
    let gone = match is_dir && !counts && !shared.options.deletion.force {
        true => remove_empty(shared, out, at, name, rel),
        false => remove(shared, out, &there, name, old.kind, counts),
    };
    if gone && !counts {
        shared.deleted.fetch_add(1, Ordering::Relaxed);
        itemize::log_deleted(shared, out, rel, is_dir);
    }
    gone
}

/// Removes the directory `name` with all that is in it, whatever the filters say, to make way for a backup.
pub(crate) fn clear(shared: &Shared<'_>, out: &mut Outcome, at: BorrowedFd<'_>, name: &CStr, rel: &[u8]) {
    // What keeps it is said when it is in the way.
    let Ok(at) = at.try_clone_to_owned() else { return };
    let (at, local) = (&Base::Held(Arc::new(at)), &Local::default());
    let there = There { at, rel: parent_of(rel), local, doomed: false, backs_up: false };
    remove(shared, out, &there, name, FileType::Directory, false);
}

/// `path` up to and with its last slash.
fn parent_of(path: &[u8]) -> &[u8] {
    &path[..path.iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1)]
}

type Entries = Vec<(CString, FileType)>;

/// A destination directory that something is removed from.
#[derive(Clone, Copy)]
struct There<'t> {
    at: &'t Base,
    /// Relative to the root; empty, or with a slash at its end.
    rel: &'t [u8],
    /// What per-directory filter files say in it.
    local: &'t Local,
    /// It is itself being removed.
    doomed: bool,
    /// What is removed gets a backup. What only makes way for one does not.
    backs_up: bool,
}

impl<'t> There<'t> {
    fn fd(&self) -> Result<Fd<'t>, Errno> {
        self.at.fd().unwrap_or(Err(Errno::BADF))
    }
}

/// The entries of a destination directory that `wanted` picks and no filter rule protects, last first, and how many
/// are protected.
fn read(
    shared: &Shared<'_>,
    out: &mut Outcome,
    there: &There<'_>,
    wanted: impl Fn(&CStr) -> bool,
) -> Result<(Entries, usize), Errno> {
    let There { rel, local, doomed, .. } = *there;
    let at = there.fd()?;
    let at = at.as_fd();
    let mut entries = Vec::new();
    let mut protected = 0;
    let mut path = rel.to_vec();
    let shown = shared.target_path(rel, b"");
    // With -x, what is mounted stays.
    let mounts = shared.options.select.one_file_system > 0;
    let device = if mounts { Some(Stat::from(rustix::fs::fstat(at)?).dev) } else { None };
    fs::list(at, |name, kind| {
        if device.is_some()
            && Stat::at(at, name).is_ok_and(|stat| stat.kind == FileType::Directory && Some(stat.dev) != device)
        {
            let path = [rel, name.to_bytes()].concat();
            let levels = &shared.options.levels;
            match doomed {
                _ if shared.options.select.one_file_system > 1 => shared.skip_mount(out, "[generator]", &path),
                true if levels.debug_del > 0 => {
                    shared.say(out, &[b"mount point, "], &path, b", pins parent directory\n");
                }
                false if levels.mount > 0 => shared.say(out, &[b"cannot delete mount point: "], &path, b"\n"),
                _ => {}
            }
            protected += 1;
            return;
        }
        // With -vv, rsync says for each name there what a rule does to it, deleted or not.
        let wanted = wanted(name);
        if !wanted && shared.options.levels.debug_filter == 0 {
            return;
        }
        let kind = match kind {
            FileType::Unknown => Stat::at(at, name).map_or(kind, |stat| stat.kind),
            // What it stands for is what counts.
            FileType::RegularFile if wanted && shared.options.fake_destination => {
                shared.stat_there(at, name).map_or(kind, |stat| stat.kind)
            }
            kind => kind,
        };
        path.truncate(rel.len());
        path.extend_from_slice(name.to_bytes());
        let is_dir = kind == FileType::Directory;
        let (path, dir_len) = (&path[..], rel.len());
        let place = Place { side: Side::Receiver, path, is_dir, dir_len, dir_shown: &shown, doomed };
        match is_protected(shared, out, &place, local) {
            _ if !wanted => {}
            false => entries.push((name.to_owned(), kind)),
            true => protected += 1,
        }
    })
    // A directory that could only be opened to reach what is in it cannot be listed.
    .map_err(|errno| if errno == Errno::BADF { Errno::ACCESS } else { errno })?;
    let key = |e: &(CString, FileType)| (e.0.clone().into_bytes(), e.1 == FileType::Directory);
    entries.sort_by(|a, b| {
        let (a, b) = (key(a), key(b));
        order::compare((&b.0, b.1), (&a.0, a.1))
    });
    Ok((entries, protected))
}

/// Whether a rule keeps what is at `place` from being deleted. Says, with `-vv`, what it does.
fn is_protected(shared: &Shared<'_>, out: &mut Outcome, place: &Place<'_>, local: &Local) -> bool {
    let rule = shared.options.filters.decide(place, local);
    if let Some(rule) = rule {
        let verb = if rule.includes() { "[generator] risking" } else { "[generator] protecting" };
        shared.say_rule(out, verb, place.is_dir, (b"", place.path), rule);
    }
    !rule.is_none_or(Rule::includes)
}

/// Removes an entry with everything in it, says so for each (for the entry itself only if `say`), and returns whether
/// it is gone.
fn remove(shared: &Shared<'_>, out: &mut Outcome, there: &There<'_>, name: &CStr, kind: FileType, say: bool) -> bool {
    let rel = &[there.rel, name.to_bytes()].concat()[..];
    let is_dir = kind == FileType::Directory;
    let mut emptied = true;
    if is_dir {
        match empty(shared, out, there, name, rel) {
            Ok(true) => {}
            Ok(false) => {
                shared.say(out, &[b"cannot delete non-empty directory: "], rel, b"\n");
                // As with rsync, one inside another is tried all the same, and counts against the limit; a dry run does
                // not find out that it fails.
                if !there.doomed {
                    return false;
                }
                emptied = false;
            }
            Err(errno) => {
                shared.fail(out, "[generator] opendir", &shared.target_path(b"", rel), errno);
                return false;
            }
        }
    }
    // What makes way for something else is not held up.
    if say && !shared.may_delete() {
        return false;
    }
    let at = match there.fd() {
        Ok(at) => at,
        Err(errno) => {
            shared.fail(out, "[generator] opendir", &shared.target_dir(there.rel), errno);
            return false;
        }
    };
    let at = at.as_fd();
    let backed_up = there.backs_up && !is_dir && !backup::is_one(shared.options, name);
    if backed_up {
        if !backup::take(shared, out, at, name, rel, false) {
            return false;
        }
    } else if !shared.options.dry_run {
        let flags = if is_dir { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        match rustix::fs::unlinkat(at, name, flags) {
            Ok(()) => {}
            Err(Errno::NOENT) => return true,
            Err(Errno::NOTEMPTY | Errno::EXIST) if is_dir => {
                shared.say(out, &[b"cannot delete non-empty directory: "], rel, b"\n");
                return false;
            }
            Err(errno) => {
                let what = if is_dir { "rmdir" } else { "unlink" };
                not_deleted(shared, out, what, rel, errno);
                return false;
            }
        }
    }
    // As with rsync, what is in the way does not count.
    if say {
        shared.deleted.fetch_add(1, Ordering::Relaxed);
        out.totals.count_deleted(fs::kinds(kind));
        itemize::log_deleted(shared, out, rel, is_dir);
    }
    emptied
}

/// Reports and counts that `call` has not removed what is at `rel` in the tree.
pub(crate) fn not_deleted(shared: &Shared<'_>, out: &mut Outcome, call: &str, rel: &[u8], errno: Errno) {
    out.totals.failed += 1;
    let after = format!(") failed: {}", fs::describe(errno));
    shared.complain(out, &format!("rsync: [generator] delete_file: {call}("), rel, &after);
}

/// Removes everything in the directory `name`. Whether nothing remains in it.
fn empty(shared: &Shared<'_>, out: &mut Outcome, above: &There<'_>, name: &CStr, rel: &[u8]) -> Result<bool, Errno> {
    let prefix = [rel, b"/"].concat();
    let shown = shared.target_path(&prefix, b"");
    // Its own is closed before what is in it is opened, if that is far down.
    let (dir, local) = {
        let at = above.fd()?;
        let dir = open_to_empty(shared, at.as_fd(), name)?;
        let folder = Folder { fd: dir.as_fd(), rel: &prefix, shown: &shown };
        let local = match above.local.enter(&shared.options.filters, folder, &mut out.errors) {
            Ok(local) => local,
            Err(error) => {
                shared.break_off(error.into());
                return Ok(false);
            }
        };
        (above.at.beneath(name, dir, deep::is_held(&prefix, shared.most_held)), local)
    };
    let there = There { at: &dir, rel: &prefix, local: &local, doomed: true, backs_up: above.backs_up };
    let (entries, protected) = read(shared, out, &there, |_| true)?;
    let mut gone = protected == 0;
    for (name, kind) in entries {
        if shared.options.cancel.is_cancelled() {
            return Ok(false);
        }
        gone &= remove(shared, out, &there, &name, kind, true);
    }
    Ok(gone)
}

/// Opens the directory `name`, which is on its way out.
fn open_to_empty(shared: &Shared<'_>, at: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    if !shared.me.is_root()
        && !shared.options.dry_run
        && let Ok(stat) = Stat::at(at, name)
        && stat.mode & 0o700 != 0o700
    {
        // If this fails, so will what needs it.
        let _ = attrs::chmod(at, name, stat.mode | 0o700);
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(at, name, flags, Mode::empty())
}

/// With -vv, rsync says what rules do to what is in a directory that it looks into, also where it deletes nothing.
fn say_what_is_protected(shared: &Shared<'_>, out: &mut Outcome, at: BorrowedFd<'_>, name: &CStr, rel: &[u8]) {
    if shared.options.levels.debug_filter == 0 {
        return;
    }
    let prefix = [rel, b"/"].concat();
    if let Ok(dir) = fs::open_dir(at, name, false) {
        let (at, local) = (&Base::Held(Arc::new(dir)), &Local::default());
        let there = There { at, rel: &prefix, local, doomed: true, backs_up: false };
        // What cannot be read has nothing to be said of.
        let _ = read(shared, out, &there, |_| false);
    }
}

/// Removes a directory if nothing is in it.
fn remove_empty(shared: &Shared<'_>, out: &mut Outcome, at: BorrowedFd<'_>, name: &CStr, rel: &[u8]) -> bool {
    let result = if shared.options.dry_run {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(at, name, flags, Mode::empty()).and_then(|dir| {
            let mut result = Ok(());
            fs::list(dir.as_fd(), |_, _| result = Err(Errno::NOTEMPTY))?;
            result
        })
    } else {
        rustix::fs::unlinkat(at, name, AtFlags::REMOVEDIR)
    };
    match result {
        Ok(()) | Err(Errno::NOENT) => true,
        Err(Errno::NOTEMPTY | Errno::EXIST) => {
            say_what_is_protected(shared, out, at, name, rel);
            shared.say(out, &[b"cannot delete non-empty directory: "], rel, b"\n");
            false
        }
        Err(errno) => {
            not_deleted(shared, out, "rmdir", rel, errno);
            false
        }
    }
}
