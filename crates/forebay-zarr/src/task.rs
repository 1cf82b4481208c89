//! `Task` and `Packed`: what goes to the workers and what comes back in order.
//!
//! Not only chunks keep the order: notes, flushes and the end of the array go the same way, so that each finds
//! everything before it done and nothing behind it begun.

use bytes::{Buf, Bytes};
use forebay::{DecodeError, Parts, Spill, Weigh};

use crate::scatter::Finished;

/// For the workers.
#[derive(Debug)]
pub(crate) enum Task {
    /// Compress this.
    Chunk(Finished),
    /// Hand this on as it is.
    Ready(Packed),
}

/// The slabs are paid for by their pool.
impl Weigh for Task {}

/// For the assembler, in order.
#[derive(Debug)]
pub(crate) enum Packed {
    /// The stored form of a chunk; without parts if the chunk is all fill value. `reloaded`: it was read, from the spill
    /// store or the array, and is not in slabs.
    Chunk { layer: u64, chunk: usize, parts: Vec<Bytes>, reloaded: bool },
    /// Attributes of a frame, one line of JSON.
    Note { line: Bytes },
    /// Everything before this is to be visible that can be.
    Flush { ticket: u64 },
    /// The array has this many frames; the chunks that follow are the last ones, padded.
    Last { frames: u64 },
    /// Everything is to be landed.
    Close,
}

impl Packed {
    fn bytes(&self) -> usize {
        match self {
            Packed::Chunk { parts, .. } => parts.iter().map(Bytes::len).sum(),
            Packed::Note { line } => line.len(),
            Packed::Flush { .. } | Packed::Last { .. } | Packed::Close => 0,
        }
    }
}

impl Weigh for Packed {
    fn weight(&self) -> usize {
        size_of::<Self>() + self.bytes()
    }
}

/// One byte of kind, two numbers, and the parts.
impl Spill for Packed {
    fn encode(self, out: &mut Parts) {
        let (kind, first, second, parts) = match self {
            Packed::Chunk { layer, chunk, parts, .. } => (0, layer, chunk as u64, parts),
            Packed::Note { line } => (1, 0, 0, vec![line]),
            Packed::Flush { ticket } => (2, ticket, 0, Vec::new()),
            Packed::Last { frames } => (3, frames, 0, Vec::new()),
            Packed::Close => (4, 0, 0, Vec::new()),
        };
        out.write(&[kind]);
        out.write(&first.to_le_bytes());
        out.write(&second.to_le_bytes());
        parts.into_iter().for_each(|part| out.put(part));
    }

    fn decode(mut bytes: Bytes) -> Result<Self, DecodeError> {
        const SHORT: DecodeError = DecodeError("a chunk without its number");
        let kind = bytes.try_get_u8().map_err(|_| SHORT)?;
        let first = bytes.try_get_u64_le().map_err(|_| SHORT)?;
        let second = bytes.try_get_u64_le().map_err(|_| SHORT)?;
        match kind {
            0 => {
                let chunk = usize::try_from(second).map_err(|_| DecodeError("a chunk's number is too large"))?;
                let parts = if bytes.is_empty() { Vec::new() } else { vec![bytes] };
                Ok(Packed::Chunk { layer: first, chunk, parts, reloaded: true })
            }
            1 => Ok(Packed::Note { line: bytes }),
            2 => Ok(Packed::Flush { ticket: first }),
            3 => Ok(Packed::Last { frames: first }),
            4 => Ok(Packed::Close),
            _ => Err(DecodeError("neither a chunk nor a note")),
        }
    }
}
