//! What readers see of an array: zarrs decides, not we.

use std::path::Path;
use std::sync::Arc;

use zarrs::array::{Array, ArrayBytes};
use zarrs::filesystem::FilesystemStore;

/// An array as it can be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) shape: Vec<u64>,
    pub(crate) chunk: Vec<u64>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) attributes: String,
}

/// Reads the whole of the array in `path`.
pub(crate) fn read(path: &Path) -> Seen {
    let store = Arc::new(FilesystemStore::new(path).unwrap());
    let array = Array::open(store, "/").unwrap();
    let bytes: ArrayBytes<'static> = array.retrieve_array_subset(&array.subset_all()).unwrap();
    Seen {
        shape: array.shape().to_vec(),
        chunk: array.chunk_shape(&vec![0; array.dimensionality()]).unwrap().iter().map(|extent| extent.get()).collect(),
        bytes: bytes.into_fixed().unwrap().into_owned(),
        attributes: serde_json::to_string(array.attributes()).unwrap(),
    }
}

/// How many frames the array in `path` has now; 0 if there is none.
pub(crate) fn frames(path: &Path) -> u64 {
    let Ok(text) = std::fs::read(path.join("zarr.json")) else { return 0 };
    let document: serde_json::Value = serde_json::from_slice(&text).unwrap();
    document["shape"][0].as_u64().unwrap()
}
