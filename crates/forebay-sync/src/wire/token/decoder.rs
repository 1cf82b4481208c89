//! Compressed literal bytes that come in.

use std::io;

use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{InBuffer, Operation, OutBuffer};

use super::{DATA, WINDOW};
use crate::wire::error::WireError;
use crate::wire::terms::Compressor;

/// What room is made for at least, for a decompressor to write to.
const ROOM: usize = 64 << 10;
/// The most bytes that one block of LZ4 may become: the reference writes a quarter of it.
const BLOCK: usize = 64 << 10;

/// A decompressor, and what it has to read.
pub(super) struct Decoder {
    codec: Codec,
    input: Vec<u8>,
    /// Up to where the input was read.
    at: usize,
}

enum Codec {
    Deflate { inflate: Decompress, remembers: bool },
    Zstd(zstd::stream::raw::Decoder<'static>),
    Lz4(Vec<u8>),
}

impl Decoder {
    pub(super) fn new(kind: Compressor) -> io::Result<Self> {
        let codec = match kind {
            Compressor::Zlib => Codec::Deflate { inflate: Decompress::new(false), remembers: true },
            Compressor::Zlibx => Codec::Deflate { inflate: Decompress::new(false), remembers: false },
            Compressor::Zstd => Codec::Zstd(zstd::stream::raw::Decoder::new()?),
            Compressor::Lz4 => Codec::Lz4(vec![0; BLOCK]),
        };
        Ok(Decoder { codec, input: Vec::with_capacity(DATA), at: 0 })
    }

    /// A file begins.
    pub(super) fn begin(&mut self) {
        if let Codec::Deflate { inflate, .. } = &mut self.codec {
            inflate.reset(false);
        }
        self.input.clear();
        self.at = 0;
    }

    /// Whether data is cut off before its end, which must be given as input when something else follows.
    pub(super) fn is_cut(&self) -> bool {
        matches!(self.codec, Codec::Deflate { .. })
    }

    /// Whether copied blocks enter the history.
    pub(super) fn remembers(&self) -> bool {
        matches!(self.codec, Codec::Deflate { remembers: true, .. })
    }

    /// The buffer for the next input. What was in it has been read.
    pub(super) fn input(&mut self) -> &mut Vec<u8> {
        self.at = 0;
        self.input.clear();
        &mut self.input
    }

    /// Appends to `out` what can be read of the input, some at a time. Says whether there may be more.
    pub(super) fn read(&mut self, out: &mut Vec<u8>) -> Result<bool, WireError> {
        let input = self.input.get(self.at..).unwrap_or_default();
        out.reserve(ROOM);
        let before = out.len();
        match &mut self.codec {
            Codec::Deflate { inflate, .. } => {
                let taken = inflate.total_in();
                let status =
                    inflate.decompress_vec(input, out, FlushDecompress::Sync).map_err(|_| damaged(&self.input))?;
                if status == Status::StreamEnd {
                    return Err(WireError::protocol("compressed data that ends within a file", 0));
                }
                self.at += usize::try_from(inflate.total_in() - taken).unwrap_or(usize::MAX);
            }
            Codec::Zstd(decoder) => {
                let mut input = InBuffer::around(input);
                let mut output = OutBuffer::around_pos(out, before);
                decoder.run(&mut input, &mut output).map_err(|_| damaged(&self.input))?;
                self.at += input.pos();
            }
            Codec::Lz4(block) => {
                let len = lz4_flex::block::decompress_into(input, block).map_err(|_| damaged(&self.input))?;
                out.extend_from_slice(block.get(..len).unwrap_or_default());
                self.at = self.input.len();
                return Ok(false);
            }
        }
        // Where room is left, nothing more was to be written.
        let more = out.len() == out.capacity();
        if !more && self.at < self.input.len() && out.len() == before {
            return Err(damaged(&self.input));
        }
        Ok(more || self.at < self.input.len())
    }

    /// Enters copied bytes into the history, as they stand before what comes next.
    pub(super) fn remember(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Codec::Deflate { inflate, remembers: true } = &mut self.codec {
            inflate.set_dictionary(bytes.get(bytes.len().saturating_sub(WINDOW)..).unwrap_or_default())?;
        }
        Ok(())
    }
}

fn damaged(input: &[u8]) -> WireError {
    WireError::protocol("damaged compressed data", i64::try_from(input.len()).unwrap_or(i64::MAX))
}
