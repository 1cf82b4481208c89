//! What it costs to compress a chunk, beside c-blosc.
//!
//! The chunks have 32 x 256 x 256 elements of 16 bits and are cut out of frames of 2,048 x 2,048: a smooth background of
//! 100 to 500 counts with some bright spots, and shot noise. Ours arrive in pieces of 128 KiB, as they do in a writer;
//! c-blosc needs a chunk in one place and gets it there. It is called as the writers of arrays call it: with blocks of
//! 256 KiB, and with the size that it chooses itself, which is its default.

use std::ffi::CStr;
use std::ops::Range;

use anyhow::{Result, ensure};
use blosc_src::BLOSC_SHUFFLE;
use forebay_benches::harness::{Cost, Spread, alternate, heading, measure, variant};
use forebay_zarr::Codec;
use forebay_zarr::codec::{Encoder, crc32c, decode};

const SIDE: usize = 2048;
const TILE: usize = 256;
const FRAMES: usize = 32;
const CHUNK: usize = FRAMES * TILE * TILE * 2;
const PIECE: usize = 128 << 10;

/// Where the chunks lie in the frame, in tiles.
const TILES: [(usize, usize); 12] =
    [(0, 0), (3, 1), (6, 3), (1, 5), (7, 7), (3, 6), (4, 4), (5, 2), (2, 2), (0, 4), (6, 6), (4, 0)];

const BASE: &str = "blosc-zstd:1, c-blosc, 256 KiB";

fn main() -> Result<()> {
    heading("Codecs: chunks of 32 x 256 x 256 noisy 16-bit elements");
    let chunks = chunks();
    let raw = (chunks.len() * CHUNK) as f64;

    let mut variants = Vec::new();
    let mut ratios = Vec::new();
    let ours = ["blosc-zstd:1", "blosc-zstd:1:bitshuffle", "blosc-lz4:5", "zstd:1", "gzip:1", "gzip:6"];
    for (name, checksum) in ours.into_iter().map(|name| (name, false)).chain([("blosc-zstd:1", true), ("none", true)]) {
        let codec: Codec = name.parse()?;
        let name = format!("{codec}{}, forebay", if checksum { " + crc32c" } else { "" });
        let mut encoder = Encoder::new(&codec, checksum, 2, CHUNK)?;
        let mut out = Vec::with_capacity(codec.bound(checksum, CHUNK));
        // gzip takes a second for the whole.
        let most = if matches!(codec, Codec::Gzip { .. }) { 2 } else { chunks.len() };
        let mut stored = 0;
        for chunk in &chunks[..most] {
            encoder.encode(&pieces(chunk), &mut out)?;
            stored += out.len();
            ensure!(decode(&codec, checksum, &out, CHUNK)? == *chunk, "{name} does not give the chunk back");
        }
        ratios.push((name.clone(), most as f64 * CHUNK as f64 / stored as f64));
        let scale = chunks.len() as f64 / most as f64;
        let chunks = &chunks;
        variants.push(variant(name, move |_| {
            let (cost, ()) = measure(|| {
                Ok(chunks[..most].iter().try_for_each(|chunk| encoder.encode(&pieces(chunk), &mut out))?)
            })?;
            Ok(Cost { wall: cost.wall * scale, cpu: cost.cpu * scale })
        }));
    }
    for (compressor, level) in [(c"zstd", 1), (c"lz4", 5)] {
        for (block, size) in [(256 << 10, "256 KiB"), (0, "automatic")] {
            let name = format!("blosc-{}:{level}, c-blosc, {size}", compressor.to_string_lossy());
            let (chunks, mut room) = (&chunks, vec![0; CHUNK + 16]);
            let mut all = move || {
                chunks.iter().map(|chunk| c_blosc(compressor, level, block, chunk, &mut room)).sum::<Result<usize>>()
            };
            ratios.push((name.clone(), raw / all()? as f64));
            variants.push(variant(name, move |_| Ok(measure(&mut all)?.0)));
        }
    }
    variants.push(variant("crc32c of the chunk", |_| {
        Ok(measure(|| Ok(chunks.iter().map(|chunk| u64::from(crc32c(&pieces(chunk)))).sum::<u64>()))?.0)
    }));

    let results = alternate(variants)?;
    println!("| | MB per CPU-second, median | most | ratio |\n|---|---:|---:|---:|");
    for (name, costs) in results.rows() {
        let cpu = Spread::of(costs.iter().map(|cost| cost.cpu));
        let ratio = ratios.iter().find(|(named, _)| named == name).map(|(_, ratio)| format!("{ratio:.3}"));
        let (median, most) = (raw / cpu.median / 1e6, raw / cpu.min / 1e6);
        println!("| {name} | {median:.0} | {most:.0} | {} |", ratio.unwrap_or_default());
    }
    println!("\n{}", results.table(BASE));
    Ok(())
}

