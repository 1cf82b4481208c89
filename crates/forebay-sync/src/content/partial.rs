//! The directory of `--partial-dir` and `--delay-updates`: beside each file, or, by an absolute path, one for all.

use std::ffi::{CStr, OsStr};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::options::Options;
use crate::shared::Shared;

/// The directory that the options name.
pub(crate) fn name(options: &Options) -> Option<&OsStr> {
    let default = options.delay_updates.then_some(OsStr::new(".~tmp~"));
    options.partial_dir.as_deref().or(default)
}

/// Opens the directory for files of the directory `at`, which is made if it is missing and `make`.
pub(crate) fn dir(shared: &Shared<'_>, at: BorrowedFd<'_>, make: bool) -> Result<OwnedFd, Errno> {
    let name = name(shared.options).ok_or(Errno::NOENT)?;
    // Only the last component: a link in its place does not lead elsewhere.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(at, name, flags, Mode::empty()) {
        Err(Errno::NOENT) if make => {
            match rustix::fs::mkdirat(at, name, Mode::from_raw_mode(0o700)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
            rustix::fs::openat(at, name, flags, Mode::empty())
        }
        result => result,
    }
}

/// Removes what an earlier run has left of `file`, which is whole now, and the directory if nothing else is in it.
pub(crate) fn discard(shared: &Shared<'_>, at: BorrowedFd<'_>, file: &CStr) {
    let Some(name) = name(shared.options) else { return };
    // Mostly there is none. What cannot be removed does no harm: it is used or replaced by the next run.
    if let Ok(dir) = dir(shared, at, false)
        && rustix::fs::unlinkat(&dir, file, AtFlags::empty()).is_ok()
    {
        remove(at, name);
    }
}

/// Removes the directory if it is a relative one and nothing is in it.
pub(crate) fn remove(at: BorrowedFd<'_>, name: &OsStr) {
    if !name.as_bytes().starts_with(b"/") {
        let _ = rustix::fs::unlinkat(at, name, AtFlags::REMOVEDIR);
    }
}
