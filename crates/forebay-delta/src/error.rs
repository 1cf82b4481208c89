//! What ends signing, searching or patching.

use std::{fmt, io};

use forebay::{Cause, OverBudget, RunError};

use crate::signature::Format;

/// Which of the files an error is about. Whoever knows the path says it beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The old file, which blocks are copied from.
    Basis,
    /// The new file.
    New,
    /// A signature in librsync's format.
    Signature,
    /// A delta in librsync's format.
    Delta,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Basis => "the basis",
            Role::New => "the new file",
            Role::Signature => "the signature",
            Role::Delta => "the delta",
        })
    }
}

/// What is wrong with a file in librsync's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Malformed {
    /// It begins with this number, which is not that of its kind.
    Magic(u32),
    /// Blocks of this length: none, or more than [`MAX_BLOCK_LEN`](crate::MAX_BLOCK_LEN).
    BlockLen(u32),
    /// Strong sums of this length: none, or more than a digest.
    StrongLen(u32),
    /// This byte begins no command.
    Command(u8),
    /// A command for no bytes.
    Nothing,
    /// The file ends in the middle.
    Truncated,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::Magic(magic) => write!(f, "{magic:#010x} is not how it begins"),
            Malformed::BlockLen(len) => {
                write!(f, "blocks of {len} bytes: between 1 and {} are supported", crate::MAX_BLOCK_LEN)
            }
            Malformed::StrongLen(len) => {
                write!(f, "strong sums of {len} bytes: the digest has not so many, or that is none")
            }
            Malformed::Command(byte) => write!(f, "{byte:#04x} is no command"),
            Malformed::Nothing => f.write_str("a command for no bytes"),
            Malformed::Truncated => f.write_str("it ends in the middle"),
        }
    }
}

/// Why it could not begin or go on.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read.
    Read {
        /// Which.
        file: Role,
        /// Where, in bytes.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// A file ended before the length that it had at the beginning, or a token names bytes that the basis lacks.
    Short {
        /// Which.
        file: Role,
        /// Where it ended, or before which offset bytes are missing.
        offset: u64,
    },
    /// A signature or a delta is not what librsync writes.
    Malformed {
        /// Which.
        file: Role,
        /// Where, in bytes.
        offset: u64,
        /// What is wrong there.
        problem: Malformed,
    },
    /// The new file, or what takes the tokens or sums, could not be written.
    Write(io::Error),
    /// librsync has no name for a signature with these sums.
    NotLibrsyncs(Format),
    /// Blocks of this length are not supported: none, or more than [`MAX_BLOCK_LEN`](crate::MAX_BLOCK_LEN).
    BlockLen(u64),
    /// A strong sum has no bytes, or more than its digest.
    StrongLen {
        /// Bytes asked for.
        len: usize,
        /// Bytes of the digest.
        digest_len: usize,
    },
    /// A basis has 2^32 - 1 blocks or more.
    Blocks {
        /// Its length, in bytes.
        len: u64,
        /// The length of its blocks, in bytes.
        block_len: u32,
    },
    /// The sums, or the table that finds them, do not fit into the budget. Longer blocks need less.
    Memory(OverBudget),
    /// The literal bytes of a chunk are not those that its sum was made of.
    ChunkSum,
    /// The engine could not start a thread.
    Engine(String),
    /// [`Settings::cancel`](crate::Settings::cancel) was used.
    Cancelled,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Read { file, offset, source } => write!(f, "read {file} at {offset}: {source}"),
            Error::Short { file, offset } => write!(f, "read {file}: it ends at {offset}, before it should"),
            Error::Malformed { file, offset, problem } => write!(f, "read {file} at {offset}: {problem}"),
            Error::Write(source) => write!(f, "write: {source}"),
            Error::NotLibrsyncs(format) => {
                write!(f, "librsync has no signatures of {:?} and {:?}", format.weak(), format.strong())
            }
            Error::BlockLen(len) => {
                write!(f, "blocks of {len} bytes: between 1 and {} are supported", crate::MAX_BLOCK_LEN)
            }
            Error::StrongLen { len, digest_len } => {
                write!(f, "strong sums of {len} bytes: the digest has between 1 and {digest_len}")
            }
            Error::Blocks { len, block_len } => {
                write!(f, "{len} bytes in blocks of {block_len} are too many blocks: longer ones are needed")
            }
            Error::Memory(error) => write!(f, "the block sums: {error}"),
            Error::ChunkSum => f.write_str("a chunk is not what its sum says"),
            Error::Engine(text) => f.write_str(text),
            Error::Cancelled => f.write_str("cancelled"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Read { source, .. } | Error::Write(source) => Some(source),
            Error::Memory(error) => Some(error),
            _ => None,
        }
    }
}

/// What ended a run of the engine, in the caller's terms.
pub(crate) fn of_run<E: From<Error>>(error: RunError<E>) -> E {
    match error.cause {
        Cause::Source(error) | Cause::Work { error, .. } | Cause::Sink { error, .. } => error,
        Cause::Cancelled => Error::Cancelled.into(),
        Cause::Budget(error) => Error::Memory(error).into(),
        Cause::Thread(error) => Error::Engine(format!("a thread could not be started: {error}")).into(),
        Cause::Spill(error) => Error::Engine(error.to_string()).into(),
        _ => Error::Engine("the engine gave up".to_owned()).into(),
    }
}
