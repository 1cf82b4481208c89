//! The `zarr.json` of an array: an [`ArraySpec`] and the number of frames that readers see, and back.
//!
//! [`encode`] writes what Zarr v3 calls an array with a regular grid whose chunks are shards: the chunk shape of the
//! grid is the shape of a shard, the one codec is `sharding_indexed`, and the shape's first extent is the number of
//! frames. Everything there is in storage order; the specification is in the order of the data. An order other than
//! the identity is kept among the attributes, under the key [`RESERVED`], which users therefore cannot have.
//!
//! [`decode`] reads arrays that forebay can go on writing, whoever made them, and refuses everything else by the name
//! of the field: what it does not know it could not write again. What it takes in it does not lose, with one
//! exception: integers of more than 64 bits in attributes become floats.
//!
//! The document is from outside. It has at most [`MAX_BYTES`] and [`MAX_RANK`] dimensions; its values take about a
//! hundred bytes of memory each while it is read.

mod codecs;
mod error;
mod fields;
mod fill;

use serde_json::{Map, Value, json};

pub use self::error::MetadataError;
use self::fields::{Extension, Fields, invalid, unsupported};
use crate::dtype::DataType;
use crate::spec::{ArraySpec, MAX_RANK, SpecError};
use crate::store::Store;

/// The key of the document in its store.
pub const KEY: &str = "zarr.json";

/// Largest document that is read.
pub const MAX_BYTES: u64 = 64 << 20;

/// The key among the attributes that forebay keeps for itself.
pub const RESERVED: &str = "forebay";

/// The document of an array with `frames` frames.
///
/// # Panics
/// If `spec` does not [validate](ArraySpec::validate).
pub fn encode(spec: &ArraySpec, frames: u64) -> Vec<u8> {
    let stored = |shape: &[u64]| spec.storage_order.iter().map(|&at| shape[at]).collect::<Vec<_>>();
    let shape = [&[frames], &spec.frame[..]].concat();
    let mut attributes = spec.attributes.clone();
    if !spec.storage_order.is_sorted() {
        attributes.insert(RESERVED.into(), json!({"storage_order": spec.storage_order}));
    }
    let mut document = json!({
        "zarr_format": 3,
        "node_type": "array",
        "shape": stored(&shape),
        "data_type": spec.dtype.name(),
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": stored(&spec.shard)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": fill::encode(spec.dtype, &spec.fill),
        "codecs": codecs::encode(spec, &stored(&spec.chunk)),
        "attributes": attributes,
    });
    if !spec.dimension_names.is_empty() {
        let names: Vec<&String> = spec.storage_order.iter().map(|&at| &spec.dimension_names[at]).collect();
        document["dimension_names"] = json!(names);
    }
    let mut text = format!("{document:#}");
    text.push('\n');
    text.into_bytes()
}

/// The specification of the array whose document is `text`, and its number of frames.
///
/// # Errors
/// [`MetadataError`], if it is none that can be continued.
pub fn decode(text: &[u8]) -> Result<(ArraySpec, u64), MetadataError> {
    if text.len() as u64 > MAX_BYTES {
        return Err(MetadataError::TooLarge { bytes: text.len() as u64 });
    }
    let mut fields = Fields::of("", serde_json::from_slice(text).map_err(MetadataError::Json)?)?;
    header(&mut fields)?;
    let shape = fields.need_shape("shape")?;
    let rank = shape.len();
    if rank == 0 || rank > MAX_RANK {
        let why = format!("has {rank} dimensions, not 1 to {MAX_RANK}");
        return Err(MetadataError::Invalid { field: "shape".into(), why });
    }
    let dtype = data_type(&mut fields)?;
    let shard = grid(&mut fields)?;
    keys(&mut fields)?;
    let value = fields.need("fill_value")?;
    let fill = fill::decode(dtype, &value).ok_or_else(|| invalid("fill_value", &value, &format!("one of {dtype}")))?;
    let (chunk, codec, checksum) = codecs::decode(dtype, fields.need("codecs")?)?;
    for (field, shape) in [("chunk_grid", &shard), ("codecs", &chunk)] {
        if shape.len() != rank {
            let why = format!("has a chunk_shape of {} dimensions; the array has {rank}", shape.len());
            return Err(MetadataError::Invalid { field: field.into(), why });
        }
    }
    let mut attributes = attributes(&mut fields)?;
    let storage_order = match attributes.shift_remove(RESERVED) {
        None => (0..rank).collect(),
        Some(ours) => storage_order(rank, ours)?,
    };
    let names = dimension_names(&mut fields, rank)?;
    fields.only("storage_transformers", json!([]))?;
    fields.end()?;

    // Dimension `storage_order[k]` of the data is the array's dimension `k`.
    let mut at = vec![0; rank];
    storage_order.iter().enumerate().for_each(|(stored, &data)| at[data] = stored);
    let arrived = |shape: &[u64]| at.iter().map(|&stored| shape[stored]).collect::<Vec<_>>();
    let spec = ArraySpec {
        dtype,
        frame: arrived(&shape).split_off(1),
        chunk: arrived(&chunk),
        shard: arrived(&shard),
        codec,
        checksum,
        fill,
        dimension_names: names.map_or_else(Vec::new, |names| at.iter().map(|&at| names[at].clone()).collect()),
        attributes,
        storage_order,
    };
    spec.validate().map_err(MetadataError::Spec)?;
    Ok((spec, shape[0]))
}

