//! What is believed of the other side: every count, length and index that comes from it is held against one of these
//! before anything is allocated or looked up by it.

use std::ops::RangeInclusive;

/// Versions of the protocol that are spoken.
pub(crate) const PROTOCOLS: RangeInclusive<u32> = 30..=32;
/// Versions that the other side may offer; what is below [`PROTOCOLS`] is then refused by name.
pub(crate) const OFFERS: RangeInclusive<i32> = 20..=40;
/// Bytes of a path in a file list, from the root of the transfer.
pub(crate) const PATH: usize = 4095;
/// Bytes that a symbolic link leads to.
pub(crate) const LINK: usize = 4095;
/// Bytes of a name in an id list.
pub(crate) const ID_NAME: usize = 255;
/// Bytes of a list of algorithms.
pub(crate) const ALGORITHMS: usize = 255;
/// Bytes of a vstring.
pub(crate) const VSTRING: usize = 0x7fff;
/// Bytes of a block of a basis, from protocol 30 on.
pub(crate) const BLOCK: i32 = 1 << 17;
/// The largest index of a block: tokens count further than that only by fraud.
pub(crate) const BLOCKS: i64 = 0x7fff_fffe;
/// Bytes of a frame that is not data: longer ones are fatal to the reference, too.
pub(crate) const MESSAGE: usize = 64 << 10;
/// Bytes of messages that wait to be printed.
pub(crate) const MESSAGES: usize = 64 << 20;
/// Bytes of a filter rule, and how many of them.
pub(crate) const RULE: usize = 8 << 10;
pub(crate) const RULES: usize = 1 << 20;
/// Entries of an ACL.
pub(crate) const ACL_ENTRIES: u32 = 65_536;
/// Extended attributes of a file, bytes of a name of one, and of all values.
pub(crate) const XATTRS: u32 = 65_536;
pub(crate) const XATTR_NAME: usize = 4096;
pub(crate) const XATTR_VALUES: usize = 64 << 20;
/// Each of the counts of deletions.
pub(crate) const DELETIONS: i64 = 1 << 28;
/// Bits of an I/O error: something could not be read, or had vanished.
pub(crate) const GENERAL: i32 = 1;
pub(crate) const VANISHED: i32 = 2;
/// Those that are taken over.
pub(crate) const IO_ERROR: i32 = 7;
/// Bytes of arguments that come over standard input.
pub(crate) const ARGUMENTS: usize = 64 << 20;
/// Bytes of the names of `--files-from`.
pub(crate) const NAMES: usize = 256 << 20;
/// Entries in lists that have come and nobody has looked at, but for the last list. A sender waits when there are some thousands.
pub(crate) const WAITING_ENTRIES: usize = 100_000;
/// Entries of a file list: indexes are 32-bit numbers with a sign.
pub(crate) const ENTRIES: usize = 0x7fff_ff00;
