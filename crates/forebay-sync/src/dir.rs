//! A directory on its way: where it comes from, what is in it, and, once a worker has been there, where it goes.
//!
//! Directories are shared by the items beneath them. Whoever gives the last reference back finishes the directory, so
//! everything beneath is done by then, without a second pass over the tree.

use std::borrow::Cow;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{CWD, FileType, Mode, OFlags, Timespec};
use rustix::io::Errno;

use crate::above::Above;
use crate::deep::{Deep, Fd};
use crate::extended::{self, Origin, Place};
use crate::fake;
use crate::filter::{Local, clean};
use crate::fs::{self, Stat};
use crate::fuzzy::Candidate;
use crate::listing::Listing;
use crate::options::Options;
use crate::outcome::Outcome;
use crate::sent::Sent;
use crate::shared::Shared;
use crate::target::Target;
use crate::totals::Kinds;

/// A directory of the source, or several of one name from merged sources.
#[derive(Debug)]
pub(crate) struct Dir {
    /// Empty for the root, else the path below it with a slash at its end.
    pub(crate) rel: Vec<u8>,
    /// The last component; empty for the root.
    pub(crate) name: CString,
    pub(crate) parent: Option<Arc<Dir>>,
    pub(crate) sources: Vec<SourceDir>,
    /// What the other side says of it and of what is in it, if it came over the wire. Then there is one source, which
    /// nothing leads to.
    pub(crate) sent: Option<Sent>,
    /// Which of the parent's sources holds the first of `sources`.
    pub(crate) in_parent: usize,
    pub(crate) listing: Listing,
    /// How many symbolic links were followed on the way to it.
    pub(crate) links: u8,
    /// Whether it is itself transferred, with its attributes. The root may not be, and with `--no-implied-dirs` what is only
    /// on the way to something.
    pub(crate) transferred: bool,
    /// Whether `listing` is all there is, so that what is not in it may be deleted.
    pub(crate) complete: bool,
    /// The destination, once somebody was there.
    pub(crate) target: OnceLock<Target>,
    /// What entering the destination had to say, until the directory's own item takes it.
    pub(crate) entered: Mutex<Outcome>,
    /// Whether anything in the destination directory has been made, renamed or removed.
    pub(crate) touched: AtomicBool,
    /// Names of finished files that wait for everything else to be done.
    pub(crate) delayed: Mutex<Vec<CString>>,
    /// What blocks of new files may come from, once somebody was at the destination.
    pub(crate) candidates: OnceLock<Vec<Candidate>>,
}

impl Dir {
    /// Bytes in memory, beside what the parent weighs.
    pub(crate) fn weight(&self) -> usize {
        let sent = self.sent.as_ref().map_or(0, Sent::weight);
        let sources = self.sources.len() * size_of::<SourceDir>();
        size_of::<Self>() + self.rel.capacity() + self.listing.weight() + sources + sent
    }

    /// The path below the root without a slash at its end; empty for the root.
    pub(crate) fn path(&self) -> &[u8] {
        self.rel.strip_suffix(b"/").unwrap_or(&self.rel)
    }

    /// How many directories of the listings on the way to it come after it.
    pub(crate) fn dirs_ahead(&self) -> usize {
        let way = std::iter::successors(Some(self), |dir| dir.parent.as_deref());
        way.filter_map(|dir| Some(dir.parent.as_ref()?.listing.dirs_behind(&dir.name))).sum()
    }

    /// Whether its name is a symbolic link that was followed.
    fn is_followed(&self) -> bool {
        self.parent.as_ref().is_some_and(|parent| parent.links < self.links)
    }

    /// Stats the directory in the source.
    pub(crate) fn stat(&self) -> Result<Stat, Errno> {
        if let Some(sent) = &self.sent {
            return sent.own().map(|(_, stat)| stat).ok_or(Errno::NOENT);
        }
        match (self.sources.first(), &self.parent) {
            (Some(source), _) if let Some(fd) = source.base.fd() => {
                let fd = fd?;
                let real = rustix::fs::fstat(&fd).map(Stat::from)?;
                source.seen(real, || Ok(Place::of(&fd, true)))
            }
            (_, Some(parent)) => {
                parent.source(self.in_parent).and_then(|source| source.stat(&self.name, self.is_followed()))
            }
            (Some(source), None) => source.stat(c".", true),
            (None, None) => Err(Errno::NOENT),
        }
    }

