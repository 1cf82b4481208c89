//! `ShardIndex`: where in a shard its chunks are.
//!
//! The index is the end of a shard: for each chunk of the shard, in C order of the grid of chunks within it (storage
//! order), offset and length as 64-bit little-endian integers, 2^64-1 twice for a chunk that is left out; then a CRC-32C
//! of all that.
//!
//! An index that is read comes from outside: it is 16 bytes a chunk and no longer than its shard, and every entry lies
//! before it. Entries that overlap are refused, though the specification does not forbid them: no writer makes them,
//! and without them all chunks together are no longer than their shard, which bounds what copying them costs.

use std::fmt;

use crate::store::{Store, StoreError};

/// Bytes of the checksum behind the entries.
const CHECKSUM: usize = 4;

/// Bytes of an entry.
const ENTRY: usize = 16;

/// What both numbers of a chunk are that is left out.
const ABSENT: u64 = u64::MAX;

/// Where in a shard its chunks are. A new index is of chunks that are all left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardIndex {
    /// Offset and length.
    entries: Vec<(u64, u64)>,
}

impl ShardIndex {
    /// The index of `chunks` chunks that are all left out.
    pub fn new(chunks: usize) -> Self {
        ShardIndex { entries: vec![(ABSENT, ABSENT); chunks] }
    }

    /// How many chunks the shard has room for.
    pub fn chunks(&self) -> usize {
        self.entries.len()
    }

    /// Offset and length in bytes of chunk `chunk`; `None` if it is left out.
    ///
    /// # Panics
    /// If the shard has no such chunk.
    pub fn get(&self, chunk: usize) -> Option<(u64, u64)> {
        Some(self.entries[chunk]).filter(|&entry| entry != (ABSENT, ABSENT))
    }

    /// Chunk `chunk` is the `length` bytes from `offset` on.
    ///
    /// # Panics
    /// If the shard has no such chunk.
    pub fn set(&mut self, chunk: usize, offset: u64, length: u64) {
        self.entries[chunk] = (offset, length);
    }

    /// Bytes of the index of `chunks` chunks, its checksum included.
    pub const fn encoded_len(chunks: usize) -> usize {
        chunks * ENTRY + CHECKSUM
    }

    /// The end of the shard.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::encoded_len(self.chunks()));
        for (offset, length) in &self.entries {
            bytes.extend_from_slice(&offset.to_le_bytes());
            bytes.extend_from_slice(&length.to_le_bytes());
        }
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        bytes
    }

    /// The index that is `bytes`, of a shard with `data` bytes before it.
    ///
    /// # Errors
    /// [`IndexError`], if it is none.
    pub fn decode(bytes: &[u8], data: u64) -> Result<Self, IndexError> {
        let length = bytes.len();
        let Some((entries, sum)) = bytes.split_last_chunk::<CHECKSUM>().filter(|split| split.0.len() % ENTRY == 0)
        else {
            return Err(IndexError::Length { length });
        };
        let (got, expected) = (crc32c::crc32c(entries), u32::from_le_bytes(*sum));
        if got != expected {
            return Err(IndexError::ChecksumMismatch { got, expected });
        }
        let (numbers, _) = entries.as_chunks::<8>();
        let (pairs, _) = numbers.as_chunks::<2>();
        let entries = pairs.iter().map(|&[offset, length]| (u64::from_le_bytes(offset), u64::from_le_bytes(length)));
        let index = ShardIndex { entries: entries.collect() };
        index.check(data)?;
        Ok(index)
    }

    /// The index of shard `key` in `store`, which has room for `chunks` chunks; `None` if there is no such shard.
    ///
    /// # Errors
    /// [`IndexError`], if the store cannot be read or the index is damaged.
    pub fn read(store: &dyn Store, key: &str, chunks: usize) -> Result<Option<Self>, IndexError> {
        let Some(size) = store.size(key).map_err(IndexError::Store)? else {
            return Ok(None);
        };
        let length = Self::encoded_len(chunks);
        let Some(data) = size.checked_sub(length as u64) else {
            return Err(IndexError::TooShort { size, index: length as u64 });
        };
        let mut bytes = vec![0; length];
        store.read(key, data, &mut bytes).map_err(IndexError::Store)?;
        Self::decode(&bytes, data).map(Some)
    }

    /// Checks that every chunk lies within the first `data` bytes, and no two share any.
    fn check(&self, data: u64) -> Result<(), IndexError> {
        let stored = || (0..self.chunks()).filter_map(|chunk| Some((self.get(chunk)?, chunk)));
        for ((offset, length), chunk) in stored() {
            // A chunk has elements, and no codec makes nothing of something.
            if length == 0 || offset.checked_add(length).is_none_or(|end| end > data) {
                return Err(IndexError::OutOfBounds { chunk, offset, length, data });
            }
        }
        let disjoint = |before: &((u64, u64), usize), after: &((u64, u64), usize)| before.0.0 + before.0.1 <= after.0.0;
        // Shards are written from front to back, mostly in the order of the index.
        if stored().is_sorted_by(disjoint) {
            return Ok(());
        }
        let mut sorted: Vec<_> = stored().collect();
        sorted.sort_unstable();
        match sorted.windows(2).find(|pair| !disjoint(&pair[0], &pair[1])) {
            Some(pair) => Err(IndexError::Overlap { chunks: [pair[0].1, pair[1].1] }),
            None => Ok(()),
        }
    }
}

/// Why there is no index where one should be.
#[derive(Debug)]
#[non_exhaustive]
pub enum IndexError {
    /// The store could not be read.
    Store(StoreError),
    /// The shard is shorter than its index.
    TooShort {
        /// Bytes of the shard.
        size: u64,
        /// Bytes of an index of that many chunks.
        index: u64,
    },
    /// No index has this length.
    Length {
        /// The length in bytes.
        length: usize,
    },
    /// The bytes are not those that were written.
    ChecksumMismatch {
        /// The checksum of the bytes.
        got: u32,
        /// The one that is behind them.
        expected: u32,
    },
    /// A chunk is not where chunks are, or has no bytes.
    OutOfBounds {
        /// Which chunk.
        chunk: usize,
        /// Where it is said to begin.
        offset: u64,
        /// And how long it is said to be.
        length: u64,
        /// Bytes before the index.
        data: u64,
    },
    /// Two chunks share bytes.
    Overlap {
        /// Which.
        chunks: [usize; 2],
    },
}

impl fmt::Display for IndexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IndexError::Store(error) => error.fmt(f),
            IndexError::TooShort { size, index } => {
                write!(f, "the shard has {size} bytes, fewer than the {index} of its index")
            }
            IndexError::Length { length } => write!(f, "no index of a shard has {length} bytes"),
            IndexError::ChecksumMismatch { got, expected } => {
                write!(f, "the checksum of the index is {got:08x}, not {expected:08x}")
            }
            IndexError::OutOfBounds { chunk, offset, length, data } => {
                write!(f, "chunk {chunk} has {length} bytes from byte {offset}; all chunks are within the first {data}")
            }
            IndexError::Overlap { chunks: [one, other] } => write!(f, "chunks {one} and {other} share bytes"),
        }
    }
}

impl std::error::Error for IndexError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            IndexError::Store(error) => Some(error),
            _ => None,
        }
    }
}
