//! Paths that whoever runs this has named: destinations, directories beside them, files of names and rules, logs.
//!
//! As with rsync, a symbolic link on the way, or at its end, is followed if root or the user himself owns it. Anybody else who may
//! write in a directory on the way could plant one there, and with that lead a run of root's wherever he likes. The walk holds
//! each directory open, so nothing changes between the look at a link and the step through it.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::fs::Stat;

/// That a link on the way is somebody else's. The number has no meaning to a file system; [`fs::describe`](crate::fs::describe)
/// has words for it.
pub(crate) const REFUSED: Errno = Errno::REMCHG;

/// What is said of that beside.
pub(crate) const REFUSAL: &str = "refusing to follow a symlink owned by an untrusted user; \
    use --insecure-links ONLY if every path component is trusted";

/// A line about `errno` to be said before what failed; mostly nothing.
pub(crate) fn warning(errno: Errno) -> String {
    if errno == REFUSED { format!("{REFUSAL}\n") } else { String::new() }
}

/// Opens a file that was named for reading. `warn` takes what is said beside the error.
///
/// # Errors
/// As [`File::open`]; and a link on the way that somebody else owns, unless `insecure`.
pub fn open_named(path: &OsStr, insecure: bool, warn: &mut dyn FnMut(&str)) -> io::Result<File> {
    named(path, OFlags::RDONLY, insecure, warn)
}

/// Opens or makes a file that was named, to write at its end. `warn` takes what is said beside the error.
///
/// # Errors
/// As for [`open_named`].
pub fn append_named(path: &OsStr, insecure: bool, warn: &mut dyn FnMut(&str)) -> io::Result<File> {
    named(path, OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE, insecure, warn)
}

fn named(path: &OsStr, flags: OFlags, insecure: bool, warn: &mut dyn FnMut(&str)) -> io::Result<File> {
    let opened = open(CWD, path.as_bytes(), flags, Mode::from_raw_mode(0o666), insecure);
    opened.map(File::from).map_err(|errno| match errno {
        REFUSED => {
            warn(REFUSAL);
            Errno::LOOP.into()
        }
        errno => errno.into(),
    })
}

/// Opens the directory `path`, for reading if that is permitted and else only to reach what is in it.
pub(crate) fn dir(at: BorrowedFd<'_>, path: &[u8], insecure: bool) -> Result<OwnedFd, Errno> {
    match open(at, path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty(), insecure) {
        #[cfg(target_os = "linux")]
        Err(Errno::ACCESS) => open(at, path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty(), insecure),
        result => result,
    }
}

/// What `path` leads to.
pub(crate) fn stat(at: BorrowedFd<'_>, path: &[u8], insecure: bool) -> Result<Stat, Errno> {
    #[cfg(target_os = "linux")]
    if !insecure {
        return rustix::fs::fstat(open(at, path, OFlags::PATH, Mode::empty(), false)?).map(Stat::from);
    }
    let _ = insecure;
    rustix::fs::statat(at, path, AtFlags::empty()).map(Stat::from)
}

/// Makes the directory `path`.
pub(crate) fn make_dir(at: BorrowedFd<'_>, path: &[u8], insecure: bool) -> Result<(), Errno> {
    let end = path.len() - path.iter().rev().take_while(|&&b| b == b'/').count();
    let split = path[..end].iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1);
    let (above, name) = path[..end].split_at(split);
    let above = dir(at, if above.is_empty() { b"." } else { above }, insecure)?;
    rustix::fs::mkdirat(above, if name.is_empty() { b"." } else { name }, Mode::from_raw_mode(0o777))
}

/// Opens `path`, with `mode` if `flags` make it.
#[cfg(target_os = "linux")]
pub(crate) fn open(
    at: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
    mode: Mode,
    insecure: bool,
) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::CLOEXEC;
    if insecure {
        return rustix::fs::openat(at, path, flags, mode);
    }
    let made = if flags.contains(OFlags::CREATE) { mode } else { Mode::empty() };
    match rustix::fs::openat2(at, path, flags, made, rustix::fs::ResolveFlags::NO_SYMLINKS) {
        // There is a link, or the system cannot look for one at once.
        Err(Errno::LOOP | Errno::NOSYS) => walk(at, path, flags, mode),
        result => result,
    }
}

/// Opens `path`. Where a link cannot be held open, whose it is cannot be told for certain: all are followed.
#[cfg(not(target_os = "linux"))]
pub(crate) fn open(at: BorrowedFd<'_>, path: &[u8], flags: OFlags, mode: Mode, _: bool) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(at, path, flags | OFlags::CLOEXEC, mode)
}

/// How many links are followed at most, as by the system.
#[cfg(target_os = "linux")]
const MOST_LINKS: usize = 40;

