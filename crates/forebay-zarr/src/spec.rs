//! `ArraySpec`: what array is to be written.

use std::fmt;

use serde_json::{Map, Value};

use crate::codec::Codec;
use crate::dtype::{DataType, FillValue};
use crate::metadata;

/// Most dimensions of an array.
pub const MAX_RANK: usize = 32;

/// Most bytes of a chunk: offsets within one, and the lengths that Blosc stores, are of 31 bits.
pub(crate) const MAX_CHUNK: u64 = 1 << 30;

/// Most chunks of a row of shards: the indexes take 16 bytes each and are built in memory.
pub(crate) const MAX_CHUNKS_PER_ROW: u64 = 1 << 24;

/// What array is to be written. All shapes are in elements and in the order in which the data arrives, the append
/// dimension first.
#[derive(Clone, Debug, PartialEq)]
pub struct ArraySpec {
    /// The type of the elements.
    pub dtype: DataType,
    /// The shape of one frame: every dimension but the append dimension. Empty for an array of one dimension.
    pub frame: Vec<u64>,
    /// The shape of a chunk, append dimension included. It need not divide the frame.
    pub chunk: Vec<u64>,
    /// The shape of a shard, append dimension included, a multiple of `chunk` in each dimension. It need not divide
    /// the frame.
    pub shard: Vec<u64>,
    /// The array's dimensions in the order in which they are stored: dimension `k` of the array is dimension
    /// `storage_order[k]` of the data. The first and the last stay where they are; those between may be exchanged.
    pub storage_order: Vec<usize>,
    /// How chunks are compressed.
    pub codec: Codec,
    /// Whether every chunk carries a CRC-32C. (The index of a shard always does.)
    pub checksum: bool,
    /// The value of what was never written. Chunks that hold nothing else are not stored.
    pub fill: FillValue,
    /// The names of the dimensions, in the order of the data; empty for none.
    pub dimension_names: Vec<String>,
    /// The array's attributes.
    pub attributes: Map<String, Value>,
}

impl ArraySpec {
    /// An array of frames of shape `frame`, stored in the order in which they arrive, with the default codec, zero as
    /// fill value and no names, attributes and chunk checksums.
    pub fn new(dtype: DataType, frame: &[u64], chunk: &[u64], shard: &[u64]) -> Self {
        ArraySpec {
            dtype,
            frame: frame.to_vec(),
            chunk: chunk.to_vec(),
            shard: shard.to_vec(),
            storage_order: (0..=frame.len()).collect(),
            codec: Codec::default(),
            checksum: false,
            fill: FillValue::default(),
            dimension_names: Vec::new(),
            attributes: Map::new(),
        }
    }

    /// Number of dimensions, the append dimension included.
    pub fn rank(&self) -> usize {
        self.frame.len() + 1
    }

    /// Bytes of one frame.
    pub fn frame_bytes(&self) -> u64 {
        self.frame.iter().product::<u64>() * self.dtype.size() as u64
    }

    /// Bytes of one chunk, as it is before compression.
    pub fn chunk_bytes(&self) -> u64 {
        self.chunk.iter().product::<u64>() * self.dtype.size() as u64
    }

    /// Whether chunks are stored as they are: no codec, or none but a checksum.
    pub(crate) fn stores_slabs(&self) -> bool {
        self.codec == Codec::None
    }

    /// Checks that such an array can be written.
    ///
    /// # Errors
    /// [`SpecError`] with what is wrong.
    pub fn validate(&self) -> Result<(), SpecError> {
        let rank = self.rank();
        let refuse = |what: String| Err(SpecError(what));
        if rank > MAX_RANK {
            return refuse(format!("{rank} dimensions; the most are {MAX_RANK}"));
        }
        for (name, shape) in [("chunk", &self.chunk), ("shard", &self.shard)] {
            if shape.len() != rank {
                return refuse(format!("the {name} has {} dimensions, the array {rank}", shape.len()));
            }
            if let Some(at) = shape.iter().position(|&extent| extent == 0) {
                return refuse(format!("the {name} is empty in dimension {at}"));
            }
        }
        if let Some(at) = self.frame.iter().position(|&extent| extent == 0) {
            return refuse(format!("a frame is empty in dimension {}", at + 1));
        }
        if let Some(at) = (0..rank).find(|&at| !self.shard[at].is_multiple_of(self.chunk[at])) {
            let (shard, chunk) = (self.shard[at], self.chunk[at]);
            return refuse(format!(
                "in dimension {at} the shard has {shard} elements, which is no multiple of the chunk's {chunk}"
            ));
        }
        let size = self.dtype.size() as u64;
        let product = |shape: &[u64]| shape.iter().try_fold(size, |all, &extent| all.checked_mul(extent));
        let layer = product(&self.frame).and_then(|bytes| bytes.checked_mul(self.chunk[0]));
        if layer.is_none_or(|bytes| bytes > i64::MAX as u64) {
            return refuse("the frames that a chunk is deep have more than 2^63 bytes".into());
        }
        match product(&self.chunk) {
            Some(bytes) if bytes <= MAX_CHUNK => {}
            _ => return refuse(format!("a chunk has more than {MAX_CHUNK} bytes")),
        }
        let chunks = (0..rank).try_fold(1u64, |all, at| {
            let extent = if at == 0 { self.shard[0] } else { self.frame[at - 1].max(self.shard[at]) };
            all.checked_mul(extent.div_ceil(self.chunk[at]))
        });
        if chunks.is_none_or(|chunks| chunks > MAX_CHUNKS_PER_ROW) {
            return refuse(format!(
                "the shards side by side have more than {MAX_CHUNKS_PER_ROW} chunks: take larger chunks"
            ));
        }
        let mut order = self.storage_order.clone();
        order.sort_unstable();
        if !order.iter().copied().eq(0..rank) {
            return refuse(format!("the storage order {:?} does not name each dimension once", self.storage_order));
        }
        if self.storage_order[0] != 0 || self.storage_order[rank - 1] != rank - 1 {
            return refuse("the storage order must keep the first and the last dimension where they are".into());
        }
        if !self.dimension_names.is_empty() && self.dimension_names.len() != rank {
            return refuse(format!("{} names for {rank} dimensions", self.dimension_names.len()));
        }
        metadata::check_attributes(&self.attributes)?;
        self.codec.validate()
    }
}

/// Such an array cannot be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecError(pub(crate) String);

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SpecError {}
