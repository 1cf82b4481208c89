//! The files that the three commands read and write.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use forebay_delta::Input;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::cleanup::Cleanup;

/// Something that is read.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) file: File,
    pub(crate) name: String,
    /// Of a file by name that has one.
    pub(crate) len: Option<u64>,
}

/// Whether `path` stands for standard input or output.
pub(crate) fn is_standard(path: Option<&Path>) -> bool {
    path.is_none_or(|path| path == Path::new("-"))
}

impl Source {
    /// Opens `path`; none and `-` are standard input, which is a stream whatever is behind it.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, String> {
        let (name, opened) = match path.filter(|path| !is_standard(Some(path))) {
            Some(path) => (path.display().to_string(), File::open(path)),
            None => ("standard input".to_owned(), io::stdin().as_fd().try_clone_to_owned().map(File::from)),
        };
        let opened = opened.and_then(|file| file.metadata().map(|metadata| (file, metadata)));
        let (file, metadata) = opened.map_err(|error| format!("open {name}: {error}"))?;
        if metadata.is_dir() {
            return Err(format!("open {name}: it is a directory"));
        }
        let len = (!is_standard(path) && metadata.is_file()).then_some(metadata.len());
        Ok(Source { file, name, len })
    }

    /// What the library reads.
    pub(crate) fn input(&mut self) -> Input<'_> {
        match self.len {
            Some(len) => Input::File(&self.file, len),
            None => Input::Stream(&mut self.file),
        }
    }
}

/// Something that is written: whole or not at all, if it is a file.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) file: File,
    pub(crate) name: String,
    /// Where it is written, and where it belongs; none for what is no file.
    place: Option<(PathBuf, PathBuf)>,
    force: bool,
    cleanup: Cleanup,
}

impl Target {
    /// Opens `path`; none and `-` are standard output. What is there is replaced only by `force`.
    pub(crate) fn open(path: Option<&Path>, force: bool, cleanup: &Cleanup) -> Result<Self, String> {
        let plain = |file: io::Result<File>, name: String| match file {
            Ok(file) => Ok(Target { file, name, place: None, force, cleanup: cleanup.clone() }),
            Err(error) => Err(format!("open {name}: {error}")),
        };
        let Some(path) = path.filter(|path| !is_standard(Some(path))) else {
            return plain(io::stdout().as_fd().try_clone_to_owned().map(File::from), "standard output".to_owned());
        };
        let name = path.display().to_string();
        let there = match fs::symlink_metadata(path) {
            Ok(_) if !force => return Err(format!("write {name}: it is there already; --force replaces it")),
            Ok(_) => fs::metadata(path).ok(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(format!("write {name}: {error}")),
        };
        if there.as_ref().is_some_and(|metadata| !metadata.is_file()) {
            return plain(OpenOptions::new().write(true).open(path), name);
        }
        // Through a symbolic link, the file that it leads to is replaced.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let mut hidden = OsString::from(".");
        hidden.push(path.file_name().ok_or_else(|| format!("write {name}: it names no file"))?);
        hidden.push(format!(".forebay-{}", std::process::id()));
        let temporary = path.with_file_name(hidden);
        let file = cleanup.create(&temporary).map_err(|error| format!("write {}: {error}", temporary.display()))?;
        let target = Target { file, name, place: Some((temporary, path)), force, cleanup: cleanup.clone() };
        if let Some(metadata) = there {
            let set = target.file.set_permissions(metadata.permissions());
            set.map_err(|error| format!("write {}: {error}", target.name))?;
        }
        Ok(target)
    }

    /// Lets it begin as a copy of `basis` that shares what it has on disk, where the file system can do that. Returns how many
    /// bytes it has then.
    pub(crate) fn begin_as(&self, basis: &File) -> Result<u64, String> {
        if self.place.is_none() || !share(&self.file, basis) {
            return Ok(0);
        }
        let metadata = self.file.metadata().map_err(|error| format!("write {}: {error}", self.name))?;
        Ok(metadata.len())
    }

    /// Everything is written: the file gets its name.
    pub(crate) fn publish(mut self) -> Result<(), String> {
        let failed = |error: io::Error| format!("write {}: {error}", self.name);
        self.file.flush().map_err(failed)?;
        let Some((temporary, path)) = self.place.take() else { return Ok(()) };
        let done = if self.force { fs::rename(&temporary, &path) } else { rename_new(&temporary, &path) };
        match done {
            Ok(()) => self.cleanup.forget(),
            Err(_) => self.cleanup.remove(),
        }
        done.map_err(failed)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if self.place.is_some() {
            self.cleanup.remove();
        }
    }
}

#[cfg(target_os = "linux")]
fn share(file: &File, basis: &File) -> bool {
    rustix::fs::ioctl_ficlone(file, basis).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn share(_: &File, _: &File) -> bool {
    false
}

/// Renames, unless the new name exists.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system that cannot do that: a link does not replace either.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        done => Ok(done?),
    }
}
