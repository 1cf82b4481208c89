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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DataType;
    use crate::pool::{Pool, Pooled};

    /// Compressing must not take memory beside the slabs, whatever waits behind it.
    #[test]
    fn a_compressed_chunk_stays_in_slabs_of_its_own_and_gives_the_others_back() {
        let spec = ArraySpec::new(DataType::UInt8, &[1 << 20], &[1, 1 << 20], &[1, 1 << 20]);
        let layout = Layout::new(&spec);
        let (len, count) = (layout.slab_bytes, layout.slabs_per_chunk);
        let pool = Pool::new(len, count, 0);
        let counters = Arc::new(Counters::default());
        let stage = Stage { counters: Arc::clone(&counters), slabs: pool.clone() };
        let mut packer = Packing::new(&spec, &layout, &counters).packer(stage).unwrap();
        let noise = |n: usize, slab: &mut [u8]| {
            let mut random = n as u64 + 1;
            for byte in slab {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                *byte = (random >> 56) as u8;
            }
        };
        for noisy in [count, count / 2, 0] {
            let mut slabs: Vec<Pooled> = std::iter::from_fn(|| pool.take()).collect();
            assert_eq!(slabs.len(), count);
            for (n, slab) in slabs.iter_mut().enumerate() {
                if n < noisy { noise(n, slab) } else { slab.fill(7) }
            }
            let task = Task::Chunk(Finished { layer: 0, chunk: 0, slabs: slabs.into_iter().map(Some).collect() });
            let Packed::Chunk { parts, .. } = packer.pack(task).unwrap() else { unreachable!("a chunk stays one") };
            let stored: usize = parts.iter().map(Bytes::len).sum();
            assert!(stored / len >= noisy.saturating_sub(1) && stored < (noisy + 1) * len, "{noisy}: {stored}");
            assert_eq!(pool.bytes_out().0, stored / len * len);
            assert_eq!(parts.len(), stored.div_ceil(len));
            drop(parts);
            assert_eq!(pool.bytes_out().0, 0);
        }
    }
}
