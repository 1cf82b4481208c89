//! `-b`: what is about to be replaced or deleted gets another name, beside the old one or in `--backup-dir`.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, FileType, Mode};
use rustix::io::Errno;

use crate::attrs;
use crate::content::copy::{Failure, Job};
use crate::content::temp::{Temp, TempNames};
use crate::delete;
use crate::extended;
use crate::fake;
use crate::fs::{self, Stat};
use crate::links;
use crate::options::Options;
use crate::outcome::Outcome;
use crate::shared::Shared;
use crate::target::Ready;
use crate::worker::{Entry, Worker};

/// What backups have behind their names.
pub(crate) fn suffix(options: &Options) -> &OsStr {
    let default = OsStr::new(if options.backup_dir.is_some() { "" } else { "~" });
    options.suffix.as_deref().unwrap_or(default)
}

/// Whether `name` is what a backup beside the original is called.
pub(crate) fn is_one(options: &Options, name: &CStr) -> bool {
    options.backup_dir.is_none() && name.to_bytes().ends_with(suffix(options).as_bytes())
}

/// Where the backup of one entry goes.
struct Place<'a> {
    /// `None` is where the entry is.
    dir: Option<OwnedFd>,
    at: BorrowedFd<'a>,
    name: CString,
    /// For the log.
    rel: Vec<u8>,
}

impl Place<'_> {
    fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_ref().map_or(self.at, AsFd::as_fd)
    }
}

/// Gives the entry `name` of the directory `at` (at `rel` below the destination) its backup name. With `stays`, the
/// name is about to be taken by a rename, and so need not go. Whether that worked; if not, it is in the log. A dry run
/// only says so. As with rsync, there is no backup of a link that `--safe-links` would not copy.
pub(crate) fn take(
    shared: &Shared<'_>,
    out: &mut Outcome,
    at: BorrowedFd<'_>,
    name: &CStr,
    rel: &[u8],
    stays: bool,
) -> bool {
    let left_out = is_unsafe_link(shared, out, at, name, rel);
    if left_out
        && !stays
        && !shared.options.dry_run
        && let Err(errno) = rustix::fs::unlinkat(at, name, AtFlags::empty())
    {
        return failed(shared, out, "unlink", rel, errno);
    }
    if left_out || shared.options.dry_run {
        say(shared, out, rel, &shown(shared.options, rel));
        return true;
    }
    let place = match place(shared, at, name, rel) {
        Ok(place) => place,
        Err(errno) => return failed(shared, out, "backup mkdir", rel, errno),
    };
    make_way(shared, out, &place);
    let to = place.dir();
    let mut result = Err(Errno::PERM);
    if stays {
        // A second name, so that there is no moment without a file of the first.
        result = rustix::fs::linkat(at, name, to, &place.name, AtFlags::empty());
        if result == Err(Errno::EXIST) {
            result = rustix::fs::unlinkat(to, &place.name, AtFlags::empty())
                .and_then(|()| rustix::fs::linkat(at, name, to, &place.name, AtFlags::empty()));
        }
    }
    if result.is_err() {
        // Of two names of one file, a rename leaves both.
        let twin = |a: Stat, b: Stat| (a.dev, a.ino) == (b.dev, b.ino);
        result = match (Stat::at(at, name), Stat::at(to, &place.name)) {
            (Ok(one), Ok(other)) if twin(one, other) => rustix::fs::unlinkat(at, name, AtFlags::empty()),
            _ => rustix::fs::renameat(at, name, to, &place.name),
        };
    }
    if result == Err(Errno::XDEV) {
        result = across(shared, at, name, to, &place.name);
    }
    match result {
        Ok(()) => say(shared, out, rel, &place.rel),
        Err(errno) => return failed(shared, out, "rename", rel, errno),
    }
    true
}

/// Whether the old content of `entry` can be read, and copied to its backup name. As with rsync, a directory does not give way to
/// that.
pub(crate) fn may_copy(shared: &Shared<'_>, entry: &Entry<'_>, ready: &Ready, out: &mut Outcome) -> bool {
    let rel = entry.target_rel();
    if let Some(errno) = entry.unreadable(shared) {
        out.totals.failed += 1;
        let end = format!("\": {}", fs::describe(errno));
        shared.complain(out, "rsync: [generator] open \"", &shared.target_path(&rel, b""), &end);
        return false;
    }
    // What keeps us from finding the place is said where the copy is made.
    let Ok(place) = place(shared, ready.fd.as_fd(), entry.target, &rel) else { return true };
    if !Stat::at(place.dir(), &place.name).is_ok_and(|there| there.kind == FileType::Directory) {
        return true;
    }
    out.totals.failed += 1;
    let end = format!("\": {}", fs::describe(Errno::ISDIR));
    let path = if place.rel.starts_with(b"/") { place.rel.clone() } else { shared.target_path(&place.rel, b"") };
    shared.complain(out, "rsync: [generator] unlink \"", &path, &end);
    false
}

