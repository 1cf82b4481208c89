//! `Encoder`: entries as they go over the wire.

use std::collections::HashMap;

use rustix::fs::FileType;

use super::acl::{self, Owners};
use super::before::Before;
use super::entry::ListEntry;
use super::ids::{self, Names, Seen};
use super::shape::Shape;
use super::{flag, xattr};
use crate::idmap::Ids;
use crate::wire::number::Put;

/// Writes the entries of all lists of a session.
#[derive(Debug)]
pub(crate) struct Encoder {
    shape: Shape,
    before: Before,
    /// The number of the first entry of this list, and how many were written.
    first: i32,
    count: i32,
    /// For each file with several names, where the first of them is: as numbers of files are told.
    leaders: HashMap<(u64, u64), i32>,
    users: Names,
    groups: Names,
    seen: Seen,
    acls: [acl::Sent; 2],
    xattrs: xattr::Sets,
    /// ACLs are not told among the attributes.
    acls_apart: bool,
}

impl Encoder {
    pub(crate) fn new(shape: Shape) -> Self {
        Encoder {
            acls_apart: shape.acls,
            shape,
            before: Before::default(),
            first: 0,
            count: 0,
            leaders: HashMap::new(),
            users: Names::default(),
            groups: Names::default(),
            seen: Seen::default(),
            acls: <_>::default(),
            xattrs: xattr::Sets::default(),
        }
    }

    /// ACLs are told among the attributes as well if `twice`.
    pub(crate) fn telling_acls(self, twice: bool) -> Self {
        Encoder { acls_apart: self.acls_apart && !twice, ..self }
    }

    /// A list begins, whose first entry will have the number `first`.
    pub(crate) fn begin(&mut self, first: i32) {
        (self.first, self.count) = (first, 0);
    }

    /// Appends an entry to `out`.
    pub(crate) fn push(&mut self, entry: &ListEntry, out: &mut Vec<u8>) {
        let stat = &entry.facts.stat;
        let mode = stat.raw_mode();
        let named = !self.before.path.is_empty();
        let mut flags = 0;
        let mut set = |bit: u32, on: bool| flags |= if on { bit } else { 0 };
        if entry.is_dir() {
            set(flag::TOP_DIR, entry.top);
            set(flag::NO_CONTENT_DIR, !entry.content);
        }
        set(flag::SAME_MODE, named && mode == self.before.mode);
        set(flag::SAME_TIME, named && stat.mtime.tv_sec == self.before.mtime);
        set(flag::SAME_UID, !self.shape.owner || (named && stat.uid == self.before.uid));
        set(flag::SAME_GID, !self.shape.group || (named && stat.gid == self.before.gid));
        let timed = self.shape.atimes && !entry.is_dir();
        set(flag::SAME_ATIME, timed && named && stat.atime.tv_sec == self.before.atime);
        set(flag::MOD_NSEC, self.shape.protocol >= 31 && stat.mtime.tv_nsec != 0);
        let user = self.name_of(Ids::Users, stat.uid, self.shape.owner);
        let group = self.name_of(Ids::Groups, stat.gid, self.shape.group);
        set(flag::USER_NAME, user.is_some());
        set(flag::GROUP_NAME, group.is_some());
        let rdev = self.device_of(entry);
        set(
            flag::SAME_RDEV_MAJOR,
            rdev.is_some_and(|(major, _)| !entry.is_device() || (named && major == self.before.rdev_major)),
        );
        let leader = self.leader(entry);
        set(flag::HLINKED, leader.is_some());
        set(flag::HLINK_FIRST, leader == Some(None));
        let shared = self.before.path.iter().zip(&entry.path).take(255).take_while(|(a, b)| a == b).count();
        let rest = entry.path.get(shared..).unwrap_or_default();
        set(flag::SAME_NAME, shared > 0);
        set(flag::LONG_NAME, rest.len() > 255);
        self.put_flags(flags, entry.is_dir(), out);
        if shared > 0 {
            out.put_byte(shared as u8);
        }
        match u8::try_from(rest.len()) {
            Ok(len) => out.put_byte(len),
            Err(_) => out.put_varint(rest.len() as i32),
        }
        out.put(rest);
        let has = |bit: u32| flags & bit != 0;
        let alone = match leader {
            Some(Some(leader)) => {
                out.put_varint(leader);
                leader < self.first
            }
            _ => true,
        };
        if alone {
            let size = if entry.is_device() || entry.is_special() { 0 } else { stat.size };
            out.put_varlong(size.cast_signed(), 3);
            if !has(flag::SAME_TIME) {
                out.put_varlong(stat.mtime.tv_sec, 4);
            }
            if has(flag::MOD_NSEC) {
                out.put_varint(stat.mtime.tv_nsec as i32);
            }
            if !has(flag::SAME_MODE) {
                out.put_int(mode.cast_signed());
            }
            if timed && !has(flag::SAME_ATIME) {
                out.put_varlong(stat.atime.tv_sec, 4);
            }
            for (same, id, named, name) in [
                (has(flag::SAME_UID), stat.uid, has(flag::USER_NAME), &user),
                (has(flag::SAME_GID), stat.gid, has(flag::GROUP_NAME), &group),
            ] {
                if !same {
                    out.put_varint(id.cast_signed());
                    if let Some(name) = name.as_ref().filter(|_| named) {
                        ids::put_name(out, name);
                    }
                }
            }
            if let Some((major, minor)) = rdev {
                if !has(flag::SAME_RDEV_MAJOR) {
                    out.put_varint(major.cast_signed());
                }
                out.put_varint(minor.cast_signed());
            }
            self.put_rest(entry, out);
        }
        self.put_attributes(entry, mode, out);
        self.before.path.clone_from(&entry.path);
        self.before.keep(&self.shape, entry);
        self.count += 1;
    }

