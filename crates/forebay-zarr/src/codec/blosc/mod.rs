//! Blosc 1 chunks, written and read in safe Rust.
//!
//! The format is that of c-blosc's `README_CHUNK_FORMAT`, and what is written here is read by c-blosc and the reverse:
//!
//! ```text
//! header, 16 bytes:  2, 1, flags, size of an element, then u32: bytes of the chunk, bytes of a block, bytes of all this
//! u32 for each block: where it starts
//! for each block:    its streams, each behind its length (u32)
//! ```
//!
//! All numbers are little-endian. The chunk is cut into blocks; each block is shuffled by itself and then compressed as
//! one stream or, with flag [`NOT_SPLIT`] unset, as one stream for each byte of an element. A stream that is as long as
//! what it stands for is stored as it is. The last block may be shorter, and is then never split. A chunk that does not
//! become smaller is stored as it is behind the header ([`COPIED`]).
//!
//! With zstd-1 and the byte shuffle, 1,395 MB of noisy 16-bit frames take a second of one core and become 2.29 times
//! smaller; c-blosc 1.21 manages 1,394 MB and 2.21 with blocks of 256 KiB, 884 MB and 2.28 with those that it chooses
//! itself (`cargo run --release --bin codec` in `benches/`; an EPYC of 2 cores). The byte shuffle alone does 8 to 40 GB/s,
//! the bit shuffle 3. The choices:
//!
//! - *Blocks* have 128 KiB for each byte of an element, at least 256 KiB and less than twice of that, so that a stream
//!   fills one block of zstd. They are equal, so that what is left for the last one is nothing or next to nothing.
//! - *Split* always, where elements have several bytes: the planes have nothing in common.
//! - *New codes* in the frames of zstd-1 for every 32 KiB of the lower bytes; see `Codes`.
//! - Pieces are never copied together: the shuffle reads them where they are.

mod bits;
mod decode;
mod encode;
mod shuffle;
mod stream;

pub(super) use decode::decode;
pub(super) use encode::Encoder;

use super::{Compressor, Shuffle};

/// What errors call it.
const NAME: &str = "blosc";

/// Bytes of the header.
const HEADER: usize = 16;

/// Version of the format.
const VERSION: u8 = 2;

/// Version of the format of each compressor.
const STREAM_VERSION: u8 = 1;

/// Flag: the bytes of each block are shuffled.
const BYTES_SHUFFLED: u8 = 0x01;

/// Flag: the chunk is stored as it is.
const COPIED: u8 = 0x02;

/// Flag: the bits of each block are shuffled.
const BITS_SHUFFLED: u8 = 0x04;

/// Flag: every block is one stream.
const NOT_SPLIT: u8 = 0x10;

/// Where in the flags the compressor is.
const COMPRESSOR_SHIFT: u32 = 5;

/// Elements of more bytes are not split.
const MAX_SPLIT: usize = 16;

/// Blocks with fewer elements are not split, and chunks of fewer bytes are not compressed.
const MIN_SPLIT: usize = 128;

/// Fewest bytes of a block in chunks that have more than one.
const MIN_BLOCK: usize = 256 << 10;

/// Bytes of a stream that are aimed at.
const STREAM: usize = 128 << 10;

/// Bytes of a block in a chunk of `chunk` bytes with elements of `size` bytes.
///
/// A multiple of eight elements wherever there are eight, because that is what the bit shuffle needs.
fn block_bytes(size: usize, chunk: usize) -> usize {
    let least = if size <= MAX_SPLIT { MIN_BLOCK.max(STREAM * size) } else { MIN_BLOCK };
    let blocks = (chunk / least).max(1);
    match chunk / blocks / (8 * size) * (8 * size) {
        0 => chunk,
        block => block,
    }
}

/// How many streams a whole block becomes unless [`NOT_SPLIT`] is set. Readers come to the same number.
fn streams(size: usize, block: usize) -> usize {
    if size <= MAX_SPLIT && block / size >= MIN_SPLIT { size } else { 1 }
}

/// Most bytes that encoding a chunk needs room for: what it becomes has 16 more than the chunk at most, but while the last
/// stream is compressed it may be longer.
pub(super) fn bound(chunk: usize) -> usize {
    let blocks = chunk / MIN_BLOCK + 2;
    HEADER + chunk + blocks * 4 * (1 + MAX_SPLIT) + stream::overshoot(chunk.min(2 * MIN_BLOCK))
}

/// Bytes of memory that an encoder holds.
pub(super) fn encoder_bytes(compressor: Compressor, level: u8, shuffle: Shuffle, size: usize, chunk: usize) -> usize {
    if level == 0 || chunk < MIN_SPLIT || size == 0 {
        return 0;
    }
    let block = block_bytes(size, chunk);
    let stream = block / streams(size, block);
    block * if shuffle == Shuffle::Bit { 2 } else { 1 } + stream::context_bytes(compressor, level, stream)
}

/// The header's number of a compressor.
fn number(compressor: Compressor) -> u8 {
    match compressor {
        Compressor::Lz4 | Compressor::Lz4hc => 1,
        Compressor::Zlib => 3,
        Compressor::Zstd => 4,
    }
}

/// The header's flags of a shuffle.
fn shuffled(shuffle: Shuffle) -> u8 {
    match shuffle {
        Shuffle::None => 0,
        Shuffle::Byte => BYTES_SHUFFLED,
        Shuffle::Bit => BITS_SHUFFLED,
    }
}
