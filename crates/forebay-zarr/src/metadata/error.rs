//! `MetadataError`: why an array's `zarr.json` was refused.

use std::fmt;

use crate::spec::SpecError;
use crate::store::StoreError;

/// Why an array's `zarr.json` was refused.
#[derive(Debug)]
#[non_exhaustive]
pub enum MetadataError {
    /// The store could not be read.
    Store(StoreError),
    /// The document is larger than [`MAX_BYTES`](super::MAX_BYTES).
    TooLarge {
        /// Its size.
        bytes: u64,
    },
    /// The document is no JSON.
    Json(serde_json::Error),
    /// A field is missing, or is not what the specification of Zarr v3 says.
    Invalid {
        /// Which field: `codecs[0].configuration.chunk_shape`.
        field: String,
        /// What is wrong with it.
        why: String,
    },
    /// The field may well be valid, but such arrays forebay neither writes nor continues.
    Unsupported {
        /// Which field.
        field: String,
        /// What it says, cut off after some characters.
        found: String,
        /// What it would have to say.
        needed: String,
    },
    /// The parts do not go together.
    Spec(SpecError),
}

impl fmt::Display for MetadataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MetadataError::Store(error) => error.fmt(f),
            MetadataError::TooLarge { bytes } => {
                write!(f, "zarr.json has {bytes} bytes; the most are {}", super::MAX_BYTES)
            }
            MetadataError::Json(error) => write!(f, "zarr.json is no JSON: {error}"),
            MetadataError::Invalid { field, why } => write!(f, "zarr.json: {field} {why}"),
            MetadataError::Unsupported { field, found, needed } => {
                write!(f, "zarr.json: {field} is {found}, but forebay continues only arrays with {needed}")
            }
            MetadataError::Spec(error) => write!(f, "zarr.json: {error}"),
        }
    }
}

impl std::error::Error for MetadataError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            MetadataError::Store(error) => Some(error),
            MetadataError::Json(error) => Some(error),
            MetadataError::Spec(error) => Some(error),
            MetadataError::TooLarge { .. } | MetadataError::Invalid { .. } | MetadataError::Unsupported { .. } => None,
        }
    }
}
