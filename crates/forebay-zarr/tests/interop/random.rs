//! Random arrays, each of which one number makes again.

use std::env;

use forebay_zarr::codec::{Compressor, Shuffle};
use forebay_zarr::{ArraySpec, Codec, DataType, FillValue};
use serde_json::{Map, Value, json};

/// Splitmix64.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0xD134_2543_DE82_EF95))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From `low` to `high`, both of them included.
    pub(crate) fn range(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    pub(crate) fn one_in(&mut self, cases: u64) -> bool {
        self.range(1, cases) == 1
    }

    pub(crate) fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.range(0, of.len() as u64 - 1) as usize].clone()
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

/// The seeds of as many arrays as a test should try: `FOREBAY_ROUNDS` of them, else `rounds`.
pub(crate) fn seeds(rounds: u64) -> impl Iterator<Item = u64> {
    let number = |name: &str| env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let first = number("FOREBAY_SEED").unwrap_or(1);
    first..first + number("FOREBAY_ROUNDS").unwrap_or(rounds)
}

/// An array and the frames for it.
pub(crate) struct Case {
    pub(crate) spec: ArraySpec,
    /// Whole frames.
    pub(crate) frames: Vec<u8>,
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} frames of {:?}", self.frames.len() as u64 / self.spec.frame_bytes(), self.spec)
    }
}

/// Most elements and chunks of a case: enough for several shards, few enough for hundreds of cases a minute.
const MAX_ELEMENTS: u64 = 40_000;
const MAX_CHUNKS: u64 = 300;

impl Case {
    pub(crate) fn random(random: &mut Random) -> Self {
        let (mut spec, frames) = loop {
            let (spec, frames) = shapes(random);
            let chunks = |at: usize| if at == 0 { frames } else { spec.frame[at - 1] }.div_ceil(spec.chunk[at]);
            let count = (0..spec.rank()).map(chunks).product::<u64>();
            if frames * spec.frame.iter().product::<u64>() <= MAX_ELEMENTS && count <= MAX_CHUNKS {
                break (spec, frames);
            }
        };
        let rank = spec.rank();
        spec.codec = codec(random);
        spec.checksum = random.one_in(2);
        spec.fill = fill(random, spec.dtype);
        if random.one_in(2) {
            spec.dimension_names =
                (0..rank).map(|at| format!("{}{at}", random.pick(&["t", "µ ", "y/", "\""]))).collect();
        }
        if random.one_in(2) {
            spec.attributes = attributes(random);
        }
        for at in (2..rank.saturating_sub(1)).rev() {
            spec.storage_order.swap(at, random.range(1, at as u64) as usize);
        }
        let frames = contents(random, &spec, frames);
        Case { spec, frames }
    }

    /// `data` in pieces that end anywhere.
    pub(crate) fn pieces<'a>(&self, random: &mut Random, data: &'a [u8]) -> Vec<&'a [u8]> {
        let frame = self.spec.frame_bytes();
        // A byte, part of a frame, about a frame, several frames, everything.
        let longest = random.pick(&[7, frame / 3, frame, 2 * frame, 5 * frame, u64::MAX]).max(1);
        // Not millions of appends.
        let longest = longest.max(data.len() as u64 / 2000);
        let whole_frames = random.one_in(4);
        let mut pieces = Vec::new();
        let mut rest = data;
        while !rest.is_empty() {
            let len = if whole_frames {
                frame.min(rest.len() as u64)
            } else {
                random.range(0, longest.min(rest.len() as u64))
            };
            let (piece, after) = rest.split_at(len as usize);
            pieces.push(piece);
            rest = after;
        }
        pieces
    }
}

