//! `Layout`: where each byte of the data belongs.
//!
//! The data is a stream of frames. A *layer* is as many frames as a chunk is deep; the bytes of a layer, in the order
//! in which they arrive, go to the chunks of the layer, which are numbered in the order of the data, last dimension
//! fastest. As a chunk's last element arrives in that same order, chunks are finished in the order of their numbers.
//!
//! A *row* is as many layers as a shard is deep: one shard for each place of the frame. Only whole rows are published.
//!
//! A chunk is kept in *slabs*, pieces of equal size (128 KiB or a little less) that come from a pool, so that memory is
//! taken as data arrives and not a whole chunk at a time.
//!
//! # Axes
//! Dimensions that a chunk covers whole are joined with the one before them if they lie side by side in the chunk as
//! they do in the data: what remains are the axes. The last axis is counted in bytes, so a *run* of it is one copy. A
//! stack of small frames that fit into one chunk has a single axis, and any amount of data is one copy.

use crate::dtype::{DataType, FillValue};
use crate::spec::ArraySpec;

/// About how large slabs are, in bytes: large enough that handling one costs nothing beside copying it, and much
/// smaller than a chunk.
const SLAB: usize = 128 << 10;

/// See the [module](self).
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) dtype: DataType,
    pub(crate) fill: FillValue,
    pub(crate) frame_bytes: u64,
    /// Frames of a layer.
    pub(crate) depth: u64,
    /// Layers of a row.
    pub(crate) layers_per_row: u64,
    pub(crate) chunk_bytes: usize,
    pub(crate) slab_bytes: usize,
    pub(crate) slabs_per_chunk: usize,
    /// Chunks of a layer.
    pub(crate) chunks: usize,
    /// Most chunks that are begun and not finished at a time.
    pub(crate) live: usize,
    axes: Vec<Axis>,
    /// Chunks of a layer along each dimension but the first, in the order of the data.
    grid: Vec<u64>,
    /// Chunks of a shard along each dimension, in the order of the data.
    per_shard: Vec<u64>,
    /// Shards of a row along each dimension but the first, in the order of the data.
    shard_grid: Vec<u64>,
    storage_order: Vec<usize>,
}

/// One axis of a layer; the last one is counted in bytes.
#[derive(Clone, Copy, Debug)]
struct Axis {
    /// Steps of a layer.
    extent: u64,
    /// Steps of a chunk.
    chunk: u64,
    /// Bytes of the data from one step to the next.
    source: u64,
    /// Bytes of the chunk from one step to the next.
    inner: u64,
    /// Chunks from one chunk along this axis to the next.
    stride: u64,
}

impl Axis {
    fn chunks(&self) -> u64 {
        self.extent.div_ceil(self.chunk)
    }
}

/// A stretch of the data that goes to one slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The chunk's number in the layer.
    pub(crate) chunk: usize,
    pub(crate) slab: usize,
    /// Where in the slab.
    pub(crate) offset: usize,
    pub(crate) len: usize,
}

/// Bytes of the layer that fill whole rows of chunks, so that each can be copied by a thread of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plane {
    /// The first byte and the one behind the last.
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// Bytes of a band: what goes to one row of chunks. The last one may be shorter.
    pub(crate) band: u64,
    /// The first chunk, and how many each band has.
    pub(crate) chunk: usize,
    pub(crate) chunks_per_band: usize,
    /// The slabs of each chunk that the plane may touch.
    pub(crate) slabs: std::ops::Range<usize>,
}

