//! What readers see while an array is written: whole rows of shards, and nothing before.

use forebay_zarr::{ArraySpec, ArrayWriter, DataType, ShardIndex, Store, WriteError, WriterOptions, memory_estimate};
use serde_json::{Map, Value, json};

use crate::reading::{memory, noise, objects, read};

fn spec() -> ArraySpec {
    ArraySpec::new(DataType::UInt8, &[6, 10], &[2, 4, 4], &[4, 8, 8])
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => unreachable!(),
    }
}

fn notes(store: &dyn Store, row: u64) -> Vec<Value> {
    let key = format!("frames/{row}.ndjson");
    let text = objects(store, &key).remove(&key).unwrap_or_default();
    text.split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|l| serde_json::from_slice(l).unwrap())
        .collect()
}

#[test]
fn a_flush_lands_whole_rows_pads_nothing_and_appends_go_on() {
    let store = memory();
    let data = noise(60 * 11, 1);
    let mut writer = ArrayWriter::create(store.clone(), spec()).unwrap();
    assert_eq!(writer.flush().unwrap(), 0);
    writer.append(&data[..60 * 7 + 30]).unwrap();
    assert_eq!(writer.flush().unwrap(), 4);
    assert_eq!((read(&store).1, store.list("c").unwrap()), (4, vec!["0".to_owned()]));
    assert_eq!(writer.monitor().snapshot().frames_waiting, 3);
    writer.append(&data[60 * 7 + 30..]).unwrap();
    assert_eq!(writer.flush().unwrap(), 8);
    assert_eq!(writer.close().unwrap().frames, 11);
    let (_, frames, found) = read(&store);
    assert_eq!(frames, 11);
    assert!(found == data);
}

#[test]
fn attributes_of_the_array_appear_with_a_flush_or_the_end() {
    let store = memory();
    let mut first = spec();
    first.attributes = object(json!({"lens": "10x"}));
    let mut writer = ArrayWriter::create(store.clone(), first).unwrap();
    assert_eq!(read(&store).0.attributes["lens"], "10x");
    writer.set_attributes(object(json!({"lens": "20x", "n": 1}))).unwrap();
    writer.flush().unwrap();
    assert_eq!(read(&store).0.attributes["n"], 1);
    writer.set_attributes(object(json!({"lens": "40x"}))).unwrap();
    writer.close().unwrap();
    assert_eq!(read(&store).0.attributes, object(json!({"lens": "40x"})));

    let mut writer = ArrayWriter::open_append(store.clone()).unwrap();
    assert_eq!(writer.spec().attributes["lens"], "40x");
    writer.append(&noise(60, 2)).unwrap();
    writer.close().unwrap();
    assert_eq!(read(&store).0.attributes["lens"], "40x");
}

#[test]
fn attributes_of_frames_are_lines_beside_the_row_and_survive_a_row_that_is_written_again() {
    let store = memory();
    let mut writer = ArrayWriter::create(store.clone(), spec()).unwrap();
    for n in 0..6 {
        writer.annotate(object(json!({"stage": n}))).unwrap();
        writer.append(&noise(60, n)).unwrap();
    }
    writer.close().unwrap();
    assert_eq!(notes(&store, 0).len(), 4);
    assert_eq!(notes(&store, 1), [json!({"frame": 4, "stage": 4}), json!({"frame": 5, "stage": 5})]);

    let mut writer = ArrayWriter::open_append(store.clone()).unwrap();
    writer.annotate(object(json!({"stage": 6}))).unwrap();
    writer.append(&noise(120, 6)).unwrap();
    writer.close().unwrap();
    assert_eq!(notes(&store, 1).len(), 3);
    assert_eq!(notes(&store, 1)[2], json!({"frame": 6, "stage": 6}));
}

/// Shards that landed before the shape did were never published; frames that are appended instead must not share the
/// array with them.
#[test]
fn shards_beyond_the_shape_are_gone_when_the_array_is_opened_again() {
    let store = memory();
    let mut writer = ArrayWriter::create(store.clone(), spec()).unwrap();
    writer.append(&noise(60 * 8, 1)).unwrap();
    writer.close().unwrap();
    // As a process leaves it that is killed between the last rename and the new shape.
    store.put("zarr.json", &forebay_zarr::metadata::encode(&spec(), 4)).unwrap();
    let mut writer = ArrayWriter::open_append(store.clone()).unwrap();
    assert_eq!(writer.next_frame(), 4);
    assert_eq!(store.list("c").unwrap(), ["0"]);
    // All of it is fill value: no shard is written over the old one.
    writer.append(&[0; 60 * 4]).unwrap();
    writer.close().unwrap();
    let (_, frames, found) = read(&store);
    assert_eq!(frames, 8);
    assert!(found[60 * 4..].iter().all(|&byte| byte == 0));
}

