//! `Codec`: what is done to the bytes of a chunk before they are stored.

use crate::spec::SpecError;

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
        /// 0 to 9.
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
}
