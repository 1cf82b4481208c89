//! One entry that is not a directory, as a worker sees it.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::above::Named;
use crate::alternates::Found;
use crate::attrs;
use crate::dir::{Dir, SourceDir};
use crate::extended::{self, Long, Origin, Place};
use crate::fs::{self, Stat};
use crate::itemize::{Action, Change};
use crate::options::Append;
use crate::outcome::Outcome;
use crate::shared::Shared;
use crate::target::{Entered, Ready, Target};
use crate::totals::Kinds;

/// One entry that is not a directory, with where it comes from and where it goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'e> {
    pub(crate) dir: &'e Arc<Dir>,
    /// Where it is in the directory's listing.
    pub(crate) at: usize,
    pub(crate) source: &'e SourceDir,
    pub(crate) name: &'e CStr,
    pub(crate) src: Stat,
    /// `name` is a symbolic link, and what it leads to is meant.
    pub(crate) follow: bool,
    /// The destination directory; `None` in a dry run that did not make it.
    pub(crate) ready: Option<&'e Ready>,
    /// The name there.
    pub(crate) target: &'e CStr,
    /// What has that name now.
    pub(crate) old: Option<Stat>,
    /// What has it was to be read and may not be: as with rsync, what is transferred is new then.
    pub(crate) closed: bool,
}

/// What is `old` under the name `target`. With `--write-devices`, a device in the place of a file counts as one.
fn written_to(shared: &Shared<'_>, ready: &Ready, target: &CStr, src: &Stat, old: Stat) -> Stat {
    if !shared.options.write_devices || src.kinds() != Kinds::File || old.kinds() != Kinds::Device {
        return old;
    }
    // What cannot be opened is reported when it is written to.
    let size = fs::open_file(ready.fd.as_fd(), target).and_then(|device| fs::device_size(device.as_fd())).unwrap_or(0);
    Stat { kind: FileType::RegularFile, size, ..old }
}

impl<'e> Entry<'e> {
    /// Whether what has the name is a device that is written to.
    pub(crate) fn is_device(&self) -> bool {
        self.old_of_kind().is_some_and(|old| old.kinds() == Kinds::File && old.rdev != 0)
    }

    /// Stats an entry of the source. `None` if that fails, which has been reported.
    pub(crate) fn stat(shared: &Shared<'_>, dir: &Dir, at: usize, out: &mut Outcome) -> Option<Stat> {
        let source = dir.source_of(at).ok()?;
        match dir.stat_of(at) {
            Ok(src) => Some(shared.changed(src)),
            Err(errno) => {
                shared.unreadable(out, "[sender] link_stat", &source.path_of(dir.listing.name(at)), errno);
                None
            }
        }
    }

    /// The entry `src` with what is at the destination of its directory, which was `entered`. `None` if that cannot be told, which has been reported.
    pub(crate) fn look(
        shared: &'e Shared<'_>,
        dir: &'e Arc<Dir>,
        at: usize,
        src: Stat,
        entered: &'e Entered<'_>,
        out: &mut Outcome,
    ) -> Option<Self> {
        let (source, name) = (dir.source_of(at).ok()?, dir.listing.name(at));
        let target = shared.target_name(dir, name);
        let (ready, old) = match &**entered {
            Target::Failed => return None,
            Target::Blocked if matches!(src.kinds(), Kinds::Link | Kinds::Special | Kinds::Device) => (None, None),
            Target::Blocked => {
                let path = shared.target_path(&dir.rel, target.to_bytes());
                shared.fail(out, "[generator] recv_generator: failed to stat", &path, Errno::NOTDIR);
                return None;
            }
            // One that is deep has been opened.
            Target::Absent | Target::Deep(..) => (None, None),
            Target::Ready(ready) if ready.made => (Some(ready), None),
            Target::Ready(ready) => match shared.stat_there(ready.fd.as_fd(), target) {
                Ok(old) => (Some(ready), Some(written_to(shared, ready, target, &src, old))),
                Err(Errno::NOENT) => (Some(ready), None),
                Err(errno) => {
                    let path = shared.target_path(&dir.rel, target.to_bytes());
                    shared.fail(out, "[generator] recv_generator: failed to stat", &path, errno);
                    return None;
                }
            },
        };
        Some(Entry { dir, at, source, name, src, follow: dir.listing.follows(at), ready, target, old, closed: false })
    }

    /// The entry whose content was asked for when `old` was there.
    pub(crate) fn expected(shared: &'e Shared<'_>, dir: &'e Arc<Dir>, at: usize, old: Option<Stat>) -> Option<Self> {
        let (source, name) = (dir.source_of(at).ok()?, dir.listing.name(at));
        let src = shared.changed(dir.stat_of(at).ok()?);
        let ready = match dir.target.get() {
            Some(Target::Ready(ready)) => Some(ready),
            _ => None,
        };
        let target = shared.target_name(dir, name);
        Some(Entry { dir, at, source, name, src, follow: false, ready, target, old, closed: false })
    }

