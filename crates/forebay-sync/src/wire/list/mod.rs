//! File lists: sections 6, 7 and 14 of the protocol.
//!
//! An entry is told as what differs from the one before it, so whoever writes and whoever reads keep the same state, over
//! all lists of a session. Entries come in the order in which they were found; what they are called later is their place
//! in the *sorted* list, but leaders of hard links are told by their place in the order in which they were sent.

mod acl;
mod before;
mod decoder;
mod encoder;
mod entry;
mod ids;
mod shape;
#[cfg(test)]
mod stock;
#[cfg(test)]
mod tests;
mod xattr;

pub(crate) use acl::{NO_ACL, is_acl, keep_acl, kept_acl};
pub(crate) use decoder::Decoder;
#[cfg(test)]
pub(crate) use decoder::End;
pub(crate) use encoder::Encoder;
pub(crate) use entry::ListEntry;
pub(crate) use shape::Shape;

/// Bits that stand before an entry.
mod flag {
    /// Of a directory: it was asked for by name.
    pub(super) const TOP_DIR: u32 = 0x0001;
    pub(super) const SAME_MODE: u32 = 0x0002;
    pub(super) const EXTENDED: u32 = 0x0004;
    pub(super) const SAME_UID: u32 = 0x0008;
    pub(super) const SAME_GID: u32 = 0x0010;
    pub(super) const SAME_NAME: u32 = 0x0020;
    pub(super) const LONG_NAME: u32 = 0x0040;
    pub(super) const SAME_TIME: u32 = 0x0080;
    /// Of a device.
    pub(super) const SAME_RDEV_MAJOR: u32 = 0x0100;
    /// Of a directory: what is in it is not listed.
    pub(super) const NO_CONTENT_DIR: u32 = 0x0100;
    pub(super) const HLINKED: u32 = 0x0200;
    pub(super) const USER_NAME: u32 = 0x0400;
    pub(super) const GROUP_NAME: u32 = 0x0800;
    pub(super) const HLINK_FIRST: u32 = 0x1000;
    pub(super) const MOD_NSEC: u32 = 0x2000;
    pub(super) const SAME_ATIME: u32 = 0x4000;
    /// With the extended bit and nothing else: the list ends, and there was an error.
    pub(super) const END_WITH_ERROR: u32 = 0x1004;
}