/// Shapes and data type, and how many frames.
fn shapes(random: &mut Random) -> (ArraySpec, u64) {
    let rank = random.range(1, 6);
    let most = [0, 600, 40, 16, 8, 5, 4][rank as usize];
    let chunk: Vec<u64> = (0..rank).map(|_| random.range(1, most)).collect();
    let shard: Vec<u64> = chunk.iter().map(|extent| extent * random.range(1, 3)).collect();
    let frame: Vec<u64> = shard[1..].iter().map(|extent| random.range(1, extent * 5 / 2)).collect();
    let depth = shard[0];
    let odd = random.range(0, depth * 5 / 2) | 1;
    let frames = random.pick(&[0, 1, chunk[0], depth - 1, depth, depth + 1, 2 * depth, odd, odd, odd, odd]);
    (ArraySpec::new(random.pick(&DataType::ALL), &frame, &chunk, &shard), frames)
}

fn codec(random: &mut Random) -> Codec {
    match random.range(0, 5) {
        0 => Codec::None,
        1 => Codec::Zstd { level: random.pick(&[-7, 1, 3, 19]) },
        2 => Codec::Gzip { level: random.pick(&[0, 1, 6, 9]) },
        _ => Codec::Blosc {
            compressor: random.pick(&[Compressor::Zstd, Compressor::Lz4, Compressor::Lz4hc, Compressor::Zlib]),
            level: random.pick(&[0, 1, 5, 9]),
            shuffle: random.pick(&[Shuffle::None, Shuffle::Byte, Shuffle::Bit]),
        },
    }
}

fn fill(random: &mut Random, dtype: DataType) -> FillValue {
    let float = random.pick(&[0.0, -0.0, 1.5, -0.1, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, 5e-324]);
    let bytes = match dtype {
        DataType::Bool => vec![random.one_in(2).into()],
        DataType::Float64 => float.to_le_bytes().to_vec(),
        DataType::Float32 => (float as f32).to_le_bytes().to_vec(),
        // One, the largest, the smallest subnormal, infinity, minus infinity, NaN, minus zero.
        DataType::Float16 => {
            random.pick(&[0x3C00_u16, 0x7BFF, 0x0001, 0x7C00, 0xFC00, 0x7E00, 0x8000]).to_le_bytes().to_vec()
        }
        _ => {
            let integer = random.next();
            let integer =
                random.pick(&[0, 1, u64::MAX, 1 << 63, (1 << 63) - 1, (1 << 53) + 1, 1 << 31, 1 << 7, integer]);
            integer.to_le_bytes()[..dtype.size()].to_vec()
        }
    };
    FillValue::from_bytes(&bytes).expect("at most eight bytes")
}

pub(crate) fn attributes(random: &mut Random) -> Map<String, Value> {
    let values = [
        json!(null),
        json!(0.1),
        json!(random.next() >> 1),
        json!(-3),
        json!("µ \u{1F52C} \" \\ \n"),
        json!([]),
        json!({"unit": "nm", "deep": [[1, 2], {"x": true}]}),
    ];
    (0..random.range(1, 4)).map(|at| (format!("key {at}"), random.pick(&values))).collect()
}

/// `count` frames: noise, or mostly or only the fill value, so that chunks are left out.
fn contents(random: &mut Random, spec: &ArraySpec, count: u64) -> Vec<u8> {
    let size = spec.dtype.size();
    let fill = spec.fill.bytes(spec.dtype);
    let mut elements = (count * spec.frame_bytes()) as usize / size;
    let mut bytes = Vec::with_capacity(elements * size);
    let only_fill = random.one_in(8);
    while elements > 0 {
        // A run of noise, of one value, or of nothing, up to half a frame or several frames long.
        let longest = random.pick(&[spec.frame_bytes() / 2, 3 * spec.chunk[0] * spec.frame_bytes()]) / size as u64;
        let run = random.range(1, longest.max(1)).min(elements as u64);
        let kind = if only_fill { 0 } else { random.range(0, 2) };
        let value = random.bytes(size);
        for _ in 0..run {
            match kind {
                0 => bytes.extend_from_slice(fill),
                1 => bytes.extend_from_slice(&value),
                _ => bytes.extend_from_slice(&random.bytes(size)),
            }
        }
        elements -= run as usize;
    }
    if spec.dtype == DataType::Bool {
        bytes.iter_mut().for_each(|byte| *byte &= 1);
    }
    bytes
}
