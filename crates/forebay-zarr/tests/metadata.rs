//! `zarr.json`: what is written is what is read, and what cannot be continued is refused by name.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use forebay_zarr::codec::{Codec, Compressor, Shuffle};
use forebay_zarr::metadata::{check_attributes, decode, encode};
use forebay_zarr::{ArraySpec, DataType, FillValue, MetadataError};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn spec() -> ArraySpec {
    ArraySpec::new(DataType::UInt16, &[100, 200], &[4, 32, 64], &[8, 64, 128])
}

/// The document of [`spec`] with 10 frames.
fn document() -> Value {
    serde_json::from_slice(&encode(&spec(), 10)).unwrap()
}

fn refused(document: &Value) -> MetadataError {
    decode(document.to_string().as_bytes()).unwrap_err()
}

fn fill(dtype: DataType, element: &[u8]) -> ArraySpec {
    let mut spec = ArraySpec::new(dtype, &[4], &[1, 4], &[1, 4]);
    spec.fill = FillValue::from_bytes(element).unwrap();
    spec
}

#[test]
fn the_document_has_the_usual_fields_in_the_usual_order() {
    let mut spec = spec();
    spec.checksum = true;
    spec.dimension_names = ["t", "y", "x"].map(str::to_owned).to_vec();
    spec.attributes = json!({"unit": "photons", "about": 0.1}).as_object().unwrap().clone();
    let text = String::from_utf8(encode(&spec, 10)).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(text, format!("{}\n", serde_json::to_string_pretty(&document).unwrap()), "pretty-printed");
    let expected = r#"{"zarr_format":3,"node_type":"array","shape":[10,100,200],"data_type":"uint16",
        "chunk_grid":{"name":"regular","configuration":{"chunk_shape":[8,64,128]}},
        "chunk_key_encoding":{"name":"default","configuration":{"separator":"/"}},"fill_value":0,
        "codecs":[{"name":"sharding_indexed","configuration":{"chunk_shape":[4,32,64],"codecs":[
            {"name":"bytes","configuration":{"endian":"little"}},
            {"name":"blosc","configuration":{"typesize":2,"cname":"zstd","clevel":1,"shuffle":"shuffle","blocksize":0}},
            {"name":"crc32c"}],
            "index_codecs":[{"name":"bytes","configuration":{"endian":"little"}},{"name":"crc32c"}],
            "index_location":"end"}}],
        "attributes":{"unit":"photons","about":0.1},"dimension_names":["t","y","x"]}"#;
    assert_eq!(document.to_string(), expected.replace(['\n', ' '], ""));
}

#[test]
fn the_document_is_in_storage_order_and_the_specification_in_that_of_the_data() {
    let mut spec = ArraySpec::new(DataType::UInt8, &[3, 50, 60], &[1, 1, 5, 6], &[2, 3, 10, 12]);
    spec.storage_order = vec![0, 2, 1, 3];
    spec.dimension_names = ["t", "c", "y", "x"].map(str::to_owned).to_vec();
    let text = encode(&spec, 7);
    let document: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(document["shape"], json!([7, 50, 3, 60]));
    assert_eq!(document["chunk_grid"]["configuration"]["chunk_shape"], json!([2, 10, 3, 12]));
    assert_eq!(document["codecs"][0]["configuration"]["chunk_shape"], json!([1, 5, 1, 6]));
    assert_eq!(document["dimension_names"], json!(["t", "y", "c", "x"]));
    assert_eq!(document["attributes"], json!({"forebay": {"storage_order": [0, 2, 1, 3]}}));
    assert_eq!(decode(&text).unwrap(), (spec, 7));
}

#[test]
fn a_storage_order_that_is_none_is_refused() {
    for order in [json!([0, 1]), json!([0, 1, 1]), json!([0, 1, 3]), json!([0, -1, 2]), json!([1, 0, 2]), json!(5)] {
        let mut document = document();
        document["attributes"]["forebay"] = json!({"storage_order": order});
        assert!(refused(&document).to_string().contains("storage"), "{order}: {}", refused(&document));
    }
    let mut document = document();
    document["attributes"]["forebay"] = json!({"storage_order": [0, 1, 2], "later": 1});
    assert!(refused(&document).to_string().contains("attributes.forebay.later"), "{}", refused(&document));
}

