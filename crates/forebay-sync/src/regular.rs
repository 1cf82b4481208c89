//! Regular files: whether they have changed, and how a new content gets to its name.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;

use rustix::fs::Mode;
use rustix::io::Errno;

use crate::attrs;
use crate::copy::{Failure, Method};
use crate::delete;
use crate::error::Error;
use crate::fs::{self, Stat};
use crate::itemize::{self, Action, Change};
use crate::outcome::Outcome;
use crate::target::{Habits, Ready};
use crate::temp::Temp;
use crate::totals::Kinds;
use crate::worker::{Entry, Worker, replaced_time};

impl Worker<'_> {
    /// Brings one regular file up to date.
    pub(crate) fn regular(&mut self, entry: &Entry<'_>, out: &mut Outcome) -> Result<(), Error> {
        let (shared, options, src) = (self.shared, self.shared.options, &entry.src);
        if let Some(old) = &entry.old
            && options.update
            && old.kinds() == src.kinds()
            && old.mtime.tv_sec > src.mtime.tv_sec
        {
            if options.verbose > 1 {
                shared.say(out, &[], &entry.rel(), b" is newer\n");
            }
            return Ok(());
        }
        let mut differs = false;
        if let Some(old) = &entry.old_of_kind()
            && old.size == src.size
        {
            if options.checksum {
                match self.same_content(entry) {
                    Ok(true) => {
                        self.keep(entry, old, None, out);
                        return Ok(());
                    }
                    Ok(false) => {}
                    Err(Failure::Cancelled) => return Err(Error::Cancelled),
                    Err(Failure::Read(errno) | Failure::Write(errno)) => {
                        self.unopened(entry, errno, out);
                        return Ok(());
                    }
                }
            } else if old.same_second(src) {
                self.keep(entry, old, None, out);
                return Ok(());
            }
        }
        if let Some(old) = &entry.old {
            differs = options.checksum && old.kinds() == src.kinds();
            if let Some(ready) = entry.ready
                && !delete::make_way(shared, out, ready.fd.as_fd(), entry.target, old, &entry.rel(), "regular file")
            {
                return Ok(());
            }
        }
        self.transfer(entry, differs, out)
    }

    /// Copies the file, whatever is there.
    fn transfer(&mut self, entry: &Entry<'_>, content: bool, out: &mut Outcome) -> Result<(), Error> {
        let shared = self.shared;
        let dry_run = shared.options.dry_run;
        let source = if dry_run { Ok(None) } else { entry.source.open(entry.name).map(Some) };
        let source = match source {
            Ok(source) => source,
            Err(errno) => {
                self.unopened(entry, errno, out);
                return Ok(());
            }
        };
        let old = entry.old_of_kind();
        let mut change = Change::new(entry.src.kind, if old.is_some() { Action::Replace } else { Action::Create });
        if let Some(old) = &old {
            change.content = content;
            change.size = entry.src.size != old.size;
            change.time = replaced_time(shared, &entry.src, old);
            attrs::compare(shared, &mut change, &entry.src, old);
        } else {
            out.totals.count_created(Kinds::File);
        }
        itemize::log(shared, out, &change, &entry.dir.rel, entry.name.to_bytes(), None);
        out.totals.transferred += 1;
        out.totals.transferred_bytes += entry.src.size;
        match (source, entry.ready) {
            (Some(source), Some(ready)) => self.write(entry, ready, source, old.as_ref(), out),
            _ => Ok(()),
        }
    }

    fn unopened(&self, entry: &Entry<'_>, errno: Errno, out: &mut Outcome) {
        let path = entry.source.path_of(entry.name);
        self.shared.unreadable(out, "[sender] send_files failed to open", &path, errno);
    }

    /// Writes the content and the attributes under a temporary name, and renames.
    fn write(
        &mut self,
        entry: &Entry<'_>,
        ready: &Ready,
        source: OwnedFd,
        old: Option<&Stat>,
        out: &mut Outcome,
    ) -> Result<(), Error> {
        let (shared, src, at) = (self.shared, &entry.src, ready.fd.as_fd());
        let path = |name: &[u8]| shared.target_path(&entry.dir.rel, name);
        let mut wanted = attrs::wanted_mode(shared, src, old);
        // Until we know what files in this directory look like, and where the owner is going to change, nobody else
        // may look into the file. Else it is created with the mode that it is to have.
        let early = match ready.habits.get() {
            Some(habits)
                if !habits.acl && attrs::wanted_owner(shared, src, shared.me.uid, habits.gid) == (None, None) =>
            {
                wanted & 0o777
            }
            _ => 0o600,
        };
        let (temp, file) = match Temp::file(&mut self.names, at, entry.target, early) {
            Ok(made) => made,
            Err(errno) => {
                let name = [b".", entry.target.to_bytes(), b".XXXXXX"].concat();
                shared.fail(out, "[receiver] mkstemp", &path(&name), errno);
                return Ok(());
            }
        };
        entry.dir.touched.store(true, Ordering::Relaxed);
        let habits = match self.habits(ready, file.as_fd()) {
            Ok(habits) => habits,
            Err(errno) => {
                shared.fail(out, "[receiver] fstat", &path(temp.name.to_bytes()), errno);
                return Ok(());
            }
        };
        let devices = (src.dev, ready.dev);
        let result = self.copier.copy(source.as_fd(), file.as_fd(), src.size, devices);
        match result.and_then(|done| match habits.fails_late {
            true => rustix::fs::fsync(&file).map(|()| done).map_err(Failure::Write),
            false => Ok(done),
        }) {
            Ok((copied, method)) => {
                out.totals.literal_bytes += copied;
                *match method {
                    Method::Reflink => &mut out.totals.reflinked,
                    Method::Range => &mut out.totals.ranged,
                    Method::Stream => &mut out.totals.streamed,
                } += 1;
            }
            Err(Failure::Read(errno)) => {
                shared.fail(out, "[sender] read errors mapping", &entry.source.path_of(entry.name), errno);
                return Ok(());
            }
            Err(Failure::Write(errno)) => {
                let mut line = b"rsync: [receiver] write failed on \"".to_vec();
                shared.options.escape.push(&mut line, &path(entry.target.to_bytes()));
                line.extend_from_slice(format!("\": {}", fs::describe(errno)).as_bytes());
                return Err(Error::Io(String::from_utf8_lossy(&line).into_owned()));
            }
            Err(Failure::Cancelled) => return Err(Error::Cancelled),
        }
        drop(source);
        let owner = attrs::wanted_owner(shared, src, shared.me.uid, habits.gid);
        let mut mode_now = early & !shared.me.umask;
        if habits.acl {
            mode_now = u32::MAX;
        }
        if owner != (None, None) {
            let (uid, gid) = attrs::ids(owner);
            if let Err(errno) = rustix::fs::fchown(&file, uid, gid) {
                let word = attrs::chown_word(owner.0);
                shared.fail(out, &format!("[receiver] {word}"), &path(entry.target.to_bytes()), errno);
                wanted &= 0o1777; // Not with the wrong owner.
            }
        }
        if wanted != mode_now
            && let Err(errno) = rustix::fs::fchmod(&file, Mode::from_raw_mode(wanted as _))
        {
            shared.fail(out, "[receiver] failed to set permissions on", &path(entry.target.to_bytes()), errno);
        }
        if shared.options.times
            && let Err(errno) = rustix::fs::futimens(&file, &attrs::times(src.mtime))
        {
            shared.fail(out, "[receiver] failed to set times on", &path(entry.target.to_bytes()), errno);
        }
        drop(file);
        if let Err(errno) = temp.commit(entry.target) {
            shared.fail(out, "[receiver] rename", &path(entry.target.to_bytes()), errno);
        }
        Ok(())
    }

    /// What files that are created in `ready` look like; `file` is one.
    fn habits(&self, ready: &Ready, file: BorrowedFd<'_>) -> Result<Habits, Errno> {
        if let Some(habits) = ready.habits.get() {
            return Ok(*habits);
        }
        let gid = rustix::fs::fstat(file)?.st_gid;
        let habits = Habits { gid, acl: has_default_acl(ready.fd.as_fd()), fails_late: fails_late(file) };
        Ok(*ready.habits.get_or_init(|| habits))
    }

    /// Whether source and destination have the same bytes; both are of the same size.
    fn same_content(&mut self, entry: &Entry<'_>) -> Result<bool, Failure> {
        let Some(ready) = entry.ready else { return Ok(false) };
        let source = entry.source.open(entry.name).map_err(Failure::Read)?;
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::CLOEXEC;
        // What cannot be read cannot be the same.
        let Ok(there) =
            rustix::fs::openat(&ready.fd, entry.target, flags | rustix::fs::OFlags::NONBLOCK, Mode::empty())
        else {
            return Ok(false);
        };
        self.copier.same(source.as_fd(), there.as_fd())
    }
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