    /// Link and sum.
    fn put_rest(&self, entry: &ListEntry, out: &mut Vec<u8>) {
        if self.shape.links && entry.facts.stat.kind == FileType::Symlink {
            let link = entry.facts.link.as_deref().map_or(&b""[..], |link| link.to_bytes());
            out.put_varint(link.len() as i32);
            out.put(link);
        }
        if self.shape.sum > 0 && entry.facts.stat.kind == FileType::RegularFile {
            let mut sum = entry.facts.sum.as_deref().unwrap_or_default().to_vec();
            sum.resize(self.shape.sum, 0);
            out.put(&sum);
        }
    }

    /// ACLs and attributes, which each name of a file has.
    fn put_attributes(&mut self, entry: &ListEntry, mode: u32, out: &mut Vec<u8>) {
        if self.shape.acls && entry.facts.stat.kind != FileType::Symlink {
            let mut owners = Owners { users: &mut self.users, groups: &mut self.groups, seen: &mut self.seen };
            for (kind, sent) in acl::KINDS.into_iter().zip(&mut self.acls) {
                if kind == acl::Kind::Access || entry.is_dir() {
                    let value = entry.facts.attributes.iter().find(|(name, _)| name.as_c_str() == kind.name());
                    sent.write(value.map(|(_, value)| &value[..]), mode, kind, &self.shape, &mut owners, out);
                }
            }
        }
        if self.shape.xattrs {
            self.xattrs.write(&entry.facts.attributes, self.acls_apart, out);
        }
    }

    /// The name of an owner, if it stands beside this entry for the first time.
    fn name_of(&mut self, ids: Ids, id: u32, wanted: bool) -> Option<Vec<u8>> {
        if !wanted || !self.seen.add(ids, id) || !self.shape.inline_names {
            return None;
        }
        let names = match ids {
            Ids::Users => &mut self.users,
            Ids::Groups => &mut self.groups,
        };
        names.of(ids, id).map(<[u8]>::to_vec)
    }

    /// The device number that is told of an entry.
    fn device_of(&self, entry: &ListEntry) -> Option<(u32, u32)> {
        let Shape { devices, specials, protocol, .. } = self.shape;
        if devices && entry.is_device() {
            Some((rustix::fs::major(entry.facts.stat.rdev), rustix::fs::minor(entry.facts.stat.rdev)))
        } else {
            (specials && entry.is_special() && protocol < 31).then_some((0, 0))
        }
    }

    /// Of a file with several names: `Some(None)` for the first, then the number of that.
    fn leader(&mut self, entry: &ListEntry) -> Option<Option<i32>> {
        if !self.shape.hard_links || entry.is_dir() || entry.facts.stat.nlink < 2 {
            return None;
        }
        let own = self.first + self.count;
        let leader = *self.leaders.entry(entry.facts.stat.inode()).or_insert(own);
        Some((leader != own).then_some(leader))
    }

    fn put_flags(&self, mut flags: u32, is_dir: bool, out: &mut Vec<u8>) {
        if self.shape.varint {
            return out.put_varint(if flags == 0 { flag::EXTENDED } else { flags }.cast_signed());
        }
        if flags == 0 && !is_dir {
            flags |= flag::TOP_DIR;
        }
        if flags & 0xff00 != 0 || flags == 0 {
            out.put_short((flags | flag::EXTENDED) as u16);
        } else {
            out.put_byte(flags as u8);
        }
    }

    /// The end of the list, behind which the names of owners may follow.
    pub(crate) fn end(&mut self, io_error: i32, out: &mut Vec<u8>) {
        if self.shape.varint {
            out.put_varint(0);
            out.put_varint(io_error);
        } else if io_error != 0 && self.shape.safe {
            out.put_short(flag::END_WITH_ERROR as u16);
            out.put_varint(io_error);
        } else {
            out.put_byte(0);
        }
        if self.shape.id_lists {
            self.seen.write(&self.shape, &mut self.users, &mut self.groups, out);
        }
    }
}
