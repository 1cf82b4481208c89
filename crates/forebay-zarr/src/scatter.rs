//! `Scatter`: copies arriving data into the slabs of the chunks of the current layer.
//!
//! Whole planes are copied by several threads, each with the chunks of a band of its own; what is smaller is copied on
//! the caller's thread. Nothing here waits: when the pool has no slab left, the copy ends there and says how far it
//! came.

use forebay::CopyPool;

use crate::layout::{Layout, Piece};
use crate::pool::{Pool, Pooled};

/// The slabs of a chunk; `None` where nothing has arrived, which reads as fill value.
pub(crate) type Slabs = Vec<Option<Pooled>>;

/// A chunk that has all its data.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) layer: u64,
    pub(crate) chunk: usize,
    pub(crate) slabs: Slabs,
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Scatter {
    layout: Layout,
    pool: Pool,
    copy: CopyPool,
    /// The chunks of the layer; empty before their first byte and after they are finished.
    chunks: Vec<Slabs>,
    layer: u64,
    /// Bytes of the layer that have arrived.
    at: u64,
    /// The first chunk that is not finished, and how many bytes of the layer it needs for that.
    next: usize,
    next_end: u64,
    parallel: u64,
}

impl Scatter {
    /// Starts at frame `frame`.
    pub(crate) fn new(layout: &Layout, pool: &Pool, copy: CopyPool, frame: u64) -> Self {
        let mut chunks = Vec::new();
        chunks.resize_with(layout.chunks, Slabs::new);
        let mut scatter = Scatter {
            layout: layout.clone(),
            pool: pool.clone(),
            copy,
            chunks,
            layer: frame / layout.depth,
            at: frame % layout.depth * layout.frame_bytes,
            next: 0,
            next_end: layout.end_of(0),
            parallel: 0,
        };
        // A chunk that was finished before is not finished again.
        while scatter.next_end <= scatter.at {
            scatter.advance();
        }
        scatter
    }

    /// Copies the beginning of `data` to where it belongs, and says how many bytes that was: up to the end of the
    /// layer at most, less if there are no slabs. Take out what is [finished](Scatter::finished) before the next call.
    pub(crate) fn take(&mut self, data: &[u8]) -> usize {
        let start = self.at;
        let most = (self.layout.layer_bytes() - start).min(data.len() as u64);
        let mut left = &data[..most as usize];
        while !left.is_empty() {
            let taken = self.take_plane(left).unwrap_or_else(|| self.take_some(left));
            self.at += taken as u64;
            left = &left[taken..];
            if taken == 0 || self.at >= self.next_end {
                break;
            }
        }
        (self.at - start) as usize
    }

    /// What is left of the plane, as far as there are slabs.
    fn take_some(&mut self, data: &[u8]) -> usize {
        let Scatter { layout, pool, chunks, .. } = self;
        let plane = layout.plane_bytes();
        let most = (plane - self.at % plane).min(data.len() as u64);
        let mut left = data;
        let end = layout.pieces(self.at, self.at + most, |piece| {
            let Some(slab) = slab(layout, pool, &mut chunks[piece.chunk], piece) else { return false };
            let (now, later) = left.split_at(piece.len);
            slab.copy_from_slice(now);
            left = later;
            true
        });
        (end - self.at) as usize
    }

    /// A whole plane, with helpers; `None` if there is none here, it is too small, or the slabs might not suffice.
    fn take_plane(&mut self, data: &[u8]) -> Option<usize> {
        let Scatter { layout, pool, copy, chunks, .. } = self;
        if copy.helpers() == 0 || data.len() < copy.threshold() {
            return None;
        }
        let plane = layout.plane(self.at)?;
        let bytes = usize::try_from(plane.to - plane.from).ok()?;
        let chunks_in_plane = bytes.div_ceil(plane.band as usize) * plane.chunks_per_band;
        if bytes < copy.threshold() || bytes > data.len() || pool.available() < chunks_in_plane * plane.slabs.len() {
            return None;
        }
        let mut bands: Vec<Band<'_>> = data[..bytes]
            .chunks(plane.band as usize)
            .zip(chunks[plane.chunk..].chunks_mut(plane.chunks_per_band))
            .enumerate()
            .map(|(n, (data, chunks))| Band {
                from: plane.from + n as u64 * plane.band,
                first: plane.chunk + n * plane.chunks_per_band,
                data,
                chunks,
            })
            .collect();
        let helped = copy.for_each(bytes, &mut bands, |band| band.copy(layout, pool));
        self.parallel += u64::from(helped);
        Some(bytes)
    }

