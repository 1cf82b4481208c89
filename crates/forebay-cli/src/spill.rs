//! Where the tools put what does not fit into memory.

use std::ffi::OsStr;

use forebay::{SegmentOptions, SegmentStore, SpillError};

/// A store of at most `limit` bytes in `dir`. Without a directory in the one for temporary files, if that can be used.
///
/// # Errors
/// If `dir` cannot be used.
pub(crate) fn open(dir: Option<&OsStr>, limit: Option<u64>) -> Result<Option<SegmentStore>, SpillError> {
    let mut options = SegmentOptions::new();
    if let Some(limit) = limit {
        options = options.quota(limit);
    }
    match dir {
        Some(dir) => options.open(dir).map(Some),
        None => Ok(options.open(std::env::temp_dir()).ok()),
    }
}
