//! The command lines of `forebay signature`, `delta` and `patch`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};
use forebay::Budget;
use forebay_delta::librsync::StrongLen;
use forebay_delta::{Seed, Settings, Strong, Weak};

use crate::size;

/// Memory for what is read and waits, unless said otherwise.
const MEMORY: usize = 128 << 20;

/// Sum the blocks of a file, for a delta that is made elsewhere
///
/// The signature is librsync's: rdiff reads it too.
#[derive(Args, Debug)]
#[command(after_long_help = AFTER)]
pub(crate) struct SignatureOptions {
    /// The old file [default: standard input]
    #[arg(value_name = "BASIS", value_hint = ValueHint::FilePath)]
    pub(crate) basis: Option<PathBuf>,
    /// Where the signature goes [default: standard output]
    #[arg(value_name = "SIGNATURE", value_hint = ValueHint::AnyPath)]
    pub(crate) signature: Option<PathBuf>,

    /// Bytes of a block; 0: about the square root of the file's length
    #[arg(long, short, value_name = "BYTES", value_parser = block_size, default_value = "0")]
    pub(crate) block_size: u32,
    /// Bytes of the strong sums that are kept; 0: all, -1: as few as will do
    #[arg(long, short = 'S', value_name = "BYTES", value_parser = sum_size, allow_hyphen_values = true,
          default_value = "0")]
    pub(crate) sum_size: StrongLen,
    /// The strong sum. MD4 is for old peers: who can choose the files can deceive it
    #[arg(long, short = 'H', value_name = "ALG", default_value = "blake2")]
    pub(crate) hash: Hash,
    /// The rolling sum. `rollsum` is for librsync before 2.2
    #[arg(long, short = 'R', value_name = "ALG", default_value = "rabinkarp")]
    pub(crate) rollsum: Rolling,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Tell a new file in terms of the old one that a signature is of
///
/// The signature may be rdiff's, and rdiff reads the delta too.
#[derive(Args, Debug)]
#[command(after_long_help = AFTER)]
pub(crate) struct DeltaOptions {
    /// The signature of the old file; - is standard input
    #[arg(value_name = "SIGNATURE", value_hint = ValueHint::FilePath)]
    pub(crate) signature: PathBuf,
    /// The new file [default: standard input]
    #[arg(value_name = "NEWFILE", value_hint = ValueHint::FilePath)]
    pub(crate) new: Option<PathBuf>,
    /// Where the delta goes [default: standard output]
    #[arg(value_name = "DELTA", value_hint = ValueHint::AnyPath)]
    pub(crate) delta: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Rebuild the new file from the old one and a delta
///
/// The delta may be rdiff's. Where the file system can share what is on disk between files (XFS, Btrfs), bytes that stay in
/// their place are shared with the old file, which takes neither time nor room.
#[derive(Args, Debug)]
#[command(after_long_help = AFTER)]
pub(crate) struct PatchOptions {
    /// The old file. It is read at any place: a pipe will not do
    #[arg(value_name = "BASIS", value_hint = ValueHint::FilePath)]
    pub(crate) basis: PathBuf,
    /// The delta [default: standard input]
    #[arg(value_name = "DELTA", value_hint = ValueHint::FilePath)]
    pub(crate) delta: Option<PathBuf>,
    /// Where the new file goes [default: standard output]
    #[arg(value_name = "NEWFILE", value_hint = ValueHint::AnyPath)]
    pub(crate) new: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) common: Common,
}

/// What all three take.
#[derive(Args, Debug)]
pub(crate) struct Common {
    /// Replace the output if it is there. It is written under a temporary name and gets its own when it is whole
    #[arg(long, short)]
    pub(crate) force: bool,
    /// Print what was done at the end, on standard error
    #[arg(long, short, alias = "statistics")]
    pub(crate) stats: bool,
    /// Threads that work [default: one per core]
    #[arg(long, short, value_name = "N")]
    pub(crate) workers: Option<NonZeroUsize>,
    /// The most memory for block sums, and for what is read and waits [default: 128M, or a quarter of what the control
    /// group allows]
    #[arg(long, value_name = "SIZE", value_parser = memory)]
    pub(crate) memory: Option<usize>,
}

impl Common {
    /// What the library may use.
    pub(crate) fn settings(&self) -> Settings {
        let settings = Settings::default();
        Settings {
            workers: self.workers.map_or(settings.workers, usize::from),
            budget: self.memory.map_or_else(|| Budget::modest(MEMORY), Budget::new),
            ..settings
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Hash {
    Blake2,
    Md4,
}

impl From<Hash> for Strong {
    fn from(hash: Hash) -> Self {
        match hash {
            Hash::Blake2 => Strong::Blake2b,
            Hash::Md4 => Strong::Md4(Seed::None),
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Rolling {
    Rabinkarp,
    Rollsum,
}

impl From<Rolling> for Weak {
    fn from(rolling: Rolling) -> Self {
        match rolling {
            Rolling::Rabinkarp => Weak::RabinKarp,
            Rolling::Rollsum => Weak::Rollsum,
        }
    }
}

const AFTER: &str = "\
Examples:
  forebay signature old.img old.sig
  forebay delta old.sig new.img changes.delta
  forebay patch old.img changes.delta rebuilt.img
  ssh there forebay signature old.img | forebay delta - new.img | ssh there forebay patch old.img - new.img

Exit codes:
  0    the output is written
  1    a file is not as it should be, cannot be read or written, or memory does not suffice
  2    the command line makes no sense
  129, 130, 143
       SIGHUP, SIGINT or SIGTERM came
";

fn block_size(text: &str) -> Result<u32, String> {
    let bytes = size::parse(text).and_then(|bytes| u32::try_from(bytes).ok());
    bytes
        .filter(|bytes| *bytes <= forebay_delta::MAX_BLOCK_LEN)
        .ok_or_else(|| format!("it must be a number of bytes up to {}", forebay_delta::MAX_BLOCK_LEN))
}

fn sum_size(text: &str) -> Result<StrongLen, String> {
    match text.parse() {
        Ok(0) => Ok(StrongLen::Most),
        Ok(-1) => Ok(StrongLen::Least),
        Ok(bytes @ 1..=32) => Ok(StrongLen::Bytes(bytes as usize)),
        _ => Err("it must be a number of bytes up to 32, 0 or -1".to_owned()),
    }
}

fn memory(text: &str) -> Result<usize, String> {
    let bytes = size::parse(text).and_then(|bytes| usize::try_from(bytes).ok());
    bytes.ok_or_else(|| "a size is a number and a unit, such as 512M or 2G".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_blocks_are_bounded() {
        assert_eq!(sum_size("0"), Ok(StrongLen::Most));
        assert_eq!(sum_size("-1"), Ok(StrongLen::Least));
        assert_eq!(sum_size("8"), Ok(StrongLen::Bytes(8)));
        for text in ["", "-2", "33", "x", "1k"] {
            assert!(sum_size(text).is_err(), "{text}");
        }
        assert_eq!([block_size("0"), block_size("4K")], [Ok(0), Ok(4096)]);
        for text in ["", "-1", "600M", "99999999999"] {
            assert!(block_size(text).is_err(), "{text}");
        }
    }
}
