//! The `codecs` of an array: one sharding codec with what is done to each chunk inside.

use serde_json::{Value, json};

use super::MetadataError;
use super::fields::{Extension, invalid};
use crate::codec::{Codec, Compressor, Shuffle};
use crate::dtype::DataType;
use crate::spec::ArraySpec;

/// The list of codecs; `chunk` in storage order.
pub(super) fn encode(spec: &ArraySpec, chunk: &[u64]) -> Value {
    let bytes = match spec.dtype.size() {
        1 => json!({"name": "bytes"}),
        _ => json!({"name": "bytes", "configuration": {"endian": "little"}}),
    };
    let mut inner = vec![bytes];
    match spec.codec {
        Codec::None => {}
        Codec::Zstd { level } => {
            inner.push(json!({"name": "zstd", "configuration": {"level": level, "checksum": false}}));
        }
        Codec::Gzip { level } => inner.push(json!({"name": "gzip", "configuration": {"level": level}})),
        Codec::Blosc { compressor, level, shuffle } => inner.push(json!({"name": "blosc", "configuration": {
            "typesize": spec.dtype.size(),
            "cname": cname(compressor),
            "clevel": level,
            "shuffle": shuffle_name(shuffle),
            "blocksize": 0,
        }})),
    }
    if spec.checksum {
        inner.push(json!({"name": "crc32c"}));
    }
    json!([{"name": "sharding_indexed", "configuration": {
        "chunk_shape": chunk,
        "codecs": inner,
        "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "crc32c"}],
        "index_location": "end",
    }}])
}

/// What the list of codecs says: the chunk's shape in storage order, the codec, and whether chunks have checksums.
pub(super) fn decode(dtype: DataType, value: Value) -> Result<(Vec<u64>, Codec, bool), MetadataError> {
    let mut outer = Extension::list("codecs", value)?;
    let sharding = match outer.len() {
        1 => outer.remove(0),
        _ => {
            let why = "are not one 'sharding_indexed': forebay continues only arrays of shards that are not \
                       compressed once more as a whole";
            return Err(MetadataError::Invalid { field: "codecs".into(), why: why.into() });
        }
    };
    if sharding.name != "sharding_indexed" {
        return Err(sharding.refused("'sharding_indexed' there; write a new array with shards"));
    }
    let mut fields = sharding.configuration;
    let chunk = fields.need_shape("chunk_shape")?;
    fields.only("index_location", "end".into())?;

    let path = fields.at("index_codecs");
    let mut index = Extension::list(&path, fields.need("index_codecs")?)?.into_iter();
    little_endian(index.next(), &path, 8)?;
    let crc = index.next().ok_or_else(|| missing(&path, "crc32c"))?;
    checksum(crc)?;
    if let Some(more) = index.next() {
        return Err(more.refused("'bytes' and 'crc32c' there"));
    }

    let path = fields.at("codecs");
    let mut inner = Extension::list(&path, fields.need("codecs")?)?.into_iter().peekable();
    fields.end()?;
    little_endian(inner.next(), &path, dtype.size())?;
    let codec = match inner.next_if(|codec| codec.name != "crc32c") {
        Some(codec) => compressor(dtype, codec)?,
        None => Codec::None,
    };
    let checked = inner.next().map(checksum).transpose()?.is_some();
    match inner.next() {
        Some(more) => Err(more.refused("'bytes', one compressor and 'crc32c' there")),
        None => Ok((chunk, codec, checked)),
    }
}

/// Takes the codec that makes bytes of elements of `size` bytes.
fn little_endian(codec: Option<Extension>, path: &str, size: usize) -> Result<(), MetadataError> {
    let codec = codec.ok_or_else(|| missing(path, "bytes"))?;
    if codec.name != "bytes" {
        return Err(codec.refused("'bytes' there: elements as they are, in the order of the dimensions"));
    }
    let mut fields = codec.configuration;
    if size > 1 {
        // The default was dropped from the specification: a codec that does not say it is not to be guessed at.
        let endian = Value::String(fields.need_str("endian")?);
        if endian != "little" {
            return Err(super::fields::unsupported(&fields.at("endian"), &endian, "\"little\" there"));
        }
    } else {
        fields.take("endian");
    }
    fields.end()
}

fn checksum(codec: Extension) -> Result<(), MetadataError> {
    if codec.name != "crc32c" {
        return Err(codec.refused("'crc32c' there"));
    }
    codec.configuration.end()
}

fn compressor(dtype: DataType, codec: Extension) -> Result<Codec, MetadataError> {
    let name = codec.name.clone();
    let (path, mut fields) = (codec.configuration.at("level"), codec.configuration);
    let out_of_range = |_| MetadataError::Invalid { field: path.clone(), why: "is out of range".into() };
    let decoded = match name.as_str() {
        "zstd" => {
            fields.only("checksum", Value::Bool(false))?;
            Codec::Zstd { level: i32::try_from(fields.need_int("level")?).map_err(out_of_range)? }
        }
        "gzip" => Codec::Gzip { level: u32::try_from(fields.need_int("level")?).map_err(out_of_range)? },
        "blosc" => {
            let cname = Value::String(fields.need_str("cname")?);
            let compressor = COMPRESSORS.into_iter().find(|&known| cname == self::cname(known)).ok_or_else(|| {
                super::fields::unsupported(&fields.at("cname"), &cname, "zstd, lz4, lz4hc or zlib there")
            })?;
            let shuffle = Value::String(fields.need_str("shuffle")?);
            let shuffle = SHUFFLES
                .into_iter()
                .find(|&known| shuffle == shuffle_name(known))
                .ok_or_else(|| invalid(&fields.at("shuffle"), &shuffle, "noshuffle, shuffle or bitshuffle"))?;
            fields.only("typesize", dtype.size().into())?;
            fields.only("blocksize", 0.into())?;
            let level = u8::try_from(fields.need_int("clevel")?).map_err(out_of_range)?;
            Codec::Blosc { compressor, level, shuffle }
        }
        _ => {
            let refused = Extension { path: codec.path, name, configuration: fields };
            return Err(refused.refused("'zstd', 'gzip', 'blosc' or nothing between 'bytes' and 'crc32c'"));
        }
    };
    fields.end()?;
    Ok(decoded)
}

fn missing(path: &str, name: &str) -> MetadataError {
    MetadataError::Invalid { field: path.to_owned(), why: format!("lack '{name}'") }
}

const COMPRESSORS: [Compressor; 4] = [Compressor::Zstd, Compressor::Lz4, Compressor::Lz4hc, Compressor::Zlib];

fn cname(compressor: Compressor) -> &'static str {
    match compressor {
        Compressor::Zstd => "zstd",
        Compressor::Lz4 => "lz4",
        Compressor::Lz4hc => "lz4hc",
        Compressor::Zlib => "zlib",
    }
}

const SHUFFLES: [Shuffle; 3] = [Shuffle::None, Shuffle::Byte, Shuffle::Bit];

fn shuffle_name(shuffle: Shuffle) -> &'static str {
    match shuffle {
        Shuffle::None => "noshuffle",
        Shuffle::Byte => "shuffle",
        Shuffle::Bit => "bitshuffle",
    }
}
