//! Directories beside the destination that the options name: held open, found relative to the destination.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, CWD, FileType, Timespec};
use rustix::io::Errno;

use crate::attrs;
use crate::error::Error;
use crate::fs::{self, Stat};
use crate::given;
use crate::options::{AlternateKind, Options};
use crate::outcome::Outcome;
use crate::roots::without_slashes;
use crate::shared::{Root, Shared};

/// The directories beside the destination.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// `--temp-dir`.
    pub(crate) temp: Option<Place>,
    /// `--compare-dest` and its like, those that there are.
    pub(crate) alternates: Vec<Place>,
    /// `--backup-dir`, once something is to go there.
    backup: OnceLock<Result<OwnedFd, Errno>>,
    /// Directories have been made for that.
    made_backup: AtomicBool,
    /// The time that the destination is to have all the same.
    root_time: OnceLock<Timespec>,
    /// The time that the directory of `--temp-dir` is to have, where it is one of the destination's.
    temp_time: OnceLock<Timespec>,
}

/// A directory that is held open.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) fd: OwnedFd,
    pub(crate) dev: u64,
    /// The path for messages, without a slash at its end.
    pub(crate) shown: Vec<u8>,
}

impl Place {
    /// The directory at `rel` in it, with the links that the paths of places are found by.
    pub(crate) fn dir(&self, options: &Options, rel: &[u8]) -> Result<OwnedFd, Errno> {
        given::dir(self.fd.as_fd(), if rel.is_empty() { b"." } else { rel }, options.insecure_links)
    }

    /// As [`dir`](Self::dir), where the last name must not be a link itself.
    pub(crate) fn dir_itself(&self, options: &Options, rel: &[u8]) -> Result<OwnedFd, Errno> {
        match fs::open_beneath(self.fd.as_fd(), rel, false) {
            Err(Errno::LOOP | Errno::NOTDIR) => {
                let (above, name) = rel.split_at(rel.iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1));
                fs::open_beneath(self.dir(options, above)?.as_fd(), name, false)
            }
            opened => opened,
        }
    }
}

impl Places {
    /// Opens what the options name.
    ///
    /// # Errors
    /// A directory for temporary files that is not there, or something else in place of that or of one for backups. Alternate trees
    /// that are missing are only noted.
    pub(crate) fn open(shared: &Shared<'_>, note: &mut Outcome) -> Result<Places, Error> {
        let Options { temp_dir, alternates, .. } = shared.options;
        let mut places = Places::default();
        // It is made when it is needed.
        if let Some(dir) = shared.options.backup_dir.as_deref().filter(|_| shared.options.backup) {
            is_there(shared, dir, "The backup-dir", "", Error::Io)?;
        }
        if let Some(dir) = temp_dir {
            let missing = || Error::Usage(escaped(shared, "The temp-dir does not exist: ", dir.as_bytes()));
            // As with rsync, which finds that out for each file.
            let refused = |text| Error::Remote { text, code: 23 };
            if !is_there(shared, dir, "The temp-dir", "temp-dir ", refused)? {
                return Err(missing());
            }
            places.temp = Some(place(shared, dir).map_err(|_| missing())?);
        }
        let option = match alternates.kind {
            AlternateKind::Compare => "--compare-dest",
            AlternateKind::Copy => "--copy-dest",
            AlternateKind::Link => "--link-dest",
        };
        for dir in &alternates.dirs {
            match place(shared, dir) {
                Ok(place) => places.alternates.push(place),
                Err(given::REFUSED) => note.errors.extend_from_slice(given::warning(given::REFUSED).as_bytes()),
                Err(errno) => {
                    let what = if errno == Errno::NOTDIR { "is not a dir" } else { "does not exist" };
                    let path = beside(&shared.root, dir);
                    shared.complain(note, &format!("{option} arg {what}: "), without_slashes(&path), "");
                }
            }
        }
        if let Some(dir) = shared.options.backup_dir.as_deref().filter(|_| shared.options.levels.backup > 0) {
            let new: &[u8] = if place(shared, dir).is_ok() { b"" } else { b"(new) " };
            shared.say(note, &[new, b"backup_dir is "], without_slashes(dir.as_bytes()), b"\n");
        }
        Ok(places)
    }