#[test]
fn fill_values_are_as_the_specification_says() {
    let cases = [
        (fill(DataType::Bool, &[1]), json!(true)),
        (fill(DataType::Int8, &[0x80]), json!(-128)),
        (fill(DataType::UInt64, &[0xff; 8]), json!(u64::MAX)),
        (fill(DataType::Int64, &i64::MIN.to_le_bytes()), json!(i64::MIN)),
        (fill(DataType::Int64, &((1i64 << 53) + 1).to_le_bytes()), json!((1i64 << 53) + 1)),
        (fill(DataType::Float32, &0.1f32.to_le_bytes()), json!(f64::from(0.1f32))),
        (fill(DataType::Float64, &0.1f64.to_le_bytes()), json!(0.1)),
        (fill(DataType::Float64, &f64::NAN.to_le_bytes()), json!("NaN")),
        (fill(DataType::Float32, &f32::INFINITY.to_le_bytes()), json!("Infinity")),
        (fill(DataType::Float16, &0xfc00u16.to_le_bytes()), json!("-Infinity")),
        (fill(DataType::Float16, &0x3c00u16.to_le_bytes()), json!(1.0)),
        (fill(DataType::Float32, &0xffc0_0001u32.to_le_bytes()), json!("0xffc00001")),
        (fill(DataType::Float16, &0x7c01u16.to_le_bytes()), json!("0x7c01")),
    ];
    for (spec, value) in cases {
        let text = encode(&spec, 0);
        assert_eq!(serde_json::from_slice::<Value>(&text).unwrap()["fill_value"], value);
        assert_eq!(decode(&text).unwrap(), (spec, 0), "{value}");
    }
    // -0.0 equals 0.0 as a JSON value.
    let spec = fill(DataType::Float64, &(-0.0f64).to_le_bytes());
    assert_eq!(decode(&encode(&spec, 0)).unwrap(), (spec, 0));
}

#[test]
fn fill_values_of_another_type_are_refused() {
    let cases = [
        (DataType::UInt8, json!(256)),
        (DataType::UInt8, json!(-1)),
        (DataType::UInt8, json!(1.0)),
        (DataType::UInt8, json!(true)),
        (DataType::Int16, json!(32768)),
        (DataType::UInt64, json!(-1)),
        (DataType::Bool, json!(1)),
        (DataType::Float16, json!(70000)),
        (DataType::Float32, json!(1e39)),
        (DataType::Float32, json!("0x7fc0")),
        (DataType::Float32, json!("0x+fc00000")),
        (DataType::Float64, json!("nan")),
        (DataType::Float64, json!(null)),
    ];
    for (dtype, value) in cases {
        let mut document: Value = serde_json::from_slice(&encode(&fill(dtype, &[]), 0)).unwrap();
        document["fill_value"] = value.clone();
        assert!(refused(&document).to_string().contains("fill_value"), "{value} as {dtype}");
    }
}

#[test]
fn the_array_of_another_writer_is_continued() {
    let zarr_python = r#"{"shape":[10,20],"data_type":"float32",
        "chunk_grid":{"name":"regular","configuration":{"chunk_shape":[4,10]}},
        "chunk_key_encoding":{"name":"default","configuration":{"separator":"/"}},"fill_value":"NaN",
        "codecs":[{"name":"sharding_indexed","configuration":{"chunk_shape":[2,5],"codecs":[
            {"name":"bytes","configuration":{"endian":"little"}},
            {"name":"zstd","configuration":{"level":0,"checksum":false}}],
            "index_codecs":[{"name":"bytes","configuration":{"endian":"little"}},{"name":"crc32c"}],
            "index_location":"end"}}],
        "attributes":{"b":1,"a":0.1},"dimension_names":[null,null],"zarr_format":3,"node_type":"array",
        "storage_transformers":[]}"#;
    let (spec, frames) = decode(zarr_python.as_bytes()).unwrap();
    assert_eq!((frames, spec.frame.as_slice(), spec.codec), (10, &[20][..], Codec::Zstd { level: 0 }));
    assert_eq!(spec.dimension_names, Vec::<String>::new());
    assert_eq!(spec.attributes.keys().collect::<Vec<_>>(), ["b", "a"], "in the order that they had");

    let tensorstore = r#"{"chunk_grid":{"configuration":{"chunk_shape":[4,10]},"name":"regular"},
        "chunk_key_encoding":{"name":"default"},"codecs":[{"configuration":{"chunk_shape":[2,5],"codecs":[
            {"configuration":{"endian":"little"},"name":"bytes"},{"configuration":{"blocksize":0,"clevel":5,
            "cname":"zstd","shuffle":"shuffle","typesize":8},"name":"blosc"},"crc32c"],
            "index_codecs":[{"configuration":{"endian":"little"},"name":"bytes"},{"name":"crc32c"}]},
            "name":"sharding_indexed"}],
        "data_type":"int64","fill_value":0,"node_type":"array","shape":[10,20],"zarr_format":3}"#;
    let (spec, _) = decode(tensorstore.as_bytes()).unwrap();
    let blosc = Codec::Blosc { compressor: Compressor::Zstd, level: 5, shuffle: Shuffle::Byte };
    assert_eq!((spec.codec, spec.checksum), (blosc, true));
}

