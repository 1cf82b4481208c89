//! zstd: contexts that are reused, and their parameters.

use std::fmt;
use std::io;

use ::zstd::bulk::{self, Compressor};
use ::zstd::zstd_safe::{self, CParameter};

use super::CodecError;
use super::pieces::Pieces;

const NAME: &str = "zstd";

/// Writes a chunk as one frame that states its length.
///
/// The pieces are copied together first, into a buffer that is kept: with the library's streaming interface, which copies
/// them as well, compressing costs a tenth more, and what it makes of a chunk depends on the pieces.
pub(super) struct Encoder {
    context: Compressor<'static>,
    chunk: Vec<u8>,
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").field("chunk_bytes", &self.chunk.len()).finish_non_exhaustive()
    }
}

impl Encoder {
    pub(super) fn new(level: i32, chunk: usize) -> Result<Self, CodecError> {
        let context = context(level).map_err(|source| CodecError::Library {
            codec: NAME,
            what: "prepare for",
            bytes: chunk,
            source,
        })?;
        Ok(Encoder { context, chunk: vec![0; chunk] })
    }

    /// Writes the frame to `out`, which has room for it.
    pub(super) fn encode(&mut self, pieces: &[&[u8]], out: &mut Vec<u8>) -> Result<(), CodecError> {
        Pieces::new(pieces).gather(&mut self.chunk);
        self.context.compress_to_buffer(&self.chunk[..], out).map_err(|source| CodecError::Library {
            codec: NAME,
            what: "compress",
            bytes: self.chunk.len(),
            source,
        })?;
        Ok(())
    }
}

/// Most bytes of the frame of a chunk.
pub(super) fn bound(chunk: usize) -> usize {
    zstd_safe::compress_bound(chunk)
}

/// A context for `level`.
pub(super) fn context(level: i32) -> io::Result<Compressor<'static>> {
    let mut context = Compressor::new(level)?;
    if level == 1 {
        context.set_parameter(CParameter::MaxBlockSize(32 << 10))?;
        context.set_parameter(CParameter::HashLog(12))?;
    }
    Ok(context)
}

/// Bytes of memory of a context that compresses `bytes` bytes at a time; 0 if there is no memory for it.
pub(super) fn context_bytes(level: i32, bytes: usize) -> usize {
    let Ok(mut context) = context(level) else {
        return 0;
    };
    // The library allocates for a source of this length, then finds no room for a header. It does not look at the source.
    let refused = context.compress_to_buffer(&vec![0; bytes], &mut [0; 1][..]);
    debug_assert!(refused.is_err(), "a frame has more than one byte");
    context.context_mut().sizeof()
}

/// The chunk of `bytes` bytes that `stored` stands for.
pub(super) fn decode(stored: &[u8], bytes: usize) -> Result<Vec<u8>, CodecError> {
    let mut chunk = vec![0; bytes];
    let got = bulk::decompress_to_buffer(stored, &mut chunk[..]).map_err(|error| CodecError::Malformed {
        codec: NAME,
        stored: stored.len(),
        reason: error.to_string(),
    })?;
    if got != bytes {
        return Err(CodecError::Length { codec: NAME, what: "a chunk", got, expected: bytes });
    }
    Ok(chunk)
}
