//! Users and groups: their names on the wire, and which of our ids they stand for. Section 7 of the protocol.

use std::collections::{BTreeSet, HashMap};
use std::io::Read;
use std::sync::Arc;

use super::acl::is_acl;
use super::shape::Shape;
use crate::extended::map_owners;
use crate::idmap::{self, IdMap, Ids};
use crate::sent::Facts;
use crate::wire::error::WireError;
use crate::wire::limits;
use crate::wire::number::{Get, Put};

/// Names of this machine's ids, looked up once each.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: Option<HashMap<u32, Vec<u8>>>,
}

impl Names {
    /// The name of `id`, if it has one of at most 255 bytes.
    pub(super) fn of(&mut self, ids: Ids, id: u32) -> Option<&[u8]> {
        let known = self.known.get_or_insert_with(|| idmap::names(ids));
        known.get(&id).map(Vec::as_slice).filter(|name| name.len() <= limits::ID_NAME)
    }
}

/// Ids that entries have had, to be told with their names behind a list.
#[derive(Debug, Default)]
pub(super) struct Seen {
    users: BTreeSet<u32>,
    groups: BTreeSet<u32>,
}

impl Seen {
    /// Whether it is the first time.
    pub(super) fn add(&mut self, ids: Ids, id: u32) -> bool {
        match ids {
            Ids::Users => self.users.insert(id),
            Ids::Groups => self.groups.insert(id),
        }
    }

    /// Writes the lists of ids that `shape` wants.
    pub(super) fn write(&self, shape: &Shape, users: &mut Names, groups: &mut Names, out: &mut Vec<u8>) {
        if shape.owner || shape.acls {
            write(&self.users, shape, out, |id| users.of(Ids::Users, id).map(<[u8]>::to_vec));
        }
        if shape.group || shape.acls {
            write(&self.groups, shape, out, |id| groups.of(Ids::Groups, id).map(<[u8]>::to_vec));
        }
    }
}

fn write(ids: &BTreeSet<u32>, shape: &Shape, out: &mut Vec<u8>, mut name: impl FnMut(u32) -> Option<Vec<u8>>) {
    for &id in ids.iter().filter(|id| **id != 0) {
        if let Some(name) = name(id) {
            out.put_varint(id.cast_signed());
            put_name(out, &name);
        }
    }
    out.put_varint(0);
    if shape.id0 {
        put_name(out, &name(0).unwrap_or_default());
    }
}

/// A length of one byte, and the name.
pub(super) fn put_name(out: &mut Vec<u8>, name: &[u8]) {
    let name = name.get(..limits::ID_NAME).unwrap_or(name);
    out.put_byte(name.len() as u8);
    out.put(name);
}

pub(super) fn get_name(from: &mut impl Read) -> Result<Vec<u8>, WireError> {
    let len = from.byte()?.into();
    from.exactly(len, limits::ID_NAME, "the name of an owner")
}

/// Which ids of ours those of the other side stand for: what the options say, the one of the same name, else the same number.
#[derive(Debug, Default)]
pub(crate) struct IdTable {
    users: HashMap<u32, u32>,
    groups: HashMap<u32, u32>,
    /// `--usermap` and `--groupmap`, which are about ids and names of the other side.
    pub(crate) maps: [IdMap; 2],
    /// Ids of this machine by name, read when first needed.
    by_name: [Option<HashMap<Vec<u8>, u32>>; 2],
}

impl IdTable {
    /// The other side calls `id` so.
    pub(super) fn learn(&mut self, ids: Ids, id: u32, name: &[u8]) {
        let (table, by_name) = match ids {
            Ids::Users => (&mut self.users, &mut self.by_name[0]),
            Ids::Groups => (&mut self.groups, &mut self.by_name[1]),
        };
        if name.is_empty() || table.contains_key(&id) {
            return;
        }
        if let Some(ours) = self.maps[ids as usize].find(id, Some(name)) {
            table.insert(id, ours);
            return;
        }
        let by_name = by_name.get_or_insert_with(|| {
            let names = idmap::names(ids).into_iter();
            names.map(|(id, name)| (name, id)).collect()
        });
        let ours = by_name.get(name).copied().or_else(|| idmap::find(ids, name)).unwrap_or(id);
        table.insert(id, ours);
    }

    /// Reads the lists behind a file list.
    pub(super) fn read(&mut self, shape: &Shape, from: &mut impl Read) -> Result<(), WireError> {
        for (wanted, ids) in [(shape.owner, Ids::Users), (shape.group, Ids::Groups)] {
            if !wanted && !shape.acls {
                continue;
            }
            loop {
                let id = from.varint()?.cast_unsigned();
                if id == 0 {
                    break;
                }
                let name = get_name(from)?;
                self.learn(ids, id, &name);
            }
            if shape.id0 {
                let name = get_name(from)?;
                self.learn(ids, 0, &name);
            }
        }
        Ok(())
    }

    /// Our id for one of theirs.
    pub(crate) fn of(&self, ids: Ids, id: u32) -> u32 {
        let table = match ids {
            Ids::Users => &self.users,
            Ids::Groups => &self.groups,
        };
        table.get(&id).copied().or_else(|| self.maps[ids as usize].find(id, None)).unwrap_or(id)
    }

    /// Gives an entry the owners that it is to have here, also in ACLs if its attributes have those `told` as such.
    pub(crate) fn apply(&self, facts: &mut Facts, told: bool) {
        let stat = &mut facts.stat;
        stat.uid = self.of(Ids::Users, stat.uid);
        stat.gid = self.of(Ids::Groups, stat.gid);
        if told && facts.attributes.iter().any(|(name, _)| is_acl(name)) {
            for (_, value) in Arc::make_mut(&mut facts.attributes).iter_mut().filter(|(name, _)| is_acl(name)) {
                map_owners(value, |id| self.of(Ids::Users, id), |id| self.of(Ids::Groups, id));
            }
        }
    }
}
