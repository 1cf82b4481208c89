//! What is said of one entry on the wire: section 9 of the protocol.

use crate::itemize::{Action, Change, Time};
use crate::options::Options;
use crate::totals::Kinds;
use crate::wire::number::Put;
use crate::wire::terms::{Compat, Terms};

/// Bits that say what happens to an entry.
pub(crate) mod flag {
    pub(crate) const ATIME: u16 = 0x0001;
    pub(crate) const CHANGE: u16 = 0x0002;
    /// Of a symbolic link: its time cannot be set.
    pub(crate) const SIZE: u16 = 0x0004;
    pub(crate) const TIME: u16 = 0x0008;
    pub(crate) const PERMS: u16 = 0x0010;
    pub(crate) const OWNER: u16 = 0x0020;
    pub(crate) const GROUP: u16 = 0x0040;
    pub(crate) const ACL: u16 = 0x0080;
    pub(crate) const XATTR: u16 = 0x0100;
    pub(crate) const BASIS_FOLLOWS: u16 = 0x0800;
    pub(crate) const NAME_FOLLOWS: u16 = 0x1000;
    pub(crate) const NEW: u16 = 0x2000;
    pub(crate) const LOCAL: u16 = 0x4000;
    pub(crate) const TRANSFER: u16 = 0x8000;
    /// None of these is worth being told.
    pub(crate) const MINOR: u16 = BASIS_FOLLOWS | NAME_FOLLOWS | LOCAL;
}

/// Where blocks of a file come from.
pub(crate) mod basis {
    /// A file of an alternate tree: below this, its number.
    pub(crate) const ALTERNATES: u8 = 0x80;
    /// The file itself. This need not be said.
    pub(crate) const ITSELF: u8 = 0x80;
    pub(crate) const PARTIAL: u8 = 0x81;
    /// One like it, whose name follows; in an alternate tree, this plus one and its number.
    pub(crate) const FUZZY: u8 = 0x83;
}

/// What follows the number of an entry, up to the block sums.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Item<'i> {
    pub(crate) flags: u16,
    pub(crate) basis: Option<u8>,
    pub(crate) name: Option<&'i [u8]>,
}

impl Item<'_> {
    /// Whether numbers of attributes whose values are wanted stand behind it, and in the answer the values.
    pub(crate) fn asks_values(&self, options: &Options, terms: &Terms) -> bool {
        let shortcut = terms.protocol >= 31 && !terms.compat.has(Compat::AVOID_XATTR_OPTIM);
        let linked = self.flags & flag::LOCAL != 0 && (self.name.is_some() || self.flags & flag::NAME_FOLLOWS != 0);
        options.xattrs && !options.dry_run && self.flags & flag::XATTR != 0 && !(shortcut && linked)
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let mut flags = self.flags;
        flags |= if self.basis.is_some() { flag::BASIS_FOLLOWS } else { 0 };
        flags |= if self.name.is_some() { flag::NAME_FOLLOWS } else { 0 };
        out.put_short(flags);
        if let Some(basis) = self.basis {
            out.put_byte(basis);
        }
        if let Some(name) = self.name {
            out.put_vstring(name);
        }
    }
}

/// The bits that tell `change`.
pub(crate) fn flags(change: &Change) -> u16 {
    let link = change.kind == Kinds::Link;
    let mut flags = match change.action {
        _ if change.transfers() && !change.hard => flag::TRANSFER,
        Action::Keep if !change.hard => 0,
        _ => flag::LOCAL,
    };
    if change.action == Action::Create {
        let content = change.kind != Kinds::Dir && !change.transfers() && !change.hard;
        return flags | flag::NEW | if content { flag::CHANGE } else { 0 };
    }
    for (set, bit) in [
        (change.content, flag::CHANGE),
        (change.size || (link && change.time == Time::Now), flag::SIZE),
        (change.time != Time::Same, flag::TIME),
        (change.perms, flag::PERMS),
        (change.owner, flag::OWNER),
        (change.group, flag::GROUP),
        (change.atime, flag::ATIME),
        (change.acl, flag::ACL),
        (change.xattr, flag::XATTR),
    ] {
        flags |= if set { bit } else { 0 };
    }
    flags
}
