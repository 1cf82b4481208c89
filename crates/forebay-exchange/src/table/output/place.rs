//! `Place`: where results go, under a temporary name until they are whole.
//!
//! A file is written beside its final name as `.NAME.XXXXXX.forebay-tmp`, [synced](Place::prepare), [renamed](Place::name) and
//! [kept](Place::keep). Dropped before that, it is removed under either name. So an existing file stays what it
//! is until there is a whole new one, which gets its mode and, where that is allowed, its owner. Of a symbolic link it is the
//! file that it names which is replaced, or made. After `kill -9` a temporary name may be left; nobody takes it for a result.
//!
//! A part never replaces a file: the directory had none when the run began, and one that is there now is of another run.
//!
//! What is no regular file (a pipe, a device), standard output and what is named by an open descriptor (`/dev/fd/3`) are
//! written to as they are, and have no such promise.

use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tempfile::NamedTempFile;

use super::{OutputError, OutputFormat};

/// What standard output is called.
pub(crate) const STDOUT: &str = "standard output";

/// What temporary names end with.
const TEMPORARY: &str = ".forebay-tmp";

/// Bytes of a file's name that its temporary name keeps: with what is added it must not be too long for a name.
const KEPT: usize = 200;

/// Most symbolic links that lead from one to the next, as the system has it.
const MOST_LINKS: usize = 40;

/// See the module.
#[derive(Debug)]
pub(crate) struct Place {
    /// The final name, or what to call it.
    path: PathBuf,
    /// It is a part in a directory.
    part: bool,
    file: Option<File>,
    unpublished: Unpublished,
}

/// What is written and not published for good: how it stands, and the directory that goes with it.
#[derive(Clone, Debug)]
pub(crate) struct Unpublished {
    stand: Arc<Mutex<Stand>>,
    /// A directory that nobody needs unless something is published in it.
    made: Option<PathBuf>,
}

/// How a file stands.
#[derive(Debug)]
enum Stand {
    /// It has its temporary name.
    Temporary(NamedTempFile),
    /// It has its own name, and may lose it again.
    Named(Named),
    /// The same, but others may count on it.
    Told(Named),
    /// It stays, or there is none.
    Kept,
    /// It was removed.
    Gone,
}

/// A file that has its name.
#[derive(Clone, Debug)]
struct Named {
    path: PathBuf,
    /// The number of its inode.
    mark: u64,
}

impl Named {
    /// Removes it, unless what has the name now is another one. Whether it was there.
    fn remove(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|there| there.ino() == self.mark)
            && fs::remove_file(&self.path).is_ok()
    }
}

/// What is left of a run that ends at once.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Left {
    /// Nothing.
    Nothing,
    /// This part: whether the others stay is not known.
    Part(PathBuf),
    /// The result.
    Result,
}

impl Unpublished {
    fn new(temporary: Option<NamedTempFile>, made: Option<PathBuf>) -> Self {
        let stand = temporary.map_or(Stand::Kept, Stand::Temporary);
        Unpublished { stand: Arc::new(Mutex::new(stand)), made }
    }

    /// Removes it, unless others may count on it. Nothing more becomes of it after that.
    pub(crate) fn discard(&self) -> Left {
        let mut stand = self.lock();
        match &*stand {
            Stand::Temporary(_) | Stand::Named(_) | Stand::Gone => self.remove(&mut stand),
            Stand::Told(named) => return Left::Part(named.path.clone()),
            Stand::Kept => return Left::Result,
        }
        Left::Nothing
    }

    /// The same, whoever counts on it.
    fn remove(&self, stand: &mut Stand) {
        match std::mem::replace(stand, Stand::Gone) {
            Stand::Temporary(file) => drop(file.close()),
            Stand::Named(named) | Stand::Told(named) => drop(named.remove()),
            Stand::Gone => return,
            Stand::Kept => {
                *stand = Stand::Kept;
                return;
            }
        }
        // With somebody else's part in it, it stays.
        let _ = self.made.as_ref().map(fs::remove_dir);
    }

