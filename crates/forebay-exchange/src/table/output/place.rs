//! `Place`: where results go, under a temporary name until they are whole.
//!
//! A file is written beside its final name as `.NAME.XXXXXX.forebay-tmp`, synced and renamed by
//! [`publish`](Place::publish); without that it is removed when the place is dropped. So an existing file stays what it
//! is until there is a whole new one. After `kill -9` a temporary name may be left; nobody takes it for a result.
//!
//! What is no regular file (a pipe, a device) and standard output are written to as they are, and have no such promise.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::{OutputError, OutputFormat};

/// What standard output is called.
pub(crate) const STDOUT: &str = "standard output";

/// What temporary names end with.
const TEMPORARY: &str = ".forebay-tmp";

/// Bytes of a file's name that its temporary name keeps: with what is added it must not be too long for a name.
const KEPT: usize = 200;

/// See the module.
#[derive(Debug)]
pub(crate) struct Place {
    /// The final name, or what to call it.
    path: PathBuf,
    file: Option<NamedTempFile>,
    /// A directory that was made for this. Goes after the file: it must be empty to go.
    made: Option<Made>,
}

/// A directory that nobody needs unless something is published in it.
#[derive(Debug)]
struct Made(PathBuf);

impl Drop for Made {
    fn drop(&mut self) {
        // With somebody else's part in it, it stays.
        let _ = fs::remove_dir(&self.0);
    }
}

/// Where bytes are written to, and how many were.
#[derive(Debug)]
pub(crate) struct Stream {
    file: File,
    path: PathBuf,
    bytes: u64,
    /// Writing has failed with this.
    failed: Option<OutputError>,
}

impl Place {
    /// Standard output.
    pub(crate) fn standard_output() -> Result<(Self, Stream), OutputError> {
        let path = PathBuf::from(STDOUT);
        let file = io::stdout().as_fd().try_clone_to_owned().map_err(OutputError::io(&path, "open"))?;
        Ok(Self::as_it_is(path, file.into()))
    }

    fn as_it_is(path: PathBuf, file: File) -> (Self, Stream) {
        let place = Place { path: path.clone(), file: None, made: None };
        (place, Stream { file, path, bytes: 0, failed: None })
    }

    /// A file of this name.
    pub(crate) fn file(path: &Path) -> Result<(Self, Stream), OutputError> {
        match fs::metadata(path) {
            Ok(there) if there.is_dir() => Err(OutputError::IsDirectory(path.to_owned())),
            Ok(there) if there.is_file() => {
                // The file that a link names is replaced, not the link.
                let path = fs::canonicalize(path).map_err(OutputError::io(path, "find"))?;
                Self::temporary(path, None)
            }
            Ok(_) => {
                let file = File::options().write(true).open(path).map_err(OutputError::io(path, "open"))?;
                Ok(Self::as_it_is(path.to_owned(), file))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::temporary(path.to_owned(), None),
            Err(error) => Err(OutputError::io(path, "create")(error)),
        }
    }

    /// The part of one process in a directory, which may exist if nothing but parts that are being written is in it.
    pub(crate) fn part(dir: &Path, process: usize, format: OutputFormat) -> Result<(Self, Stream), OutputError> {
        let made = match fs::create_dir(dir) {
            Ok(()) => Some(Made(dir.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let read = OutputError::io(dir, "read the directory");
                let taken = fs::read_dir(dir).and_then(|mut entries| {
                    entries.try_fold(false, |taken, entry| {
                        let name = entry?.file_name();
                        Ok(taken || !name.to_string_lossy().ends_with(TEMPORARY))
                    })
                });
                if taken.map_err(read)? {
                    return Err(OutputError::NotEmpty(dir.to_owned()));
                }
                None
            }
            Err(error) => return Err(OutputError::io(dir, "create the directory")(error)),
        };
        Self::temporary(dir.join(format!("part-{process}.{format}")), made)
    }

    fn temporary(path: PathBuf, made: Option<Made>) -> Result<(Self, Stream), OutputError> {
        let refused = OutputError::io(&path, "create");
        let Some(name) = path.file_name() else {
            return Err(refused(io::ErrorKind::InvalidInput.into()));
        };
        let mut name = name.to_string_lossy().into_owned();
        name.truncate(name.floor_char_boundary(KEPT));
        let created = tempfile::Builder::new()
            .prefix(&format!(".{name}."))
            .suffix(TEMPORARY)
            // As every file is created: the umask takes away from it.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(parent(&path))
            .and_then(|temporary| Ok((temporary.as_file().try_clone()?, temporary)));
        let (file, temporary) = created.map_err(refused)?;
        let stream = Stream { file, path: path.clone(), bytes: 0, failed: None };
        Ok((Place { path, file: Some(temporary), made }, stream))
    }

    /// Gives what was written its final name, in place of what has it.
    pub(crate) fn publish(self) -> Result<(), OutputError> {
        let Place { path, file, made: _made } = self;
        let Some(temporary) = file else { return Ok(()) };
        temporary.as_file().sync_all().map_err(OutputError::io(&path, "sync"))?;
        temporary.persist(&path).map_err(|error| OutputError::io(&path, "replace")(error.error))?;
        // The name is there whether this can be done or not.
        File::open(parent(&path))
            .and_then(|dir| dir.sync_all())
            .map_err(OutputError::io(&path, "sync the directory of"))
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

impl Stream {
    /// Bytes written.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes all of `bytes`.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        self.write_all(bytes).map_err(|error| self.take_failure().unwrap_or_else(|| self.failure(error)))
    }

    /// What stopped it, which may have been hidden in another error.
    pub(crate) fn take_failure(&mut self) -> Option<OutputError> {
        self.failed.take()
    }

    fn failure(&self, error: io::Error) -> OutputError {
        match error.kind() {
            io::ErrorKind::BrokenPipe if self.path == Path::new(STDOUT) => OutputError::Closed,
            _ => OutputError::io(&self.path, "write")(error),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes);
        match written {
            Ok(len) => self.bytes += len as u64,
            Err(ref error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                let kind = error.kind();
                self.failed = Some(self.failure(error));
                return Err(kind.into());
            }
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
