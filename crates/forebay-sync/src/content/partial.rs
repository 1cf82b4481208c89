//! The directory of `--partial-dir` and `--delay-updates`: beside each file, or, by an absolute path, one for all.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, CWD, Mode};
use rustix::io::Errno;

use crate::fs;
use crate::given;
use crate::options::Options;
use crate::shared::Shared;

/// The directory that the options name.
pub(crate) fn name(options: &Options) -> Option<&OsStr> {
    let default = options.delay_updates.then_some(OsStr::new(".~tmp~"));
    options.partial_dir.as_deref().or(default)
}

/// Where the directory is: what it is in, unless that is the directory of the file, and its name there.
fn place(options: &Options, at: BorrowedFd<'_>, name: &OsStr) -> Result<(Option<OwnedFd>, CString), Errno> {
    let name = name.as_bytes();
    let (above, last) = match name.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => name.split_at(slash + 1),
        None => (&[][..], name),
    };
    let last = CString::new(last).map_err(|_| Errno::INVAL)?;
    let above = match above.strip_suffix(b"/") {
        None => None,
        // Given by whoever runs this, and no part of the tree.
        Some(_) if name.starts_with(b"/") => Some(given::dir(CWD, above, options.insecure_links)?),
        Some(above) => Some(fs::open_beneath(at, above, false)?),
    };
    Ok((above, last))
}

/// Opens the directory for files of the directory `at`, which is made if it is missing and `make`: also in the place of what is
/// none, a link to one included.
pub(crate) fn dir(shared: &Shared<'_>, at: BorrowedFd<'_>, make: bool) -> Result<OwnedFd, Errno> {
    let (above, name) = place(shared.options, at, name(shared.options).ok_or(Errno::NOENT)?)?;
    let at = above.as_ref().map_or(at, AsFd::as_fd);
    let opened = fs::open_dir(at, &name, false);
    match opened {
        Err(Errno::NOENT) if make => {}
        // It had the name, and another worker may have been faster.
        Err(Errno::NOTDIR | Errno::LOOP) if make => match rustix::fs::unlinkat(at, &name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT | Errno::ISDIR) => {}
            Err(_) => return opened,
        },
        _ => return opened,
    }
    match rustix::fs::mkdirat(at, &name, Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(Errno::EXIST) => fs::open_dir(at, &name, false),
        Err(errno) => Err(errno),
    }
}

/// Removes what an earlier run has left of `file`, which is whole now, and the directory if nothing else is in it.
pub(crate) fn discard(shared: &Shared<'_>, at: BorrowedFd<'_>, file: &CStr) {
    // Mostly there is none. What cannot be removed does no harm: it is used or replaced by the next run.
    if let Ok(dir) = dir(shared, at, false)
        // It may be given as the very directory that the file is in.
        && fs::is_same(dir.as_fd(), at) == Ok(false)
        && rustix::fs::unlinkat(&dir, file, AtFlags::empty()).is_ok()
    {
        remove(shared, at);
    }
}

/// Removes the directory if it is a relative one and nothing is in it.
pub(crate) fn remove(shared: &Shared<'_>, at: BorrowedFd<'_>) {
    let Some(name) = name(shared.options).filter(|name| !name.as_bytes().starts_with(b"/")) else { return };
    if let Ok((above, name)) = place(shared.options, at, name) {
        let _ = rustix::fs::unlinkat(above.as_ref().map_or(at, AsFd::as_fd), &name, AtFlags::REMOVEDIR);
    }
}