    /// The directory of `--backup-dir`, which is made, with what leads to it, when it is needed first.
    pub(crate) fn backup(&self, shared: &Shared<'_>, dir: &OsStr) -> Result<&OwnedFd, Errno> {
        let made = self.backup.get_or_init(|| {
            let insecure = shared.options.insecure_links;
            let at = shared.root.fd.as_ref().map_or(CWD, AsFd::as_fd);
            let path = dir.as_bytes();
            for end in (1..path.len()).filter(|&end| path[end] == b'/').chain([path.len()]) {
                match given::make_dir(at, &path[..end], insecure) {
                    Ok(()) => self.made_backup.store(true, Ordering::Relaxed),
                    Err(Errno::EXIST) => {}
                    Err(errno) => return Err(errno),
                }
            }
            given::dir(at, path, insecure)
        });
        made.as_ref().map_err(|&errno| errno)
    }

    /// Takes note of the `time` that the directory `dir`, or the destination itself, is to have, if that still changes.
    pub(crate) fn note_time(&self, options: &Options, is_root: bool, dir: BorrowedFd<'_>, time: Timespec) {
        // As with rsync, whose processes go in step then.
        if is_root && options.backup_dir.is_some() && (options.lists_at_once() || options.inplace) {
            let _ = self.root_time.set(time);
        }
        // What cannot be compared is another.
        if self.temp.as_ref().is_some_and(|temp| fs::is_same(temp.fd.as_fd(), dir) == Ok(true)) {
            let _ = self.temp_time.set(time);
        }
    }

    /// Sets the times of directories that have changed for files of others.
    pub(crate) fn finish(&self, root: &Root) {
        let root = root.fd.as_ref().filter(|_| self.made_backup.load(Ordering::Relaxed));
        let temp = self.temp.as_ref().map(|temp| &temp.fd);
        for (dir, time) in [(root, &self.root_time), (temp, &self.temp_time)] {
            if let (Some(dir), Some(&time)) = (dir, time.get()) {
                // They have been set before, where that is permitted.
                let _ = rustix::fs::utimensat(dir, c".", &attrs::times(time), AtFlags::empty());
            }
        }
    }
}

/// Whether `dir` is there, which must be nothing else. Messages call it `the` or, where it cannot be looked at, `what`. What is
/// said of a link on the way that is not followed is `refused`.
fn is_there(
    shared: &Shared<'_>,
    dir: &OsStr,
    the: &str,
    what: &str,
    refused: fn(String) -> Error,
) -> Result<bool, Error> {
    let root = &shared.root;
    let insecure = shared.options.insecure_links;
    let found = match &root.fd {
        Some(at) => given::stat(at.as_fd(), dir.as_bytes(), insecure),
        None => given::stat(CWD, &without_dots(&beside(root, dir)), insecure),
    };
    match found {
        Ok(stat) if stat.kind == FileType::Directory => Ok(true),
        Ok(_) => Err(Error::Usage(escaped(shared, &format!("{the} is not a directory: "), dir.as_bytes()))),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => {
            let text = escaped(shared, &format!("Failed to stat {what}"), dir.as_bytes());
            let described = fs::describe(errno);
            let described = described.split(" (").next().unwrap_or(&described);
            let text = format!("{}{text}: {described}", given::warning(errno));
            Err(if errno == given::REFUSED { refused(text) } else { Error::Io(text) })
        }
    }
}

fn place(shared: &Shared<'_>, dir: &OsStr) -> Result<Place, Errno> {
    let (root, insecure) = (&shared.root, shared.options.insecure_links);
    let shown = beside(root, dir);
    let fd = match &root.fd {
        // As with rsync, nothing is the destination itself.
        Some(at) if dir.is_empty() => given::dir(at.as_fd(), b".", insecure)?,
        Some(at) => given::dir(at.as_fd(), dir.as_bytes(), insecure)?,
        // A dry run did not make the destination, so the way must not lead through it.
        None => given::dir(CWD, &without_dots(&shown), insecure)?,
    };
    let stat = Stat::from(rustix::fs::fstat(&fd)?);
    if stat.kind != FileType::Directory {
        return Err(Errno::NOTDIR);
    }
    Ok(Place { fd, dev: stat.dev, shown })
}

/// `dir` behind the destination's path, unless it is absolute.
fn beside(root: &Root, dir: &OsStr) -> Vec<u8> {
    let dir = dir.as_bytes();
    if dir.starts_with(b"/") {
        return dir.to_vec();
    }
    let root = root.shown.strip_suffix(b"/").unwrap_or(&root.shown);
    [root, b"/", dir].concat()
}

/// An absolute path with its `..` taken literally.
fn without_dots(path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|&b| b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    [b"/", &parts.join(&b'/')[..]].concat()
}

fn escaped(shared: &Shared<'_>, before: &str, path: &[u8]) -> String {
    let mut line = before.as_bytes().to_vec();
    shared.options.escape.push(&mut line, path);
    String::from_utf8_lossy(&line).into_owned()
}