    fn lock(&self) -> MutexGuard<'_, Stand> {
        self.stand.lock().unwrap_or_else(PoisonError::into_inner)
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
        let place = Place { path: path.clone(), part: false, file: None, unpublished: Unpublished::new(None, None) };
        (place, Stream { file, path, bytes: 0, failed: None })
    }

    /// A file of this name.
    pub(crate) fn file(path: &Path) -> Result<(Self, Stream), OutputError> {
        let target = match Target::of(path).map_err(OutputError::io(path, "find"))? {
            Target::Descriptor(1) => return Self::standard_output(),
            Target::Descriptor(_) => {
                // Behind what others have written there.
                let file = File::options().append(true).open(path).map_err(OutputError::io(path, "open"))?;
                return Ok(Self::as_it_is(path.to_owned(), file));
            }
            Target::File(target) => target,
        };
        match fs::metadata(&target) {
            Ok(there) if there.is_dir() => Err(OutputError::IsDirectory(path.to_owned())),
            Ok(there) if there.is_file() => {
                let (place, stream) = Self::temporary(target, None, false)?;
                keep(&there, &stream.file).map_err(OutputError::io(&place.path, "set the mode of the new"))?;
                Ok((place, stream))
            }
            Ok(_) => {
                let file = File::options().write(true).open(path).map_err(OutputError::io(path, "open"))?;
                Ok(Self::as_it_is(path.to_owned(), file))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::temporary(target, None, false),
            Err(error) => Err(OutputError::io(path, "create")(error)),
        }
    }

    /// The part of one process in a directory, which may exist if nothing but parts that are being written is in it. It goes with
    /// the last of them if it was made here, or if it was not there when the run began.
    pub(crate) fn part(
        dir: &Path,
        process: usize,
        format: OutputFormat,
        fresh: bool,
    ) -> Result<(Self, Stream), OutputError> {
        let made = match fs::create_dir(dir) {
            Ok(()) => Some(dir.to_owned()),
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
                fresh.then(|| dir.to_owned())
            }
            Err(error) => return Err(OutputError::io(dir, "create the directory")(error)),
        };
        let unmake = made.clone();
        Self::temporary(part_of(dir, process, format), made, true).inspect_err(|_| {
            let _ = unmake.map(fs::remove_dir);
        })
    }

    fn temporary(path: PathBuf, made: Option<PathBuf>, part: bool) -> Result<(Self, Stream), OutputError> {
        let refused = OutputError::io(&path, "create");
        let Some(name) = path.file_name() else {
            return Err(refused(io::ErrorKind::InvalidInput.into()));
        };
        let mut name = name.to_string_lossy().into_owned();
        name.truncate(name.floor_char_boundary(KEPT));
        let created = tempfile::Builder::new()
            .prefix(&format!(".{name}."))
            .suffix(TEMPORARY)
            // The library's own way to create it puts the temporary name into its errors.
            .make_in(parent(&path), |temporary| File::options().read(true).write(true).create_new(true).open(temporary))
            .and_then(|temporary| Ok((temporary.as_file().try_clone()?, temporary.as_file().try_clone()?, temporary)));
        let (file, written, temporary) = created.map_err(refused)?;
        let stream = Stream { file: written, path: path.clone(), bytes: 0, failed: None };
        let unpublished = Unpublished::new(Some(temporary), made);
        Ok((Place { path, part, file: Some(file), unpublished }, stream))
    }

    /// What is left if the process ends before this is dropped.
    pub(crate) fn unpublished(&self) -> Unpublished {
        self.unpublished.clone()
    }

    /// The final name.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Does what is slow and may fail: what was written is on the disk after that, and so is its temporary name. A number by which
    /// the file can be known, whatever its name: that of its inode.
    pub(crate) fn prepare(&self) -> Result<u64, OutputError> {
        let Some(file) = &self.file else { return Ok(0) };
        file.sync_all().map_err(OutputError::io(&self.path, "sync"))?;
        self.sync_directory()?;
        Ok(file.metadata().map_err(OutputError::io(&self.path, "look at"))?.ino())
    }

    /// Gives what was written its final name; a part, if there is nothing of that name, and else in place of what has it.
    pub(crate) fn name(&self) -> Result<(), OutputError> {
        // Whoever ends the process meanwhile waits for it, and removes it under the name that it has.
        let mut stand = self.unpublished.lock();
        let Some(file) = &self.file else { return Ok(()) };
        let mark = file.metadata().map_err(OutputError::io(&self.path, "look at"))?.ino();
        let Stand::Temporary(temporary) = std::mem::replace(&mut *stand, Stand::Gone) else {
            return Err(OutputError::Cancelled);
        };
        let (persisted, operation) = match self.part {
            true => (temporary.persist_noclobber(&self.path), "create"),
            false => (temporary.persist(&self.path), "replace"),
        };
        match persisted {
            Ok(_) => {
                *stand = Stand::Named(Named { path: self.path.clone(), mark });
                Ok(())
            }
            Err(error) => {
                *stand = Stand::Temporary(error.file);
                Err(OutputError::io(&self.path, operation)(error.error))
            }
        }
    }

    /// From now on others may count on the name: only [`withdraw`](Self::withdraw) takes it away, not somebody who is in a hurry.
    pub(crate) fn told(&self) {
        let mut stand = self.unpublished.lock();
        if let Stand::Named(named) = &*stand {
            *stand = Stand::Told(named.clone());
        }
    }

    /// It stays.
    pub(crate) fn keep(self) -> Result<(), OutputError> {
        *self.unpublished.lock() = Stand::Kept;
        // The name is there whether this can be done or not.
        if self.file.is_some() { self.sync_directory() } else { Ok(()) }
    }

    /// Takes away the name, and those of parts of other processes, which have these marks, that are in the same directory: of some of
    /// them nobody may be left who could. Says which of them were there.
    pub(crate) fn withdraw(self, others: &[(usize, u64)], format: OutputFormat) -> Vec<usize> {
        let dir = parent(&self.path);
        let gone = others
            .iter()
            .filter(|(process, mark)| Named { path: part_of(dir, *process, format), mark: *mark }.remove());
        gone.map(|(process, _)| *process).collect()
    }

    fn sync_directory(&self) -> Result<(), OutputError> {
        let synced = File::open(parent(&self.path)).and_then(|dir| dir.sync_all());
        synced.map_err(OutputError::io(&self.path, "sync the directory of"))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.unpublished.remove(&mut self.unpublished.lock());
    }
}