impl Layout {
    /// The layout of a [valid](ArraySpec::validate) array.
    pub(crate) fn new(spec: &ArraySpec) -> Self {
        let rank = spec.rank();
        let size = spec.dtype.size();
        let chunk_bytes = spec.chunk_bytes() as usize;
        let extent = |dim: usize| if dim == 0 { spec.chunk[0] } else { spec.frame[dim - 1] };

        // Bytes from one element to the next, within the chunk, for each dimension of the data.
        let mut inner = vec![0; rank];
        let mut bytes = size as u64;
        for &dim in spec.storage_order.iter().rev() {
            inner[dim] = bytes;
            bytes *= spec.chunk[dim];
        }
        let slab_bytes = slab_bytes(spec, chunk_bytes);

        let mut axes = Vec::new();
        let last = rank - 1;
        let bytes = size as u64;
        let mut axis =
            Axis { extent: extent(last) * bytes, chunk: spec.chunk[last] * bytes, source: 1, inner: 1, stride: 1 };
        let mut source = axis.extent;
        for dim in (0..last).rev() {
            let stride = axis.stride * axis.chunks();
            let next = Axis { extent: extent(dim), chunk: spec.chunk[dim], source, inner: inner[dim], stride };
            source *= next.extent;
            if axis.extent == axis.chunk && next.inner == axis.inner * axis.chunk {
                axis.extent *= next.extent;
                axis.chunk *= next.chunk;
            } else {
                axes.push(axis);
                axis = next;
            }
        }
        axes.push(axis);
        axes.reverse();

        let per_shard: Vec<u64> = (0..rank).map(|dim| spec.shard[dim] / spec.chunk[dim]).collect();
        let grid: Vec<u64> = (1..rank).map(|dim| extent(dim).div_ceil(spec.chunk[dim])).collect();
        let shard_grid = (1..rank).map(|dim| extent(dim).div_ceil(spec.shard[dim])).collect();
        // Along leading dimensions where a chunk has one element, one chunk is finished before the next is begun; so
        // it is along the first dimension where it has more.
        let first_deep = spec.chunk.iter().position(|&extent| extent > 1).unwrap_or(last);
        let live = (first_deep + 1..rank).map(|dim| grid[dim - 1]).product::<u64>() as usize;
        Layout {
            dtype: spec.dtype,
            fill: spec.fill,
            frame_bytes: spec.frame_bytes(),
            depth: spec.chunk[0],
            layers_per_row: per_shard[0],
            chunk_bytes,
            slab_bytes,
            slabs_per_chunk: chunk_bytes.div_ceil(slab_bytes),
            chunks: grid.iter().product::<u64>() as usize,
            live,
            axes,
            grid,
            per_shard,
            shard_grid,
            storage_order: spec.storage_order.clone(),
        }
    }

    /// Bytes of a layer.
    pub(crate) fn layer_bytes(&self) -> u64 {
        self.frame_bytes * self.depth
    }

    /// Frames of a row.
    pub(crate) fn row_depth(&self) -> u64 {
        self.depth * self.layers_per_row
    }

    /// Bytes of slab `slab` that belong to the chunk: the last slab may have more than it needs.
    pub(crate) fn slab_len(&self, slab: usize) -> usize {
        self.slab_bytes.min(self.chunk_bytes - slab * self.slab_bytes)
    }

    /// Shards of a row.
    pub(crate) fn shards(&self) -> usize {
        self.shard_grid.iter().product::<u64>() as usize
    }

    /// Chunks of a shard, those beyond the edge of the frame included.
    pub(crate) fn chunks_per_shard(&self) -> usize {
        self.per_shard.iter().product::<u64>() as usize
    }

    /// Gives the bytes `from..to` of a layer, piece by piece and in order, to `copy`, until it says `false`. Returns
    /// how far it came.
    pub(crate) fn pieces(&self, from: u64, to: u64, mut copy: impl FnMut(Piece) -> bool) -> u64 {
        let Some((last, outer)) = self.axes.split_last() else { unreachable!("an array has a dimension") };
        let mut cursor = Cursor::new(outer, from / last.extent);
        let mut at = from;
        let mut x = from % last.extent;
        while at < to {
            let row_end = to.min(at - x + last.extent);
            let mut chunk = cursor.chunk + x / last.chunk;
            let mut within = x % last.chunk;
            while at < row_end {
                let run = (last.chunk - within).min(row_end - at);
                let mut offset = (cursor.offset + within) as usize;
                let mut left = run as usize;
                while left > 0 {
                    let (slab, offset_in_slab) = (offset / self.slab_bytes, offset % self.slab_bytes);
                    let len = left.min(self.slab_bytes - offset_in_slab);
                    if !copy(Piece { chunk: chunk as usize, slab, offset: offset_in_slab, len }) {
                        return at;
                    }
                    offset += len;
                    left -= len;
                    at += len as u64;
                }
                chunk += 1;
                within = 0;
            }
            x = 0;
            cursor.step(outer);
        }
        at
    }

    /// Bytes of a plane, what the last two axes span; of a layer, if there are no two.
    pub(crate) fn plane_bytes(&self) -> u64 {
        match &self.axes[..] {
            [.., band, _] => band.source * band.extent,
            _ => self.layer_bytes(),
        }
    }

    /// The plane that begins at byte `from` of a layer, if one does and it has several bands.
    pub(crate) fn plane(&self, from: u64) -> Option<Plane> {
        let [outer @ .., band, last] = &self.axes[..] else { return None };
        let bytes = self.plane_bytes();
        if band.chunks() < 2 || !from.is_multiple_of(bytes) {
            return None;
        }
        let cursor = Cursor::new(outer, from / bytes);
        let (first, steps) = (cursor.offset, band.chunk.min(band.extent) - 1);
        let end = first + steps * band.inner + last.chunk.min(last.extent);
        Some(Plane {
            from,
            to: from + bytes,
            band: band.source * band.chunk,
            chunk: cursor.chunk as usize,
            chunks_per_band: band.stride as usize,
            slabs: first as usize / self.slab_bytes..(end as usize).div_ceil(self.slab_bytes),
        })
    }

