//! The few file system calls that need a common shape: what a name is, what a directory holds, how to enter one.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timespec};
use rustix::io::Errno;

use crate::totals::Kinds;
use crate::{fake, given};

/// What is known of an entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stat {
    pub(crate) kind: FileType,
    /// The twelve permission bits.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Bytes.
    pub(crate) size: u64,
    pub(crate) mtime: Timespec,
    pub(crate) atime: Timespec,
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    /// How many names it has.
    pub(crate) nlink: u64,
    pub(crate) rdev: u64,
    /// Its number in the list of the other side, if it came over the wire. Then `dev` and `ino` tell which names are one
    /// file, and nothing else.
    pub(crate) index: Option<i32>,
}

impl From<rustix::fs::Stat> for Stat {
    #[allow(clippy::unnecessary_cast, reason = "the types of these fields differ between systems")]
    fn from(stat: rustix::fs::Stat) -> Self {
        Stat {
            kind: FileType::from_raw_mode(stat.st_mode),
            mode: stat.st_mode as u32 & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mtime: Timespec { tv_sec: stat.st_mtime as _, tv_nsec: stat.st_mtime_nsec as _ },
            atime: Timespec { tv_sec: stat.st_atime as _, tv_nsec: stat.st_atime_nsec as _ },
            dev: stat.st_dev as u64,
            ino: stat.st_ino as u64,
            nlink: stat.st_nlink as u64,
            rdev: stat.st_rdev as u64,
            index: None,
        }
    }
}

impl Stat {
    /// Nothing but its kind is known.
    pub(crate) fn of_kind(kind: FileType) -> Self {
        let time = Timespec { tv_sec: 0, tv_nsec: 0 };
        Stat {
            kind,
            mode: 0,
            uid: 0,
            gid: 0,
            size: 0,
            mtime: time,
            atime: time,
            dev: 0,
            ino: 0,
            nlink: 1,
            rdev: 0,
            index: None,
        }
    }

    /// Kind and permissions in one number, as file systems and file lists have them. That of no kind is 0.
    pub(crate) fn raw_mode(&self) -> u32 {
        if self.kind == FileType::Unknown { 0 } else { self.kind.as_raw_mode() | self.mode }
    }

    /// Stats `name` beneath `at` without following it.
    pub(crate) fn at(at: BorrowedFd<'_>, name: &CStr) -> Result<Self, Errno> {
        rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW).map(Into::into)
    }

    /// Stats what `name` beneath `at` leads to.
    pub(crate) fn followed(at: BorrowedFd<'_>, name: &CStr) -> Result<Self, Errno> {
        rustix::fs::statat(at, name, AtFlags::empty()).map(Into::into)
    }

    /// What two names of one file have in common.
    pub(crate) fn inode(&self) -> (u64, u64) {
        (self.dev, self.ino)
    }

    pub(crate) fn kinds(&self) -> Kinds {
        kinds(self.kind)
    }
}

pub(crate) fn kinds(kind: FileType) -> Kinds {
    match kind {
        FileType::Directory => Kinds::Dir,
        FileType::Symlink => Kinds::Link,
        FileType::CharacterDevice | FileType::BlockDevice => Kinds::Device,
        FileType::Fifo | FileType::Socket => Kinds::Special,
        _ => Kinds::File,
    }
}

/// Opens the directory `name` beneath `at`, for reading if that is permitted and else only to reach what is in it.
pub(crate) fn open_dir(at: BorrowedFd<'_>, name: &CStr, follow: bool) -> Result<OwnedFd, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | if follow { OFlags::empty() } else { OFlags::NOFOLLOW };
    match rustix::fs::openat(at, name, OFlags::RDONLY | flags, Mode::empty()) {
        #[cfg(target_os = "linux")]
        Err(Errno::ACCESS) => rustix::fs::openat(at, name, OFlags::PATH | flags, Mode::empty()),
        result => result,
    }
}

/// Opens the regular file `name` beneath `at` for reading, without following it or waiting for anybody.
pub(crate) fn open_file(at: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::openat(at, name, flags, Mode::empty())
}