    /// The next chunk that has all its data, in order.
    pub(crate) fn finished(&mut self) -> Option<Finished> {
        if self.at < self.next_end {
            return None;
        }
        Some(self.advance())
    }

    /// The chunks of the layer that are left, for the end of the array: what has not arrived is fill value. A frame
    /// that is not whole, of which `partial` bytes have arrived, does not count.
    pub(crate) fn pad(&mut self, partial: u64) {
        let Scatter { layout, chunks, .. } = self;
        let element = layout.fill.bytes(layout.dtype);
        layout.pieces(self.at - partial, layout.layer_bytes(), |piece| {
            if let Some(Some(slab)) = chunks[piece.chunk].get_mut(piece.slab) {
                fill(&mut slab[piece.offset..piece.offset + piece.len], element);
            }
            true
        });
        self.at = layout.layer_bytes();
    }

    /// Whether a chunk has been begun and is not finished.
    pub(crate) fn has_begun(&self) -> bool {
        self.at > 0
    }

    /// Puts the frames that a chunk of the current layer had when it was stored in their place. For a scatter that has
    /// not taken anything yet.
    pub(crate) fn restore(&mut self, chunk: usize, decoded: &[u8]) {
        let Scatter { layout, pool, chunks, .. } = self;
        let bytes = (self.at / layout.frame_bytes) as usize * (layout.chunk_bytes / layout.depth as usize);
        for slab in 0..bytes.div_ceil(layout.slab_bytes) {
            let from = slab * layout.slab_bytes;
            let len = layout.slab_len(slab);
            let Some(place) = self::slab(layout, pool, &mut chunks[chunk], Piece { chunk, slab, offset: 0, len })
            else {
                unreachable!("there are slabs for every chunk of a layer that has begun")
            };
            place.copy_from_slice(&decoded[from..from + len]);
        }
    }

    fn advance(&mut self) -> Finished {
        let slabs = std::mem::take(&mut self.chunks[self.next]);
        let finished = Finished { layer: self.layer, chunk: self.next, slabs };
        self.next += 1;
        if self.next == self.layout.chunks {
            self.layer += 1;
            self.at = 0;
            self.next = 0;
        }
        self.next_end = self.layout.end_of(self.next);
        finished
    }

    /// How many planes were copied with helpers.
    pub(crate) fn parallel(&self) -> u64 {
        self.parallel
    }
}

/// A part of a plane that has its chunks for itself.
struct Band<'a> {
    from: u64,
    /// The number of the first chunk.
    first: usize,
    data: &'a [u8],
    chunks: &'a mut [Slabs],
}

impl Band<'_> {
    fn copy(&mut self, layout: &Layout, pool: &Pool) {
        let mut left = self.data;
        layout.pieces(self.from, self.from + self.data.len() as u64, |piece| {
            let Some(slab) = slab(layout, pool, &mut self.chunks[piece.chunk - self.first], piece) else {
                unreachable!("enough slabs for the plane were available, and nobody else takes any")
            };
            let (now, later) = left.split_at(piece.len);
            slab.copy_from_slice(now);
            left = later;
            true
        });
    }
}

/// Where `piece` goes; `None` if there is no slab left.
fn slab<'a>(layout: &Layout, pool: &Pool, slabs: &'a mut Slabs, piece: Piece) -> Option<&'a mut [u8]> {
    if slabs.is_empty() {
        slabs.resize_with(layout.slabs_per_chunk, || None);
    }
    let place = &mut slabs[piece.slab];
    if place.is_none() {
        let mut slab = pool.take()?;
        if layout.overhangs(piece.chunk) {
            fill(&mut slab, layout.fill.bytes(layout.dtype));
        }
        *place = Some(slab);
    }
    place.as_mut().map(|slab| &mut slab[piece.offset..piece.offset + piece.len])
}

/// Fills `bytes`, which are whole elements.
fn fill(bytes: &mut [u8], element: &[u8]) {
    if let [byte, rest @ ..] = element
        && rest.iter().all(|other| other == byte)
    {
        return bytes.fill(*byte);
    }
    for place in bytes.chunks_mut(element.len()) {
        place.copy_from_slice(&element[..place.len()]);
    }
}
