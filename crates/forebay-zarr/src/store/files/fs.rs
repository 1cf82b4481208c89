//! [`FileSystem`]: the few system calls that change something, as a trait, so that tests can make each of them fail.
//!
//! The traits promise as little as the system does: calls may be short or interrupted. Continuing and retrying is the
//! business of the store, where it is tested.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, IoSlice};
use std::path::Path;

/// Makes, renames and removes files.
pub trait FileSystem: fmt::Debug + Send + Sync + 'static {
    /// A new, empty file.
    ///
    /// # Errors
    /// `AlreadyExists`, or what the system says.
    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>>;

    /// A file that exists, to be written on.
    ///
    /// # Errors
    /// What the system says.
    fn open(&self, path: &Path) -> io::Result<Box<dyn WriteFile>>;

    /// A new, empty directory.
    ///
    /// # Errors
    /// `AlreadyExists`, or what the system says.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes durable what is in a directory and what no longer is.
    ///
    /// # Errors
    /// What the system says.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Renames a file, over another if there is one.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file, or a directory with all that is in it. Symbolic links are removed, not followed.
    ///
    /// # Errors
    /// `NotFound`, or what the system says.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// A file that is written. Every call says where; there is no cursor.
pub trait WriteFile: fmt::Debug + Send + Sync {
    /// Writes the concatenation of `parts`, or a part of it, at byte `at`; returns how many bytes it wrote.
    ///
    /// # Errors
    /// What the system says, `Interrupted` included.
    fn write_at(&self, parts: &[IoSlice<'_>], at: u64) -> io::Result<usize>;

    /// Asks the system to begin to write `len` bytes from `at` to the disk, without waiting, and to forget those that
    /// are there already. Advice only.
    fn start_write_back(&self, at: u64, len: u64);

    /// Gives the file a length.
    ///
    /// # Errors
    /// What the system says.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes the file's bytes durable.
    ///
    /// # Errors
    /// What the system says.
    fn sync(&self) -> io::Result<()>;

    /// From now on, writes go past the page cache. Returns to what multiple of bytes memory, offset and length of each
    /// write have to be aligned.
    ///
    /// # Errors
    /// What the system says; `InvalidInput` or `Unsupported` if this file cannot.
    fn bypass_cache(&self) -> io::Result<usize>;

    /// From now on, writes go through the page cache.
    ///
    /// # Errors
    /// What the system says.
    fn use_cache(&self) -> io::Result<()>;
}

/// The system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFs;

impl FileSystem for RealFs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        Ok(Box::new(File::options().write(true).create_new(true).open(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        Ok(Box::new(File::options().write(true).open(path)?))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match fs::symlink_metadata(path)?.is_dir() {
            true => fs::remove_dir_all(path),
            false => fs::remove_file(path),
        }
    }
}

impl WriteFile for File {
    fn write_at(&self, parts: &[IoSlice<'_>], at: u64) -> io::Result<usize> {
        // Passes as many parts as the system takes (1,024), which makes it a short write.
        Ok(rustix::io::pwritev(self, parts, at)?)
    }

    #[cfg(target_os = "linux")]
    fn start_write_back(&self, at: u64, len: u64) {
        // Starts to write what is dirty, without waiting, and drops what is clean: nobody will read it soon. (The call
        // made for this, `sync_file_range`, is in no safe wrapper.)
        let _advice_only = rustix::fs::fadvise(self, at, len.try_into().ok(), rustix::fs::Advice::DontNeed);
    }

    #[cfg(not(target_os = "linux"))]
    fn start_write_back(&self, _at: u64, _len: u64) {}

    fn set_len(&self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    #[cfg(target_os = "linux")]
    fn bypass_cache(&self) -> io::Result<usize> {
        use rustix::fs::{AtFlags, OFlags, StatxFlags, fcntl_getfl, fcntl_setfl, statx};
        /// Where the kernel does not say (before 6.1).
        const USUAL: u32 = 4096;
        // Setting the flag on an open file, not when it is made: where that is refused, the file would stay behind.
        fcntl_setfl(self, fcntl_getfl(self)? | OFlags::DIRECT)?;
        let told = match statx(self, c"", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN) {
            Ok(stat) if StatxFlags::from_bits_retain(stat.stx_mask).contains(StatxFlags::DIOALIGN) => {
                if stat.stx_dio_offset_align == 0 {
                    return Err(io::ErrorKind::Unsupported.into());
                }
                stat.stx_dio_offset_align.max(stat.stx_dio_mem_align)
            }
            _ => USUAL,
        };
        // Less than a page would do on many disks, but only whole pages spare the disk from reading before writing.
        Ok(told.max(USUAL) as usize)
    }

    #[cfg(not(target_os = "linux"))]
    fn bypass_cache(&self) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    #[cfg(target_os = "linux")]
    fn use_cache(&self) -> io::Result<()> {
        use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
        Ok(fcntl_setfl(self, fcntl_getfl(self)? - OFlags::DIRECT)?)
    }

    #[cfg(not(target_os = "linux"))]
    fn use_cache(&self) -> io::Result<()> {
        Ok(())
    }
}
