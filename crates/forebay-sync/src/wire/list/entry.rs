//! One entry of a file list.

use std::cmp::Ordering;
use std::ffi::CString;
use std::sync::Arc;

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
    /// The attributes whose values are not in the list but must be asked for.
    pub(crate) long: Arc<[Long]>,
}

/// An extended attribute whose value is too long for a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Long {
    /// Counts from 1 among all the attributes of its entry.
    pub(crate) number: u32,
    pub(crate) name: CString,
    /// The length of its value in bytes, and the MD5 sum.
    pub(crate) len: u32,
    pub(crate) sum: [u8; 16],
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
