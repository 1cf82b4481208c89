//! One entry of a file list.

use std::cmp::Ordering;

use rustix::fs::FileType;

use crate::order;
use crate::sent::Facts;

/// One entry of a file list, as it is sent and as it comes.
///
/// With `-H`, names of one file have the same [`inode`](crate::fs::Stat::inode) and more than one link. Of an entry that
/// came, these numbers mean nothing else.
#[derive(Clone, Debug)]
pub(crate) struct ListEntry {
    /// From the root of the transfer on; `.` is the root itself.
    pub(crate) path: Vec<u8>,
    pub(crate) facts: Facts,
    /// Of a directory: everything in it is listed.
    pub(crate) content: bool,
    /// Of a directory: it was given itself, or, without content, it is on the way to what was given.
    pub(crate) top: bool,
}

impl ListEntry {
    pub(crate) fn is_dir(&self) -> bool {
        self.facts.stat.kind == FileType::Directory
    }

    /// The order in which entries are numbered.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        order::compare_entries((&self.path, self.is_dir()), (&other.path, other.is_dir()))
    }

    pub(super) fn is_device(&self) -> bool {
        matches!(self.facts.stat.kind, FileType::CharacterDevice | FileType::BlockDevice)
    }

    pub(super) fn is_special(&self) -> bool {
        matches!(self.facts.stat.kind, FileType::Fifo | FileType::Socket)
    }
}