    /// Where the extended attributes of the directory in the source are.
    pub(crate) fn attributes(&self) -> Result<Origin, Errno> {
        match (&self.sent, self.sources.first()) {
            (Some(sent), _) => sent.own().map(|(own, _)| own.origin(None)).ok_or(Errno::NOENT),
            (None, Some(SourceDir { base, reads, .. })) if let Some(fd) = base.fd() => {
                // It is listed in the one above it.
                let above = self.parent.as_ref().map(|parent| parent.source(self.in_parent)).transpose()?;
                let local = above.map(|source| source.local.clone()).unwrap_or_default();
                Ok(Origin::Here(Place::of(&fd?, reads.fake).listed(&local)))
            }
            // It cannot be opened, or is relative to the working directory.
            (None, source) => match (&self.parent, source) {
                (Some(parent), _) => Place::source(parent.source(self.in_parent)?, &self.name, self.is_followed()),
                (None, Some(source)) => Place::source(source, c".", true).map(|place| place.listed(&Local::default())),
                (None, None) => Err(Errno::NOENT),
            }
            .map(Origin::Here),
        }
    }

    /// Stats what is at `at` in the listing, in the source.
    pub(crate) fn stat_of(&self, at: usize) -> Result<Stat, Errno> {
        match &self.sent {
            Some(sent) => sent.entry(at).map(|entry| entry.stat).ok_or(Errno::NOENT),
            None => self.source_of(at)?.stat(self.listing.name(at), self.listing.follows(at)),
        }
    }

    /// What the symbolic link at `at` in the listing leads to.
    pub(crate) fn link_of(&self, at: usize) -> Result<CString, Errno> {
        match &self.sent {
            Some(sent) => sent.entry(at).and_then(|entry| entry.link.clone()).ok_or(Errno::INVAL),
            None => self.source_of(at)?.read_link(self.listing.name(at)),
        }
    }

    /// Where the extended attributes are of what is at `at` in the listing.
    pub(crate) fn attributes_of(&self, at: usize) -> Result<Origin, Errno> {
        match &self.sent {
            Some(sent) => sent.entry(at).map(|entry| entry.origin(None)).ok_or(Errno::NOENT),
            None => {
                Place::source(self.source_of(at)?, self.listing.name(at), self.listing.follows(at)).map(Origin::Here)
            }
        }
    }

    /// Whether the extended attributes can be read of what is at `at` in the listing.
    pub(crate) fn is_readable(&self, shared: &Shared<'_>, at: usize, out: &mut Outcome) -> bool {
        match self.source_of(at) {
            Ok(source) if self.sent.is_none() => {
                source.is_readable(shared, self.listing.name(at), self.listing.follows(at), self.parent.is_none(), out)
            }
            _ => true,
        }
    }

    /// The source that has what is at `at` in the listing.
    pub(crate) fn source_of(&self, at: usize) -> Result<&SourceDir, Errno> {
        self.source(self.listing.source(at))
    }

    pub(crate) fn source(&self, index: usize) -> Result<&SourceDir, Errno> {
        self.sources.get(index).ok_or(Errno::NOENT)
    }
}

/// One directory of the source, or the place that names from the command line are relative to.
#[derive(Debug)]
pub(crate) struct SourceDir {
    pub(crate) base: Base,
    /// The absolute path, with a slash at its end, for messages.
    pub(crate) shown: Vec<u8>,
    /// What the command line says above it, for lines.
    pub(crate) above: Arc<Above>,
    /// What per-directory filter files say here.
    pub(crate) local: Local,
    pub(crate) reads: Reads,
}