#[test]
fn what_cannot_be_continued_is_refused_by_name() {
    let cases: Vec<(&str, Value, &str)> = vec![
        ("/zarr_format", json!(2), "zarr_format"),
        ("/node_type", json!("group"), "node_type"),
        ("/shape", json!([]), "shape"),
        ("/shape", json!(vec![1; 33]), "shape"),
        ("/shape", json!([1.5, 100, 200]), "shape"),
        ("/shape", json!([10, 0, 200]), "a frame is empty"),
        ("/data_type", json!("complex64"), "data_type"),
        ("/data_type", json!({"name": "numpy.datetime64"}), "data_type"),
        ("/chunk_grid/name", json!("rectangular"), "chunk_grid"),
        ("/chunk_grid/configuration/chunk_shape", json!([8, 64]), "chunk_grid"),
        ("/chunk_grid/configuration/chunk_shape", json!([8, 64, 100]), "no multiple"),
        ("/chunk_grid/must_understand", json!(false), "chunk_grid.must_understand"),
        ("/chunk_key_encoding/name", json!("v2"), "chunk_key_encoding"),
        ("/chunk_key_encoding/configuration/separator", json!("."), "chunk_key_encoding.configuration.separator"),
        ("/codecs", json!([{"name": "bytes", "configuration": {"endian": "little"}}]), "codecs[0]"),
        ("/codecs", json!([]), "codecs"),
        ("/codecs/1", json!("crc32c"), "codecs"),
        ("/codecs/0/configuration/chunk_shape", json!([4, 32]), "codecs"),
        ("/codecs/0/configuration/chunk_shape", json!([4, 32, 0]), "empty"),
        ("/codecs/0/configuration/index_location", json!("start"), "index_location"),
        ("/codecs/0/configuration/index_codecs/1", json!("zstd"), "index_codecs[1]"),
        ("/codecs/0/configuration/index_codecs/2", json!("crc32c"), "index_codecs[2]"),
        ("/codecs/0/configuration/later", json!(1), "codecs[0].configuration.later"),
        ("inner/0/configuration/endian", json!("big"), "endian"),
        ("inner/0", json!("bytes"), "endian is missing"),
        ("inner/0", json!({"name": "transpose", "configuration": {"order": [0, 2, 1]}}), "transpose"),
        ("inner/1", json!("numcodecs.delta"), "numcodecs.delta"),
        ("inner/1/configuration/cname", json!("snappy"), "snappy"),
        ("inner/1/configuration/typesize", json!(4), "typesize"),
        ("inner/1/configuration/blocksize", json!(4096), "blocksize"),
        ("inner/1/configuration/clevel", json!(10), "level 10"),
        ("inner/1", json!({"name": "zstd", "configuration": {"level": 1, "checksum": true}}), "checksum"),
        ("inner/1", json!({"name": "gzip", "configuration": {"level": -1}}), "level"),
        ("inner/2", json!("zstd"), "codecs[2]"),
        ("/attributes", json!([]), "attributes"),
        ("/dimension_names", json!(["t", "y"]), "dimension_names"),
        ("/dimension_names", json!(["t", null, "x"]), "dimension_names"),
        ("/storage_transformers", json!([{"name": "indirect"}]), "storage_transformers"),
        ("/extension", json!({"name": "of tomorrow", "must_understand": true}), "extension"),
        ("/consolidated_metadata", json!({"kind": "inline"}), "consolidated_metadata"),
    ];
    for (at, value, named) in cases {
        let mut document = document();
        let at = at.replace("inner", "/codecs/0/configuration/codecs");
        let (parent, member) = at.rsplit_once('/').unwrap();
        match document.pointer_mut(parent).unwrap() {
            Value::Object(members) => {
                members.insert(member.into(), value);
            }
            Value::Array(all) => {
                let index: usize = member.parse().unwrap();
                all.truncate(index);
                all.push(value);
            }
            other => panic!("{other}"),
        }
        let error = refused(&document).to_string();
        assert!(error.contains(named), "{at}: {error}");
    }
}