/// Copies the old content of `entry`, which is about to be written into, to its backup name.
pub(crate) fn copy(worker: &mut Worker<'_>, entry: &Entry<'_>, ready: &Ready, out: &mut Outcome) -> bool {
    let (shared, at, rel) = (worker.shared, ready.fd.as_fd(), entry.target_rel());
    let place = match place(shared, at, entry.target, &rel) {
        Ok(place) => place,
        Err(errno) => return failed(shared, out, "backup mkdir", &rel, errno),
    };
    let mut copied = || {
        let source = fs::open_file(at, entry.target)?;
        let stat = Stat::from(rustix::fs::fstat(&source)?);
        let (temp, file) = Temp::file(&mut worker.names, place.dir(), &place.name, true, 0o600)?;
        let there = Stat::from(rustix::fs::fstat(&file)?);
        let job = Job {
            src: source.as_fd(),
            dst: file.as_fd(),
            range: 0..stat.size,
            devices: (stat.dev, there.dev),
            fresh: true,
            seen: false,
        };
        worker.copier.copy(&job).map_err(|failure| match failure {
            Failure::Read(errno) | Failure::Write(errno) | Failure::Share(errno) => errno,
            Failure::Cancelled => Errno::INTR,
        })?;
        dress(shared, file.as_fd(), source.as_fd(), &stat)?;
        temp.commit(&place.name)
    };
    match copied() {
        Ok(()) => say(shared, out, &rel, &place.rel),
        Err(errno) => return failed(shared, out, "backup copy", &rel, errno),
    }
    true
}

fn failed(shared: &Shared<'_>, out: &mut Outcome, what: &str, rel: &[u8], errno: Errno) -> bool {
    shared.fail(out, &format!("[receiver] {what}"), &shared.target_path(rel, b""), errno);
    false
}

/// Whether the entry is a link that `--safe-links` would not copy. Says so.
fn is_unsafe_link(shared: &Shared<'_>, out: &mut Outcome, at: BorrowedFd<'_>, name: &CStr, rel: &[u8]) -> bool {
    let options = shared.options;
    if !options.safe_links || !options.links {
        return false;
    }
    let Ok(to) = rustix::fs::readlinkat(at, name, Vec::new()) else { return false };
    let dir = rel.strip_suffix(name.to_bytes()).unwrap_or(rel);
    let is_unsafe = links::is_unsafe(to.to_bytes(), dir);
    if is_unsafe && options.levels.symsafe > 0 {
        shared.say_unsafe(out, "not backing up", rel, to.to_bytes());
    }
    is_unsafe
}

fn say(shared: &Shared<'_>, out: &mut Outcome, rel: &[u8], backup: &[u8]) {
    if shared.options.levels.backup > 0 {
        let mut to = b" to ".to_vec();
        shared.options.escape.push(&mut to, backup);
        to.push(b'\n');
        shared.say(out, &[b"backed up "], rel, &to);
    }
}

/// Finds the place, and makes the directories that lead there as those of the destination are.
fn place<'a>(shared: &Shared<'_>, at: BorrowedFd<'a>, name: &CStr, rel: &[u8]) -> Result<Place<'a>, Errno> {
    let suffix = suffix(shared.options).as_bytes();
    let backup_name = CString::new([name.to_bytes(), suffix].concat()).map_err(|_| Errno::INVAL)?;
    let Some(base) = &shared.options.backup_dir else {
        return Ok(Place { dir: None, at, name: backup_name, rel: shown(shared.options, rel) });
    };
    let mut dir = shared.places.backup(shared, base)?.try_clone().map_err(|_| Errno::MFILE)?;
    let above = rel.iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1);
    let mut now = 0;
    for end in (0..above).filter(|&end| rel[end] == b'/') {
        let part = CString::new(&rel[now..end]).map_err(|_| Errno::INVAL)?;
        now = end + 1;
        let result = rustix::fs::mkdirat(&dir, &part, Mode::from_raw_mode(0o700));
        let mut made = result.is_ok();
        let next = match fs::open_dir(dir.as_fd(), &part, false) {
            Err(Errno::NOENT) => return Err(result.err().unwrap_or(Errno::NOENT)),
            // Something else has the name; or had it, and another worker has been faster.
            Err(Errno::NOTDIR | Errno::LOOP) => {
                match rustix::fs::unlinkat(&dir, &part, AtFlags::empty()) {
                    Ok(()) | Err(Errno::NOENT | Errno::ISDIR) => {}
                    Err(errno) => return Err(errno),
                }
                match rustix::fs::mkdirat(&dir, &part, Mode::from_raw_mode(0o700)) {
                    Ok(()) => made = true,
                    Err(Errno::EXIST) => {}
                    Err(errno) => return Err(errno),
                }
                fs::open_dir(dir.as_fd(), &part, false)?
            }
            result => result?,
        };
        if made
            && let Some(root) = &shared.root.fd
            && let Ok(like) = fs::open_beneath(root.as_fd(), &rel[..end], false)
            && let Ok(stat) = rustix::fs::fstat(&like).map(Stat::from)
        {
            // As far as that is permitted.
            let _ = dress(shared, next.as_fd(), like.as_fd(), &stat);
        }
        dir = next;
    }
    Ok(Place { dir: Some(dir), at, name: backup_name, rel: shown(shared.options, rel) })
}

