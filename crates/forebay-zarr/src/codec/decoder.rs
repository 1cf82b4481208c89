//! Reads the stored form of a chunk.

use std::io::Read;

use flate2::bufread::MultiGzDecoder;

use super::{Codec, CodecError, blosc, checksum, zstd};

/// The chunk of `chunk_bytes` bytes whose stored form is `stored`; with `checksum`, that ends in a CRC-32C.
///
/// Nothing in `stored` is trusted. It may come from another writer of the same codec, at any level; of Blosc 1, chunks
/// are read in which `lz4`, `lz4hc`, `zlib` or `zstd` was used. Never allocates more than twice the chunk and a constant.
///
/// # Errors
/// [`CodecError::ChecksumMismatch`]; [`CodecError::Length`] if the chunk that comes out has another length, or something
/// is cut off; [`CodecError::Malformed`] for anything else that the codec does not write.
pub fn decode(codec: &Codec, checksum: bool, stored: &[u8], chunk_bytes: usize) -> Result<Vec<u8>, CodecError> {
    let stored = if checksum { checksum::open(stored)? } else { stored };
    match codec {
        Codec::None if stored.len() == chunk_bytes => Ok(stored.to_vec()),
        Codec::None => Err(length(codec, stored.len(), chunk_bytes)),
        Codec::Zstd { .. } => zstd::decode(stored, chunk_bytes),
        Codec::Gzip { .. } => gunzip(codec, stored, chunk_bytes),
        Codec::Blosc { .. } => blosc::decode(stored, chunk_bytes),
    }
}

fn length(codec: &Codec, got: usize, expected: usize) -> CodecError {
    CodecError::Length { codec: codec.family(), what: "a chunk", got, expected }
}

fn gunzip(codec: &Codec, stored: &[u8], chunk: usize) -> Result<Vec<u8>, CodecError> {
    let malformed = |error: std::io::Error| CodecError::Malformed {
        codec: codec.family(),
        stored: stored.len(),
        reason: error.to_string(),
    };
    let mut stream = MultiGzDecoder::new(stored);
    let mut raw = vec![0; chunk];
    let mut filled = 0;
    while filled < chunk {
        match stream.read(&mut raw[filled..]).map_err(malformed)? {
            0 => return Err(length(codec, filled, chunk)),
            read => filled += read,
        }
    }
    // The end, too: it has a checksum.
    match stream.read(&mut [0]).map_err(malformed)? {
        0 => Ok(raw),
        more => Err(length(codec, chunk + more, chunk)),
    }
}
