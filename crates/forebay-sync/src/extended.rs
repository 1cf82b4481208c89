//! `-X` and `-A`: extended attributes. An ACL is one: `system.posix_acl_access`, and of directories
//! `system.posix_acl_default`.
//!
//! The super-user copies all namespaces but `system`, others `user` alone. What the source does not have is removed.
//!
//! Over the wire, long values are told by their MD5. What the destination has of them stays or is taken from there; the others
//! are asked for, and set when they come.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use forebay_delta::{Seed, Strong};
use rustix::fs::XattrFlags;
use rustix::io::Errno;

use crate::dir::SourceDir;
use crate::fs;
use crate::itemize::Change;
use crate::outcome::Outcome;
use crate::shared::Shared;

/// Where ACLs are.
const ACL: &[u8] = b"system.posix_acl_";

/// The largest list of names and the largest value that Linux has, in bytes.
const LIMIT: usize = 64 << 10;

/// How attributes are reached without following a link unless that is meant.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    path: Vec<u8>,
    follow: bool,
}

impl Place {
    /// Of what is called `name` beneath `at`; a link itself.
    pub(crate) fn at(at: BorrowedFd<'_>, name: &CStr) -> Self {
        Place { path: [descriptor(at).as_bytes(), b"/", name.to_bytes()].concat(), follow: false }
    }

    /// Of what is open.
    pub(crate) fn open(fd: BorrowedFd<'_>) -> Self {
        Place { path: descriptor(fd).into_bytes(), follow: true }
    }

    /// Of a source entry.
    pub(crate) fn source(dir: &SourceDir, name: &CStr, follow: bool) -> Result<Self, Errno> {
        let (at, name) = dir.place(name)?;
        if at.as_raw_fd() == rustix::fs::CWD.as_raw_fd() {
            return Ok(Place { path: name.to_bytes().to_vec(), follow });
        }
        Ok(Place { follow, ..Place::at(at, &name) })
    }

    fn list(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        match self.follow {
            true => rustix::fs::listxattr(&self.path[..], buffer),
            false => rustix::fs::llistxattr(&self.path[..], buffer),
        }
    }

    fn get(&self, name: &CStr, buffer: &mut [u8]) -> Result<usize, Errno> {
        match self.follow {
            true => rustix::fs::getxattr(&self.path[..], name, buffer),
            false => rustix::fs::lgetxattr(&self.path[..], name, buffer),
        }
    }

    fn set(&self, name: &CStr, value: &[u8]) -> Result<(), Errno> {
        match self.follow {
            true => rustix::fs::setxattr(&self.path[..], name, value, XattrFlags::empty()),
            false => rustix::fs::lsetxattr(&self.path[..], name, value, XattrFlags::empty()),
        }
    }

    fn remove(&self, name: &CStr) -> Result<(), Errno> {
        match self.follow {
            true => rustix::fs::removexattr(&self.path[..], name),
            false => rustix::fs::lremovexattr(&self.path[..], name),
        }
    }
}

/// Where attributes of the source are.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// On this machine.
    Here(Place),
    /// In a list that the other side has sent.
    Sent(Sent),
}

/// Attributes that the other side has sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    pub(crate) whole: Arc<Attributes>,
    pub(crate) long: Arc<[Long]>,
    /// Where long values may be: under the name that they are for.
    pub(crate) old: Option<Place>,
}

/// An attribute of the other side whose value is too long for a list. Entries with the same set of attributes share it: stock
/// rsync gives each value of a set once.
#[derive(Clone, Debug)]
pub(crate) struct Long {
    /// Counts from 1 among all the attributes of its entry.
    pub(crate) number: u32,
    pub(crate) name: CString,
    /// The length of its value in bytes, and the MD5 sum.
    pub(crate) len: u32,
    pub(crate) sum: [u8; 16],
    pub(crate) value: Arc<Value>,
}

/// A long value on its way.
#[derive(Debug, Default)]
pub(crate) struct Value {
    pub(crate) asked: AtomicBool,
    pub(crate) come: OnceLock<Vec<u8>>,
}

impl Long {
    /// Whether `name` and `value` are these.
    fn is(&self, (name, value): &(CString, Vec<u8>)) -> bool {
        *name == self.name && value.len() == self.len as usize && md5(value) == self.sum
    }
}

/// The sum by which long values are told.
pub(crate) fn md5(value: &[u8]) -> [u8; 16] {
    Strong::Md5(Seed::None).sum(value).as_ref().first_chunk().copied().unwrap_or_default()
}

impl Origin {
    pub(crate) fn read(&self, shared: &Shared<'_>) -> Result<Attributes, Errno> {
        self.found(shared, &Vec::new()).map(|(known, _)| known)
    }

