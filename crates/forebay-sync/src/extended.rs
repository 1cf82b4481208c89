//! `-X` and `-A`: extended attributes. An ACL is one: `system.posix_acl_access`, and of directories
//! `system.posix_acl_default`.
//!
//! The super-user copies all namespaces but `system`, others `user` alone. What the source does not have is removed. As with
//! rsync, the super-user who says with rules what is copied gets all of that, so `system` too: without `-A`, ACLs as they are.
//! With `--fake-super` (see [`fake`]), ACLs and names of other namespaces are kept under names that begin with `user.rsync.`.
//!
//! Over the wire, long values are told by their MD5. What the destination has of them stays or is taken from there; the others
//! are asked for, and set when they come.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use forebay_delta::{Seed, Strong};
use rustix::fs::{AtFlags, FileType, Mode, XattrFlags};
use rustix::io::Errno;

use crate::attrs;
use crate::deep::Fd;
use crate::dir::SourceDir;
use crate::fake;
use crate::filter::{Local, Side};
use crate::fs::{self, Stat};
use crate::itemize::Change;
use crate::options::Options;
use crate::outcome::Outcome;
use crate::shared::Shared;
use crate::wire::{NO_ACL, keep_acl, kept_acl};

/// Where ACLs are.
const ACL: &[u8] = b"system.posix_acl_";

/// What is kept for another side, and copied with `-XX` alone, begins so.
const RESERVED: &[u8] = b"user.rsync.%";

/// The attribute of an ACL, and the one in which it is kept with `--fake-super`.
const ACLS: [(&CStr, &CStr); 2] =
    [(c"system.posix_acl_access", c"user.rsync.%aacl"), (c"system.posix_acl_default", c"user.rsync.%dacl")];

/// The largest list of names and the largest value that Linux has, in bytes.
const LIMIT: usize = 64 << 10;

/// How attributes are reached without following a link unless that is meant.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    path: Vec<u8>,
    follow: bool,
    /// What only the super-user may is kept in attributes there.
    fake: bool,
    /// What per-directory files say where it is listed in the source.
    local: Local,
    /// What the path leads through.
    _held: Option<Arc<OwnedFd>>,
}

impl Place {
    /// Of what is called `name` beneath `at`; a link itself. `fake`: on a side with `--fake-super`.
    pub(crate) fn at(at: BorrowedFd<'_>, name: &CStr, fake: bool) -> Self {
        let path = [descriptor(at).as_bytes(), b"/", name.to_bytes()].concat();
        Place { path, follow: false, fake, local: Local::default(), _held: None }
    }

    /// Of what `path`, which was given, leads to.
    pub(crate) fn given(path: &[u8], fake: bool) -> Self {
        Place { path: path.to_vec(), follow: true, fake, local: Local::default(), _held: None }
    }

    /// Of what is open.
    pub(crate) fn open(fd: BorrowedFd<'_>, fake: bool) -> Self {
        Place { path: descriptor(fd).into_bytes(), follow: true, fake, local: Local::default(), _held: None }
    }

    /// Of the directory `fd`.
    pub(crate) fn of(fd: &Fd<'_>, fake: bool) -> Self {
        Place { _held: fd.kept(), ..Place::open(fd.as_fd(), fake) }
    }

    /// The same, listed where `local` holds.
    pub(crate) fn listed(self, local: &Local) -> Self {
        Place { local: local.clone(), ..self }
    }

    /// Of a source entry.
    pub(crate) fn source(dir: &SourceDir, name: &CStr, follow: bool) -> Result<Self, Errno> {
        let ((at, name), local) = (dir.place(name)?, dir.local.clone());
        if matches!(at, Fd::Here) {
            return Ok(Place { path: name.to_bytes().to_vec(), follow, fake: dir.reads.fake, local, _held: None });
        }
        Ok(Place { follow, local, _held: at.kept(), ..Place::at(at.as_fd(), &name, dir.reads.fake) })
    }

    /// The value of the attribute `name` as the file system has it.
    pub(crate) fn value(&self, name: &CStr) -> Result<Vec<u8>, Errno> {
        whole(|buffer| self.get(name, buffer))
    }