fn part_of(dir: &Path, process: usize, format: OutputFormat) -> PathBuf {
    dir.join(format!("part-{process}.{format}"))
}

/// What a name leads to.
enum Target {
    /// The file of this name, or the place where one can be made; no symbolic link.
    File(PathBuf),
    /// A descriptor of this process, by its number.
    Descriptor(u32),
}

impl Target {
    fn of(path: &Path) -> io::Result<Self> {
        let descriptors = fs::canonicalize("/proc/self/fd").ok();
        let mut path = path.to_owned();
        for _ in 0..MOST_LINKS {
            let Ok(link) = fs::read_link(&path) else { return Ok(Target::File(path)) };
            if let (Some(descriptors), Ok(dir)) = (&descriptors, fs::canonicalize(parent(&path)))
                && dir == *descriptors
                && let Some(number) = path.file_name().and_then(|name| name.to_str()?.parse().ok())
            {
                return Ok(Target::Descriptor(number));
            }
            path = parent(&path).join(link);
        }
        Err(rustix::io::Errno::LOOP.into())
    }
}

/// Gives `file` the mode of the one that it will replace, and its owner and group where that is allowed.
fn keep(replaced: &Metadata, file: &File) -> io::Result<()> {
    let now = file.metadata()?;
    if (now.uid(), now.gid()) != (replaced.uid(), replaced.gid())
        && fchown(file, Some(replaced.uid()), Some(replaced.gid())).is_err()
    {
        // Who may not give files away may still choose among their own groups.
        let _ = fchown(file, None, Some(replaced.gid()));
    }
    file.set_permissions(Permissions::from_mode(replaced.mode() & 0o777))
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
