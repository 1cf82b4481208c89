//! What an array should hold, from what was appended.

use std::path::Path;

use forebay_zarr::ArraySpec;
use serde_json::{Map, Value, json};

/// Everything that readers see of an array.
pub(crate) struct Content {
    /// All in the order in which dimensions are stored.
    pub(crate) shape: Vec<u64>,
    pub(crate) chunk: Vec<u64>,
    pub(crate) shard: Vec<u64>,
    pub(crate) names: Option<Vec<String>>,
    pub(crate) dtype: &'static str,
    pub(crate) fill: Vec<u8>,
    pub(crate) attributes: Map<String, Value>,
    /// In C order.
    pub(crate) elements: Vec<u8>,
}

impl Content {
    /// The array that `spec` describes after `frames`, whole ones, have been appended.
    pub(crate) fn of(spec: &ArraySpec, frames: &[u8]) -> Self {
        let count = frames.len() as u64 / spec.frame_bytes();
        let appended: Vec<u64> = [count].into_iter().chain(spec.frame.iter().copied()).collect();
        let stored = |shape: &[u64]| spec.storage_order.iter().map(|&at| shape[at]).collect::<Vec<_>>();
        let mut content = Content {
            shape: stored(&appended),
            chunk: stored(&spec.chunk),
            shard: stored(&spec.shard),
            names: (!spec.dimension_names.is_empty())
                .then(|| spec.storage_order.iter().map(|&at| spec.dimension_names[at].clone()).collect()),
            dtype: spec.dtype.name(),
            fill: spec.fill.bytes(spec.dtype).to_vec(),
            attributes: Map::new(),
            elements: in_storage_order(frames, &appended, &spec.storage_order, spec.dtype.size()),
        };
        content.set_attributes(spec, spec.attributes.clone());
        content
    }

    /// Attributes that were set after the array was created. An order of storage that is not that of the data is among
    /// them, so that the data can be gone on with.
    pub(crate) fn set_attributes(&mut self, spec: &ArraySpec, mut attributes: Map<String, Value>) {
        if !spec.storage_order.is_sorted() {
            attributes.insert("forebay".into(), json!({"storage_order": spec.storage_order}));
        }
        self.attributes = attributes;
    }

    /// For the readers in Python, which find the elements in the file `expected`.
    pub(crate) fn job(&self, path: &Path, expected: &Path) -> Value {
        json!({
            "path": path,
            "expected": expected,
            "shape": self.shape,
            "chunks": self.chunk,
            "shards": self.shard,
            "dtype": self.dtype,
            "fill": self.fill.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
            "names": self.names,
            "attributes": self.attributes,
        })
    }
}

/// `data` of `shape` with dimension `order[k]` as dimension `k`.
fn in_storage_order(data: &[u8], shape: &[u64], order: &[usize], size: usize) -> Vec<u8> {
    let stride = |dimension: usize| shape[dimension + 1..].iter().product::<u64>();
    let mut elements = Vec::with_capacity(data.len());
    for number in 0..shape.iter().product::<u64>() {
        let (mut rest, mut at) = (number, 0);
        for &dimension in order.iter().rev() {
            at += rest % shape[dimension] * stride(dimension);
            rest /= shape[dimension];
        }
        elements.extend_from_slice(&data[at as usize * size..][..size]);
    }
    elements
}