    /// What the source has, sorted, where `now` is at the destination: the attributes whose values are known, and the others.
    fn found(&self, shared: &Shared<'_>, now: &Attributes) -> Result<(Attributes, Vec<Long>), Errno> {
        let sent = match self {
            Origin::Here(place) => return read(shared, place).map(|all| (all, Vec::new())),
            Origin::Sent(sent) => sent,
        };
        let wanted = |name: &CString| is_wanted(shared, name.to_bytes());
        let mut known: Attributes = sent.whole.iter().filter(|(name, _)| wanted(name)).cloned().collect();
        let (mut unknown, mut old) = (Vec::new(), None);
        for long in sent.long.iter().filter(|long| wanted(&long.name)) {
            let there = now.iter().find(|one| long.is(one)).cloned();
            let there = there.or_else(|| {
                let read = || sent.old.as_ref().and_then(|old| read(shared, old).ok()).unwrap_or_default();
                old.get_or_insert_with(read).iter().find(|one| long.is(one)).cloned()
            });
            let come = || long.value.come.get().map(|value| (long.name.clone(), value.clone()));
            match there.or_else(come) {
                Some(there) => known.push(there),
                None => unknown.push(long.clone()),
            }
        }
        known.sort();
        Ok((known, unknown))
    }

    /// What has to be asked for.
    pub(crate) fn lacking(&self, shared: &Shared<'_>) -> Vec<Long> {
        match self {
            Origin::Sent(sent) if !sent.long.is_empty() => {
                self.found(shared, &Vec::new()).map_or_else(|_| Vec::new(), |(_, unknown)| unknown)
            }
            _ => Vec::new(),
        }
    }

    /// What the destination is to have: as [`found`](Self::found), with the owners in ACLs mapped as those of files are.
    fn wanted(&self, shared: &Shared<'_>, now: &Attributes) -> Result<(Attributes, Vec<Long>), Errno> {
        let (mut known, unknown) = self.found(shared, now)?;
        for (name, value) in &mut known {
            if name.to_bytes().starts_with(ACL) {
                map_owners(shared, value);
            }
        }
        Ok((known, unknown))
    }
}

fn descriptor(fd: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// Names and values, sorted.
pub(crate) type Attributes = Vec<(CString, Vec<u8>)>;

/// Whether any are asked for.
pub(crate) fn wanted(shared: &Shared<'_>) -> bool {
    shared.options.xattrs || shared.options.acls
}

fn is_wanted(shared: &Shared<'_>, name: &[u8]) -> bool {
    if name.starts_with(ACL) {
        return shared.options.acls;
    }
    let namespace = if shared.me.is_root() { !name.starts_with(b"system.") } else { name.starts_with(b"user.") };
    shared.options.xattrs && namespace
}

/// Reads the attributes that the options ask for; none where the file system has none.
fn read(shared: &Shared<'_>, place: &Place) -> Result<Attributes, Errno> {
    let names = match whole(|buffer| place.list(buffer)) {
        Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        names => names?,
    };
    let mut attributes = Vec::new();
    for name in names.split(|&b| b == 0).filter(|name| !name.is_empty() && is_wanted(shared, name)) {
        let name = CString::new(name).map_err(|_| Errno::INVAL)?;
        match whole(|buffer| place.get(&name, buffer)) {
            // Removed meanwhile.
            Err(Errno::NODATA) => {}
            value => attributes.push((name, value?)),
        }
    }
    attributes.sort();
    Ok(attributes)
}

/// Gives `there` the attributes of `here`, both at the destination.
pub(crate) fn copy_as_is(shared: &Shared<'_>, here: &Place, there: &Place) -> Result<(), Errno> {
    let wanted = read(shared, here)?;
    for (name, _) in read(shared, there)?.iter().filter(|(name, _)| wanted.iter().all(|(n, _)| n != name)) {
        there.remove(name)?;
    }
    wanted.iter().try_for_each(|(name, value)| there.set(name, value))
}

/// Calls `read` with a buffer that is large enough.
fn whole(read: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0; 256];
    loop {
        match read(&mut buffer) {
            Err(Errno::RANGE) if buffer.len() < LIMIT => buffer.resize(buffer.len() * 4, 0),
            result => {
                buffer.truncate(result?);
                return Ok(buffer);
            }
        }
    }
}

/// Enters into `change` what of the attributes at `there` differs from the source's. What cannot be read is reported
/// when it is set.
pub(crate) fn compare(shared: &Shared<'_>, change: &mut Change, source: &Result<Origin, Errno>, there: &Place) {
    let Ok(source) = source else { return };
    let Ok(there) = read(shared, there) else { return };
    let Ok((source, lacking)) = source.wanted(shared, &there) else { return };
    let is_acl = |(name, _): &&(CString, Vec<u8>)| name.to_bytes().starts_with(ACL);
    let acl = |(name, value): &(CString, Vec<u8>)| (name.clone(), without_mode(name, value));
    change.acl = source.iter().filter(is_acl).map(acl).ne(there.iter().filter(is_acl).map(acl));
    change.xattr = !lacking.is_empty() || source.iter().filter(|a| !is_acl(a)).ne(there.iter().filter(|a| !is_acl(a)));
}

