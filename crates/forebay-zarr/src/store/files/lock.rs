//! `Lock`: one writer at a time, and a place for what is not finished.
//!
//! A writer holds an advisory lock (`flock`) on `.forebay/lock`; the system lets go of it however the writer ends. Its
//! temporary files lie beside it, in the file system of the array so that they can be renamed, and go with the
//! directory when the lock is dropped. So a directory without a holder is what a killed writer has left.
//!
//! Whoever ends removes the file while holding it, and whoever has got the lock looks whether its file still has the
//! name: else it begins anew.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::store::{Activity, StoreError};

/// The directory within the array's.
pub(super) const DIR: &str = ".forebay";

/// The file within that.
const FILE: &str = "lock";

/// How often to try, and how long to wait in between: [`Lock::look`] holds the lock for a moment.
const TRIES: usize = 10;
const PAUSE: Duration = Duration::from_millis(10);

/// That this process is the one which writes the array.
#[derive(Debug)]
pub(super) struct Lock {
    dir: PathBuf,
    /// Locked as long as it is open.
    _file: File,
}

impl Lock {
    /// Locks the array in directory `root`. What others have left is still there.
    pub(super) fn acquire(root: &Path) -> Result<Self, StoreError> {
        let dir = root.join(DIR);
        let path = dir.join(FILE);
        for _ in 0..TRIES {
            match fs::create_dir(&dir) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(StoreError::io("create directory", dir)(error));
                }
                _ => {}
            }
            let file = match File::options().write(true).create(true).truncate(false).open(&path) {
                Ok(file) => file,
                // The last writer is just removing the directory.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(StoreError::io("create", path)(error)),
            };
            match file.try_lock() {
                Ok(()) if has_name(&file, &path) => return Ok(Lock { dir, _file: file }),
                Ok(()) => {}
                Err(fs::TryLockError::WouldBlock) => thread::sleep(PAUSE),
                Err(fs::TryLockError::Error(error)) => return Err(StoreError::io("lock", path)(error)),
            }
        }
        Err(StoreError::Locked { path: root.to_owned() })
    }

    /// Where temporary files go.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Removes what a writer that died has left.
    pub(super) fn clean(&self) -> Result<(), StoreError> {
        for path in self.others().map_err(StoreError::io("list", &self.dir))? {
            fs::remove_file(&path).map_err(StoreError::io("remove", path))?;
        }
        Ok(())
    }

    fn others(&self) -> io::Result<Vec<PathBuf>> {
        let paths: io::Result<Vec<PathBuf>> = fs::read_dir(&self.dir)?.map(|entry| Ok(entry?.path())).collect();
        Ok(paths?.into_iter().filter(|path| path.file_name().is_some_and(|name| name != FILE)).collect())
    }

    /// Whether somebody holds the lock on the array in `root`.
    pub(super) fn look(root: &Path) -> Result<Activity, StoreError> {
        let dir = root.join(DIR);
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Activity::Idle),
            entries => entries.map_err(StoreError::io("list", &dir))?,
        };
        let path = dir.join(FILE);
        match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            file => match file.map_err(StoreError::io("open", &path))?.try_lock_shared() {
                // Closing the file lets go of it.
                Ok(()) => {}
                Err(fs::TryLockError::WouldBlock) => return Ok(Activity::Active),
                Err(fs::TryLockError::Error(error)) => return Err(StoreError::io("lock", path)(error)),
            },
        }
        let unfinished = entries.filter(|entry| entry.as_ref().is_ok_and(|entry| entry.file_name() != FILE)).count();
        Ok(Activity::Died { unfinished })
    }
}

impl Drop for Lock {
    /// Removes everything, the file of the lock last but one, while it is locked.
    fn drop(&mut self) {
        let removed = self.others().and_then(|paths| {
            paths.into_iter().try_for_each(fs::remove_file)?;
            fs::remove_file(self.dir.join(FILE))
        });
        if let Err(error) = removed {
            tracing::warn!(directory = %self.dir.display(), %error, "could not remove what is left of the writer");
        }
        // Refused if the next writer is already there, which is as well.
        let _not_empty = fs::remove_dir(&self.dir);
        // The file is closed after this, and with it the lock ends.
    }
}

/// Whether `file` is what `path` names.
fn has_name(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}
