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

/// In an ACL that `--fake-super` keeps: no permissions, because the mode tells them; and that a named entry is a user's.
const BY_MODE: u32 = 0x80;
const KEPT_USER: u32 = 1 << 31;

/// What `--fake-super` keeps of an ACL of which the mode says it all.
pub(crate) const NO_ACL: [u8; 16] = {
    let [a, b, c, d] = BY_MODE.to_le_bytes();
    [a, b, c, d, a, b, c, d, a, b, c, d, a, b, c, d]
};

/// What `--fake-super` keeps of the ACL `value`, the attribute `name`: numbers of four bytes, the permissions of owner, group,
/// mask and others, then of each named entry the id and the permissions. `None` if the mode says it all.
pub(crate) fn keep_acl(name: &CStr, value: &[u8]) -> Option<Vec<u8>> {
    let kind = if name == Kind::Default.name() { Kind::Default } else { Kind::Access };
    // The permissions of the group that a mode has with an ACL.
    let bits = |tag: u16| {
        let (entries, _) = value.get(4..).unwrap_or_default().as_chunks::<8>();
        entries.iter().find(|[t0, t1, ..]| u16::from_le_bytes([*t0, *t1]) == tag).map(|entry| entry[2] & 7)
    };
    let group = bits(MASK).or(bits(GROUP_OBJ)).unwrap_or(0);
    let mut acl = Acl::parse(value, u32::from(group) << 3, kind);
    if acl.named.is_empty() && acl.objects == [None; 4] {
        return None;
    }
    if !acl.named.is_empty() {
        let [_, _, mask, _] = &mut acl.objects;
        mask.get_or_insert(group);
    }
    let mut kept: Vec<u8> = acl.objects.iter().flat_map(|bits| bits.map_or(BY_MODE, u32::from).to_le_bytes()).collect();
    for (user, id, bits) in acl.named {
        kept.extend_from_slice(&id.to_le_bytes());
        kept.extend_from_slice(&(u32::from(bits) | if user { KEPT_USER } else { 0 }).to_le_bytes());
    }
    Some(kept)
}

/// The ACL, the attribute `name`, of which `--fake-super` has `kept` that, of an entry with `mode`. `Some(None)` if the mode
/// says it all, `None` if it makes no sense.
pub(crate) fn kept_acl(name: &CStr, kept: &[u8], mode: u32) -> Option<Option<Vec<u8>>> {
    let kind = if name == Kind::Default.name() { Kind::Default } else { Kind::Access };
    let (words, rest) = kept.as_chunks::<4>();
    let words: Vec<u32> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
    let (objects, named) = words.split_at_checked(4)?;
    let mut acl = Acl::default();
    for (object, &word) in acl.objects.iter_mut().zip(objects) {
        *object = if word == BY_MODE { None } else { Some(permissions(word)?) };
    }
    let (named, odd) = named.as_chunks::<2>();
    if !rest.is_empty() || !odd.is_empty() || named.len() > limits::ACL_ENTRIES as usize {
        return None;
    }
    for &[id, access] in named {
        acl.named.push((access & KEPT_USER != 0, id, permissions(access & !KEPT_USER)?));
    }
    Some(acl.value(mode, kind))
}

fn permissions(bits: u32) -> Option<u8> {
    u8::try_from(bits).ok().filter(|bits| *bits <= 7)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// As stock rsync 3.5.0 keeps them.
    #[test]
    fn what_is_kept_of_an_acl_brings_it_back() {
        const FOR: [&CStr; 2] = [c"system.posix_acl_access", c"system.posix_acl_default"];
        let linux = |entries: &[(u16, u16, u32)]| {
            let mut value = VERSION.to_le_bytes().to_vec();
            for (tag, bits, id) in entries {
                value.extend_from_slice(&tag.to_le_bytes());
                value.extend_from_slice(&bits.to_le_bytes());
                value.extend_from_slice(&id.to_le_bytes());
            }
            value
        };
        let words = |words: &[u32]| -> Vec<u8> { words.iter().flat_map(|word| word.to_le_bytes()).collect() };
        let named = |group, mask| {
            linux(&[(1, 6, NONE), (2, 6, 33), (4, group, NONE), (8, 1, 7), (0x10, mask, NONE), (0x20, 4, NONE)])
        };
        for (name, mode, value, kept) in [
            (FOR[0], 0o674, named(4, 7), words(&[0x80, 4, 7, 0x80, 33, 0x8000_0006, 7, 1])),
            (FOR[0], 0o674, named(7, 7), words(&[0x80, 0x80, 7, 0x80, 33, 0x8000_0006, 7, 1])),
            (
                FOR[0],
                0o640,
                linux(&[(1, 6, NONE), (4, 6, NONE), (0x10, 4, NONE), (0x20, 0, NONE)]),
                words(&[0x80, 6, 4, 0x80]),
            ),
            (FOR[1], 0o755, named(4, 7), words(&[6, 4, 7, 4, 33, 0x8000_0006, 7, 1])),
            (FOR[1], 0o755, linux(&[(1, 7, NONE), (4, 4, NONE), (0x20, 5, NONE)]), words(&[7, 4, 0x80, 5])),
        ] {
            assert_eq!(keep_acl(name, &value).unwrap(), kept, "{value:?}");
            assert_eq!(kept_acl(name, &kept, mode), Some(Some(value)));
        }
        assert_eq!(keep_acl(FOR[0], &linux(&[(1, 6, NONE), (4, 4, NONE), (0x20, 4, NONE)])), None);
        assert_eq!(kept_acl(FOR[0], &words(&[0x80; 4]), 0o644), Some(None));
        for bad in [&[0x80, 4, 7][..], &[0x80, 8, 7, 0x80], &[0x80, 4, 7, 0x80, 33], &[0x80, 4, 7, 0x80, 33, 9]] {
            assert_eq!(kept_acl(FOR[0], &words(bad), 0o644), None);
        }
        assert_eq!(kept_acl(FOR[0], b"12345", 0o644), None);
    }
}