/// As [`open`], component by component.
#[cfg(target_os = "linux")]
fn walk(at: BorrowedFd<'_>, path: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    use rustix::fs::{FileType, PROC_SUPER_MAGIC};

    let on_the_way = OFlags::PATH | OFlags::CLOEXEC;
    if path.is_empty() {
        return Err(Errno::NOENT);
    }
    let mut dir = rustix::fs::openat(at, c".", on_the_way, Mode::empty())?;
    let mut rest = path.to_vec();
    let mut links = 0;
    loop {
        if rest.starts_with(b"/") {
            dir = rustix::fs::openat(CWD, c"/", on_the_way, Mode::empty())?;
        }
        let begin = rest.iter().take_while(|&&b| b == b'/').count();
        let end = rest[begin..].iter().position(|&b| b == b'/').map_or(rest.len(), |slash| begin + slash);
        let (part, after) = (rest[begin..end].to_vec(), rest[end..].to_vec());
        let last = after.iter().all(|&b| b == b'/');
        // What has a slash behind it is a directory.
        let flags = if after.is_empty() { flags } else { flags | OFlags::DIRECTORY };
        if part.is_empty() {
            return rustix::fs::openat(dir, c".", flags, mode);
        }
        let next = match rustix::fs::openat(&dir, &part[..], on_the_way | OFlags::NOFOLLOW, Mode::empty()) {
            Err(Errno::NOENT) if last && flags.contains(OFlags::CREATE) => {
                return rustix::fs::openat(dir, &part[..], flags | OFlags::NOFOLLOW, mode);
            }
            next => next?,
        };
        let stat = Stat::from(rustix::fs::fstat(&next)?);
        let is_link = stat.kind == FileType::Symlink;
        if is_link && stat.uid != 0 && stat.uid != rustix::process::geteuid().as_raw() {
            return Err(REFUSED);
        }
        // Links to what is open have no path to go on with, and nobody can plant one there.
        let is_magic = is_link && rustix::fs::fstatfs(&dir)?.f_type == PROC_SUPER_MAGIC;
        if last && (is_magic || !is_link) {
            let follow = if is_magic { OFlags::empty() } else { OFlags::NOFOLLOW };
            return rustix::fs::openat(dir, &part[..], flags | follow, mode);
        }
        if is_magic {
            dir = rustix::fs::openat(dir, &part[..], on_the_way, Mode::empty())?;
        } else if is_link {
            links += 1;
            if links > MOST_LINKS {
                return Err(Errno::LOOP);
            }
            let to = rustix::fs::readlinkat(&next, c"", Vec::new())?;
            rest = [to.to_bytes(), &after].concat();
            continue;
        } else {
            dir = next;
        }
        // What is left does not begin anew at the top.
        rest = after[after.iter().take_while(|&&b| b == b'/').count()..].to_vec();
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::fs::{lchown, symlink};

    #[test]
    fn links_are_followed_by_whose_they_are() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path();
        std::fs::create_dir_all(root.join("real/in")).unwrap();
        std::fs::write(root.join("real/in/f"), "f").unwrap();
        symlink("real", root.join("dir")).unwrap();
        symlink(root.join("dir/in"), root.join("real/abs")).unwrap();
        symlink("real/../dir/in/f", root.join("file")).unwrap();
        symlink("made", root.join("dangling")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let at = std::fs::File::open(root).unwrap();
        let read = |path: &str| open(at.as_fd(), path.as_bytes(), OFlags::RDONLY, Mode::empty(), false).map(drop);
        for path in ["real/in/f", "dir/in/f", "dir/abs/f", "file", "dir//in/../abs/f", "dir", "dir/", "dir/abs/."] {
            assert_eq!(read(path), Ok(()), "{path}");
        }
        let above = format!("{}/dir/abs/f", root.display());
        assert_eq!(read(&above), Ok(()));
        for (path, error) in [
            ("file/", Errno::NOTDIR),
            ("dir/in/f/x", Errno::NOTDIR),
            ("dir/none", Errno::NOENT),
            ("loop", Errno::LOOP),
            ("", Errno::NOENT),
        ] {
            assert_eq!(read(path), Err(error), "{path}");
        }
        let make = |path: &[u8]| open(at.as_fd(), path, OFlags::WRONLY | OFlags::CREATE, 0o600.into(), false).map(drop);
        assert_eq!(make(b"dangling"), Ok(()));
        assert!(root.join("made").exists());
        assert_eq!(make_dir(at.as_fd(), b"dir/new//", false), Ok(()));
        assert!(root.join("real/new").is_dir());
        // Only root can give links away.
        if lchown(root.join("dir"), Some(1234), None).is_ok() {
            for path in ["dir/in/f", "dir", "dir/", "file", "real/abs/f", &above] {
                assert_eq!(read(path), Err(REFUSED), "{path}");
            }
            assert_eq!(make(b"dir/more"), Err(REFUSED));
            assert_eq!(make_dir(at.as_fd(), b"dir/more", false), Err(REFUSED));
            assert!(open(at.as_fd(), b"dir/in/f", OFlags::RDONLY, Mode::empty(), true).is_ok());
        }
    }

    #[test]
    fn what_is_open_can_be_named() {
        let (reads, writes) = rustix::pipe::pipe().unwrap();
        rustix::io::write(&writes, b"x").unwrap();
        let path = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reads));
        let opened = open(CWD, path.as_bytes(), OFlags::RDONLY, Mode::empty(), false).unwrap();
        let mut byte = [0];
        assert_eq!(rustix::io::read(&opened, &mut byte), Ok(1));
    }
}