/// What `store` says of its array; `None` if there is none in it.
///
/// # Errors
/// As [`decode`], and if the store cannot be read.
pub fn read(store: &dyn Store) -> Result<Option<(ArraySpec, u64)>, MetadataError> {
    let Some(bytes) = store.size(KEY).map_err(MetadataError::Store)? else {
        return Ok(None);
    };
    if bytes > MAX_BYTES {
        return Err(MetadataError::TooLarge { bytes });
    }
    let mut text = vec![0; bytes as usize];
    store.read(KEY, 0, &mut text).map_err(MetadataError::Store)?;
    decode(&text).map(Some)
}

/// Checks that an array can have `attributes`: that they leave [`RESERVED`] to forebay and can be read again.
///
/// # Errors
/// [`SpecError`] with what is wrong.
pub fn check_attributes(attributes: &Map<String, Value>) -> Result<(), SpecError> {
    if attributes.contains_key(RESERVED) {
        return Err(SpecError(format!("the attribute '{RESERVED}' is forebay's own")));
    }
    // Leaves room for the rest of the document.
    let bytes = format!("{:#}", Value::Object(attributes.clone())).len() as u64;
    if bytes > MAX_BYTES / 2 {
        return Err(SpecError(format!("the attributes take {bytes} bytes; the most are {}", MAX_BYTES / 2)));
    }
    Ok(())
}

fn header(fields: &mut Fields) -> Result<(), MetadataError> {
    let format = fields.need("zarr_format")?;
    if format != 3 {
        return Err(unsupported("zarr_format", &format, "3 there; convert the array first"));
    }
    let node = fields.need("node_type")?;
    match node == "array" {
        true => Ok(()),
        false => Err(unsupported("node_type", &node, "\"array\" there; name an array within the group")),
    }
}

fn data_type(fields: &mut Fields) -> Result<DataType, MetadataError> {
    let value = fields.need("data_type")?;
    let known = value.as_str().and_then(|name| name.parse().ok());
    known.ok_or_else(|| {
        let names = DataType::ALL.map(DataType::name).join(", ");
        unsupported("data_type", &value, format!("one of {names}"))
    })
}

/// The shape of a shard.
fn grid(fields: &mut Fields) -> Result<Vec<u64>, MetadataError> {
    let mut regular = Extension::named("chunk_grid", fields.need("chunk_grid")?, "regular")?;
    let shape = regular.configuration.need_shape("chunk_shape")?;
    regular.configuration.end()?;
    Ok(shape)
}

fn keys(fields: &mut Fields) -> Result<(), MetadataError> {
    let mut default = Extension::named("chunk_key_encoding", fields.need("chunk_key_encoding")?, "default")?;
    default.configuration.only("separator", "/".into())?;
    default.configuration.end()
}

fn attributes(fields: &mut Fields) -> Result<Map<String, Value>, MetadataError> {
    match fields.take("attributes") {
        None => Ok(Map::new()),
        Some(Value::Object(attributes)) => Ok(attributes),
        Some(other) => Err(invalid("attributes", &other, "an object")),
    }
}

fn storage_order(rank: usize, ours: Value) -> Result<Vec<usize>, MetadataError> {
    let mut fields = Fields::of(format!("attributes.{RESERVED}"), ours)?;
    let order = fields.need_shape("storage_order")?;
    let field = fields.at("storage_order");
    fields.end()?;
    let named = |at: usize| order.contains(&(at as u64));
    if order.len() != rank || !(0..rank).all(named) {
        let why = format!("does not name each of {rank} dimensions once");
        return Err(MetadataError::Invalid { field, why });
    }
    Ok(order.into_iter().map(|at| at as usize).collect())
}

/// The names, in storage order. Names that are all `null` are as good as none.
fn dimension_names(fields: &mut Fields, rank: usize) -> Result<Option<Vec<String>>, MetadataError> {
    let value = match fields.take("dimension_names") {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value,
    };
    let Some(names) = value.as_array().filter(|names| names.len() == rank) else {
        return Err(invalid("dimension_names", &value, &format!("a list of {rank} names")));
    };
    if names.iter().all(Value::is_null) {
        return Ok(None);
    }
    let texts: Option<Vec<String>> = names.iter().map(|name| name.as_str().map(str::to_owned)).collect();
    let whole = "a name for each dimension, or for none";
    texts.map(Some).ok_or_else(|| unsupported("dimension_names", &value, whole))
}
