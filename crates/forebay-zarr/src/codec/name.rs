//! The names of codecs, as they are given on a command line: `zstd:3`, `blosc-lz4:5:bitshuffle`.

use std::fmt;
use std::str::FromStr;

use super::{Codec, Compressor, Shuffle};
use crate::spec::SpecError;

/// What there is, for errors.
const NAMES: &str = "none, zstd:LEVEL (1 if left out), gzip:LEVEL (6), blosc-zstd:LEVEL (1), and blosc-lz4:LEVEL, \
     blosc-lz4hc:LEVEL and blosc-zlib:LEVEL (5), each blosc with :shuffle (if left out), :bitshuffle or :noshuffle";

impl Codec {
    /// The name without level and shuffle.
    pub(crate) fn family(&self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Zstd { .. } => "zstd",
            Codec::Gzip { .. } => "gzip",
            Codec::Blosc { compressor, .. } => match compressor {
                Compressor::Zstd => "blosc-zstd",
                Compressor::Lz4 => "blosc-lz4",
                Compressor::Lz4hc => "blosc-lz4hc",
                Compressor::Zlib => "blosc-zlib",
            },
        }
    }
}

/// The form that [`FromStr`] reads, with the level, and with the shuffle where it is not the byte shuffle.
impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.family())?;
        match self {
            Codec::None => Ok(()),
            Codec::Zstd { level } => write!(f, ":{level}"),
            Codec::Gzip { level } => write!(f, ":{level}"),
            Codec::Blosc { level, shuffle, .. } => {
                write!(f, ":{level}")?;
                match shuffle {
                    Shuffle::None => f.write_str(":noshuffle"),
                    Shuffle::Byte => Ok(()),
                    Shuffle::Bit => f.write_str(":bitshuffle"),
                }
            }
        }
    }
}

/// Reads `none`, `zstd:LEVEL`, `gzip:LEVEL`, `blosc-zstd:LEVEL`, `blosc-lz4:LEVEL`, `blosc-lz4hc:LEVEL` and
/// `blosc-zlib:LEVEL`; each of the last four may be followed by `:shuffle`, `:bitshuffle` or `:noshuffle`.
///
/// The level may be left out: it is 1 for `zstd` and `blosc-zstd`, 6 for `gzip` and 5 for the others. Without a word
/// about it, Blosc shuffles bytes.
impl FromStr for Codec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || SpecError(format!("'{text}' is no codec; there are {NAMES}"));
        let mut words = text.split(':');
        let family = words.next().unwrap_or_default();
        let mut words = words.peekable();
        let given = words.peek().and_then(|word| word.parse::<i32>().ok());
        if given.is_some() {
            words.next();
        }
        let level = |default: u8| given.unwrap_or(i32::from(default));
        let small = |default: u8| u8::try_from(level(default)).map_err(|_| unknown());
        let mut blosc = |compressor, default| {
            let shuffle = match words.next() {
                None | Some("shuffle") => Shuffle::Byte,
                Some("bitshuffle") => Shuffle::Bit,
                Some("noshuffle") => Shuffle::None,
                Some(_) => return Err(unknown()),
            };
            Ok(Codec::Blosc { compressor, level: small(default)?, shuffle })
        };
        let codec = match family {
            "none" if given.is_none() => Codec::None,
            "zstd" => Codec::Zstd { level: level(1) },
            "gzip" => Codec::Gzip { level: small(6)?.into() },
            "blosc-zstd" => blosc(Compressor::Zstd, 1)?,
            "blosc-lz4" => blosc(Compressor::Lz4, 5)?,
            "blosc-lz4hc" => blosc(Compressor::Lz4hc, 5)?,
            "blosc-zlib" => blosc(Compressor::Zlib, 5)?,
            _ => return Err(unknown()),
        };
        if words.next().is_some() {
            return Err(unknown());
        }
        codec.validate()?;
        Ok(codec)
    }
}
