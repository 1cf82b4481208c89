//! `Decoder`: entries as they come over the wire, none of which is believed before it has been looked at.

use std::collections::HashMap;
use std::ffi::CString;
use std::io::Read;
use std::sync::Arc;

use rustix::fs::{FileType, Timespec};

use super::acl;
use super::before::Before;
use super::entry::ListEntry;
use super::ids::{self, IdTable};
use super::shape::Shape;
use super::{flag, xattr};
use crate::chmod::ModeRules;
use crate::fs::Stat;
use crate::idmap::Ids;
use crate::sent::Facts;
use crate::wire::error::WireError;
use crate::wire::limits;
use crate::wire::number::Get;

/// What a list ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// The sender could not list everything: bits of section 6.4.
    pub(crate) io_error: i32,
}

/// Reads the entries of all lists of a session.
#[derive(Debug)]
pub(crate) struct Decoder {
    shape: Shape,
    /// Names may begin with a slash (`-R`); it is taken away.
    absolute: bool,
    before: Before,
    /// The number of the first entry of this list, and how many were read.
    first: i32,
    count: i32,
    /// First names of files that have several, by their number: those of this list.
    leaders: HashMap<i32, ListEntry>,
    acls: [acl::Sent; 2],
    xattrs: xattr::Sets,
    /// Which of our ids theirs stand for.
    pub(crate) ids: IdTable,
    /// `--chmod`, and the mask of permissions. What ACLs leave to the mode, they leave to the one that it becomes.
    pub(crate) modes: (ModeRules, u32),
}

impl Decoder {
    pub(crate) fn new(shape: Shape, absolute: bool) -> Self {
        Decoder {
            shape,
            absolute,
            before: Before::default(),
            first: 0,
            count: 0,
            leaders: HashMap::new(),
            acls: <_>::default(),
            xattrs: xattr::Sets::default(),
            ids: IdTable::default(),
            modes: <_>::default(),
        }
    }

    /// A list begins, whose first entry has the number `first`.
    pub(crate) fn begin(&mut self, first: i32) {
        (self.first, self.count) = (first, 0);
        // An entry whose leader is in an earlier list says everything itself.
        self.leaders.clear();
    }

    /// The next entry, with the owners that it has over there; or how the list ends, in which case the names of owners
    /// have been read too.
    ///
    /// # Errors
    /// The stream ends, or what comes is not allowed.
    pub(crate) fn next(&mut self, from: &mut impl Read) -> Result<Result<ListEntry, End>, WireError> {
        let Some(flags) = self.flags(from)? else {
            let io_error = if self.shape.varint { from.varint()? } else { 0 };
            return self.end(from, io_error).map(Err);
        };
        if !self.shape.varint && flags == flag::END_WITH_ERROR {
            let io_error = from.varint()?;
            return self.end(from, io_error).map(Err);
        }
        if self.count as usize >= limits::ENTRIES {
            return Err(WireError::protocol("too many entries", self.count));
        }
        let entry = self.entry(from, flags)?;
        self.count += 1;
        Ok(Ok(entry))
    }

    /// Whether the path of the last entry came with a slash before it.
    pub(crate) fn is_slashed(&self) -> bool {
        self.before.path.starts_with(b"/")
    }

    fn flags(&self, from: &mut impl Read) -> Result<Option<u32>, WireError> {
        let flags = if self.shape.varint {
            from.varint()?.cast_unsigned()
        } else {
            let low = u32::from(from.byte()?);
            let high = if low & flag::EXTENDED != 0 { u32::from(from.byte()?) } else { 0 };
            low | high << 8
        };
        Ok((flags != 0).then_some(flags))
    }

    fn end(&mut self, from: &mut impl Read, io_error: i32) -> Result<End, WireError> {
        if self.shape.id_lists {
            self.ids.read(&self.shape, from)?;
        }
        Ok(End { io_error: io_error & limits::IO_ERROR })
    }

