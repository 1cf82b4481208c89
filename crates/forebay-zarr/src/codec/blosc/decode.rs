//! Reads Blosc 1 chunks, also those of other writers.

use super::super::CodecError;
use super::stream::read;
use super::{
    BITS_SHUFFLED, BYTES_SHUFFLED, COMPRESSOR_SHIFT, COPIED, HEADER, NAME, NOT_SPLIT, VERSION, bits, shuffle, streams,
};

/// The chunk of `chunk` bytes that `stored` stands for. Allocates one block beside it, which is no longer than the chunk.
pub(in super::super) fn decode(stored: &[u8], chunk: usize) -> Result<Vec<u8>, CodecError> {
    let malformed = |reason: String| CodecError::Malformed { codec: NAME, stored: stored.len(), reason };
    let wrong = |what, got, expected| CodecError::Length { codec: NAME, what, got, expected };
    let Some((header, behind)) = stored.split_first_chunk::<HEADER>() else {
        return Err(wrong("a header", stored.len(), HEADER));
    };
    let [version, _, flags, size, ..] = *header;
    let size = usize::from(size);
    let number = |at: usize| word(header, at).unwrap_or_default();
    if version != VERSION {
        return Err(malformed(format!("it has version {version} of the format; {VERSION} can be read")));
    }
    if number(4) != chunk {
        return Err(wrong("what is compressed", number(4), chunk));
    }
    if number(12) != stored.len() {
        return Err(wrong("a chunk whose header counts otherwise", stored.len(), number(12)));
    }
    if flags & COPIED != 0 {
        if behind.len() != chunk {
            return Err(wrong("a chunk that is not compressed", behind.len(), chunk));
        }
        return Ok(behind.to_vec());
    }
    let block = number(8);
    if size == 0 || block == 0 || block > chunk {
        return Err(malformed(format!("its elements have {size} bytes, its blocks {block}, the chunk {chunk}")));
    }
    let blocks = chunk.div_ceil(block);
    if behind.len() / 4 < blocks {
        return Err(malformed(format!("{} bytes hold no starts of {blocks} blocks", behind.len())));
    }

    let split = if flags & NOT_SPLIT == 0 { streams(size, block) } else { 1 };
    let mut raw = vec![0; chunk];
    let mut shuffled = Vec::new();
    for (index, raw) in raw.chunks_mut(block).enumerate() {
        let split = if raw.len() == block { split } else { 1 };
        if raw.len() % split != 0 {
            return Err(malformed(format!("a block of {block} bytes cannot be {split} streams")));
        }
        let rearranged = arrangement(flags, size, raw.len());
        shuffled.resize(if rearranged == Arrangement::AsIs { 0 } else { raw.len() }, 0);
        let to = if rearranged == Arrangement::AsIs { &mut *raw } else { &mut shuffled[..] };
        let mut at = word(stored, HEADER + 4 * index).unwrap_or_default();
        let length = to.len() / split;
        for to in to.chunks_exact_mut(length) {
            let stream =
                stream(stored, at).ok_or_else(|| malformed(format!("no stream of block {index} is at {at}")))?;
            read(flags >> COMPRESSOR_SHIFT, stream, to)?;
            at += 4 + stream.len();
        }
        match rearranged {
            Arrangement::AsIs => {}
            Arrangement::Bytes => shuffle::unshuffle(&shuffled, size, raw),
            Arrangement::Bits => {
                let whole = raw.len() - raw.len() % size;
                bits::unplanes(&shuffled[..whole], size, &mut raw[..whole]);
                shuffled[..whole].copy_from_slice(&raw[..whole]);
                shuffle::unshuffle(&shuffled, size, raw);
            }
        }
    }
    Ok(raw)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Arrangement {
    AsIs,
    Bytes,
    Bits,
}

/// How a block of `length` bytes was rearranged.
fn arrangement(flags: u8, size: usize, length: usize) -> Arrangement {
    let count = length / size;
    if flags & BYTES_SHUFFLED != 0 && size > 1 {
        Arrangement::Bytes
    } else if flags & BITS_SHUFFLED != 0 && count > 0 && count.is_multiple_of(8) {
        Arrangement::Bits
    } else {
        Arrangement::AsIs
    }
}

/// The number at `at`.
fn word(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?) as usize)
}

/// The stream whose length is at `at`.
fn stream(stored: &[u8], at: usize) -> Option<&[u8]> {
    let (_, behind) = stored.get(at..)?.split_first_chunk::<4>()?;
    behind.get(..word(stored, at)?)
}