#[test]
fn nothing_to_go_on_with_is_an_error() {
    let error = ArrayWriter::open_append(memory()).unwrap_err();
    assert!(matches!(error, WriteError::NoArray), "{error}");
}

#[test]
fn an_element_that_is_no_bool_is_refused_and_nothing_of_the_call_is_appended() {
    let store = memory();
    let spec = ArraySpec::new(DataType::Bool, &[4], &[1, 4], &[1, 4]);
    let mut writer = ArrayWriter::create(store.clone(), spec).unwrap();
    writer.append(&[1, 0, 0, 1]).unwrap();
    let error = writer.append(&[0, 0, 0, 0, 0, 2]).unwrap_err();
    assert!(matches!(error, WriteError::NotBool { frame: 2, value: 2 }), "{error}");
    writer.append(&[1, 1, 1, 1]).unwrap();
    assert_eq!(writer.close().unwrap().frames, 2);
    assert_eq!(read(&store).2, [1, 0, 0, 1, 1, 1, 1, 1]);
}

#[test]
fn too_little_memory_is_refused_with_the_number_that_would_do() {
    let options = |bytes| WriterOptions::new().workers(2).memory(bytes);
    let Err(WriteError::Memory { needed, given: 1000 }) = options(1000).create(memory(), spec()) else { panic!() };
    assert!(needed <= memory_estimate(&spec(), 2).unwrap().total());
    options(needed).create(memory(), spec()).unwrap();
    assert!(matches!(options(needed - 1).create(memory(), spec()), Err(WriteError::Memory { .. })));
}

#[test]
fn large_frames_are_copied_by_several_threads_and_land_in_the_same_place() {
    let spec = ArraySpec::new(DataType::UInt16, &[2048, 2048], &[2, 256, 256], &[4, 1024, 1024]);
    let data = noise(3 * spec.frame_bytes() as usize, 1);
    let (whole, parts) = (memory(), memory());
    let mut writer = ArrayWriter::create(whole.clone(), spec.clone()).unwrap();
    // A helper that gets its turn late finds nothing left to do, and nobody waits for it.
    let mut rounds = 0;
    while writer.monitor().snapshot().scatter_parallel == 0 {
        assert!(rounds < 50, "no helper took part: {:?}", writer.monitor().snapshot());
        writer.append(&data).unwrap();
        rounds += 1;
    }
    let snapshot = writer.close().unwrap().snapshot;
    // The last layer of chunks may be half empty, but none of its chunks is.
    let layers = (3 * rounds as u64).div_ceil(2);
    assert_eq!(snapshot.packed_in, layers * 2 * 2048 * 2048 * 2);
    // Rows of four shards of 32 chunks.
    let indexes = layers.div_ceil(2) * 4 * (32 * 16 + 4);
    assert_eq!(snapshot.packed_out + indexes, snapshot.bytes_out);
    let mut writer = ArrayWriter::create(parts.clone(), spec).unwrap();
    for _ in 0..rounds {
        data.chunks(10_001).for_each(|part| writer.append(part).unwrap());
    }
    assert_eq!(writer.close().unwrap().snapshot.scatter_parallel, 0);
    assert!(objects(&whole, "c") == objects(&parts, "c"));
}

/// An index may claim anything that the file is large enough for.
#[test]
fn a_stored_chunk_that_is_far_too_long_is_refused_before_it_is_read() {
    let store = memory();
    let mut writer = ArrayWriter::create(store.clone(), spec()).unwrap();
    writer.append(&noise(60 * 3, 1)).unwrap();
    writer.close().unwrap();
    let chunks = 8;
    let mut index = ShardIndex::new(chunks);
    index.set(0, 0, 3 << 20);
    let mut shard = store.begin("c/0/0/0").unwrap();
    shard.write(&[vec![0; 3 << 20].into(), index.encode().into()]).unwrap();
    shard.land().unwrap();
    let error = ArrayWriter::open_append(store).unwrap_err();
    assert!(error.to_string().contains("too much"), "{error}");
}
