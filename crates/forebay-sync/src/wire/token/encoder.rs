//! Literal bytes on their way out, compressed.

use std::io;

use flate2::{Compression, FlushCompress};
use zstd::stream::raw::{InBuffer, Operation, OutBuffer};

use super::{DATA, flag};
use crate::wire::number::Put;
use crate::wire::terms::{Compress, Compressor};

/// What a sync flush ends with. It does not travel.
const FLUSHED: [u8; 4] = [0, 0, 0xff, 0xff];
/// What room is made for at least, for a compressor to write to.
const ROOM: usize = 16 << 10;

/// A compressor, and what it has written and not yet given away.
pub(super) struct Encoder {
    codec: Codec,
    pending: Vec<u8>,
    /// Bytes came since the last flush.
    dirty: bool,
}

enum Codec {
    Deflate {
        deflate: flate2::Compress,
        forgets: bool,
    },
    Zstd {
        encoder: zstd::stream::raw::Encoder<'static>,
        open: bool,
    },
    /// What waits is not compressed yet.
    Lz4 {
        block: Vec<u8>,
    },
}

impl Encoder {
    pub(super) fn new(compress: Compress) -> io::Result<Self> {
        let codec = match compress.kind {
            Compressor::Zlib | Compressor::Zlibx => {
                let level = u32::try_from(compress.level)
                    .map_or(Compression::default(), |level| Compression::new(level.min(Compression::best().level())));
                let forgets = compress.kind == Compressor::Zlib;
                Codec::Deflate { deflate: flate2::Compress::new(level, false), forgets }
            }
            Compressor::Zstd => Codec::Zstd { encoder: zstd::stream::raw::Encoder::new(compress.level)?, open: false },
            Compressor::Lz4 => Codec::Lz4 { block: vec![0; lz4_flex::block::get_maximum_output_size(DATA)] },
        };
        Ok(Encoder { codec, pending: Vec::new(), dirty: false })
    }

    /// A file begins. What is left of one that did not end is dropped.
    pub(super) fn begin(&mut self) -> io::Result<()> {
        match &mut self.codec {
            Codec::Deflate { deflate, .. } => deflate.reset(),
            Codec::Zstd { encoder, open } => {
                if std::mem::take(open) {
                    encoder.reinit()?;
                }
            }
            Codec::Lz4 { .. } => {}
        }
        self.pending.clear();
        self.dirty = false;
        Ok(())
    }

    pub(super) fn literal(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.dirty |= !bytes.is_empty();
        match &mut self.codec {
            Codec::Deflate { deflate, .. } => {
                run_deflate(deflate, bytes, FlushCompress::None, &mut self.pending)?;
                // The end of a flush must still be there when it is known to be one.
                give(&mut self.pending, FLUSHED.len(), out);
            }
            Codec::Zstd { encoder, open } => {
                *open = true;
                let mut input = InBuffer::around(bytes);
                while input.pos() < bytes.len() {
                    run_zstd(&mut self.pending, |output| encoder.run(&mut input, output))?;
                }
                give(&mut self.pending, 0, out);
            }
            Codec::Lz4 { block } => {
                let mut bytes = bytes;
                if !self.pending.is_empty() {
                    let (head, rest) = bytes.split_at(bytes.len().min(DATA - self.pending.len()));
                    self.pending.extend_from_slice(head);
                    bytes = rest;
                    if self.pending.len() == DATA {
                        put_block(&self.pending, block, out)?;
                        self.pending.clear();
                    }
                }
                let whole = bytes.chunks_exact(DATA);
                self.pending.extend_from_slice(whole.remainder());
                for bytes in whole {
                    put_block(bytes, block, out)?;
                }
            }
        }
        Ok(())
    }

    /// A reference to blocks follows.
    pub(super) fn flush(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        if !std::mem::take(&mut self.dirty) {
            return Ok(());
        }
        match &mut self.codec {
            Codec::Deflate { deflate, .. } => {
                run_deflate(deflate, &[], FlushCompress::Sync, &mut self.pending)?;
                let kept = self.pending.len().saturating_sub(FLUSHED.len());
                debug_assert!(self.pending.ends_with(&FLUSHED));
                self.pending.truncate(kept);
            }
            Codec::Zstd { encoder, .. } => while run_zstd(&mut self.pending, |output| encoder.flush(output))? > 0 {},
            Codec::Lz4 { block } => {
                put_block(&self.pending, block, out)?;
                self.pending.clear();
            }
        }
        put_data(&self.pending, out);
        self.pending.clear();
        Ok(())
    }

    /// The file ends.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let Codec::Zstd { encoder, open } = &mut self.codec else { return self.flush(out) };
        self.dirty = false;
        if std::mem::take(open) {
            while run_zstd(&mut self.pending, |output| encoder.finish(output, true))? > 0 {}
            encoder.reinit()?;
            put_data(&self.pending, out);
            self.pending.clear();
        }
        Ok(())
    }

    /// Blocks were copied, so that the reader may have something else behind it.
    pub(super) fn copied(&mut self) {
        if let Codec::Deflate { deflate, forgets: true } = &mut self.codec {
            deflate.reset();
        }
    }
}

fn run_deflate(
    deflate: &mut flate2::Compress,
    mut bytes: &[u8],
    flush: FlushCompress,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    loop {
        out.reserve(ROOM);
        let before = deflate.total_in();
        deflate.compress_vec(bytes, out, flush)?;
        let taken = usize::try_from(deflate.total_in() - before).unwrap_or(usize::MAX);
        bytes = bytes.get(taken..).unwrap_or_default();
        // Where room is left, nothing more was to be written.
        if bytes.is_empty() && out.len() < out.capacity() {
            return Ok(());
        }
    }
}

/// Lets `step` append to `out`. Returns what it returns: how much is left to do.
fn run_zstd(
    out: &mut Vec<u8>,
    step: impl FnOnce(&mut OutBuffer<'_, Vec<u8>>) -> io::Result<usize>,
) -> io::Result<usize> {
    out.reserve(ROOM);
    let len = out.len();
    step(&mut OutBuffer::around_pos(out, len))
}

/// Gives away what fills whole pieces, and keeps at least `keep` bytes.
fn give(pending: &mut Vec<u8>, keep: usize, out: &mut Vec<u8>) {
    let whole = pending.len().saturating_sub(keep) / DATA * DATA;
    if whole > 0 {
        put_data(pending.get(..whole).unwrap_or_default(), out);
        pending.drain(..whole);
    }
}

fn put_data(bytes: &[u8], out: &mut Vec<u8>) {
    for piece in bytes.chunks(DATA) {
        // Less than 2^14.
        let len = piece.len() as u16;
        out.put(&(len | u16::from(flag::DATA) << 8).to_be_bytes());
        out.put(piece);
    }
}

/// Compresses `bytes`, at most [`DATA`] of them. What does not get shorter is halved until it fits behind a flag.
fn put_block(bytes: &[u8], block: &mut [u8], out: &mut Vec<u8>) -> io::Result<()> {
    let len = lz4_flex::block::compress_into(bytes, block).map_err(io::Error::other)?;
    if len > DATA {
        let (head, rest) = bytes.split_at(bytes.len() / 2);
        put_block(head, block, out)?;
        return put_block(rest, block, out);
    }
    put_data(block.get(..len).unwrap_or_default(), out);
    Ok(())
}
