//! What holds for a file that claims to be a TIFF stack, whatever is in it.

use std::fs;

use forebay_zarr::input::{Block, Input, Known};

/// More blocks than a file of the fuzzer's size can hold pages.
const MOST_BLOCKS: usize = 1 << 16;

/// Reads `data` as a file: it is refused, or it gives pages of one size, and it ends.
pub(crate) fn check(data: &[u8]) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("stack.tif");
    fs::write(&path, data).expect("a file");
    let Ok(mut input) = Input::open(&[&path], &Known::default()) else {
        return;
    };
    let frame = input.frame().bytes().expect("a frame that can be counted");
    // Nothing is smaller by more than this, and everything behind the first page has its size.
    assert!(frame <= data.len() as u64 * 4096, "{frame}");
    let mut block = Block::default();
    for _ in 0..MOST_BLOCKS {
        match input.next_block(&mut block) {
            Ok(true) => assert!(!block.is_empty() && block.len() as u64 <= frame.max(4 << 20)),
            Ok(false) | Err(_) => return,
        }
    }
    panic!("it does not end");
}