/// Opens the directory at the relative path `rel` beneath `at` so that no link leads elsewhere: links are refused, or,
/// if `follow`, must stay beneath `at`. The empty path is `at` itself.
#[cfg(target_os = "linux")]
pub(crate) fn open_beneath(at: BorrowedFd<'_>, rel: &[u8], follow: bool) -> Result<OwnedFd, Errno> {
    use rustix::fs::ResolveFlags;
    let path = if rel.is_empty() { b"." } else { rel };
    let links = if follow { ResolveFlags::NO_MAGICLINKS } else { ResolveFlags::NO_SYMLINKS };
    let mut flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    for _ in 0..RETRIES {
        match rustix::fs::openat2(at, path, flags, Mode::empty(), ResolveFlags::BENEATH | links) {
            // Something was renamed meanwhile.
            Err(Errno::AGAIN) => {}
            // To reach what is in it, it need not be readable.
            Err(Errno::ACCESS) if !flags.contains(OFlags::PATH) => flags = flags.union(OFlags::PATH),
            Err(Errno::NOSYS) => return descend(at, rel),
            result => return result,
        }
    }
    Err(Errno::AGAIN)
}

/// How many bytes the open device holds.
pub(crate) fn device_size(device: BorrowedFd<'_>) -> Result<u64, Errno> {
    let end = rustix::fs::seek(device, rustix::fs::SeekFrom::End(0))?;
    rustix::fs::seek(device, rustix::fs::SeekFrom::Start(0))?;
    Ok(end)
}

pub(crate) fn is_device(kind: FileType) -> bool {
    matches!(kind, FileType::CharacterDevice | FileType::BlockDevice)
}

/// Ends the open file at `len` bytes. A device is as long as it is.
pub(crate) fn end_at(file: BorrowedFd<'_>, len: u64) -> Result<(), Errno> {
    match rustix::fs::ftruncate(file, len) {
        Err(Errno::INVAL) if is_device(FileType::from_raw_mode(rustix::fs::fstat(file)?.st_mode)) => Ok(()),
        result => result,
    }
}

/// Opens the directory at the relative path `rel` beneath `at`; links are refused. The empty path is `at` itself.
#[cfg(not(target_os = "linux"))]
pub(crate) fn open_beneath(at: BorrowedFd<'_>, rel: &[u8], _: bool) -> Result<OwnedFd, Errno> {
    descend(at, rel)
}

/// How often a path is looked up again in which something is renamed all the time.
#[cfg(target_os = "linux")]
const RETRIES: usize = 100;

/// Component by component, where the system cannot do it at once.
fn descend(at: BorrowedFd<'_>, rel: &[u8]) -> Result<OwnedFd, Errno> {
    let mut dir = open_dir(at, c".", false)?;
    for part in rel.split(|&b| b == b'/').filter(|part| !part.is_empty()) {
        if part == b".." {
            return Err(Errno::XDEV);
        }
        let part = CString::new(part).map_err(|_| Errno::INVAL)?;
        dir = open_dir(dir.as_fd(), &part, false)?;
    }
    Ok(dir)
}

/// Gives every entry of `dir` but `.` and `..` to `each`, in the file system's order, with its type where the
/// directory tells it.
#[cfg(target_os = "linux")]
pub(crate) fn list(dir: BorrowedFd<'_>, mut each: impl FnMut(&CStr, FileType)) -> Result<(), Errno> {
    // One name is at most 255 bytes; a buffer of this size makes most directories a single call.
    let mut buffer = Vec::with_capacity(32 << 10);
    let mut entries = rustix::fs::RawDir::new(dir, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = match entry {
            // It has been removed: nothing is in it. To C libraries, that is the end as well.
            Err(Errno::NOENT) => break,
            entry => entry?,
        };
        let name = entry.file_name();
        if name != c"." && name != c".." {
            each(name, entry.file_type());
        }
    }
    Ok(())
}

/// Gives every entry of `dir` but `.` and `..` to `each`, in the file system's order, with its type where the
/// directory tells it.
#[cfg(not(target_os = "linux"))]
pub(crate) fn list(dir: BorrowedFd<'_>, mut each: impl FnMut(&CStr, FileType)) -> Result<(), Errno> {
    for entry in rustix::fs::Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            each(name, entry.file_type());
        }
    }
    Ok(())
}

/// Whether both are open on the same file or directory.
pub(crate) fn is_same(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> Result<bool, Errno> {
    let inode = |fd| rustix::fs::fstat(fd).map(|stat| Stat::from(stat).inode());
    Ok(inode(one)? == inode(other)?)
}

/// The system's words for an error and its number, as rsync prints them.
pub(crate) fn describe(errno: Errno) -> String {
    if errno == fake::CORRUPT {
        return format!("the attribute {} makes no sense", fake::STAT.to_string_lossy());
    }
    let errno = if errno == given::REFUSED { Errno::LOOP } else { errno };
    let number = errno.raw_os_error();
    let text = std::io::Error::from_raw_os_error(number).to_string();
    format!("{} ({number})", text.strip_suffix(&format!(" (os error {number})")).unwrap_or(&text))
}