    fn entry(&mut self, from: &mut impl Read, flags: u32) -> Result<ListEntry, WireError> {
        let has = |bit: u32| flags & bit != 0;
        let path = self.path_of(from, flags)?;
        let own = self.first + self.count;
        let mut linked = None;
        if has(flag::HLINKED) {
            if !self.shape.hard_links {
                return Err(WireError::protocol("a hard link without -H", own));
            }
            let leader = if has(flag::HLINK_FIRST) { own } else { from.varint()? };
            if let Some(same) = self.leaders.get(&leader).filter(|_| leader >= self.first && leader != own) {
                let mut entry = ListEntry { path, ..same.clone() };
                rooted(&entry, own)?;
                self.attributes(from, &mut entry)?;
                self.before.keep(&self.shape, &entry);
                return Ok(entry);
            }
            // In an earlier list there is nothing to copy: what it says follows.
            if leader != own && (leader < 0 || leader >= self.first) {
                return Err(WireError::protocol("a hard link to what is none", leader));
            }
            linked = Some(leader);
        }
        let size = u64::try_from(from.varlong(3)?).map_err(|_| WireError::protocol("a size below zero", own))?;
        let mtime = if has(flag::SAME_TIME) { self.before.mtime } else { from.varlong(4)? };
        let nanoseconds = if has(flag::MOD_NSEC) { from.varint()? } else { 0 };
        if !(0..1_000_000_000).contains(&nanoseconds) {
            return Err(WireError::protocol("nanoseconds of more than a second", nanoseconds));
        }
        let mode = if has(flag::SAME_MODE) { self.before.mode } else { from.int()?.cast_unsigned() };
        let kind = self.kind_of(mode)?;
        let is_dir = kind == FileType::Directory;
        let timed = self.shape.atimes && !is_dir;
        let atime = if timed && !has(flag::SAME_ATIME) { from.varlong(4)? } else { self.before.atime };
        let uid = self.owner(from, Ids::Users, self.shape.owner && !has(flag::SAME_UID), has(flag::USER_NAME))?;
        let gid = self.owner(from, Ids::Groups, self.shape.group && !has(flag::SAME_GID), has(flag::GROUP_NAME))?;
        let time = |tv_sec| Timespec { tv_sec, tv_nsec: 0 };
        let stat = Stat {
            mode: mode & 0o7777,
            uid: uid.unwrap_or(self.before.uid),
            gid: gid.unwrap_or(self.before.gid),
            size,
            mtime: Timespec { tv_sec: mtime, tv_nsec: nanoseconds.into() },
            atime: time(if timed { atime } else { mtime }),
            dev: u64::from(linked.is_some()),
            ino: linked.map_or(0, |leader| u64::from(leader.cast_unsigned())),
            nlink: if linked.is_some() { 2 } else { 1 },
            ..Stat::of_kind(kind)
        };
        let mut entry = ListEntry {
            path,
            facts: Facts { stat, link: None, sum: None, attributes: Arc::default(), long: Arc::default() },
            top: is_dir && has(flag::TOP_DIR),
            content: is_dir && !has(flag::NO_CONTENT_DIR),
        };
        if is_dir && (linked.is_some() || has(flag::HLINKED)) {
            return Err(WireError::protocol("a hard link to a directory", own));
        }
        rooted(&entry, own)?;
        self.rest(from, &mut entry, has(flag::SAME_RDEV_MAJOR))?;
        self.attributes(from, &mut entry)?;
        if linked == Some(own) {
            self.leaders.insert(own, entry.clone());
        }
        self.before.keep(&self.shape, &entry);
        Ok(entry)
    }

    /// Device number, link and sum.
    fn rest(&mut self, from: &mut impl Read, entry: &mut ListEntry, same_major: bool) -> Result<(), WireError> {
        let Shape { devices, specials, protocol, links, sum, .. } = self.shape;
        let is_link = entry.facts.stat.kind == FileType::Symlink;
        if (devices && entry.is_device()) || (specials && entry.is_special() && protocol < 31) {
            let major = if same_major { self.before.rdev_major } else { from.varint()?.cast_unsigned() };
            let minor = from.varint()?.cast_unsigned();
            if entry.is_device() {
                entry.facts.stat.rdev = rustix::fs::makedev(major, minor);
            }
        }
        if links && is_link {
            let len = from.varuint()? as usize;
            let link = from.exactly(len, limits::LINK, "a link that leads too far")?;
            let link = CString::new(link).ok().filter(|link| !link.is_empty());
            entry.facts.link = Some(link.ok_or(WireError::protocol("a link with a NUL, or to nothing", len as i64))?);
        }
        if sum > 0 && entry.facts.stat.kind == FileType::RegularFile {
            entry.facts.sum = Some(from.exactly(sum, sum, "")?.into());
        }
        Ok(())
    }

