//! Owner, mode and times: which are wanted, and how they are set without following a link.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid};
use rustix::io::Errno;

use crate::fs::Stat;
use crate::itemize::Change;
use crate::shared::Shared;
use crate::target::Ready;

/// The mode that an entry is to have, given what is there now, or else the directory `ready` that it is made in.
pub(crate) fn wanted_mode(shared: &Shared<'_>, src: &Stat, old: Option<&Stat>, ready: Option<&Ready>) -> u32 {
    match old {
        _ if shared.options.perms => src.mode,
        Some(old) if shared.options.executability && src.kind == FileType::RegularFile => {
            executable(src.mode, old.mode)
        }
        Some(old) => old.mode,
        None => src.mode & ready.map_or(0o777 & !shared.me.umask, |ready| ready.permits(shared)),
    }
}

/// What a directory's default ACL permits for whom, as a mode.
#[cfg(target_os = "linux")]
pub(crate) fn default_acl(dir: BorrowedFd<'_>) -> Option<u32> {
    /// What entries of an ACL are for: the owner, the group, all that are named and the group together, all others.
    const OWNER: u16 = 1;
    const GROUP: u16 = 4;
    const MASK: u16 = 0x10;
    const OTHER: u16 = 0x20;
    let mut value = vec![0; 1 << 10];
    let len = loop {
        match rustix::fs::fgetxattr(dir, "system.posix_acl_default", &mut value[..]) {
            // Values end at 64 KiB.
            Err(Errno::RANGE) if value.len() < 64 << 10 => value.resize(64 << 10, 0),
            result => break result.ok()?,
        }
    };
    // A version, and entries of what for, permissions and an id.
    let entries: Vec<(u16, u32)> = value
        .get(4..len)?
        .chunks_exact(8)
        .map(|entry| {
            (u16::from_le_bytes([entry[0], entry[1]]), u32::from(u16::from_le_bytes([entry[2], entry[3]]) & 7))
        })
        .collect();
    let of = |tag| entries.iter().find(|entry| entry.0 == tag).map(|entry| entry.1);
    Some(of(OWNER)? << 6 | of(MASK).or(of(GROUP))? << 3 | of(OTHER)?)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn default_acl(_: BorrowedFd<'_>) -> Option<u32> {
    None
}

/// The mode `old`, executable or not as `src` is: who may read may then execute.
fn executable(src: u32, old: u32) -> u32 {
    match (src & 0o111 != 0, old & 0o111 != 0) {
        (true, false) => old | ((old & 0o444) >> 2),
        (false, true) => old & !0o111,
        _ => old,
    }
}

/// Who is to own an entry that `uid` and `gid` own now: only what differs and may be changed.
pub(crate) fn wanted_owner(shared: &Shared<'_>, src: &Stat, uid: u32, gid: u32) -> (Option<u32>, Option<u32>) {
    let (options, privileged) = (shared.options, shared.privileged());
    let (wanted_uid, wanted_gid) = (shared.user(src.uid), shared.group(src.gid));
    (
        (options.owner && privileged && wanted_uid != uid).then_some(wanted_uid),
        (options.group && (privileged || shared.me.has_group(wanted_gid)) && wanted_gid != gid).then_some(wanted_gid),
    )
}

/// Whether the modification time of an entry of this kind is preserved.
pub(crate) fn keeps_time(shared: &Shared<'_>, kind: FileType) -> bool {
    let options = shared.options;
    options.times
        && match kind {
            FileType::Directory => options.dir_times(),
            FileType::Symlink => !options.omit_link_times,
            _ => true,
        }
}

/// Whether the access time of an entry of this kind is preserved.
pub(crate) fn keeps_atime(shared: &Shared<'_>, kind: FileType) -> bool {
    let options = shared.options;
    options.atimes
        && match kind {
            FileType::Directory => false,
            FileType::Symlink => !options.omit_link_times,
            _ => true,
        }
}

/// Whether the access time of the existing `old` is to be another.
pub(crate) fn other_atime(shared: &Shared<'_>, src: &Stat, old: &Stat) -> bool {
    keeps_atime(shared, src.kind) && src.atime.tv_sec != old.atime.tv_sec
}

/// Enters into `change` which attributes of the existing `old` differ from what is wanted.
pub(crate) fn compare(shared: &Shared<'_>, change: &mut Change, src: &Stat, old: &Stat) {
    change.perms = src.kind != FileType::Symlink && wanted_mode(shared, src, Some(old), None) != old.mode;
    let (uid, gid) = wanted_owner(shared, src, old.uid, old.gid);
    change.owner = uid.is_some();
    change.group = gid.is_some();
    // As with rsync, nothing is said of a link's.
    change.atime = src.kind != FileType::Symlink && other_atime(shared, src, old);
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

/// What of the times of `src` is preserved, the modification time only if `mtime`; `None` if nothing is.
pub(crate) fn wanted_times(shared: &Shared<'_>, src: &Stat, mtime: bool) -> Option<Timestamps> {
    let omit = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
    // As with rsync, what stands for a link is none.
    let stands = shared.options.times && shared.options.fake_destination && src.kind == FileType::Symlink;
    let mtime = mtime && (keeps_time(shared, src.kind) || stands);
    let atime = keeps_atime(shared, src.kind);
    (mtime || atime).then_some(Timestamps {
        last_access: if atime { src.atime } else { omit },
        last_modification: if mtime { src.mtime } else { omit },
    })
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
    if FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode) == FileType::Symlink {
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
