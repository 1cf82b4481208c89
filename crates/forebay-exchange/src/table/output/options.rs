//! `OutputOptions`: where results go, and how.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use super::{OutputError, OutputFormat};

/// Where results go, and how.
#[derive(Clone, Debug)]
pub struct OutputOptions {
    /// The file, or with [`part`](Self::part) the directory. Default: none, which is standard output.
    pub target: Option<PathBuf>,
    /// The target is a directory, in which this process writes the part of this number. Default: a file.
    pub part: Option<usize>,
    /// The directory for parts was not there when the run began: if nothing comes of the run, it goes again with the last of the
    /// parts, whichever process made it. Default: it goes if this process has made it.
    pub fresh: bool,
    /// Default: what the name's ending says; Parquet for parts; on standard output a table if it is a terminal, and
    /// else CSV.
    pub format: Option<OutputFormat>,
    /// The rows are changes: a column `commit` before them and a column `change` after them, and on standard output the
    /// lines of a commit appear all at once, when it is complete. Default: no.
    pub changes: bool,
    /// How many rows of a table are shown. Default: 40.
    pub shown: usize,
    /// Threads that encode. Default: one per core.
    pub workers: usize,
    /// Where the lines of a commit wait that are too many for memory. Default: the system's directory for temporary
    /// files.
    pub scratch: PathBuf,
}

impl Default for OutputOptions {
    fn default() -> Self {
        OutputOptions {
            target: None,
            part: None,
            fresh: false,
            format: None,
            changes: false,
            shown: 40,
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            scratch: std::env::temp_dir(),
        }
    }
}

impl OutputOptions {
    /// The format that these options mean.
    ///
    /// # Errors
    /// If there is none, or none that can go there.
    pub fn format(&self) -> Result<OutputFormat, OutputError> {
        let format = match (self.format, &self.target) {
            (Some(format), _) => format,
            (None, Some(_)) if self.part.is_some() => OutputFormat::Parquet,
            (None, Some(path)) => of_name(path)?,
            (None, None) if self.changes || !io::stdout().is_terminal() => OutputFormat::Csv,
            (None, None) => OutputFormat::Table,
        };
        if format == OutputFormat::Table && (self.changes || self.target.is_some()) {
            return Err(OutputError::Table);
        }
        Ok(format)
    }
}

fn of_name(path: &Path) -> Result<OutputFormat, OutputError> {
    OutputFormat::of_name(path).ok_or_else(|| {
        let path = path.to_owned();
        if path.is_dir() { OutputError::IsDirectory(path) } else { OutputError::UnknownFormat(path) }
    })
}