    /// The mode of the entry, or of what it stands for.
    fn mode(&self) -> Result<u32, Errno> {
        fake::seen(self.real()?, self).map(|stat| stat.mode)
    }

    /// What is known of the entry itself.
    fn real(&self) -> Result<Stat, Errno> {
        let flags = if self.follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
        rustix::fs::statat(rustix::fs::CWD, &self.path[..], flags).map(Stat::from)
    }

    /// Sets what [`read`] has told as `name`.
    fn put(&self, name: &CStr, value: &[u8]) -> Result<(), Errno> {
        let Some((acl, kept)) = ACLS.iter().find(|(acl, _)| self.fake && *acl == name) else {
            return self.set(name, value);
        };
        match keep_acl(acl, value) {
            Some(value) => self.set(kept, &value),
            None => self.drop(name),
        }
    }

    /// Removes what [`read`] has told as `name`.
    fn drop(&self, name: &CStr) -> Result<(), Errno> {
        let removed = match ACLS.iter().position(|(acl, _)| self.fake && *acl == name) {
            // As with rsync, that the mode says it all is kept, where it once did not.
            Some(0) => return self.set(ACLS[0].1, &NO_ACL),
            Some(at) => self.remove(ACLS[at].1),
            None => self.remove(name),
        };
        match removed {
            Err(Errno::NODATA) => Ok(()),
            result => result,
        }
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

    pub(crate) fn set(&self, name: &CStr, value: &[u8]) -> Result<(), Errno> {
        self.as_writer(|| match self.follow {
            true => rustix::fs::setxattr(&self.path[..], name, value, XattrFlags::empty()),
            false => rustix::fs::lsetxattr(&self.path[..], name, value, XattrFlags::empty()),
        })
    }

    pub(crate) fn remove(&self, name: &CStr) -> Result<(), Errno> {
        self.as_writer(|| match self.follow {
            true => rustix::fs::removexattr(&self.path[..], name),
            false => rustix::fs::lremovexattr(&self.path[..], name),
        })
    }

    /// Does what only who may write to the entry may do: where it is our own, and its mode forbids that, it has another one for that
    /// moment, as with rsync.
    fn as_writer(&self, change: impl Fn() -> Result<(), Errno>) -> Result<(), Errno> {
        match change() {
            Err(Errno::ACCESS) => {}
            result => return result,
        }
        let now = self.real()?;
        if now.kind == FileType::Symlink || now.mode & 0o200 != 0 || self.chmod(now.mode | 0o200).is_err() {
            return Err(Errno::ACCESS);
        }
        let result = change();
        self.chmod(now.mode).and(result)
    }

    fn chmod(&self, mode: u32) -> Result<(), Errno> {
        if self.follow {
            return rustix::fs::chmodat(
                rustix::fs::CWD,
                &self.path[..],
                Mode::from_raw_mode(mode as _),
                AtFlags::empty(),
            );
        }
        let path = CString::new(&self.path[..]).map_err(|_| Errno::INVAL)?;
        attrs::chmod(rustix::fs::CWD, &path, mode)
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
    /// What is told to another machine.
    pub(crate) fn read(&self, shared: &Shared<'_>) -> Result<Attributes, Errno> {
        match self {
            Origin::Here(place) => {
                read(place, |name| is_told(shared, &place.local, name)).map(|all| of_source(place, all))
            }
            Origin::Sent(_) => self.found(shared, &Vec::new()).map(|(known, _)| known),
        }
    }

    /// What the source has, as the destination is to have it, sorted, where `now` is there: the attributes whose values are
    /// known, and the others.
    fn found(&self, shared: &Shared<'_>, now: &Attributes) -> Result<(Attributes, Vec<Long>), Errno> {
        let sent = match self {
            Origin::Here(place) => {
                let all = of_source(place, read(place, |name| is_told(shared, &place.local, name))?);
                let taken = all.into_iter().filter_map(|(name, value)| Some((taken_as(shared, &name)?, value)));
                let mut taken: Attributes = taken.collect();
                taken.sort();
                return Ok((taken, Vec::new()));
            }
            Origin::Sent(sent) => sent,
        };
        let taken = |(name, value): &(CString, Vec<u8>)| Some((taken_as(shared, name)?, value.clone()));
        let mut known: Attributes = sent.whole.iter().filter_map(taken).collect();
        let (mut unknown, mut old) = (Vec::new(), None);
        for long in sent.long.iter() {
            let Some(name) = taken_as(shared, &long.name) else { continue };
            let long = Long { name, ..long.clone() };
            let there = now.iter().find(|one| long.is(one)).cloned();
            let there = there.or_else(|| {
                // What cannot be read there is asked for.
                let read = || sent.old.as_ref().and_then(|old| read_there(shared, old).ok()).unwrap_or_default();
                old.get_or_insert_with(read).iter().find(|one| long.is(one)).cloned()
            });
            let come = || long.value.come.get().map(|value| (long.name.clone(), value.clone()));
            match there.or_else(come) {
                Some(there) => known.push(there),
                None => unknown.push(long),
            }
        }
        known.sort();
        Ok((known, unknown))
    }

    /// Looks at `place` for long values that have not come, which come from there then.
    pub(crate) fn look_for_long(&self, shared: &Shared<'_>, place: &Place) {
        let Origin::Sent(sent) = self else { return };
        let mut there = None;
        for long in sent.long.iter().filter(|long| long.value.come.get().is_none()) {
            let Some(name) = taken_as(shared, &long.name) else { continue };
            let long = Long { name, ..long.clone() };
            let there = there.get_or_insert_with(|| read_there(shared, place).unwrap_or_default());
            if let Some((_, value)) = there.iter().find(|one| long.is(one)) {
                long.value.come.get_or_init(|| value.clone());
            }
        }
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

    /// What the destination is to have: as [`found`](Self::found), with the owners in ACLs mapped as those of files are;
    /// but, as with rsync, not with `--numeric-ids`.
    fn wanted(&self, shared: &Shared<'_>, now: &Attributes) -> Result<(Attributes, Vec<Long>), Errno> {
        let (mut known, unknown) = self.found(shared, now)?;
        for (name, value) in &mut known {
            if is_acl(shared, name.to_bytes()) && !shared.options.numeric_ids {
                map_owners(value, |id| shared.user(id), |id| shared.group(id));
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

/// Whether the attribute `name` is copied as an ACL. One that is not is an attribute as others are.
fn is_acl(shared: &Shared<'_>, name: &[u8]) -> bool {
    shared.options.acls && name.starts_with(ACL)
}

/// Whether another machine is told ACLs among the attributes as well. As with rsync, rules that do not leave them out are
/// about them, and it would remove what it is not told.
pub(crate) fn tells_acls_twice(options: &Options) -> bool {
    let (filters, (acl, _)) = (&options.filters, ACLS[0]);
    let ruled = options.acls && options.xattrs && filters.has_xattr_rules();
    ruled && filters.takes_xattr(Side::Sender, &Local::default(), acl.to_bytes())
}

/// Whether the attribute `name` of an entry may be copied at all, as far as this side is concerned, where `local` holds.
fn passes(shared: &Shared<'_>, side: Side, local: &Local, name: &[u8]) -> bool {
    let options = shared.options;
    if is_acl(shared, name) {
        return true;
    }
    let reserved = name.starts_with(RESERVED) && !options.xattrs_all;
    // What is kept for an ACL is none.
    let kept = side == Side::Sender && options.fake_source && name.starts_with(ACL);
    // A server that receives is not told the rules of who sends.
    let untold = side == Side::Receiver && shared.remote.as_ref().is_some_and(|remote| remote.server);
    let system = name.starts_with(b"system.") && !untold && !options.filters.has_xattr_rules();
    options.xattrs && !reserved && !kept && !system && options.filters.takes_xattr(side, local, name)
}

/// Whether the source's attribute `name` is among those that are copied, where `local` holds.
fn is_told(shared: &Shared<'_>, local: &Local, name: &[u8]) -> bool {
    passes(shared, Side::Sender, local, name)
}

/// The name that the source's attribute `name` has at the destination, if it is taken there.
fn taken_as(shared: &Shared<'_>, name: &CStr) -> Option<CString> {
    let bytes = name.to_bytes();
    // As with rsync, per-directory files have nothing to say of that here.
    if !passes(shared, Side::Receiver, &Local::default(), bytes) {
        return None;
    }
    let options = shared.options;
    match shared.privileged() && !options.fake_destination {
        _ if is_acl(shared, bytes) || bytes.starts_with(b"user.") => Some(name.to_owned()),
        true => Some(name.to_owned()),
        // As with rsync: who says with rules what is copied gets all of that.
        false if options.fake_destination || options.filters.has_xattr_rules() => {
            CString::new([fake::PREFIX, bytes].concat()).ok()
        }
        false => None,
    }
}

/// Whether the destination's attribute `name` is to be like the source's.
fn is_kept(shared: &Shared<'_>, name: &[u8]) -> bool {
    if is_acl(shared, name) {
        return true;
    }
    let (options, filters) = (shared.options, &shared.options.filters);
    let namespace = match shared.privileged() {
        true => !name.starts_with(b"system.") || (filters.has_xattr_rules() && !options.fake_destination),
        false => name.starts_with(b"user."),
    };
    options.xattrs && namespace && filters.takes_xattr(Side::Receiver, &Local::default(), name)
}

/// Names of attributes of a source with `--fake-super` without what they have before them.
fn of_source(place: &Place, mut all: Attributes) -> Attributes {
    if place.fake {
        for (name, _) in &mut all {
            let own = name.to_bytes().strip_prefix(fake::PREFIX).and_then(|own| CString::new(own).ok());
            *name = own.unwrap_or_else(|| std::mem::take(name));
        }
        all.sort();
    }
    all
}

/// Reads the attributes of an entry of the destination that are to be like the source's.
fn read_there(shared: &Shared<'_>, place: &Place) -> Result<Attributes, Errno> {
    read(place, |name| is_kept(shared, name))
}

/// Reads the attributes whose names are `wanted`, sorted; none where the file system has none. With `--fake-super`, ACLs are
/// those that are kept.
fn read(place: &Place, mut wanted: impl FnMut(&[u8]) -> bool) -> Result<Attributes, Errno> {
    let names = match whole(|buffer| place.list(buffer)) {
        Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        names => names?,
    };
    let mut attributes = Vec::new();
    for name in names.split(|&b| b == 0).filter(|name| !name.is_empty()) {
        let name = CString::new(name).map_err(|_| Errno::INVAL)?;
        let acl = ACLS.iter().find(|(acl, kept)| if place.fake { *kept == &*name } else { *acl == &*name });
        let told = acl.map_or(&*name, |(acl, _)| acl);
        let hidden = place.fake && acl.is_none() && (*name == *fake::STAT || name.to_bytes().starts_with(ACL));
        if hidden || !wanted(told.to_bytes()) {
            continue;
        }
        let value = match place.value(&name) {
            // Removed meanwhile.
            Err(Errno::NODATA) => continue,
            value => value?,
        };
        match acl {
            Some((acl, _)) if place.fake => {
                let value = kept_acl(acl, &value, place.mode()?).ok_or(fake::CORRUPT)?;
                attributes.extend(value.map(|value| ((*acl).to_owned(), value)));
            }
            _ => attributes.push((name, value)),
        }
    }
    attributes.sort();
    Ok(attributes)
}

/// Gives `there` the attributes of `here`, both at the destination.
pub(crate) fn copy_as_is(shared: &Shared<'_>, here: &Place, there: &Place) -> Result<(), Errno> {
    let wanted = read_there(shared, here)?;
    for (name, _) in read_there(shared, there)?.iter().filter(|(name, _)| wanted.iter().all(|(n, _)| n != name)) {
        there.drop(name)?;
    }
    wanted.iter().try_for_each(|(name, value)| there.put(name, value))
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
    let Ok(there) = read_there(shared, there) else { return };
    let Ok((source, lacking)) = source.wanted(shared, &there) else { return };
    let is_acl = |(name, _): &&(CString, Vec<u8>)| is_acl(shared, name.to_bytes());
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
pub(crate) fn map_owners(value: &mut [u8], user: impl Fn(u32) -> u32, group: impl Fn(u32) -> u32) {
    let Some(entries) = value.get_mut(4..) else { return };
    let mut mapped: Vec<[u8; 8]> = Vec::with_capacity(entries.len() / 8);
    let (whole, _) = entries.as_chunks::<8>();
    for entry in whole {
        let [t0, t1, p0, p1, id @ ..] = *entry;
        let id = u32::from_le_bytes(id);
        let id = match u16::from_le_bytes([t0, t1]) {
            0x02 => user(id),
            0x08 => group(id),
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

/// Whether what is copied of the attributes at `place` in the source can be read. As with rsync, an entry of which it cannot
/// is left out: that is reported, under its `path`, and keeps everything from being deleted.
pub(crate) fn is_readable(
    shared: &Shared<'_>,
    place: &Result<Place, Errno>,
    path: impl Fn() -> Vec<u8>,
    out: &mut Outcome,
) -> bool {
    // The super-user may read whatever there is, and what has gone is found out when it is stat'ed.
    let (true, Ok(place)) = (wanted(shared) && !shared.me.is_root(), place) else { return true };
    let mut last = Vec::new();
    let attributes = read(place, |name| {
        let told = is_told(shared, &place.local, name);
        if told {
            name.clone_into(&mut last);
        }
        told
    });
    match attributes {
        Ok(_) | Err(Errno::NOENT) => true,
        Err(errno) => {
            shared.io_error.store(true, Ordering::Relaxed);
            get_failed(shared, out, &path(), &last, errno);
            false
        }
    }
}

/// Gives `there` the attributes of the source, each with its path in messages. Whether anything had to be changed, which may have
/// changed the mode, too. `role` is who rsync would name in a message about `there`.
pub(crate) fn copy(
    shared: &Shared<'_>,
    (source, from): (&Result<Origin, Errno>, impl Fn() -> Vec<u8>),
    there: &Place,
    role: &str,
    path: impl Fn() -> Vec<u8>,
    out: &mut Outcome,
) -> bool {
    let mut failed =
        |what: &str, name: &[u8], errno: Errno| set_failed(shared, out, role, what, (&path(), name), errno);
    let now = match read_there(shared, there) {
        Ok(now) => now,
        Err(errno) => {
            failed("llistxattr", b"", errno);
            return false;
        }
    };
    let (wanted, lacking) = match source.as_ref().map_err(|errno| *errno).and_then(|source| source.wanted(shared, &now))
    {
        Ok(wanted) => wanted,
        Err(errno) => {
            get_failed(shared, out, &from(), b"", errno);
            return false;
        }
    };
    let mut changed = false;
    for (name, value) in &wanted {
        if !now.iter().any(|(n, v)| n == name && v == value) {
            changed = true;
            if let Err(errno) = there.put(name, value) {
                failed("lsetxattr", name.to_bytes(), errno);
            }
        }
    }
    for (name, _) in &now {
        // As with rsync, what is not kept in the namespace `user` differs, and stays.
        let stays = there.fake && !name.to_bytes().starts_with(b"user.") && !is_acl(shared, name.to_bytes());
        if !stays && !wanted.iter().any(|(n, _)| n == name) && !lacking.iter().any(|long| long.name == *name) {
            changed = true;
            if let Err(errno) = there.drop(name) {
                failed("lremovexattr", name.to_bytes(), errno);
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
        let set = |there: &Place| value.and_then(|value| there.put(name, value));
        if let Err(errno) = there.as_ref().map_err(|errno| *errno).and_then(set) {
            set_failed(shared, out, "generator", "lsetxattr", (&path(), name.to_bytes()), errno);
        }
    }
}

/// Reports that the attribute `name` of the source's entry at `path` cannot be read, or, without a name, which there are.
fn get_failed(shared: &Shared<'_>, out: &mut Outcome, path: &[u8], name: &[u8], errno: Errno) {
    out.totals.failed += 1;
    let call = if name.is_empty() { "get_xattr_names: llistxattr" } else { "get_xattr_data: lgetxattr" };
    let mut after = b"\",\"".to_vec();
    shared.options.escape.push(&mut after, name);
    let after = format!("{}\",0) failed: {}", String::from_utf8_lossy(&after), fs::describe(errno));
    shared.complain_of(out, &format!("rsync: [sender] {call}(\""), path, &after);
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
