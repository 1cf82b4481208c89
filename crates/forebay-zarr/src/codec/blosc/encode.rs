//! `Encoder`: writes Blosc 1 chunks.

use super::super::pieces::Pieces;
use super::super::zstd::Codes;
use super::super::{CodecError, Compressor, Shuffle};
use super::stream::Streams;
use super::{
    COMPRESSOR_SHIFT, COPIED, HEADER, MIN_SPLIT, NAME, NOT_SPLIT, STREAM_VERSION, VERSION, bits, block_bytes, number,
    shuffle, shuffled, streams,
};

/// Writes Blosc 1 chunks of one length. Holds one block, or two for the bit shuffle.
#[derive(Debug)]
pub(in super::super) struct Encoder {
    /// None at level 0, and for chunks that are too small.
    streams: Option<Streams>,
    compressor: Compressor,
    shuffle: Shuffle,
    size: usize,
    chunk: usize,
    block: Vec<u8>,
    bits: Vec<u8>,
}

impl Encoder {
    pub(in super::super) fn new(
        compressor: Compressor,
        level: u8,
        shuffle: Shuffle,
        size: usize,
        chunk: usize,
    ) -> Result<Self, CodecError> {
        let refuse = |reason| Err(CodecError::Refused { codec: NAME, reason });
        if size > 255 {
            return refuse(format!("elements have {size} bytes; the most are 255"));
        }
        if chunk > i32::MAX as usize - HEADER {
            return refuse(format!("a chunk has {chunk} bytes; the most are {}", i32::MAX as usize - HEADER));
        }
        let compresses = level > 0 && chunk >= MIN_SPLIT;
        let stream = compresses.then(|| Streams::new(compressor, level)).transpose();
        let block = if compresses { block_bytes(size, chunk) } else { 0 };
        Ok(Encoder {
            streams: stream.map_err(|source| CodecError::Library {
                codec: NAME,
                what: "prepare for",
                bytes: chunk,
                source,
            })?,
            compressor,
            shuffle,
            size,
            chunk,
            block: vec![0; block],
            bits: vec![0; if shuffle == Shuffle::Bit { block } else { 0 }],
        })
    }

    /// Writes the chunk `pieces` behind the end of `out`, which is empty.
    pub(in super::super) fn encode(&mut self, pieces: &[&[u8]], out: &mut Vec<u8>) -> Result<(), CodecError> {
        let split = streams(self.size, self.block.len());
        let flags = number(self.compressor) << COMPRESSOR_SHIFT | shuffled(self.shuffle);
        let flags = flags | if split == 1 { NOT_SPLIT } else { 0 };
        if !self.compress(Pieces::new(pieces), split, flags, out)? {
            out.clear();
            self.header(flags | COPIED, out);
            pieces.iter().for_each(|piece| out.extend_from_slice(piece));
        }
        let length = (out.len() as u32).to_le_bytes();
        out[HEADER - 4..HEADER].copy_from_slice(&length);
        Ok(())
    }

    /// Writes the header, all but the length of what follows.
    fn header(&self, flags: u8, out: &mut Vec<u8>) {
        let block = if self.block.is_empty() { self.chunk } else { self.block.len() };
        out.extend_from_slice(&[VERSION, STREAM_VERSION, flags, self.size as u8]);
        [self.chunk, block, 0].iter().for_each(|&number| out.extend_from_slice(&(number as u32).to_le_bytes()));
    }

    /// Writes header and blocks. False if that does not become smaller than the chunk with its header.
    fn compress(
        &mut self,
        mut from: Pieces<'_>,
        split: usize,
        flags: u8,
        out: &mut Vec<u8>,
    ) -> Result<bool, CodecError> {
        self.header(flags, out);
        let Encoder { streams: Some(streams), shuffle, size, chunk, block, bits, .. } = self else {
            return Ok(false);
        };
        let blocks = chunk.div_ceil(block.len());
        out.resize(HEADER + 4 * blocks, 0);
        for number in 0..blocks {
            let start = (out.len() as u32).to_le_bytes();
            out[HEADER + 4 * number..][..4].copy_from_slice(&start);
            let length = block.len().min(*chunk - number * block.len());
            let split = if length == block.len() { split } else { 1 };
            let ready = rearrange(&mut from, *shuffle, *size, &mut block[..length], bits);
            for (at, stream) in ready.chunks_exact(length / split).enumerate() {
                // The highest bytes are hardly noise.
                let codes = if split > 1 && at == split - 1 { Codes::Usual } else { Codes::Local };
                let begin = out.len();
                out.extend_from_slice(&[0; 4]);
                streams.push(stream, codes, out).map_err(|source| CodecError::Library {
                    codec: NAME,
                    what: "compress a stream of",
                    bytes: stream.len(),
                    source,
                })?;
                let stored = ((out.len() - begin - 4) as u32).to_le_bytes();
                out[begin..begin + 4].copy_from_slice(&stored);
            }
            if out.len() >= *chunk + HEADER {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The next block of the chunk, shuffled, in `block` or in `other`.
fn rearrange<'a>(
    from: &mut Pieces<'_>,
    kind: Shuffle,
    size: usize,
    block: &'a mut [u8],
    other: &'a mut [u8],
) -> &'a [u8] {
    let count = block.len() / size;
    match kind {
        Shuffle::Byte => shuffle::shuffle(from, size, block),
        Shuffle::Bit if count > 0 && count.is_multiple_of(8) => {
            shuffle::shuffle(from, size, block);
            let other = &mut other[..block.len()];
            bits::planes(block, size, other);
            return other;
        }
        Shuffle::None | Shuffle::Bit => {
            from.gather(block);
        }
    }
    block
}
