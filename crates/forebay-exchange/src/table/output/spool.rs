//! `Spool`: bytes that wait for the end of their commit, in memory while they are few and in a file when they are many.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use super::OutputError;

/// Bytes kept in memory.
const IN_MEMORY: usize = 256 << 10;

/// Bytes of a copy from the file.
const COPY: usize = 64 << 10;

/// What is tried when they are read back.
const READ: &str = "read the changes of a commit in";

/// See the module. The file is unlinked from birth.
#[derive(Debug)]
pub(crate) struct Spool {
    dir: PathBuf,
    memory: Vec<u8>,
    file: Option<File>,
}

impl Spool {
    /// An empty one whose file, if it needs one, is in `dir`.
    pub(crate) fn new(dir: &Path) -> Self {
        Spool { dir: dir.to_owned(), memory: Vec::new(), file: None }
    }

    /// Adds `bytes`.
    pub(crate) fn add(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        if self.file.is_none() && self.memory.len() + bytes.len() <= IN_MEMORY {
            self.memory.extend_from_slice(bytes);
            return Ok(());
        }
        self.add_to_file(bytes).map_err(OutputError::io(&self.dir, "hold the changes of a commit in"))
    }

    fn add_to_file(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let mut file = tempfile::tempfile_in(&self.dir)?;
                file.write_all(&std::mem::take(&mut self.memory))?;
                none.insert(file)
            }
        };
        file.write_all(bytes)
    }

    /// Gives everything to `take`, in order, and is empty again.
    pub(crate) fn drain(&mut self, mut take: impl FnMut(&[u8]) -> Result<(), OutputError>) -> Result<(), OutputError> {
        let Some(mut file) = self.file.take() else { return take(&std::mem::take(&mut self.memory)) };
        let mut buffer = vec![0; COPY];
        file.rewind().map_err(OutputError::io(&self.dir, READ))?;
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(len) => take(&buffer[..len])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(OutputError::io(&self.dir, READ)(error)),
            }
        }
    }
}
