//! Directories too far down to stay open: each takes a descriptor, and of those there are few.
//!
//! Those that are not far down are held, and further down one of several is, so that there is a short way from it to those that are
//! not. They are opened again for each use, and must be what they were: a name that leads to something else by then does not count.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

use crate::fs::{self, Stat};

/// Of how many directories further down one is held: the names on the way from it are shorter than a path may be.
const STEP: usize = 15;

/// What part of the descriptors those on one way may take, on one side.
const SHARE: u64 = 8;

/// How far down all directories are held.
pub(crate) fn most_held() -> usize {
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |most| usize::try_from(most / SHARE).unwrap_or(usize::MAX))
}

/// Whether the directory at `rel`, which ends with a slash, is held where `most` levels are.
pub(crate) fn is_held(rel: &[u8], most: usize) -> bool {
    let level = rel.iter().filter(|&&b| b == b'/').count();
    level <= most || level.is_multiple_of(STEP)
}

/// A directory that is not held.
#[derive(Clone, Debug)]
pub(crate) struct Deep {
    /// The next above it that is.
    pub(crate) above: Arc<OwnedFd>,
    /// The way from there.
    pub(crate) path: Vec<u8>,
    inode: (u64, u64),
}

impl Deep {
    /// The open directory `fd`, at `name` in that which is `path` beneath `above`.
    pub(crate) fn new(above: &Arc<OwnedFd>, path: &[u8], name: &CStr, fd: BorrowedFd<'_>) -> Result<Self, Errno> {
        let inode = Stat::from(rustix::fs::fstat(fd)?).inode();
        let slash: &[u8] = if path.is_empty() { b"" } else { b"/" };
        Ok(Deep { above: Arc::clone(above), path: [path, slash, name.to_bytes()].concat(), inode })
    }

    /// Opens it again.
    pub(crate) fn open(&self) -> Result<OwnedFd, Errno> {
        let path = std::ffi::CString::new(&self.path[..]).map_err(|_| Errno::INVAL)?;
        let fd = fs::open_dir(self.above.as_fd(), &path, true)?;
        match Stat::from(rustix::fs::fstat(&fd)?).inode() == self.inode {
            true => Ok(fd),
            false => Err(Errno::STALE),
        }
    }
}

/// An open directory, for a moment or for longer.
#[derive(Clone, Debug)]
pub(crate) enum Fd<'d> {
    /// The working directory.
    Here,
    Held(&'d Arc<OwnedFd>),
    Opened(Arc<OwnedFd>),
}

impl Fd<'_> {
    /// What has to live as long as it is spoken of.
    pub(crate) fn kept(&self) -> Option<Arc<OwnedFd>> {
        match self {
            Fd::Opened(fd) => Some(Arc::clone(fd)),
            Fd::Here | Fd::Held(_) => None,
        }
    }
}

impl AsFd for Fd<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Fd::Here => CWD,
            Fd::Held(fd) => fd.as_fd(),
            Fd::Opened(fd) => fd.as_fd(),
        }
    }
}
