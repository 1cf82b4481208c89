//! `suggest`: shapes of chunks and shards for those who have no wish of their own.
//!
//! A chunk is what a reader has to decode for one element; a shard is one file, and what a crash may cost. Both are
//! given by size. Chunks are tiles of the last two dimensions, with sides that are powers of two or all there is, one
//! element wide in the dimensions between, and as deep along the append dimension as their size allows: 32 x 256 x 256
//! for 4 MiB of 16 bits. Memory goes with depth times frame, so tiles of very large frames are wider, and not as deep.
//! Shards cover whole frames, if these fit.

use crate::dtype::DataType;
use crate::spec::{MAX_CHUNK, MAX_CHUNKS_PER_ROW};

/// Size of a chunk for lack of a wish, in MiB.
pub const CHUNK_MIB: f64 = 4.0;

/// Size of a shard for lack of a wish, in MiB.
pub const SHARD_MIB: f64 = 512.0;

/// Side of a tile, to begin with.
const TILE: u64 = 256;

/// Bytes of all chunks along the frame, above which tiles are widened at the cost of their depth.
const LAYER: u64 = 512 << 20;

/// The shapes of a chunk and of a shard, append dimension first, for frames of shape `frame`.
///
/// Chunks have at most `chunk_mib` MiB before compression and more than half of that, up to a GiB, but at least one
/// element, and as many as it takes that a frame has no more than 16,777,216 chunks. Shards have at most `shard_mib` MiB
/// and about half of that at least, if that is not too many chunks either, but at least one chunk. Only for frames that
/// are empty, or larger than can be written, nothing valid comes of it.
pub fn suggest(dtype: DataType, frame: &[u64], chunk_mib: f64, shard_mib: f64) -> (Vec<u64>, Vec<u64>) {
    let size = dtype.size() as u64;
    // Casts of floats saturate, and make 0 of what is no number.
    let bytes = |mib: f64| (mib * f64::from(1 << 20)) as u64;
    let target = bytes(chunk_mib).min(MAX_CHUNK) / size;
    let chunk = chunk(frame, target.max(1), [MAX_CHUNK / size, LAYER / size]);
    let shard = shard(frame, &chunk, bytes(shard_mib) / size);
    (chunk, shard)
}

/// A chunk of about `target` elements, and at most `most`; of at most `layer` in all chunks along the frame, if that can
/// be.
fn chunk(frame: &[u64], target: u64, [most, layer]: [u64; 2]) -> Vec<u64> {
    let rank = frame.len() + 1;
    let mut chunk = vec![1; rank];
    let tiled: Vec<usize> = (1..rank).rev().take(2).collect();
    for &at in &tiled {
        let side = if tiled.len() == 1 { TILE * TILE } else { TILE };
        // What is a little larger than a tile is not worth two.
        let extent = frame[at - 1].max(1);
        chunk[at] = if extent <= side + side / 2 { extent } else { side };
    }
    while product(&chunk) > target.into() {
        // The longest side, down to a power of two.
        let Some(&at) = tiled.iter().max_by_key(|&&at| chunk[at]) else { break };
        chunk[at] = 1 << (chunk[at] - 1).ilog2();
    }
    let depth = |chunk: &[u64]| 1 << (u128::from(target) / product(&chunk[1..])).max(1).ilog2();
    chunk[0] = depth(&chunk);
    loop {
        let deep = chunk[0] > 1 && product(frame).saturating_mul(chunk[0].into()) > layer.into();
        let many = product(&along(frame, &chunk)) > MAX_CHUNKS_PER_ROW.into();
        // The shorter side of the tile that is not all there is, or a dimension that is not tiled.
        let narrow = |at: &usize| chunk[*at] < frame[at - 1];
        let side = tiled.iter().copied().filter(narrow).min_by_key(|&at| chunk[at]);
        let Some(at) = side.or_else(|| (1..rank).rev().find(narrow)).filter(|_| deep || many) else { break };
        let wider = (chunk[at] + 1).next_power_of_two().min(frame[at - 1]);
        let area = product(&chunk[1..]) / u128::from(chunk[at]) * u128::from(wider);
        if area > if many { most } else { target }.into() {
            break;
        }
        chunk[at] = wider;
        chunk[0] = depth(&chunk);
    }
    chunk
}

/// A shard of at most `target` elements.
fn shard(frame: &[u64], chunk: &[u64], target: u64) -> Vec<u64> {
    // How many chunks there are in each dimension: along all of the frame, to begin with.
    let all = along(frame, chunk);
    let mut chunks = [&[1], &all[..]].concat();
    let most = (u128::from(target) / product(chunk)).max(1);
    while product(&chunks) > most {
        // The first dimension that can be: tiles of one shard are neighbours.
        let Some(at) = chunks.iter().position(|&count| count > 1) else { break };
        chunks[at] = chunks[at].div_ceil(2);
    }
    let layers = (most / product(&chunks)).min(u128::from(MAX_CHUNKS_PER_ROW) / product(&all));
    chunks[0] = layers.max(1) as u64;
    chunks.iter().zip(chunk).map(|(count, chunk)| count * chunk).collect()
}

/// How many chunks it takes for a frame, in each of its dimensions.
fn along(frame: &[u64], chunk: &[u64]) -> Vec<u64> {
    frame.iter().zip(&chunk[1..]).map(|(extent, chunk)| extent.max(&1).div_ceil(*chunk)).collect()
}

fn product(shape: &[u64]) -> u128 {
    shape.iter().fold(1, |all, &extent| all.saturating_mul(extent.into()))
}
