//! Temporary names: what is being written lives under one, beside its final name or in the directory of `--temp-dir`,
//! until it is complete.

use std::ffi::{CStr, CString};
use std::hash::{BuildHasher, Hasher};
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

/// The longest name that file systems take, in bytes.
const NAME_MAX: usize = 255;

/// How many names are tried before giving up; each has 2^35 siblings.
const TRIES: usize = 100;

/// Makes names that nobody else uses.
#[derive(Debug)]
pub(crate) struct TempNames(u64);

impl TempNames {
    pub(crate) fn new() -> Self {
        // The standard library's hash keys are random per process and differ per call.
        TempNames(std::hash::RandomState::new().build_hasher().finish())
    }

    /// `.NAME.XXXXXX`, with NAME cut where the whole would be too long, and without the dot if not `hidden`.
    fn next(&mut self, name: &CStr, hidden: bool) -> CString {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        let name = name.to_bytes();
        let name = &name[..name.len().min(NAME_MAX - 8)];
        let mut temp = Vec::with_capacity(name.len() + 9);
        if hidden {
            temp.push(b'.');
        }
        temp.extend_from_slice(name);
        temp.push(b'.');
        for _ in 0..6 {
            temp.push(LETTERS[(bits % 62) as usize]);
            bits /= 62;
        }
        // It is made of a name and letters: there is no NUL in it.
        CString::new(temp).unwrap_or_default()
    }
}

/// An entry under a temporary name. Dropped before [`commit`](Temp::commit), it is removed.
#[derive(Debug)]
pub(crate) struct Temp<'d> {
    dir: BorrowedFd<'d>,
    pub(crate) name: CString,
    committed: bool,
}

impl<'d> Temp<'d> {
    fn make<T>(
        names: &mut TempNames,
        dir: BorrowedFd<'d>,
        name: &CStr,
        hidden: bool,
        mut create: impl FnMut(&CStr) -> Result<T, Errno>,
    ) -> Result<(Self, T), Errno> {
        for _ in 0..TRIES {
            let temp = names.next(name, hidden);
            match create(&temp) {
                Ok(made) => {
                    return Ok((Temp { dir, name: temp, committed: false }, made));
                }
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
        Err(Errno::EXIST)
    }

    /// A new regular file, open for writing.
    pub(crate) fn file(
        names: &mut TempNames,
        dir: BorrowedFd<'d>,
        name: &CStr,
        hidden: bool,
        mode: u32,
    ) -> Result<(Self, OwnedFd), Errno> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Self::make(names, dir, name, hidden, |temp| {
            rustix::fs::openat(dir, temp, flags, Mode::from_raw_mode(mode as _))
        })
    }

    /// A new regular file, for the owner alone, that holds `content`.
    pub(crate) fn whole(
        names: &mut TempNames,
        dir: BorrowedFd<'d>,
        name: &CStr,
        content: &[u8],
    ) -> Result<Self, Errno> {
        let (temp, file) = Self::file(names, dir, name, true, 0o600)?;
        let written = std::io::Write::write_all(&mut std::fs::File::from(file), content);
        written.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        Ok(temp)
    }

    /// A new symbolic link.
    pub(crate) fn link(names: &mut TempNames, dir: BorrowedFd<'d>, name: &CStr, to: &CStr) -> Result<Self, Errno> {
        Self::make(names, dir, name, true, |temp| rustix::fs::symlinkat(to, dir, temp)).map(|(temp, ())| temp)
    }

    /// A new device node, FIFO or socket, for the owner alone.
    #[cfg(not(target_vendor = "apple"))]
    pub(crate) fn node(
        names: &mut TempNames,
        dir: BorrowedFd<'d>,
        name: &CStr,
        kind: FileType,
        rdev: u64,
    ) -> Result<Self, Errno> {
        Self::make(names, dir, name, true, |temp| {
            rustix::fs::mknodat(dir, temp, kind, Mode::from_raw_mode(0o600), rdev)
        })
        .map(|(temp, ())| temp)
    }

    /// Not on this system.
    #[cfg(target_vendor = "apple")]
    pub(crate) fn node(_: &mut TempNames, _: BorrowedFd<'d>, _: &CStr, _: FileType, _: u64) -> Result<Self, Errno> {
        Err(Errno::NOTSUP)
    }

    /// Another name of what `from` beneath `at` is: a hard link.
    pub(crate) fn hard_link(
        names: &mut TempNames,
        dir: BorrowedFd<'d>,
        name: &CStr,
        at: BorrowedFd<'_>,
        from: &CStr,
    ) -> Result<Self, Errno> {
        Self::make(names, dir, name, true, |temp| rustix::fs::linkat(at, from, dir, temp, AtFlags::empty()))
            .map(|(temp, ())| temp)
    }

    /// Its name alone, for [`unpark`](Temp::unpark).
    pub(crate) fn park(mut self) -> CString {
        self.committed = true;
        std::mem::take(&mut self.name)
    }

    /// The entry that has been parked under this name of `dir`.
    pub(crate) fn unpark(dir: BorrowedFd<'d>, name: CString) -> Self {
        Temp { dir, name, committed: false }
    }

    /// Opens what is under the temporary name for reading.
    pub(crate) fn open(&self) -> Result<OwnedFd, Errno> {
        crate::fs::open_file(self.dir, &self.name)
    }

    /// Gives it its final name, in place of what has that name.
    pub(crate) fn commit(self, name: &CStr) -> Result<(), Errno> {
        let dir = self.dir;
        self.commit_to(dir, name).map_err(|(errno, _)| errno)
    }

    /// Gives it its final name in `dir`, in place of what has that name there. Gives it back where that fails.
    pub(crate) fn commit_to(mut self, dir: BorrowedFd<'_>, name: &CStr) -> Result<(), (Errno, Self)> {
        match rustix::fs::renameat(self.dir, &*self.name, dir, name) {
            Ok(()) => {
                self.committed = true;
                Ok(())
            }
            Err(errno) => Err((errno, self)),
        }
    }

    /// As [`commit`](Temp::commit), of a hard link. Renaming does nothing where both are the same file already.
    pub(crate) fn commit_link(self, name: &CStr) -> Result<(), Errno> {
        rustix::fs::renameat(self.dir, &*self.name, self.dir, name)
        // Dropped without having been committed, so that nothing is left in that case.
    }
}

impl Drop for Temp<'_> {
    fn drop(&mut self) {
        if !self.committed {
            // Nothing better can be done: the failure that led here is reported already.
            let _ = rustix::fs::unlinkat(self.dir, &*self.name, AtFlags::empty());
        }
    }
}