#[test]
fn each_field_that_has_to_be_there_is_missed_by_name() {
    let names: Vec<String> = document().as_object().unwrap().keys().cloned().collect();
    for name in names {
        let mut without = document();
        without.as_object_mut().unwrap().remove(&name);
        match decode(without.to_string().as_bytes()) {
            Ok(_) => assert_eq!(name, "attributes"),
            Err(error) => assert_eq!(error.to_string(), format!("zarr.json: {name} is missing")),
        }
    }
}

#[test]
fn no_document_at_all_is_refused() {
    for text in ["", "{", "[]", "null", "{\"zarr_format\": 3} x"] {
        decode(text.as_bytes()).unwrap_err();
    }
    let deep = "[".repeat(1 << 20);
    assert!(matches!(decode(deep.as_bytes()), Err(MetadataError::Json(_))));
    let long = vec![b' '; (64 << 20) + 1];
    assert!(matches!(decode(&long), Err(MetadataError::TooLarge { .. })));
}

#[test]
fn the_key_that_forebay_keeps_for_itself_is_no_attribute() {
    let attributes = json!({"forebay": 1, "mine": 2}).as_object().unwrap().clone();
    assert!(check_attributes(&attributes).unwrap_err().to_string().contains("forebay"));
    check_attributes(&Map::from_iter([("mine".into(), json!(2))])).unwrap();
}

fn any_json() -> impl Strategy<Value = Value> {
    let float = any::<f64>().prop_filter("JSON has no others", |number| number.is_finite());
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        float.prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((any::<String>(), inner), 0..5)
                .prop_map(|all| Value::Object(all.into_iter().collect())),
        ]
    })
}

fn any_codec() -> impl Strategy<Value = Codec> {
    let compressor = prop::sample::select(vec![Compressor::Zstd, Compressor::Lz4, Compressor::Lz4hc, Compressor::Zlib]);
    let shuffle = prop::sample::select(vec![Shuffle::None, Shuffle::Byte, Shuffle::Bit]);
    prop_oneof![
        Just(Codec::None),
        (-7..=22i32).prop_map(|level| Codec::Zstd { level }),
        (0..=9u32).prop_map(|level| Codec::Gzip { level }),
        (compressor, 0..=9u8, shuffle).prop_map(|(compressor, level, shuffle)| Codec::Blosc {
            compressor,
            level,
            shuffle
        }),
    ]
}

prop_compose! {
    fn any_spec()(
        dtype in prop::sample::select(DataType::ALL.to_vec()),
        dimensions in proptest::collection::vec((1..=6u64, 1..4u64, 1..4u64), 1..8),
        shuffled in any::<prop::sample::Index>(),
        codec in any_codec(),
        checksum in any::<bool>(),
        bits in any::<u64>(),
        names in proptest::option::of(any::<[String; 8]>()),
        attributes in proptest::collection::vec((any::<String>(), any_json()), 0..4),
    ) -> ArraySpec {
        let rank = dimensions.len();
        let chunk: Vec<u64> = dimensions.iter().map(|&(_, chunk, _)| chunk).collect();
        let shard: Vec<u64> = dimensions.iter().map(|&(_, chunk, times)| chunk * times).collect();
        let frame: Vec<u64> = dimensions[1..].iter().map(|&(chunks, chunk, _)| chunks * chunk - chunk / 2).collect();
        let mut spec = ArraySpec::new(dtype, &frame, &chunk, &shard);
        if rank > 3 {
            spec.storage_order[1..rank - 1].rotate_left(shuffled.index(rank - 2));
        }
        spec.codec = codec;
        spec.checksum = checksum;
        let bits = if dtype == DataType::Bool { bits & 1 } else { bits };
        spec.fill = FillValue::from_bytes(&bits.to_le_bytes()[..dtype.size()]).unwrap();
        spec.dimension_names = names.map_or_else(Vec::new, |names| names[..rank].to_vec());
        spec.attributes = attributes.into_iter().filter(|(name, _)| name != "forebay").collect();
        spec
    }
}

proptest! {
    #[test]
    fn what_is_written_is_what_is_read(spec in any_spec(), frames in any::<u64>()) {
        spec.validate().unwrap();
        let text = encode(&spec, frames);
        let (read, count) = decode(&text).unwrap();
        prop_assert_eq!(&read, &spec);
        prop_assert_eq!(count, frames);
        prop_assert_eq!(encode(&read, count), text);
    }
}
