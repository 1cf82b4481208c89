//! zstd: contexts that are reused, and their parameters.

use std::fmt;
use std::io::{self, Cursor};

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
    context: Context,
    chunk: Vec<u8>,
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").field("chunk_bytes", &self.chunk.len()).finish_non_exhaustive()
    }
}

impl Encoder {
    pub(super) fn new(level: i32, chunk: usize) -> Result<Self, CodecError> {
        let context = chunk_context(level).map_err(|source| failed("prepare for", chunk, source))?;
        Ok(Encoder { context, chunk: vec![0; chunk] })
    }

    /// Writes the frame to `out`, which is empty and has room for [`bound`] bytes.
    pub(super) fn encode(&mut self, pieces: &[&[u8]], out: &mut Vec<u8>) -> Result<(), CodecError> {
        Pieces::new(pieces).gather(&mut self.chunk);
        let compressed = self.context.compress(&self.chunk, Codes::Local, out);
        compressed.map_err(|source| failed("compress", self.chunk.len(), source))
    }
}

fn failed(what: &'static str, bytes: usize, source: io::Error) -> CodecError {
    CodecError::Library { codec: NAME, what, bytes, source }
}

/// Most bytes of the frame of a chunk, with a block header for every 32 KiB.
pub(super) fn bound(chunk: usize) -> usize {
    zstd_safe::compress_bound(chunk) + chunk / LOCAL * 3
}

/// Bytes for which a code is made, with [`Codes::Local`].
const LOCAL: usize = 32 << 10;

/// How often a frame gets new codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codes {
    /// Every 32 KiB at levels 1 and 2. What is bright and what is dark in a frame has other statistics, and the lower a
    /// byte, the more it is noise: the low bytes of camera data become 3 % smaller and take a fifth longer, 8-bit video
    /// becomes a tenth smaller. Higher levels find such places themselves, negative ones have no codes.
    Local,
    /// Every 128 KiB, or where zstd thinks fit.
    Usual,
}

/// What compresses, again and again, and depends on nothing that it compressed before.
pub(super) struct Context {
    library: Compressor<'static>,
    level: i32,
}

impl Context {
    pub(super) fn new(level: i32) -> io::Result<Self> {
        Ok(Context { library: Compressor::new(level)?, level })
    }

    /// Puts a frame of `source` behind `out`, which must have room for all that it may become: with less, the frame would
    /// depend on how much less.
    pub(super) fn compress(&mut self, source: &[u8], codes: Codes, out: &mut Vec<u8>) -> io::Result<()> {
        if matches!(self.level, 1 | 2) {
            let block = if codes == Codes::Local { LOCAL } else { zstd_safe::BLOCKSIZE_MAX as usize };
            self.library.set_parameter(CParameter::MaxBlockSize(block as u32))?;
        }
        let begin = out.len() as u64;
        let mut end = Cursor::new(out);
        end.set_position(begin);
        self.library.compress_to_buffer(source, &mut end)?;
        Ok(())
    }

    /// Bytes of memory that it takes to compress `bytes` bytes at a time.
    pub(super) fn memory(mut self, bytes: usize) -> usize {
        // The library allocates for a source of this length, then finds no room for a header. It does not look at the
        // source.
        let refused = self.library.compress_to_buffer(&vec![0; bytes], &mut [0; 1][..]);
        debug_assert!(refused.is_err(), "a frame has more than one byte");
        self.library.context_mut().sizeof()
    }
}

/// A context for whole chunks, which are not shuffled.
///
/// Level 1 looks for repetitions with a table of 2,048 places and not of 16,384: those that a larger one finds in noise
/// cost time and save next to nothing. Chunks of camera data become 0.7 % larger and take two thirds of the time; text,
/// which is nobody's frame, becomes a sixth larger.
fn chunk_context(level: i32) -> io::Result<Context> {
    let mut context = Context::new(level)?;
    if level == 1 {
        context.library.set_parameter(CParameter::HashLog(11))?;
    }
    Ok(context)
}

/// Bytes of memory that an encoder holds.
pub(super) fn encoder_bytes(level: i32, chunk: usize) -> usize {
    chunk + chunk_context(level).map_or(0, |context| context.memory(chunk))
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
