//! `--fake-super`: what only the super-user may give an entry is kept in extended attributes of it, and read from there.
//!
//! The attribute [`STAT`] holds mode, device number and owners, as rsync writes them: `MODE MAJOR,MINOR UID:GID`, the mode in
//! octal digits and with the kind. Links, devices, FIFOs and sockets are regular files, of which that attribute tells what
//! they are; what a link leads to is its content. Nothing is kept where the entry itself tells the same.
//! ACLs and extended attributes of other namespaces than `user` are kept in attributes, too: see [`extended`](crate::extended).

use std::ffi::{CStr, CString};
use std::os::fd::BorrowedFd;

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::extended::Place;
use crate::fs::{self, Stat};

/// Where mode, device number and owners are kept.
pub(crate) const STAT: &CStr = c"user.rsync.%stat";

/// What attributes that are not in the namespace `user` have before their names.
pub(crate) const PREFIX: &[u8] = b"user.rsync.";

/// That [`STAT`] makes no sense. The number has no meaning to a file system; [`fs::describe`] has words for it.
pub(crate) const CORRUPT: Errno = Errno::NOTUNIQ;

/// The longest target of a link, in bytes.
const LONGEST_LINK: usize = 4096;

/// What the attribute [`STAT`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kept {
    kind: FileType,
    mode: u32,
    rdev: u64,
    uid: u32,
    gid: u32,
}

impl Kept {
    /// What is kept of an entry that is to be as `stat` says.
    fn of(stat: &Stat) -> Self {
        let is_device = matches!(stat.kind, FileType::CharacterDevice | FileType::BlockDevice);
        let rdev = if is_device { stat.rdev } else { 0 };
        Kept { kind: stat.kind, mode: stat.mode, rdev, uid: stat.uid, gid: stat.gid }
    }

    fn parse(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        let mut words = text.split_ascii_whitespace();
        let mode = u32::from_str_radix(words.next()?, 8).ok()?;
        let (major, minor) = words.next()?.split_once(',')?;
        let (uid, gid) = words.next()?.split_once(':')?;
        #[allow(
            clippy::cast_possible_truncation,
            clippy::useless_conversion,
            reason = "the type differs between systems"
        )]
        let kind = FileType::from_raw_mode(mode.try_into().ok()?);
        let number = |text: &str| text.parse::<u32>().ok();
        let owner = |text: &str| number(text).filter(|&id| id != u32::MAX);
        (kind != FileType::Unknown).then_some(())?;
        let rdev = rustix::fs::makedev(number(major)?, number(minor)?);
        #[allow(clippy::unnecessary_cast, reason = "the type differs between systems")]
        Some(Kept { kind, mode: mode & 0o7777, rdev: rdev as u64, uid: owner(uid)?, gid: owner(gid)? })
    }

    fn text(&self) -> String {
        #[allow(clippy::unnecessary_cast, reason = "the type differs between systems")]
        let (mode, rdev) = (self.kind.as_raw_mode() as u32 | self.mode, self.rdev as rustix::fs::Dev);
        let (major, minor) = (rustix::fs::major(rdev), rustix::fs::minor(rdev));
        format!("{mode:o} {major},{minor} {}:{}", self.uid, self.gid)
    }

    /// What is kept at `place`.
    fn read(place: &Place) -> Result<Option<Self>, Errno> {
        match place.value(STAT) {
            // It is what it is itself; that this [is hidden](is_hidden) is for who lists it to report.
            Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::ACCESS) => Ok(None),
            value => Kept::parse(&value?).map(Some).ok_or(CORRUPT),
        }
    }
}

/// Whether it may not be known what the entry at `place` stands for.
pub(crate) fn is_hidden(place: &Place) -> bool {
    place.value(STAT) == Err(Errno::ACCESS)
}

/// What the entry at `place` stands for, which itself is as `real` says.
pub(crate) fn seen(real: Stat, place: &Place) -> Result<Stat, Errno> {
    if !matches!(real.kind, FileType::RegularFile | FileType::Directory) {
        return Ok(real);
    }
    let Some(Kept { kind, mode, rdev, uid, gid }) = Kept::read(place)? else { return Ok(real) };
    // A directory is one, and nothing else is.
    if (kind == FileType::Directory) != (real.kind == FileType::Directory) {
        return Err(CORRUPT);
    }
    Ok(Stat { kind, mode, uid, gid, rdev, ..real })
}

/// The mode that an entry has itself which stands for one with `mode`: its owner, who we are, may always reach it.
pub(crate) fn own_mode(mode: u32, kind: FileType) -> u32 {
    mode & 0o777 | if kind == FileType::Directory { 0o700 } else { 0o600 }
}

/// Gives the entry at `place`, which itself is as `real` says, the mode that goes with what it is to stand for, by `chmod`, and
/// keeps there that this is as `wanted` says.
pub(crate) fn dress(
    place: &Place,
    mut real: Stat,
    wanted: &Stat,
    chmod: impl FnOnce(u32) -> Result<(), Errno>,
) -> Result<(), Errno> {
    if !matches!(real.kind, FileType::RegularFile | FileType::Directory) {
        // It is itself what it is to be. Such entries have no attributes that anything could be kept in.
        return if Kept::of(&real) == Kept::of(wanted) { Ok(()) } else { Err(Errno::PERM) };
    }
    let own = own_mode(wanted.mode, real.kind);
    if real.mode != own {
        chmod(own)?;
        real.mode = own;
    }
    let wanted = Kept::of(wanted);
    let before = match Kept::read(place) {
        // It is written anew.
        Err(CORRUPT) => None,
        before => before?,
    };
    if wanted == (Kept { rdev: 0, ..Kept::of(&real) }) {
        return match before {
            Some(_) => place.remove(STAT),
            None => Ok(()),
        };
    }
    match before {
        Some(before) if before == wanted => Ok(()),
        _ => place.set(STAT, wanted.text().as_bytes()),
    }
}

/// The target of a link that is kept as the regular file `name` beneath `at`.
pub(crate) fn link(at: BorrowedFd<'_>, name: &CStr) -> Result<CString, Errno> {
    let file = fs::open_file(at, name)?;
    let mut target = vec![0; LONGEST_LINK + 1];
    let mut len = 0;
    while let Some(room) = target.get_mut(len..).filter(|room| !room.is_empty()) {
        match rustix::io::read(&file, room) {
            Ok(0) => break,
            Ok(n) => len += n,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    target.truncate(len);
    match len > LONGEST_LINK {
        true => Err(Errno::NAMETOOLONG),
        false => CString::new(target).map_err(|_| Errno::INVAL),
    }
}

/// Keeps at `there` what is kept at `here`.
pub(crate) fn copy(here: &Place, there: &Place) -> Result<(), Errno> {
    match here.value(STAT) {
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
        value => there.set(STAT, &value?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_again_and_nonsense_is_not() {
        for text in ["100644 0,0 7:8", "104755 0,0 0:0", "20644 250,9 0:0", "120777 0,0 3:4", "41777 0,0 65534:65534"] {
            assert_eq!(Kept::parse(text.as_bytes()).unwrap().text(), text);
        }
        assert_eq!(Kept::parse(b"100644  0,0\t1:2 more").unwrap().text(), "100644 0,0 1:2");
        for text in ["", "100644", "644 0,0 1:2", "100644 0 1:2", "100644 0,0 -1:2", "170000 0,0 1:2", "108 0,0 1:2"] {
            assert_eq!(Kept::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Kept::parse(b"100644 0,0 1:4294967295"), None);
    }
}