    /// As lines name it.
    pub(crate) fn named(&self) -> Named<'e> {
        Named { above: &self.source.above, rel: &self.dir.rel, name: self.name.to_bytes() }
    }

    pub(crate) fn rel(&self) -> Vec<u8> {
        [&self.dir.rel, self.name.to_bytes()].concat()
    }

    /// Opens the source for reading.
    pub(crate) fn open(&self, shared: &Shared<'_>) -> Result<OwnedFd, Errno> {
        self.source.open(self.name, self.follow, shared.options.open_noatime)
    }

    /// Enters into `change` the sum of the source's file, where its line tells one.
    pub(crate) fn sum(&self, shared: &Shared<'_>, change: &mut Change) {
        if !shared.tells_sum(change) {
            return;
        }
        let options = shared.options;
        if let Some(sent) = &self.dir.sent {
            change.sum = sent.entry(self.at).and_then(|facts| facts.sum.clone());
            change.sum.get_or_insert_with(|| shared.sum_of(Err(Errno::NOENT), 0));
            return;
        }
        // As with rsync, the sum of what is appended is that of nothing else.
        let appends = !options.checksum && options.append == Some(Append::Trust);
        let from = self.usable().filter(|_| appends).map_or(0, |old| old.size);
        let file = self.open(shared).map(File::from);
        change.sum = Some(shared.sum_of(file.as_ref().map_err(|errno| *errno), from));
    }

    /// The path below the destination.
    pub(crate) fn target_rel(&self) -> Vec<u8> {
        [&self.dir.rel, self.target.to_bytes()].concat()
    }

    /// What the symbolic link leads to.
    pub(crate) fn read_link(&self) -> Result<CString, Errno> {
        self.dir.link_of(self.at)
    }

    /// Where the extended attributes of the source are.
    pub(crate) fn attributes(&self, shared: &Shared<'_>) -> Result<Origin, Errno> {
        let mut origin = self.dir.attributes_of(self.at)?;
        if let (Origin::Sent(sent), Some(ready)) = (&mut origin, self.ready) {
            sent.old = self.old.map(|_| shared.attributes_at(ready.fd.as_fd(), self.target));
        }
        Ok(origin)
    }

    /// The extended attributes of the source whose values have to be asked for.
    pub(crate) fn lacking(&self, shared: &Shared<'_>) -> Vec<Long> {
        match shared.options.xattrs && !shared.options.dry_run {
            true => self.attributes(shared).map_or_else(|_| Vec::new(), |origin| origin.lacking(shared)),
            false => Vec::new(),
        }
    }

    /// Enters into `change` which attributes of `old`, which has the name, differ from what is wanted.
    pub(crate) fn compare(&self, shared: &Shared<'_>, change: &mut Change, old: &Stat) {
        let place = self.ready.map(|ready| shared.attributes_at(ready.fd.as_fd(), self.target));
        self.compare_with(shared, change, old, place.as_ref());
    }

    /// Enters into `change` which attributes of `old`, which is at `place`, differ from what is wanted.
    pub(crate) fn compare_with(&self, shared: &Shared<'_>, change: &mut Change, old: &Stat, place: Option<&Place>) {
        attrs::compare(shared, change, &self.src, old);
        if extended::wanted(shared)
            && let Some(place) = place
        {
            extended::compare(shared, change, &self.attributes(shared), place);
            // As with stock rsync, which says it of a dry run alone: setting the ACL changes the mode, unless both are kept.
            let sets = !shared.options.dry_run && !shared.options.fake_destination;
            change.perms &= !(change.acl && change.action == Action::Keep && sets);
        }
    }

    /// Whether something has the name until it is replaced. A directory has been removed before.
    pub(crate) fn old_stays(&self) -> bool {
        self.old.is_some_and(|old| old.kind != FileType::Directory)
    }

    /// What its mode is that of without `-p`: what is there or, as with rsync, what was found to have the name elsewhere. What is
    /// there and may not be read is like nothing.
    pub(crate) fn like(&self, shared: &Shared<'_>, found: Option<&Found>) -> Option<Stat> {
        let Some(old) = self.old_of_kind() else { return found.map(|found| found.stat) };
        let closed = self.closed || (!shared.options.perms && self.unreadable(shared) == Some(Errno::ACCESS));
        (!closed).then_some(old)
    }

    /// Why the file that is there cannot be read.
    pub(crate) fn unreadable(&self, shared: &Shared<'_>) -> Option<Errno> {
        self.unreadable_at(shared, self.ready?.fd.as_fd())
    }

    /// As [`unreadable`](Self::unreadable), where it is beneath `at`. Root may read all files, and everybody those that are open to
    /// all.
    pub(crate) fn unreadable_at(&self, shared: &Shared<'_>, at: BorrowedFd<'_>) -> Option<Errno> {
        self.old_of_kind().filter(|old| !shared.me.is_root() && old.mode & 0o444 != 0o444)?;
        fs::open_file(at, self.target).err()
    }

    /// What is there already of the same kind, as far as anything can be made of it.
    pub(crate) fn usable(&self) -> Option<Stat> {
        self.old_of_kind().filter(|_| !self.closed)
    }

    /// What is there already, if it is of the same kind.
    pub(crate) fn old_of_kind(&self) -> Option<Stat> {
        self.old.filter(|old| old.kinds() == self.src.kinds())
    }
}