/// Compresses `chunk` into `room`; a block of no bytes is one of the length that c-blosc chooses.
#[allow(unsafe_code, reason = "the crate that builds c-blosc has no other interface")]
fn c_blosc(compressor: &CStr, level: i32, block: usize, chunk: &[u8], room: &mut [u8]) -> Result<usize> {
    // SAFETY: the pointers and lengths are those of two slices that live through the call; one thread and no globals.
    let stored = unsafe {
        blosc_src::blosc_compress_ctx(
            level,
            BLOSC_SHUFFLE as i32,
            2,
            chunk.len(),
            chunk.as_ptr().cast(),
            room.as_mut_ptr().cast(),
            room.len(),
            compressor.as_ptr(),
            block,
            1,
        )
    };
    ensure!(stored > 0, "c-blosc returns {stored}");
    Ok(stored as usize)
}

fn pieces(chunk: &[u8]) -> Vec<&[u8]> {
    chunk.chunks(PIECE).collect()
}

/// Chunks of frames that are the same in every run.
fn chunks() -> Vec<Vec<u8>> {
    let mut noise = Noise(12345);
    let spots: Vec<[f64; 3]> = (0..400)
        .map(|_| [noise.uniform(0.0..SIDE as f64), noise.uniform(0.0..SIDE as f64), noise.uniform(500.0..3500.0)])
        .collect();
    let mean = |x: f64, y: f64| {
        let background =
            100.0 + 400.0 * (-((x / SIDE as f64 - 0.5).powi(2) + (y / SIDE as f64 - 0.45).powi(2)) / 0.12).exp();
        let squared = |spot: &[f64; 3]| (spot[0] - x).powi(2) + (spot[1] - y).powi(2);
        let near = spots.iter().filter(|spot| squared(spot) < 400.0);
        background + near.map(|spot| spot[2] * (-squared(spot) / 8.0).exp()).sum::<f64>()
    };
    let of_tile = |(tile_x, tile_y): (usize, usize)| -> Vec<f64> {
        let at = |i: usize| mean((tile_x * TILE + i % TILE) as f64, (tile_y * TILE + i / TILE) as f64);
        (0..TILE * TILE).map(at).collect()
    };
    TILES.map(of_tile).iter().map(|means| (0..FRAMES).flat_map(|_| noise.frame(means)).collect()).collect()
}

/// A xorshift generator, and what is made of it.
struct Noise(u64);

impl Noise {
    /// A number of `range`.
    fn uniform(&mut self, range: Range<f64>) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let bits = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11;
        range.start + (range.end - range.start) * bits as f64 / (1u64 << 53) as f64
    }

    /// Counts with these means: Poisson's distribution, by the normal one, which it cannot be told from above 100.
    fn frame(&mut self, means: &[f64]) -> Vec<u8> {
        let mut count = |mean: &f64| {
            let radius = (-2.0 * self.uniform(f64::MIN_POSITIVE..1.0).ln()).sqrt();
            let normal = radius * (std::f64::consts::TAU * self.uniform(0.0..1.0)).cos();
            ((mean + mean.sqrt() * normal).round().clamp(0.0, 65535.0) as u16).to_le_bytes()
        };
        means.iter().flat_map(&mut count).collect()
    }
}
