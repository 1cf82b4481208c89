//! `Packer`: what a worker does with a chunk.

use std::sync::Arc;

use bytes::Bytes;

use crate::buffers::Buffers;
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
    /// Where chunks are compressed to.
    buffers: Buffers,
    /// A slab of nothing but fill value: stands for slabs where nothing arrived.
    fill: Bytes,
}

/// See the [module](self). Each worker has its own.
#[derive(Debug)]
pub(crate) struct Packer {
    packing: Packing,
    /// `None` where chunks are stored as they are.
    encoder: Option<Encoder>,
    stage: Stage,
}

impl Packing {
    pub(crate) fn new(spec: &ArraySpec, layout: &Layout, counters: &Arc<Counters>, keep: usize) -> Self {
        let fill = spec.fill.bytes(spec.dtype).repeat(layout.slab_bytes / spec.dtype.size());
        Packing {
            spec: Arc::new(spec.clone()),
            layout: layout.clone(),
            counters: Arc::clone(counters),
            buffers: Buffers::new(keep),
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
        Ok(Packer { packing: self.clone(), encoder, stage })
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
                    return Ok(Packed::Chunk { layer, chunk, parts: Vec::new() });
                }
                add(&counters.chunks_compressed, 1);
                let parts = match &mut self.encoder {
                    Some(encoder) => self.packing.encode(encoder, &slabs)?,
                    None => self.packing.as_they_are(slabs),
                };
                let packed: usize = parts.iter().map(Bytes::len).sum();
                add(&counters.packed_in, self.packing.layout.chunk_bytes as u64);
                add(&counters.packed_out, packed as u64);
                Ok(Packed::Chunk { layer, chunk, parts })
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

    fn encode(&self, encoder: &mut Encoder, slabs: &Slabs) -> Result<Vec<Bytes>, WriteError> {
        let pieces: Vec<&[u8]> = slabs
            .iter()
            .enumerate()
            .map(|(n, slab)| &slab.as_ref().map_or(&self.fill[..], |slab| &slab[..])[..self.layout.slab_len(n)])
            .collect();
        let mut out = self.buffers.take();
        encoder.encode(&pieces, &mut out)?;
        // A chunk that waits takes what it is long: one that became short does not keep a long buffer for itself.
        let short = out.len() <= out.capacity() / 2;
        Ok(vec![if short { Bytes::copy_from_slice(&out) } else { Bytes::from_owner(out) }])
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
