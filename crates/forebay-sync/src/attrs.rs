//! Owner, mode and times: which are wanted, and how they are set without following a link.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid};
use rustix::io::Errno;

use crate::fs::Stat;
use crate::itemize::Change;
use crate::shared::Shared;

/// The mode that an entry is to have, given what is there now.
pub(crate) fn wanted_mode(shared: &Shared<'_>, src: &Stat, old: Option<&Stat>) -> u32 {
    match old {
        _ if shared.options.perms => src.mode,
        Some(old) => old.mode,
        None => src.mode & 0o777 & !shared.me.umask,
    }
}

/// Who is to own an entry that `uid` and `gid` own now: only what differs and may be changed.
pub(crate) fn wanted_owner(shared: &Shared<'_>, src: &Stat, uid: u32, gid: u32) -> (Option<u32>, Option<u32>) {
    let (options, me) = (shared.options, &shared.me);
    (
        (options.owner && me.is_root() && src.uid != uid).then_some(src.uid),
        (options.group && me.may_use_group(src.gid) && src.gid != gid).then_some(src.gid),
    )
}

/// Enters into `change` which attributes of the existing `old` differ from what is wanted.
pub(crate) fn compare(shared: &Shared<'_>, change: &mut Change, src: &Stat, old: &Stat) {
    change.perms = src.kind != rustix::fs::FileType::Symlink && wanted_mode(shared, src, Some(old)) != old.mode;
    let (uid, gid) = wanted_owner(shared, src, old.uid, old.gid);
    change.owner = uid.is_some();
    change.group = gid.is_some();
}

/// rsync's word for a change of owner.
pub(crate) fn chown_word(uid: Option<u32>) -> &'static str {
    if uid.is_some() { "chown" } else { "chgrp" }
}

pub(crate) fn ids((uid, gid): (Option<u32>, Option<u32>)) -> (Option<Uid>, Option<Gid>) {
    (uid.map(Uid::from_raw), gid.map(Gid::from_raw))
}

/// Gives the open `file` the owner (as far as that is permitted), mode and time of `like`.
pub(crate) fn copy_to(file: BorrowedFd<'_>, like: &Stat) -> Result<(), Errno> {
    let now = Stat::from(rustix::fs::fstat(file)?);
    let differs = (now.uid != like.uid, now.gid != like.gid);
    let owner = ids((differs.0.then_some(like.uid), differs.1.then_some(like.gid)));
    let owned = owner == (None, None) || rustix::fs::fchown(file, owner.0, owner.1).is_ok();
    let mode = if owned { like.mode } else { like.mode & 0o1777 };
    rustix::fs::fchmod(file, Mode::from_raw_mode(mode as _))?;
    rustix::fs::futimens(file, &times(like.mtime))
}

/// The modification time `mtime`, leaving the access time alone.
pub(crate) fn times(mtime: Timespec) -> Timestamps {
    Timestamps { last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT }, last_modification: mtime }
}

/// Changes the mode of `name`, which is not a symbolic link: if it has become one, this fails.
#[cfg(target_os = "linux")]
pub(crate) fn chmod(at: BorrowedFd<'_>, name: &CStr, mode: u32) -> Result<(), Errno> {
    use std::os::fd::AsRawFd;
    let fd = rustix::fs::openat(at, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    if rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) == rustix::fs::FileType::Symlink {
        return Err(Errno::LOOP);
    }
    let path = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
    rustix::fs::chmodat(rustix::fs::CWD, path, Mode::from_raw_mode(mode), AtFlags::empty())
}

/// Changes the mode of `name`, which is not a symbolic link.
#[cfg(not(target_os = "linux"))]
pub(crate) fn chmod(at: BorrowedFd<'_>, name: &CStr, mode: u32) -> Result<(), Errno> {
    rustix::fs::chmodat(at, name, Mode::from_raw_mode(mode as _), AtFlags::SYMLINK_NOFOLLOW)
}
