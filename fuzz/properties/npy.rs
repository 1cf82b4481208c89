//! What holds for a file that claims to be NumPy's, whatever is in it.

use std::fs;

use forebay_zarr::input::{Block, Input, Known};

/// Reads `data` as a file: it is refused, or what comes is no more than what is in it.
pub(crate) fn check(data: &[u8]) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("array.npy");
    fs::write(&path, data).expect("a file");
    let Ok(mut input) = Input::open(&[&path], &Known::default()) else {
        return;
    };
    let (mut block, mut bytes) = (Block::default(), 0);
    while let Ok(true) = input.next_block(&mut block) {
        assert!(!block.is_empty());
        bytes += block.len();
        assert!(bytes < data.len(), "more than the file holds");
    }
}
