//! Errors in words that say what to do.

use std::error::Error;
use std::io;
use std::path::Path;

use forebay_zarr::input::InputError;
use forebay_zarr::{StoreError, WriteError};

use super::feed;

/// How many frames nobody needs to worry about.
pub(crate) fn safe(frames: u64, out: &Path) -> String {
    match frames {
        0 => format!("no frame is in {}", out.display()),
        1 => format!("1 frame is safe in {}", out.display()),
        _ => format!("{frames} frames are safe in {}", out.display()),
    }
}

/// What went wrong with the input; frames are counted from the beginning of the array, to which `begun` were there.
pub(crate) fn input(error: InputError, begun: u64) -> InputError {
    match error {
        InputError::EndsInFrame { path, frame, bytes, frame_bytes } => {
            InputError::EndsInFrame { path, frame: frame + begun, bytes, frame_bytes }
        }
        error => error,
    }
}

/// What went wrong with the array in `out`, and what to do.
pub(crate) fn explain(error: &WriteError, out: &Path) -> String {
    match error {
        WriteError::Store(store) => match &**store {
            StoreError::Exists { .. } => {
                format!("{store}: --resume appends to it, --overwrite replaces it")
            }
            StoreError::Locked { .. } => format!("{store}: wait for it, or choose another place"),
            _ if is_full(error) => format!("{store}: make room there and go on with --resume"),
            _ => store.to_string(),
        },
        WriteError::Memory { needed, .. } => {
            format!("--memory is too little: the array needs {} MiB", (needed + feed::memory()).div_ceil(1 << 20))
        }
        WriteError::Spill(spill) => format!(
            "{} is too slow for the frames, and nothing more can be spilled: {spill}: a larger --spill-limit or another \
             --spill-dir would help; go on with --resume",
            out.display()
        ),
        WriteError::Spec(spec) => format!("such an array cannot be written: {spec}"),
        error => error.to_string(),
    }
}

/// Whether a disk is full, or a quota reached.
fn is_full(error: &WriteError) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        }
        next = error.source();
    }
    false
}
