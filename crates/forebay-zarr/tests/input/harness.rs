//! A directory of files, and what comes out of them.

use std::fs;
use std::path::PathBuf;

use forebay_zarr::DataType;
use forebay_zarr::input::{Block, Frame, Input, InputError, Known};
use tempfile::TempDir;

pub(crate) struct Files(TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Files(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn put(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Reads what the patterns name, which are relative to the directory.
    pub(crate) fn read(&self, patterns: &[&str], known: &Known) -> Result<Read, InputError> {
        let patterns: Vec<PathBuf> = patterns.iter().map(|pattern| self.path(pattern)).collect();
        Input::open(&patterns, known).map(read)
    }
}

/// What came, and what was wrong then.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) frame: Frame,
    pub(crate) bytes: Vec<u8>,
    pub(crate) error: Option<InputError>,
}

impl Read {
    /// Everything, if nothing was wrong.
    pub(crate) fn whole(self) -> Vec<u8> {
        assert!(self.error.is_none(), "{:?}", self.error);
        self.bytes
    }

    /// What came, and the text of the error.
    pub(crate) fn broken(self) -> (Vec<u8>, String) {
        (self.bytes, self.error.expect("an error").to_string())
    }
}

pub(crate) fn read(mut input: Input) -> Read {
    let frame = input.frame().clone();
    let (mut block, mut bytes) = (Block::default(), Vec::new());
    let error = loop {
        match input.next_block(&mut block) {
            Ok(true) => bytes.extend_from_slice(&block),
            Ok(false) => break None,
            Err(error) => break Some(error),
        }
    };
    assert!(block.is_empty());
    if error.is_some() {
        assert!(!input.next_block(&mut block).unwrap(), "something comes after an error");
    }
    Read { frame, bytes, error }
}

/// Frames that are known.
pub(crate) fn known(dtype: DataType, shape: &[u64]) -> Known {
    Known { dtype: Some(dtype), shape: Some(shape.to_vec()) }
}

/// `len` bytes without a pattern.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(next).collect()
}

/// Reverses the bytes of each element.
pub(crate) fn swapped(bytes: &[u8], size: usize) -> Vec<u8> {
    bytes.chunks(size).flat_map(|element| element.iter().rev().copied()).collect()
}
