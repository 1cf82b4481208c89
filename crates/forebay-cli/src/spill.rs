//! Where the tools put what does not fit into memory.

use std::path::Path;

use forebay::{SegmentOptions, SegmentStore, SpillError};

/// A store of at most `limit` bytes in `dir`; without a limit, of a quarter of what is free there.
///
/// # Errors
/// If `dir` cannot be used.
pub(crate) fn open(dir: impl AsRef<Path>, limit: Option<u64>) -> Result<SegmentStore, SpillError> {
    let mut options = SegmentOptions::new();
    if let Some(limit) = limit {
        options = options.quota(limit);
    }
    options.open(dir)
}
