//! `Codec`: what is done to the bytes of a chunk before they are stored.
//!
//! An [`Encoder`] makes the stored form of a chunk, which may lie in several pieces; [`decode`] makes a chunk of it
//! again. What is stored follows the Zarr v3 codecs `zstd`, `gzip`, `blosc` and `crc32c`, and every reader of those reads
//! it. Not here: the elements' order (the writer stores them little-endian, in the chunk's own order), which chunks are
//! stored at all, and threads; an encoder belongs to one worker.
//!
//! The same chunk always has the same stored form, however it is cut into pieces.

mod blosc;
mod checksum;
mod decoder;
mod encoder;
mod error;
mod name;
mod pieces;
mod zstd;

pub use checksum::crc32c;
pub use decoder::decode;
pub use encoder::Encoder;
pub use error::CodecError;

use crate::spec::SpecError;

/// Bytes of memory of a deflate context, measured: window, hash chains, pending output.
const DEFLATE_BYTES: usize = 384 << 10;

/// How chunks are compressed. Default: Blosc with zstd at level 1 and byte shuffle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Codec {
    /// Not at all.
    None,
    /// zstd, levels -7 to 22.
    Zstd {
        /// The level.
        level: i32,
    },
    /// gzip, levels 0 to 9.
    Gzip {
        /// The level.
        level: u32,
    },
    /// Blosc 1.
    Blosc {
        /// What compresses each stream.
        compressor: Compressor,
        /// 0 to 9, and as in c-blosc: at 0 chunks are stored as they are, for lz4hc and zlib it is their own level, lz4
        /// is accelerated by 10 less the level, and zstd gets twice the level less 1 (20 at 8, 22 at 9).
        level: u8,
        /// How elements are rearranged before.
        shuffle: Shuffle,
    },
}

/// What compresses the streams of a Blosc chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the names say it")]
pub enum Compressor {
    Zstd,
    Lz4,
    Lz4hc,
    Zlib,
}

/// How Blosc rearranges elements before they are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shuffle {
    /// Not at all.
    None,
    /// All first bytes, then all second bytes, ...
    Byte,
    /// All first bits, then all second bits, ...
    Bit,
}

impl Default for Codec {
    fn default() -> Self {
        Codec::Blosc { compressor: Compressor::Zstd, level: 1, shuffle: Shuffle::Byte }
    }
}

impl Codec {
    /// Checks that the level is one that the codec has.
    pub(crate) fn validate(&self) -> Result<(), SpecError> {
        let refuse = |what: &str, level: i64, levels: &str| {
            Err(SpecError(format!("{what} has no level {level}; its levels are {levels}")))
        };
        match *self {
            Codec::Zstd { level } if !(-7..=22).contains(&level) => refuse("zstd", level.into(), "-7 to 22"),
            Codec::Gzip { level } if level > 9 => refuse("gzip", level.into(), "0 to 9"),
            Codec::Blosc { level, .. } if level > 9 => refuse("Blosc", level.into(), "0 to 9"),
            _ => Ok(()),
        }
    }

    /// Most bytes of the stored form of a chunk of `chunk_bytes` bytes, and room that encoding it needs: a buffer of this
    /// capacity is never grown.
    pub fn bound(&self, checksum: bool, chunk_bytes: usize) -> usize {
        let stored = match self {
            Codec::None => chunk_bytes,
            Codec::Zstd { .. } => zstd::bound(chunk_bytes),
            // Nine bits for each byte at worst, in gzip's fixed code.
            Codec::Gzip { .. } => chunk_bytes + chunk_bytes / 8 + 128,
            Codec::Blosc { .. } => blosc::bound(chunk_bytes),
        };
        stored + if checksum { checksum::BYTES } else { 0 }
    }

    /// Bytes of memory that one [`Encoder`] holds: its scratch buffers and, as far as the library tells, its context.
    ///
    /// It makes a context and asks for its size, which takes microseconds, for zstd's highest levels milliseconds and as
    /// much memory as it says.
    pub fn encoder_bytes(&self, typesize: usize, chunk_bytes: usize) -> usize {
        match *self {
            Codec::None => 0,
            Codec::Zstd { level } => zstd::encoder_bytes(level, chunk_bytes),
            Codec::Gzip { .. } => encoder::GZIP_FEED.min(chunk_bytes) + DEFLATE_BYTES,
            Codec::Blosc { compressor, level, shuffle } => {
                blosc::encoder_bytes(compressor, level, shuffle, typesize, chunk_bytes)
            }
        }
    }
}
