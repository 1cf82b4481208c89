//! `Before`: the entry before, by which the next one is told. Whoever writes and whoever reads keep the same.

use super::entry::ListEntry;
use super::shape::Shape;

/// What the next entry may have in common with. It begins with zeros and an empty path, and goes on from list to list.
#[derive(Debug, Default)]
pub(super) struct Before {
    pub(super) path: Vec<u8>,
    /// Kind and permissions.
    pub(super) mode: u32,
    /// Seconds.
    pub(super) mtime: i64,
    /// Seconds; of the last entry that was no directory.
    pub(super) atime: i64,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Of the last device.
    pub(super) rdev_major: u32,
}

impl Before {
    /// Takes over what `entry` has, but for its path.
    pub(super) fn keep(&mut self, shape: &Shape, entry: &ListEntry) {
        let stat = &entry.facts.stat;
        (self.mode, self.mtime) = (stat.raw_mode(), stat.mtime.tv_sec);
        (self.uid, self.gid) = (stat.uid, stat.gid);
        if shape.atimes && !entry.is_dir() {
            self.atime = stat.atime.tv_sec;
        }
        if shape.devices && entry.is_device() {
            self.rdev_major = rustix::fs::major(stat.rdev);
        }
    }
}
