//! `Packer`: what a worker does with a chunk.
//!
//! A chunk is compressed into the worker's own buffer and from there copied back into the slabs that it came from; those
//! that it does not fill any more go back to the pool. So compressing takes no memory, however many chunks wait for their
//! turn or for the store behind it: each keeps some of what it had. Only what does not fill a slab is kept beside them.

use std::sync::Arc;

use bytes::Bytes;

use crate::codec::{Encoder, crc32c};
use crate::error::WriteError;
use crate::layout::Layout;
use crate::progress::{Counters, Stage, add};
use crate::scatter::{Finished, Slabs};
use crate::spec::ArraySpec;
use crate::task::{Packed, Task};

/// What all workers share.
#[derive(Clone, Debug)]
pub(crate) struct Packing {
    spec: Arc<ArraySpec>,
    layout: Layout,
    counters: Arc<Counters>,
    /// A slab of nothing but fill value: stands for slabs where nothing arrived.
    fill: Bytes,
}

/// See the [module](self). Each worker has its own.
#[derive(Debug)]
pub(crate) struct Packer {
    packing: Packing,
    /// `None` where chunks are stored as they are.
    encoder: Option<Encoder>,
    /// Where it compresses to.
    out: Vec<u8>,
    stage: Stage,
}

impl Packing {
    pub(crate) fn new(spec: &ArraySpec, layout: &Layout, counters: &Arc<Counters>) -> Self {
        let fill = spec.fill.bytes(spec.dtype).repeat(layout.slab_bytes / spec.dtype.size());
        Packing {
            spec: Arc::new(spec.clone()),
            layout: layout.clone(),
            counters: Arc::clone(counters),
            fill: Bytes::from(fill),
        }
    }

    /// A worker's own part.
    pub(crate) fn packer(&self, stage: Stage) -> Result<Packer, WriteError> {
        let ArraySpec { codec, checksum, dtype, .. } = &*self.spec;
        let encoder = if self.spec.stores_slabs() {
            None
        } else {
            Some(Encoder::new(codec, *checksum, dtype.size(), self.layout.chunk_bytes)?)
        };
        Ok(Packer { packing: self.clone(), encoder, out: Vec::new(), stage })
    }
}

impl Packer {
    pub(crate) fn pack(&mut self, task: Task) -> Result<Packed, WriteError> {
        let outcome = self.try_pack(task);
        self.stage.watch(outcome)
    }

    fn try_pack(&mut self, task: Task) -> Result<Packed, WriteError> {
        match task {
            Task::Ready(packed) => Ok(packed),
            Task::Chunk(Finished { layer, chunk, slabs }) => {
                let Packing { counters, .. } = &self.packing;
                if self.packing.is_fill(&slabs) {
                    add(&counters.chunks_left_out, 1);
                    return Ok(Packed::Chunk { layer, chunk, parts: Vec::new(), reloaded: false });
                }
                let parts = match &mut self.encoder {
                    Some(encoder) => self.packing.encode(encoder, &mut self.out, slabs)?,
                    None => self.packing.as_they_are(slabs),
                };
                let packed: usize = parts.iter().map(Bytes::len).sum();
                add(&counters.chunks_compressed, 1);
                add(&counters.packed_in, self.packing.layout.chunk_bytes as u64);
                add(&counters.packed_out, packed as u64);
                Ok(Packed::Chunk { layer, chunk, parts, reloaded: false })
            }
        }
    }
}

impl Packing {
    fn is_fill(&self, slabs: &Slabs) -> bool {
        slabs.iter().enumerate().all(|(n, slab)| {
            let len = self.layout.slab_len(n);
            slab.as_ref().is_none_or(|slab| slab[..len] == self.fill[..len])
        })
    }

    fn encode(&self, encoder: &mut Encoder, out: &mut Vec<u8>, slabs: Slabs) -> Result<Vec<Bytes>, WriteError> {
        let pieces: Vec<&[u8]> = slabs
            .iter()
            .enumerate()
            .map(|(n, slab)| &slab.as_ref().map_or(&self.fill[..], |slab| &slab[..])[..self.layout.slab_len(n)])
            .collect();
        encoder.encode(&pieces, out)?;
        let mut parts = Vec::new();
        let mut left = &out[..];
        for mut slab in slabs.into_iter().flatten() {
            let Some((now, later)) = left.split_at_checked(slab.len()) else { break };
            slab.copy_from_slice(now);
            parts.push(Bytes::from_owner(slab));
            left = later;
        }
        if !left.is_empty() {
            parts.push(Bytes::copy_from_slice(left));
        }
        Ok(parts)
    }

    fn as_they_are(&self, slabs: Slabs) -> Vec<Bytes> {
        let slab = |(n, slab): (usize, Option<_>)| {
            let bytes = slab.map_or_else(|| self.fill.clone(), Bytes::from_owner);
            bytes.slice(..self.layout.slab_len(n))
        };
        let mut parts: Vec<Bytes> = slabs.into_iter().enumerate().map(slab).collect();
        if self.spec.checksum {
            let pieces: Vec<&[u8]> = parts.iter().map(|part| &part[..]).collect();
            parts.push(Bytes::copy_from_slice(&crc32c(&pieces).to_le_bytes()));
        }
        parts
    }
}