/// The value of an ACL without the permissions that the mode tells, too: those of the owner, the mask and the others.
/// The layout is Linux's: four bytes of version, then entries of tag, permissions (two bytes each) and id (four).
fn without_mode(name: &CStr, value: &[u8]) -> Vec<u8> {
    let mut value = value.to_vec();
    if name.to_bytes().ends_with(b"_access") {
        for entry in value.get_mut(4..).unwrap_or_default().chunks_exact_mut(8) {
            if matches!(u16::from_le_bytes([entry[0], entry[1]]), 0x01 | 0x10 | 0x20) {
                entry[2..4].fill(0);
            }
        }
    }
    value
}

/// Maps the named users and groups of an ACL. Entries are in the order of their ids, as the system wants them.
fn map_owners(shared: &Shared<'_>, value: &mut [u8]) {
    let Some(entries) = value.get_mut(4..) else { return };
    let mut mapped: Vec<[u8; 8]> = Vec::with_capacity(entries.len() / 8);
    let (whole, _) = entries.as_chunks::<8>();
    for entry in whole {
        let [t0, t1, p0, p1, id @ ..] = *entry;
        let id = u32::from_le_bytes(id);
        let id = match u16::from_le_bytes([t0, t1]) {
            0x02 => shared.user(id),
            0x08 => shared.group(id),
            _ => id,
        };
        let [a, b, c, d] = id.to_le_bytes();
        mapped.push([t0, t1, p0, p1, a, b, c, d]);
    }
    mapped.sort_by_key(|[t0, t1, _, _, id @ ..]| (u16::from_le_bytes([*t0, *t1]), u32::from_le_bytes(*id)));
    for (entry, mapped) in entries.as_chunks_mut::<8>().0.iter_mut().zip(mapped) {
        *entry = mapped;
    }
}

/// Gives `there`, whose path in messages is `path`, the attributes of the source. Whether anything had to be changed,
/// which may have changed the mode, too. `role` is who rsync would name in a message.
pub(crate) fn copy(
    shared: &Shared<'_>,
    source: &Result<Origin, Errno>,
    there: &Place,
    role: &str,
    path: impl Fn() -> Vec<u8>,
    out: &mut Outcome,
) -> bool {
    let mut failed =
        |what: &str, name: &[u8], errno: Errno| set_failed(shared, out, role, what, (&path(), name), errno);
    let both = source.as_ref().map_err(|errno| *errno).and_then(|source| {
        let now = read(shared, there)?;
        source.wanted(shared, &now).map(|wanted| (wanted, now))
    });
    let ((wanted, lacking), now) = match both {
        Ok(both) => both,
        Err(errno) => {
            failed("llistxattr", b"", errno);
            return false;
        }
    };
    let mut changed = false;
    for (name, value) in &wanted {
        if !now.iter().any(|(n, v)| n == name && v == value) {
            changed = true;
            if let Err(errno) = there.set(name, value) {
                failed("lsetxattr", name.to_bytes(), errno);
            }
        }
    }
    for (name, _) in &now {
        if !wanted.iter().any(|(n, _)| n == name) && !lacking.iter().any(|long| long.name == *name) {
            changed = true;
            match there.remove(name) {
                Ok(()) | Err(Errno::NODATA) => {}
                Err(errno) => failed("lremovexattr", name.to_bytes(), errno),
            }
        }
    }
    changed
}

/// Gives `there` the values of `long`, which should have come.
pub(crate) fn add(
    shared: &Shared<'_>,
    long: &[Long],
    there: Result<Place, Errno>,
    path: impl Fn() -> Vec<u8>,
    out: &mut Outcome,
) {
    for Long { name, value, .. } in long {
        let value = value.come.get().ok_or(Errno::NODATA);
        let set = |there: &Place| value.and_then(|value| there.set(name, value));
        if let Err(errno) = there.as_ref().map_err(|errno| *errno).and_then(set) {
            set_failed(shared, out, "generator", "lsetxattr", (&path(), name.to_bytes()), errno);
        }
    }
}

fn set_failed(
    shared: &Shared<'_>,
    out: &mut Outcome,
    role: &str,
    call: &str,
    (path, name): (&[u8], &[u8]),
    errno: Errno,
) {
    out.totals.failed += 1;
    let mut after = b"\",\"".to_vec();
    shared.options.escape.push(&mut after, name);
    let after = format!("{}\") failed: {}", String::from_utf8_lossy(&after), fs::describe(errno));
    shared.complain(out, &format!("rsync: [{role}] rsync_xal_set: {call}(\""), path, &after);
}
