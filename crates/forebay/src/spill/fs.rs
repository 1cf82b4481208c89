//! [`FileSystem`]: the few system calls that segments need, as a trait, so that tests can make each of them fail.
//!
//! The traits promise as little as the system does: calls may be short or interrupted. Continuing and retrying is the
//! business of the store, where it is tested.

use std::fmt;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, IoSlice};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// Makes scratch files in a directory.
pub trait FileSystem: fmt::Debug + Send + Sync {
    /// A new, empty file in `dir` that has no name, is private to this user and goes when it is dropped.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn create(&self, dir: &Path) -> io::Result<Box<dyn ScratchFile>>;

    /// How much room `dir` has.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn space(&self, dir: &Path) -> io::Result<Space>;
}

/// A file without a name. Every call says where; there is no cursor, so threads share it freely.
pub trait ScratchFile: fmt::Debug + Send + Sync {
    /// Writes the concatenation of `parts`, or a part of it, at byte `at`; returns how many bytes it wrote. It may be
    /// given more parts than the system takes at once.
    ///
    /// # Errors
    ///
    /// What the system says, `Interrupted` included.
    fn write_at(&self, parts: &[IoSlice<'_>], at: u64) -> io::Result<usize>;

    /// Fills the start of `buf` from byte `at`; returns how many bytes it read, 0 at the end of the file.
    ///
    /// # Errors
    ///
    /// What the system says, `Interrupted` included.
    fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize>;

    /// Gives the `len` bytes from `at` back to the file system; the file keeps its length.
    ///
    /// # Errors
    ///
    /// `Unsupported` where the system cannot, else what it says.
    fn punch(&self, at: u64, len: u64) -> io::Result<()>;
}

/// The room in a file system.
#[derive(Clone, Copy, Debug)]
pub struct Space {
    /// Bytes that this user may still write.
    pub free: u64,
    /// Whether the file system keeps its files in memory (tmpfs). Only known on Linux; elsewhere false.
    pub in_memory: bool,
}

/// The system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFs;

impl FileSystem for RealFs {
    fn create(&self, dir: &Path) -> io::Result<Box<dyn ScratchFile>> {
        #[cfg(target_os = "linux")]
        if let Some(file) = create_nameless(dir)? {
            return Ok(Box::new(file));
        }
        Ok(Box::new(create_unlinked(dir)?))
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        let stat = rustix::fs::statvfs(dir)?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        Ok(Space { free, in_memory: is_tmpfs(dir)? })
    }
}

#[cfg(target_os = "linux")]
fn is_tmpfs(dir: &Path) -> io::Result<bool> {
    const TMPFS_MAGIC: u32 = 0x0102_1994;
    // The width of `f_type` differs between architectures; the magic has 32 bits.
    Ok(rustix::fs::statfs(dir)?.f_type as u32 == TMPFS_MAGIC)
}

#[cfg(not(target_os = "linux"))]
fn is_tmpfs(_dir: &Path) -> io::Result<bool> {
    Ok(false)
}

/// A file that never has a name, or `None` where the file system has no such files.
#[cfg(target_os = "linux")]
fn create_nameless(dir: &Path) -> io::Result<Option<File>> {
    use rustix::fs::{Mode, OFlags};
    use rustix::io::Errno;
    // EXCL: the file can never be given a name either.
    let flags = OFlags::TMPFILE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
    match rustix::fs::open(dir, flags, Mode::RUSR | Mode::WUSR) {
        Ok(fd) => Ok(Some(File::from(fd))),
        // Kernels and file systems that do not know the flag take it for an attempt to open the directory itself.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// A file that has a name only between two system calls: a kill between them leaves an empty file.
fn create_unlinked(dir: &Path) -> io::Result<File> {
    const TRIES: usize = 16;
    let mut tries = 0;
    loop {
        let path = dir.join(format!(".forebay-{:016x}", RandomState::new().hash_one(tries)));
        match File::options().read(true).write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => {
                std::fs::remove_file(&path)?;
                return Ok(file);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < TRIES => tries += 1,
            Err(error) => return Err(error),
        }
    }
}

impl ScratchFile for File {
    fn write_at(&self, parts: &[IoSlice<'_>], at: u64) -> io::Result<usize> {
        // Passes as many parts as the system takes (1,024), which makes it a short write.
        Ok(rustix::io::pwritev(self, parts, at)?)
    }

    fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        FileExt::read_at(self, buf, at)
    }

    #[cfg(target_os = "linux")]
    fn punch(&self, at: u64, len: u64) -> io::Result<()> {
        use rustix::fs::FallocateFlags;
        Ok(rustix::fs::fallocate(self, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, at, len)?)
    }

    #[cfg(not(target_os = "linux"))]
    fn punch(&self, _at: u64, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_file_without_o_tmpfile_has_no_name_either() {
        let dir = tempfile::tempdir().unwrap();
        let file = create_unlinked(dir.path()).unwrap();
        assert_eq!(dir.path().read_dir().unwrap().count(), 0);
        let metadata = file.metadata().unwrap();
        assert_eq!((metadata.nlink(), metadata.mode() & 0o777), (0, 0o600));
        ScratchFile::write_at(&file, &[IoSlice::new(b"ab"), IoSlice::new(b"c")], 5).unwrap();
        let mut buf = [0; 8];
        assert_eq!(ScratchFile::read_at(&file, &mut buf, 0).unwrap(), 8);
        assert_eq!(&buf, b"\0\0\0\0\0abc");
    }
}
