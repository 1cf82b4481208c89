//! ACLs in file lists: section 14 of the protocol. Here they are what Linux has in `system.posix_acl_access` and
//! `system.posix_acl_default`: four bytes of version, then entries of tag, permissions (two bytes each) and id (four).

use std::collections::HashMap;
use std::ffi::CStr;
use std::io::Read;

use super::ids::{self, IdTable, Names, Seen};
use super::shape::Shape;
use crate::idmap::Ids;
use crate::wire::error::WireError;
use crate::wire::limits;
use crate::wire::number::{Get, Put};

const VERSION: u32 = 2;
const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;
/// The id of entries that have none.
const NONE: u32 = u32::MAX;

/// Bits before an ACL: which of these entries follow, and whether named ones do.
const OBJECTS: [(u16, u8); 4] = [(USER_OBJ, 1), (GROUP_OBJ, 2), (MASK, 4), (OTHER, 8)];
const NAMED: u8 = 0x10;

/// Which of an entry's ACLs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Access,
    /// A directory's, for what is made in it.
    Default,
}

/// In the order in which they are told.
pub(super) const KINDS: [Kind; 2] = [Kind::Access, Kind::Default];

impl Kind {
    /// The attribute that holds it.
    pub(super) fn name(self) -> &'static CStr {
        match self {
            Kind::Access => c"system.posix_acl_access",
            Kind::Default => c"system.posix_acl_default",
        }
    }
}

/// Whether an attribute is an ACL.
pub(crate) fn is_acl(name: &CStr) -> bool {
    KINDS.iter().any(|kind| kind.name() == name)
}

/// ACLs of one kind that were sent, by their number.
#[derive(Debug, Default)]
pub(super) struct Sent {
    acls: Vec<Acl>,
    numbers: HashMap<Vec<u8>, i32>,
}

/// An ACL without what the mode tells.
#[derive(Clone, Debug, Default)]
struct Acl {
    /// Permissions of owner, group, mask and others.
    objects: [Option<u8>; 4],
    /// Whether a user, the id, and the permissions.
    named: Vec<(bool, u32, u8)>,
}

/// Whoever writes ids with names.
pub(super) struct Owners<'o> {
    pub(super) users: &'o mut Names,
    pub(super) groups: &'o mut Names,
    pub(super) seen: &'o mut Seen,
}

impl Sent {
    /// Writes the ACL `value` of an entry with `mode`.
    pub(super) fn write(
        &mut self,
        value: Option<&[u8]>,
        mode: u32,
        kind: Kind,
        shape: &Shape,
        owners: &mut Owners<'_>,
        out: &mut Vec<u8>,
    ) {
        let acl = value.map_or_else(Acl::default, |value| Acl::parse(value, mode, kind));
        let mut key = Vec::new();
        acl.write(&mut key, |_, _| None);
        if let Some(number) = self.numbers.get(&key) {
            return out.put_varint(number + 1);
        }
        let number = i32::try_from(self.numbers.len()).unwrap_or(i32::MAX - 1);
        self.numbers.insert(key, number);
        out.put_varint(0);
        acl.write(out, |user, id| {
            let ids = if user { Ids::Users } else { Ids::Groups };
            let first = owners.seen.add(ids, id);
            let names = if user { &mut *owners.users } else { &mut *owners.groups };
            names.of(ids, id).filter(|_| first && shape.inline_names).map(<[u8]>::to_vec)
        });
    }

    /// Reads an ACL of an entry with `mode`.
    pub(super) fn read(
        &mut self,
        from: &mut impl Read,
        mode: u32,
        kind: Kind,
        table: &mut IdTable,
    ) -> Result<Option<Vec<u8>>, WireError> {
        let number = from.varuint()?;
        let acl = match number.checked_sub(1) {
            Some(before) => {
                let acl = self.acls.get(before as usize);
                acl.cloned().ok_or(WireError::protocol("an ACL that was not sent", number))?
            }
            None => {
                let acl = Acl::read(from, table)?;
                self.acls.push(acl.clone());
                acl
            }
        };
        Ok(acl.value(mode, kind))
    }
}

