//! What is kept of a list that has been sent: where its entries are, and what is said of them.

use std::ffi::CStr;
use std::sync::Arc;

use rustix::fs::{FileType, Timespec};

use crate::above::{Above, Named};
use crate::filter::Local;
use crate::fs::Stat;

/// The entries of a list, by number.
#[derive(Debug, Default)]
pub(crate) struct Live {
    first: i32,
    folders: Vec<Folder>,
    /// Names, each with a NUL behind it.
    names: Vec<u8>,
    entries: Vec<Kept>,
}

/// Where entries are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Folder {
    /// From the root of the transfer on, with a slash at its end unless it is the root.
    pub(crate) rel: Vec<u8>,
    /// The absolute path, with a slash at its end.
    pub(crate) shown: Vec<u8>,
    /// What the command line says above it, for lines.
    pub(crate) above: Arc<Above>,
    /// What per-directory files say there.
    pub(crate) local: Local,
}

/// One entry. There may be millions.
#[derive(Clone, Copy, Debug)]
struct Kept {
    folder: u32,
    name: u32,
    /// Kind and permissions.
    mode: u32,
    uid: u32,
    gid: u32,
    nanoseconds: u32,
    seconds: i64,
    /// The highest bit: what a link leads to is meant.
    size: u64,
}

const FOLLOW: u64 = 1 << 63;

/// One entry, as it is found by its number. Its list stays as long as this does.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    list: Arc<Live>,
    folder: u32,
    name: u32,
    pub(crate) stat: Stat,
    pub(crate) follow: bool,
}

impl Live {
    /// An empty list whose first entry will have the number `first`.
    pub(crate) fn new(first: i32) -> Self {
        Live { first, ..Live::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether `index` is a number of it, or one behind it.
    pub(crate) fn begins_before(&self, index: i32) -> bool {
        self.first <= index
    }

    /// Adds the next entry. `false` if there are more than can be numbered.
    pub(crate) fn push(&mut self, folder: &Folder, name: &CStr, stat: &Stat, follow: bool) -> bool {
        if self.folders.last() != Some(folder) {
            self.folders.push(folder.clone());
        }
        let at = (u32::try_from(self.folders.len() - 1), u32::try_from(self.names.len()));
        let (Ok(folder), Ok(name_at)) = at else { return false };
        self.names.extend_from_slice(name.to_bytes_with_nul());
        self.entries.push(Kept {
            folder,
            name: name_at,
            mode: stat.raw_mode(),
            uid: stat.uid,
            gid: stat.gid,
            // Less than a second.
            nanoseconds: stat.mtime.tv_nsec as u32,
            seconds: stat.mtime.tv_sec,
            size: stat.size & !FOLLOW | if follow { FOLLOW } else { 0 },
        });
        true
    }

    /// Gives back what was taken in advance.
    pub(crate) fn shrink(&mut self) {
        self.folders.shrink_to_fit();
        self.names.shrink_to_fit();
        self.entries.shrink_to_fit();
    }

    /// The entry with the number `index`.
    pub(crate) fn get(self: &Arc<Self>, index: i32) -> Option<Found> {
        let at = usize::try_from(index.checked_sub(self.first)?).ok()?;
        let kept = self.entries.get(at)?;
        let time = Timespec { tv_sec: kept.seconds, tv_nsec: kept.nanoseconds.into() };
        let stat = Stat {
            mode: kept.mode & 0o7777,
            uid: kept.uid,
            gid: kept.gid,
            size: kept.size & !FOLLOW,
            mtime: time,
            atime: time,
            ..Stat::of_kind(FileType::from_raw_mode(kept.mode))
        };
        let follow = kept.size & FOLLOW != 0;
        Some(Found { list: Arc::clone(self), folder: kept.folder, name: kept.name, stat, follow })
    }
}

impl Found {
    /// Where it is.
    pub(crate) fn folder(&self) -> &Folder {
        // Whoever added the entry has added the folder.
        &self.list.folders[self.folder as usize]
    }

    pub(crate) fn name(&self) -> &CStr {
        let name = self.list.names.get(self.name as usize..).unwrap_or_default();
        CStr::from_bytes_until_nul(name).unwrap_or_default()
    }

    /// As lines name it.
    pub(crate) fn named(&self) -> Named<'_> {
        let Folder { rel, above, .. } = self.folder();
        Named { above, rel, name: self.name().to_bytes() }
    }

    /// The absolute path.
    pub(crate) fn path(&self) -> Vec<u8> {
        [&self.folder().shown, self.name().to_bytes()].concat()
    }
}