    /// How many bytes of its layer have arrived when chunk `chunk` is finished.
    pub(crate) fn end_of(&self, chunk: usize) -> u64 {
        let mut end = 1;
        self.along(chunk, |axis, at| end += (axis.extent.min((at + 1) * axis.chunk) - 1) * axis.source);
        end
    }

    /// Whether chunk `chunk` reaches beyond the edge of the frame.
    pub(crate) fn overhangs(&self, chunk: usize) -> bool {
        let mut overhangs = false;
        self.along(chunk, |axis, at| overhangs |= (at + 1) * axis.chunk > axis.extent);
        overhangs
    }

    /// Calls `each` with every axis and the place of `chunk` along it.
    fn along(&self, chunk: usize, mut each: impl FnMut(&Axis, u64)) {
        for axis in &self.axes {
            each(axis, chunk as u64 / axis.stride % axis.chunks());
        }
    }

    /// The shard of chunk `chunk` of layer `layer` of a row, and its number within it.
    pub(crate) fn place(&self, layer: u64, chunk: usize) -> (usize, usize) {
        let at = coordinates(layer, chunk, &self.grid);
        let mut shard = 0;
        for (dim, shards) in (1..).zip(&self.shard_grid) {
            shard = shard * shards + at[dim] / self.per_shard[dim];
        }
        let mut within = 0;
        for &dim in &self.storage_order {
            within = within * self.per_shard[dim] + at[dim] % self.per_shard[dim];
        }
        (shard as usize, within as usize)
    }

    /// How many chunks of a row go to each of its shards.
    pub(crate) fn chunks_of_shards(&self) -> Vec<u64> {
        let mut counts = vec![0; self.shards()];
        for chunk in 0..self.chunks {
            counts[self.place(0, chunk).0] += self.layers_per_row;
        }
        counts
    }

    /// The key of shard `shard` of row `row`.
    pub(crate) fn key(&self, row: u64, shard: usize) -> String {
        let at = coordinates(row, shard, &self.shard_grid);
        self.storage_order.iter().fold("c".to_owned(), |key, &dim| format!("{key}/{}", at[dim]))
    }
}

/// Where number `n` of a grid over all dimensions but the first is, when the first is at `first`.
fn coordinates(first: u64, n: usize, grid: &[u64]) -> Vec<u64> {
    let mut at = vec![first; grid.len() + 1];
    let mut rest = n as u64;
    for (place, &extent) in at.iter_mut().skip(1).zip(grid).rev() {
        *place = rest % extent;
        rest /= extent;
    }
    at
}

/// The largest block of whole elements, rows, planes, ... of a chunk that is not above [`SLAB`], as often as it fits.
fn slab_bytes(spec: &ArraySpec, chunk_bytes: usize) -> usize {
    let mut block = spec.dtype.size();
    for &dim in spec.storage_order.iter().rev() {
        let larger = block.saturating_mul(spec.chunk[dim] as usize);
        if larger > SLAB {
            break;
        }
        block = larger;
    }
    chunk_bytes.min(SLAB / block * block)
}

/// A place along the outer axes: which chunk, and where in it.
struct Cursor {
    /// Steps done, and steps done within the chunk, for each axis.
    at: [(u64, u64); crate::spec::MAX_RANK],
    chunk: u64,
    offset: u64,
}

impl Cursor {
    fn new(axes: &[Axis], mut row: u64) -> Self {
        let mut cursor = Cursor { at: [(0, 0); crate::spec::MAX_RANK], chunk: 0, offset: 0 };
        for (axis, at) in axes.iter().zip(&mut cursor.at).rev() {
            let steps = row % axis.extent;
            row /= axis.extent;
            *at = (steps, steps % axis.chunk);
            cursor.chunk += steps / axis.chunk * axis.stride;
            cursor.offset += at.1 * axis.inner;
        }
        cursor
    }

    fn step(&mut self, axes: &[Axis]) {
        for (axis, (steps, within)) in axes.iter().zip(&mut self.at).rev() {
            *steps += 1;
            *within += 1;
            self.offset += axis.inner;
            if *within == axis.chunk {
                self.offset -= axis.chunk * axis.inner;
                self.chunk += axis.stride;
                *within = 0;
            }
            if *steps < axis.extent {
                return;
            }
            self.offset -= *within * axis.inner;
            self.chunk -= axis.extent / axis.chunk * axis.stride;
            (*steps, *within) = (0, 0);
        }
    }
}
