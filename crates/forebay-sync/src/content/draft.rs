//! A file that is being written, and where: under a temporary name, or in place.

use std::ffi::CStr;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::temp::{Temp, TempNames};
use crate::attrs;
use crate::fs::{self, Stat};

/// A file on its way to its name. Dropped before it is committed, a temporary file is removed; the user's is left.
#[derive(Debug)]
pub(crate) struct Draft<'d> {
    pub(crate) file: OwnedFd,
    /// `None` for what is written in place.
    pub(crate) temp: Option<Temp<'d>>,
    /// It existed before.
    pub(crate) existed: bool,
}

impl<'d> Draft<'d> {
    /// A new file under a temporary name in `dir`, which is the directory it is for if `hidden`.
    pub(crate) fn aside(
        names: &mut TempNames,
        dir: BorrowedFd<'d>,
        name: &CStr,
        hidden: bool,
        mode: u32,
    ) -> Result<Self, Errno> {
        let (temp, file) = Temp::file(names, dir, name, hidden, mode)?;
        Ok(Draft { file, temp: Some(temp), existed: false })
    }

    /// The file `name` itself, which is made if it is not there. What is no regular file is refused, nor, with `devices`, a
    /// device.
    pub(crate) fn in_place(dir: BorrowedFd<'d>, name: &CStr, mode: u32, devices: bool) -> Result<Self, Errno> {
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = match open_to_write(dir, name, flags) {
            Err(Errno::ACCESS) => open_our_own(dir, name, flags),
            result => result,
        };
        match opened {
            Ok(file) => {
                let kind = FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode);
                if kind != FileType::RegularFile && !(devices && fs::is_device(kind)) {
                    return Err(Errno::EXIST);
                }
                Ok(Draft { file, temp: None, existed: true })
            }
            Err(Errno::NOENT) => {
                let flags = flags | OFlags::CREATE | OFlags::EXCL;
                let file = rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(mode as _))?;
                Ok(Draft { file, temp: None, existed: false })
            }
            Err(errno) => Err(errno),
        }
    }
}

fn open_to_write(dir: BorrowedFd<'_>, name: &CStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    match rustix::fs::openat(dir, name, flags, Mode::empty()) {
        // It may be written to but not read.
        Err(Errno::ACCESS) => rustix::fs::openat(dir, name, (flags - OFlags::RDWR) | OFlags::WRONLY, Mode::empty()),
        result => result,
    }
}

/// Opens a file that its owner may not write to, which we are: it has another mode for that moment.
fn open_our_own(dir: BorrowedFd<'_>, name: &CStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    let now = Stat::at(dir, name)?;
    if now.kind != FileType::RegularFile || attrs::chmod(dir, name, now.mode | 0o200).is_err() {
        return Err(Errno::ACCESS);
    }
    let opened = open_to_write(dir, name, flags);
    match &opened {
        Ok(file) => rustix::fs::fchmod(file, Mode::from_raw_mode(now.mode as _))?,
        Err(_) => attrs::chmod(dir, name, now.mode)?,
    }
    opened
}