    /// ACLs and attributes, which each name of a file has.
    fn attributes(&mut self, from: &mut impl Read, entry: &mut ListEntry) -> Result<(), WireError> {
        let (rules, umask) = &self.modes;
        let mode = rules.apply(entry.facts.stat.raw_mode(), entry.facts.stat.kind == FileType::Directory, *umask);
        let mut values = Vec::new();
        if self.shape.acls && entry.facts.stat.kind != FileType::Symlink {
            for (kind, sent) in acl::KINDS.into_iter().zip(&mut self.acls) {
                if kind == acl::Kind::Access || entry.facts.stat.kind == FileType::Directory {
                    let value = sent.read(from, mode, kind, &mut self.ids)?;
                    values.extend(value.map(|value| (kind.name().to_owned(), value)));
                }
            }
        }
        if self.shape.xattrs {
            let set = self.xattrs.read(from, self.shape.acls)?;
            entry.facts.long = set.long;
            if values.is_empty() {
                entry.facts.attributes = set.whole;
                return Ok(());
            }
            values.extend(set.whole.iter().cloned());
        }
        if !values.is_empty() || !entry.facts.attributes.is_empty() {
            values.sort();
            entry.facts.attributes = Arc::new(values);
        }
        Ok(())
    }

    fn owner(&mut self, from: &mut impl Read, ids: Ids, told: bool, named: bool) -> Result<Option<u32>, WireError> {
        if !told {
            return Ok(None);
        }
        let id = from.varint()?.cast_unsigned();
        if named {
            let name = ids::get_name(from)?;
            self.ids.learn(ids, id, &name);
        }
        Ok(Some(id))
    }

    fn kind_of(&self, mode: u32) -> Result<FileType, WireError> {
        match FileType::from_raw_mode(mode) {
            // It was asked for and is not there.
            FileType::Unknown if mode == 0 && self.shape.missing => Ok(FileType::Unknown),
            FileType::Unknown => Err(WireError::protocol("a mode of no known kind", i64::from(mode))),
            kind => Ok(kind),
        }
    }

    fn path_of(&mut self, from: &mut impl Read, flags: u32) -> Result<Vec<u8>, WireError> {
        let shared = if flags & flag::SAME_NAME != 0 { usize::from(from.byte()?) } else { 0 };
        let rest = if flags & flag::LONG_NAME != 0 { from.varuint()? as usize } else { usize::from(from.byte()?) };
        if shared > self.before.path.len() || shared + rest > limits::PATH {
            return Err(WireError::protocol("a path that is too long", (shared + rest) as i64));
        }
        let rest = from.exactly(rest, limits::PATH, "a path that is too long")?;
        self.before.path.truncate(shared);
        self.before.path.extend_from_slice(&rest);
        clean(&self.before.path, self.absolute)
    }
}

/// Refuses a root that is no directory.
fn rooted(entry: &ListEntry, own: i32) -> Result<(), WireError> {
    match entry.path == b"." && !entry.is_dir() {
        true => Err(WireError::protocol("a root that is no directory", own)),
        false => Ok(()),
    }
}

/// A path of a list as it is used here. One that could lead out of the tree is refused.
fn clean(path: &[u8], absolute: bool) -> Result<Vec<u8>, WireError> {
    let refused = |what| Err(WireError::protocol(what, path.len() as i64));
    if path.contains(&0) {
        return refused("a path with a NUL in it");
    }
    if path.starts_with(b"/") && !absolute {
        let path = path.escape_ascii();
        return Err(WireError::Unsupported(format!("ABORTING due to unsafe pathname from sender: {path}")));
    }
    let mut parts = Vec::new();
    for part in path.split(|&byte| byte == b'/') {
        match part {
            b".." => return refused("a path that leads upwards"),
            b"" | b"." => {}
            part => parts.push(part),
        }
    }
    match parts.is_empty() {
        true if path.is_empty() => refused("an empty path"),
        true => Ok(b".".to_vec()),
        false => Ok(parts.join(&b'/')),
    }
}