/// Opens the directory of the source that is called `shown` in messages once more. Its end `rel`, which was found beneath what was
/// given, may lead through no link.
pub(crate) fn open_again(shown: &[u8], rel: &[u8]) -> Result<OwnedFd, Errno> {
    let (base, rel) = shown.strip_suffix(rel).map_or((shown, &[][..]), |base| (base, rel));
    let base = fs::open_dir(CWD, &CString::new(base).map_err(|_| Errno::INVAL)?, true)?;
    match rel.strip_suffix(b"/") {
        Some(rel) => fs::open_beneath(base.as_fd(), rel, false),
        None => Ok(base),
    }
}

/// What entries of the source are taken for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reads {
    /// `--fake-super`: for what is kept in attributes of them.
    pub(crate) fake: bool,
    /// `--copy-devices`: a device for a file of what it holds.
    devices: bool,
}

impl Reads {
    pub(crate) fn of(options: &Options) -> Self {
        Reads { fake: options.fake_source, devices: options.copy_devices }
    }
}

/// How names in a source directory are reached.
#[derive(Debug)]
pub(crate) enum Base {
    /// Beneath this descriptor.
    Held(Arc<OwnedFd>),
    /// The same, opened for each use.
    Deep(Deep),
    /// Relative to the working directory, behind this prefix: it was given on the command line.
    Given(Vec<u8>),
    /// Not at all: it could not be opened.
    Closed,
}

impl Base {
    /// The directory, if it can be opened at all.
    pub(crate) fn fd(&self) -> Option<Result<Fd<'_>, Errno>> {
        match self {
            Base::Held(fd) => Some(Ok(Fd::Held(fd))),
            Base::Deep(deep) => Some(deep.open().map(|fd| Fd::Opened(Arc::new(fd)))),
            Base::Given(_) | Base::Closed => None,
        }
    }

    /// The open directory `fd` that is called `name` here, to be held only if `holds`.
    pub(crate) fn beneath(&self, name: &CStr, fd: OwnedFd, holds: bool) -> Base {
        let deep = match self {
            Base::Held(above) if !holds => Deep::new(above, b"", name, fd.as_fd()),
            Base::Deep(Deep { above, path, .. }) if !holds => Deep::new(above, path, name, fd.as_fd()),
            _ => return Base::Held(Arc::new(fd)),
        };
        deep.map_or_else(|_| Base::Held(Arc::new(fd)), Base::Deep)
    }
}

