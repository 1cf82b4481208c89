//! `Encoder`: makes the stored form of chunks.

use std::fmt;
use std::io;

use flate2::{Compress, Compression, FlushCompress, Status};

use super::pieces::Pieces;
use super::{Codec, CodecError, blosc, checksum, zstd};

/// Bytes that are handed to gzip at a time. What it makes of a chunk must not depend on how the chunk is cut.
pub(super) const GZIP_FEED: usize = 64 << 10;

/// Makes the stored form of chunks of one length.
///
/// One for each worker: contexts and scratch buffers are made once and reused, and nothing of a chunk stays behind. The
/// bytes depend on the codec, the size of an element and the chunk's bytes, and on nothing else: not on how the chunk is
/// cut into pieces, nor on what was encoded before, nor on the capacity of the buffer.
pub struct Encoder {
    codec: Codec,
    checksum: bool,
    chunk: usize,
    work: Work,
}

enum Work {
    None,
    Zstd(zstd::Encoder),
    Gzip { state: Compress, feed: Vec<u8> },
    Blosc(blosc::Encoder),
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder")
            .field("codec", &self.codec)
            .field("checksum", &self.checksum)
            .field("chunk_bytes", &self.chunk)
            .finish_non_exhaustive()
    }
}

impl Encoder {
    /// An encoder of chunks of `chunk_bytes` bytes, which hold elements of `typesize` bytes.
    ///
    /// # Errors
    /// [`CodecError::Refused`] for a level that the codec does not have, for a chunk that is empty or holds a fraction of
    /// an element, and for what Blosc cannot store: elements of more than 255 bytes, chunks of nearly 2 GiB.
    /// [`CodecError::Library`] where there is no memory for a context.
    pub fn new(codec: &Codec, checksum: bool, typesize: usize, chunk_bytes: usize) -> Result<Self, CodecError> {
        codec.validate()?;
        if typesize == 0 || chunk_bytes == 0 || !chunk_bytes.is_multiple_of(typesize) {
            let reason = format!("a chunk of {chunk_bytes} bytes is no number of elements of {typesize} bytes");
            return Err(CodecError::Refused { codec: codec.family(), reason });
        }
        let work = match *codec {
            Codec::None => Work::None,
            Codec::Zstd { level } => Work::Zstd(zstd::Encoder::new(level, chunk_bytes)?),
            Codec::Gzip { level } => Work::Gzip {
                state: Compress::new_gzip(Compression::new(level), 15),
                feed: vec![0; GZIP_FEED.min(chunk_bytes)],
            },
            Codec::Blosc { compressor, level, shuffle } => {
                Work::Blosc(blosc::Encoder::new(compressor, level, shuffle, typesize, chunk_bytes)?)
            }
        };
        Ok(Encoder { codec: *codec, checksum, chunk: chunk_bytes, work })
    }

    /// Writes the stored form of the chunk `pieces`, which together have as many bytes as [`new`](Self::new) was told,
    /// to `out`. What was there is gone; the capacity is reused, and grown where it is below [`Codec::bound`].
    ///
    /// # Errors
    /// [`CodecError::Length`] if the pieces have more or fewer bytes. [`CodecError::Library`] if the compressor's library
    /// fails, for which it has no reason but lack of memory. `out` then holds something, and the encoder can go on.
    pub fn encode(&mut self, pieces: &[&[u8]], out: &mut Vec<u8>) -> Result<(), CodecError> {
        let codec = self.codec.family();
        let bytes = pieces.iter().map(|piece| piece.len()).sum();
        if bytes != self.chunk {
            return Err(CodecError::Length { codec, what: "a chunk", got: bytes, expected: self.chunk });
        }
        out.clear();
        out.reserve_exact(self.codec.bound(self.checksum, self.chunk));
        match &mut self.work {
            Work::None => pieces.iter().for_each(|piece| out.extend_from_slice(piece)),
            Work::Zstd(encoder) => encoder.encode(pieces, out)?,
            Work::Gzip { state, feed } => gzip(state, feed, pieces, out).map_err(|source| CodecError::Library {
                codec,
                what: "compress",
                bytes,
                source,
            })?,
            Work::Blosc(encoder) => encoder.encode(pieces, out)?,
        }
        if self.checksum {
            checksum::seal(out);
        }
        Ok(())
    }
}

/// A gzip stream with no name and no time. `out` has room for all of it.
fn gzip(state: &mut Compress, feed: &mut [u8], pieces: &[&[u8]], out: &mut Vec<u8>) -> io::Result<()> {
    state.reset();
    let mut pieces = Pieces::new(pieces);
    loop {
        let filled = pieces.gather(feed);
        let last = filled < feed.len();
        let before = state.total_in();
        let flush = if last { FlushCompress::Finish } else { FlushCompress::None };
        let status = state.compress_vec(&feed[..filled], out, flush)?;
        if state.total_in() - before != filled as u64 || last != (status == Status::StreamEnd) {
            return Err(io::Error::other("the stream became longer than it can become"));
        }
        if last {
            return Ok(());
        }
    }
}