/// Where the backup of what is at `rel` below the destination goes, as it is shown.
fn shown(options: &Options, rel: &[u8]) -> Vec<u8> {
    let suffix = suffix(options).as_bytes();
    match &options.backup_dir {
        None => [rel, suffix].concat(),
        Some(base) => {
            let base = base.as_bytes();
            [base.strip_suffix(b"/").unwrap_or(base), b"/", rel, suffix].concat()
        }
    }
}

/// Removes a directory that has the backup's name.
fn make_way(shared: &Shared<'_>, out: &mut Outcome, place: &Place<'_>) {
    if let Ok(there) = Stat::at(place.dir(), &place.name)
        && there.kind == FileType::Directory
    {
        delete::clear(shared, out, place.dir(), &place.name, &place.rel);
    }
}

/// Moves an entry to another file system.
fn across(
    shared: &Shared<'_>,
    at: BorrowedFd<'_>,
    name: &CStr,
    to: BorrowedFd<'_>,
    backup: &CStr,
) -> Result<(), Errno> {
    let stat = Stat::at(at, name)?;
    let mut names = TempNames::new();
    let temp = match stat.kind {
        FileType::RegularFile => {
            let mut source = std::fs::File::from(fs::open_file(at, name)?);
            let (temp, file) = Temp::file(&mut names, to, backup, true, 0o600)?;
            let mut file = std::fs::File::from(file);
            std::io::copy(&mut source, &mut file).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
            dress(shared, file.as_fd(), source.as_fd(), &stat)?;
            temp
        }
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(at, name, Vec::new())?;
            Temp::link(&mut names, to, backup, &target)?
        }
        kind => Temp::node(&mut names, to, backup, kind, stat.rdev)?,
    };
    temp.commit(backup)?;
    rustix::fs::unlinkat(at, name, AtFlags::empty())
}

/// Gives the open `file`, a copy of the open `original`, which is as `like` says, its mode, and its owner, extended
/// attributes and time as far as such are preserved and that is permitted.
fn dress(shared: &Shared<'_>, file: BorrowedFd<'_>, original: BorrowedFd<'_>, like: &Stat) -> Result<(), Errno> {
    let now = Stat::from(rustix::fs::fstat(file)?);
    // With `--fake-super`, whoever it belongs to is kept, and so copied, in an attribute.
    let (owner, group) = match shared.options.fake_destination {
        true => (false, false),
        false => (shared.options.owner, shared.options.group),
    };
    let uid = (owner && now.uid != like.uid).then_some(like.uid);
    let gid = (group && now.gid != like.gid).then_some(like.gid);
    let owner = attrs::ids((uid, gid));
    let tried = owner == (None, None) || rustix::fs::fchown(file, owner.0, owner.1).is_ok();
    let (uid, gid) = (uid.filter(|_| tried).unwrap_or(now.uid), gid.filter(|_| tried).unwrap_or(now.gid));
    let (here, there) = (shared.attributes_of(original), shared.attributes_of(file));
    if extended::wanted(shared) {
        extended::copy_as_is(shared, &here, &there)?;
    }
    if shared.options.fake_destination {
        fake::copy(&here, &there)?;
    }
    // The set-ID bits of another owner's file would give away more than the original does.
    let harmless = like.kind == FileType::Directory || (uid, gid) == (like.uid, like.gid);
    // As with rsync, without `-p` a directory keeps what it has inherited.
    let inherits = like.kind == FileType::Directory && !shared.options.perms;
    let inherited = if inherits { now.mode & 0o2000 } else { 0 };
    // More backups are to find room in a directory, whatever keeps us from working in the original.
    let ours = if like.kind == FileType::Directory && !shared.privileged() { 0o700 } else { 0 };
    let mode = inherited | ours | if harmless { like.mode } else { like.mode & 0o1777 };
    rustix::fs::fchmod(file, Mode::from_raw_mode(mode as _))?;
    match attrs::keeps_time(shared, like.kind) {
        true => rustix::fs::futimens(file, &attrs::times(like.mtime)),
        false => Ok(()),
    }
}
