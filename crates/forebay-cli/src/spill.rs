//! Where the tools put what does not fit into memory.

use std::fmt::{self, Write};
use std::path::Path;

use forebay::{Location, SegmentOptions, SegmentStore, Snapshot, SpillError};

use crate::size::with_commas;

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

/// What `--stats` says of it.
///
/// # Errors
/// If `out` fails.
pub(crate) fn write_stats(out: &mut String, engine: &Snapshot, place: Option<&Location>) -> fmt::Result {
    writeln!(
        out,
        "forebay: spilled {} items, {} bytes; reloaded {} items, {} bytes",
        engine.spilled_items,
        with_commas(engine.spilled_bytes),
        engine.reloaded_items,
        with_commas(engine.reloaded_bytes)
    )?;
    write_place(out, place)
}

/// Says where it was spilled to.
pub(crate) fn write_place(out: &mut String, place: Option<&Location>) -> fmt::Result {
    match place {
        Some(place) => {
            let note = if place.in_memory { ", which is memory: spilling frees none" } else { "" };
            writeln!(out, "forebay: spill directory {place}{note}")
        }
        None => writeln!(out, "forebay: no spill directory"),
    }
}
