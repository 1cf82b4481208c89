//! The streams of a block: compressors with a context that is reused, and what reads them.

use std::fmt;
use std::io;

use ::zstd::bulk;
use ::zstd::zstd_safe;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use lz4::block::CompressionMode;

use super::super::zstd::{Codes, Context};
use super::super::{CodecError, Compressor, DEFLATE_BYTES};

/// Room that a compressor gets beyond a stream of `bytes`: what zstd and lz4 need at most. zlib may need more, and its
/// stream is then stored as it is.
pub(super) fn overshoot(bytes: usize) -> usize {
    bytes / 128 + 256
}

/// Compresses streams, each by itself.
pub(super) enum Streams {
    Zstd(Context),
    Lz4(CompressionMode),
    Zlib(Compress),
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Streams::Zstd(_) => f.write_str("Zstd"),
            Streams::Lz4(mode) => f.debug_tuple("Lz4").field(mode).finish(),
            Streams::Zlib(_) => f.write_str("Zlib"),
        }
    }
}

impl Streams {
    /// `level` is Blosc's, 1 to 9, and means to each compressor what it means to it in c-blosc.
    pub(super) fn new(compressor: Compressor, level: u8) -> io::Result<Self> {
        let level = i32::from(level);
        Ok(match compressor {
            Compressor::Zstd => Streams::Zstd(Context::new(zstd_level(level))?),
            Compressor::Lz4 => Streams::Lz4(CompressionMode::FAST(10 - level)),
            Compressor::Lz4hc => Streams::Lz4(CompressionMode::HIGHCOMPRESSION(level)),
            Compressor::Zlib => Streams::Zlib(Compress::new(Compression::new(level as u32), true)),
        })
    }

    /// Puts `stream` behind `out`, compressed, or as it is where that is not longer.
    ///
    /// The compressor always has room for all that it may write, so that nothing depends on the capacity of `out`.
    pub(super) fn push(&mut self, stream: &[u8], codes: Codes, out: &mut Vec<u8>) -> io::Result<()> {
        let begin = out.len();
        let mut fits = true;
        out.reserve(stream.len() + overshoot(stream.len()));
        match self {
            Streams::Zstd(context) => context.compress(stream, codes, out)?,
            Streams::Lz4(mode) => {
                out.resize(begin + lz4::block::compress_bound(stream.len())?, 0);
                let written = lz4::block::compress_to_buffer(stream, Some(*mode), false, &mut out[begin..])?;
                out.truncate(begin + written);
            }
            Streams::Zlib(state) => {
                state.reset();
                let status = state.compress_vec(stream, out, FlushCompress::Finish)?;
                fits = status == Status::StreamEnd;
            }
        }
        if !fits || out.len() - begin >= stream.len() {
            out.truncate(begin);
            out.extend_from_slice(stream);
        }
        Ok(())
    }
}

fn zstd_level(level: i32) -> i32 {
    match level {
        9.. => zstd_safe::max_c_level(),
        8 => zstd_safe::max_c_level() - 2,
        _ => 2 * level - 1,
    }
}

/// Bytes of memory of a context for streams of `bytes` bytes.
pub(super) fn context_bytes(compressor: Compressor, level: u8, bytes: usize) -> usize {
    match compressor {
        Compressor::Zstd => Context::new(zstd_level(level.into())).map_or(0, |context| context.memory(bytes)),
        // On the stack.
        Compressor::Lz4 => 0,
        // Allocated for each stream.
        Compressor::Lz4hc => 256 << 10,
        Compressor::Zlib => DEFLATE_BYTES,
    }
}

/// Fills `to` with what `stream` stands for; `number` is the compressor's, from the header.
pub(super) fn read(number: u8, stream: &[u8], to: &mut [u8]) -> Result<(), CodecError> {
    if stream.len() == to.len() {
        to.copy_from_slice(stream);
        return Ok(());
    }
    let written = match number {
        1 => {
            let most = i32::try_from(to.len()).map_err(|_| damaged(stream, "its block is too long"))?;
            lz4::block::decompress_to_buffer(stream, Some(most), to).map_err(|error| damaged(stream, error))?
        }
        3 => {
            let mut state = Decompress::new(true);
            let status =
                state.decompress(stream, to, FlushDecompress::Finish).map_err(|error| damaged(stream, error))?;
            if status != Status::StreamEnd {
                return Err(damaged(stream, "it does not end"));
            }
            state.total_out() as usize
        }
        4 => bulk::decompress_to_buffer(stream, to).map_err(|error| damaged(stream, error))?,
        other => return Err(damaged(stream, format_args!("no compressor has the number {other}"))),
    };
    if written != to.len() {
        return Err(CodecError::Length { codec: super::NAME, what: "a stream", got: written, expected: to.len() });
    }
    Ok(())
}

fn damaged(stream: &[u8], reason: impl fmt::Display) -> CodecError {
    CodecError::Malformed { codec: super::NAME, stored: stream.len(), reason: format!("a stream: {reason}") }
}