impl SourceDir {
    /// The descriptor and the path that lead to `name`.
    pub(crate) fn place<'a>(&'a self, name: &'a CStr) -> Result<(Fd<'a>, Cow<'a, CStr>), Errno> {
        match &self.base {
            Base::Held(fd) => Ok((Fd::Held(fd), Cow::Borrowed(name))),
            Base::Deep(deep) => Ok((Fd::Opened(Arc::new(deep.open()?)), Cow::Borrowed(name))),
            Base::Given(prefix) => {
                let path = [prefix, name.to_bytes()].concat();
                Ok((Fd::Here, Cow::Owned(CString::new(path).map_err(|_| Errno::INVAL)?)))
            }
            Base::Closed => Err(Errno::NOENT),
        }
    }

    /// Stats `name`, or what it leads to.
    pub(crate) fn stat(&self, name: &CStr, follow: bool) -> Result<Stat, Errno> {
        let (at, path) = self.place(name)?;
        let real = if follow { Stat::followed(at.as_fd(), &path) } else { Stat::at(at.as_fd(), &path) };
        let stat = self.seen(real?, || Place::source(self, name, follow))?;
        if !self.reads.devices || stat.kinds() != Kinds::Device {
            return Ok(stat);
        }
        // What cannot be opened is reported when it is its turn.
        let size = self.open(name, follow, false).and_then(|fd| fs::device_size(fd.as_fd())).unwrap_or(0);
        // As with rsync: the node's time says nothing of what the device holds.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mtime = Timespec { tv_sec: i64::try_from(now).unwrap_or(i64::MAX), tv_nsec: 0 };
        Ok(Stat { kind: FileType::RegularFile, size, mtime, rdev: 0, dev: stat.rdev, ..stat })
    }

    /// What the entry at `place` stands for, which itself is as `real` says.
    fn seen(&self, real: Stat, place: impl FnOnce() -> Result<Place, Errno>) -> Result<Stat, Errno> {
        if self.reads.fake { fake::seen(real, &place()?) } else { Ok(real) }
    }

    /// Opens for reading without waiting for the other end of what may have become a FIFO, and without following unless
    /// that is meant. With `noatime` the access time stays as it is, which only the owner may ask for.
    pub(crate) fn open(&self, name: &CStr, follow: bool, noatime: bool) -> Result<OwnedFd, Errno> {
        let (at, path) = self.place(name)?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | nofollow(follow);
        #[cfg(target_os = "linux")]
        if noatime {
            match rustix::fs::openat(&at, &*path, flags | OFlags::NOATIME, Mode::empty()) {
                Err(Errno::PERM) => {}
                result => return result,
            }
        }
        #[cfg(not(target_os = "linux"))]
        let _ = noatime;
        rustix::fs::openat(at, &*path, flags, Mode::empty())
    }

    /// Opens a directory, or what a link leads to if `follow`: on the way to a name that was given.
    pub(crate) fn open_dir(&self, name: &CStr, follow: bool) -> Result<OwnedFd, Errno> {
        self.open_dir_for(OFlags::RDONLY, name, follow)
    }

    /// As [`open_dir`](Self::open_dir), only to reach what is in it: it need not be readable.
    #[cfg(target_os = "linux")]
    pub(crate) fn reach_dir(&self, name: &CStr, follow: bool) -> Result<OwnedFd, Errno> {
        self.open_dir_for(OFlags::PATH, name, follow)
    }

    /// As [`open_dir`](Self::open_dir).
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn reach_dir(&self, name: &CStr, follow: bool) -> Result<OwnedFd, Errno> {
        self.open_dir(name, follow)
    }

    fn open_dir_for(&self, access: OFlags, name: &CStr, follow: bool) -> Result<OwnedFd, Errno> {
        let (at, path) = self.place(name)?;
        let flags = access | OFlags::DIRECTORY | OFlags::CLOEXEC | nofollow(follow);
        rustix::fs::openat(at, &*path, flags, Mode::empty())
    }

    pub(crate) fn read_link(&self, name: &CStr) -> Result<CString, Errno> {
        let (at, path) = self.place(name)?;
        match rustix::fs::readlinkat(&at, &*path, Vec::new()) {
            // It is no link itself.
            Err(Errno::INVAL) if self.reads.fake => fake::link(at.as_fd(), &path),
            result => result,
        }
    }

    /// Whether the extended attributes of `name`, or of what it leads to, can be read. That it may not be known what it stands
    /// for is reported, and no more: it is what it is itself. What is in a directory `given` by its
    /// contents is shown as rsync does.
    pub(crate) fn is_readable(
        &self,
        shared: &Shared<'_>,
        name: &CStr,
        follow: bool,
        given: bool,
        out: &mut Outcome,
    ) -> bool {
        let path = || {
            let whole = given && matches!(self.base, Base::Held(_)) && !self.shown.ends_with(b"/./");
            [&clean(&self.shown)[..], if whole { &b"./"[..] } else { b"" }, name.to_bytes()].concat()
        };
        let place = Place::source(self, name, follow);
        if self.reads.fake && !shared.me.is_root() && place.as_ref().is_ok_and(fake::is_hidden) {
            let what = "[sender] failed to read xattr user.rsync.%stat for";
            shared.fail(out, what, &self.path_of(name), Errno::ACCESS);
        }
        extended::is_readable(shared, &place, path, out)
    }

    /// The absolute path of `name` in it.
    pub(crate) fn path_of(&self, name: &CStr) -> Vec<u8> {
        [&self.shown, name.to_bytes()].concat()
    }
}

fn nofollow(follow: bool) -> OFlags {
    if follow { OFlags::empty() } else { OFlags::NOFOLLOW }
}