impl Acl {
    fn parse(value: &[u8], mode: u32, kind: Kind) -> Self {
        let mut acl = Acl::default();
        let (entries, _) = value.get(4..).unwrap_or_default().as_chunks::<8>();
        for &[t0, t1, p0, _, a, b, c, d] in entries {
            let (tag, bits, id) = (u16::from_le_bytes([t0, t1]), p0 & 7, u32::from_le_bytes([a, b, c, d]));
            match OBJECTS.iter().position(|(object, _)| *object == tag) {
                Some(at) => acl.objects[at] = Some(bits),
                None => acl.named.push((tag == USER, id, bits)),
            }
        }
        if kind == Kind::Default {
            return acl;
        }
        let [user, group, mask, other] = &mut acl.objects;
        let of_mode = (mode >> 3 & 7) as u8;
        (*user, *other) = (None, None);
        if mask.is_none() || *group == Some(of_mode) {
            *group = None;
        }
        if *mask == Some(of_mode) && !acl.named.is_empty() {
            *mask = None;
        }
        acl
    }

    fn write(&self, out: &mut Vec<u8>, mut name: impl FnMut(bool, u32) -> Option<Vec<u8>>) {
        let mut flags = if self.named.is_empty() { 0 } else { NAMED };
        for ((_, bit), object) in OBJECTS.iter().zip(self.objects) {
            flags |= if object.is_some() { *bit } else { 0 };
        }
        out.put_byte(flags);
        self.objects.iter().flatten().for_each(|&bits| out.put_varint(bits.into()));
        if self.named.is_empty() {
            return;
        }
        out.put_varint(self.named.len() as i32);
        for &(user, id, bits) in &self.named {
            let name = name(user, id);
            out.put_varint(id.cast_signed());
            let kind = if user { 2 } else { 0 } | i32::from(name.is_some());
            out.put_varint(i32::from(bits) << 2 | kind);
            if let Some(name) = name {
                ids::put_name(out, &name);
            }
        }
    }

    fn read(from: &mut impl Read, table: &mut IdTable) -> Result<Self, WireError> {
        let flags = from.byte()?;
        let bits = |bits: i32| match u8::try_from(bits) {
            Ok(bits @ 0..=7) => Ok(bits),
            _ => Err(WireError::protocol("permissions of an ACL", bits)),
        };
        let mut acl = Acl::default();
        for ((_, bit), object) in OBJECTS.iter().zip(&mut acl.objects) {
            if flags & bit != 0 {
                *object = Some(bits(from.varint()?)?);
            }
        }
        if flags & NAMED != 0 {
            let count = from.varuint()?;
            if count > limits::ACL_ENTRIES {
                return Err(WireError::protocol("too many entries of an ACL", count));
            }
            for _ in 0..count {
                let id = from.varint()?.cast_unsigned();
                let kind = from.varint()?;
                let user = kind & 2 != 0;
                if kind & 1 != 0 {
                    let name = ids::get_name(from)?;
                    table.learn(if user { Ids::Users } else { Ids::Groups }, id, &name);
                }
                acl.named.push((user, id, bits(kind >> 2)?));
            }
        }
        Ok(acl)
    }

    /// What Linux is to have for an entry with `mode`. `None` if the mode says it all.
    fn value(&self, mode: u32, kind: Kind) -> Option<Vec<u8>> {
        let default = kind == Kind::Default;
        let [user, group, mask, other] = self.objects;
        if self.named.is_empty() && (if default { self.objects == [None; 4] } else { mask.is_none() }) {
            return None;
        }
        let of_mode = |shift: u32| (mode >> shift & 7) as u8;
        let all = |bits: Option<u8>, shift: u32| bits.unwrap_or(if default { 7 } else { of_mode(shift) });
        let union = self.named.iter().fold(group.unwrap_or(0), |all, (_, _, bits)| all | bits);
        let mask = mask.or_else(|| (!self.named.is_empty()).then(|| if default { union } else { of_mode(3) }));
        let mut entries = vec![(USER_OBJ, all(user, 6), NONE), (GROUP_OBJ, all(group, 3), NONE)];
        entries.extend(self.named.iter().map(|&(user, id, bits)| (if user { USER } else { GROUP }, bits, id)));
        entries.extend(mask.map(|bits| (MASK, bits, NONE)));
        entries.push((OTHER, all(other, 0), NONE));
        // The kernel wants them sorted.
        entries.sort_by_key(|&(tag, _, id)| (tag, id));
        let mut value = VERSION.to_le_bytes().to_vec();
        for (tag, bits, id) in entries {
            value.extend_from_slice(&tag.to_le_bytes());
            value.extend_from_slice(&u16::from(bits).to_le_bytes());
            value.extend_from_slice(&id.to_le_bytes());
        }
        Some(value)
    }
}
