//! Opening an array to append to it.
//!
//! The shape in `zarr.json` is the truth: the next frame is the one behind it, whatever lies in the store beyond. If it
//! lies in the middle of a row of shards, the row is written again under temporary names, from the chunks that are
//! there: those of whole layers as they are stored, those of a begun layer decoded and gone on with. Until the row
//! lands, readers see the old one. The bytes are the same as if the array had been written in one go.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::codec;
use crate::error::WriteError;
use crate::land::notes_key;
use crate::metadata;
use crate::options::WriterOptions;
use crate::shard::ShardIndex;
use crate::store::{Store, StoreError};
use crate::task::{Packed, Task};
use crate::writer::ArrayWriter;

/// The most attributes of frames of one row that are taken over, in bytes.
const MAX_NOTES: u64 = 1 << 30;

pub(crate) fn open(options: WriterOptions, store: Arc<dyn Store>) -> Result<ArrayWriter, WriteError> {
    let (spec, frames) = metadata::read(&*store)?.ok_or(WriteError::NoArray)?;
    let mut writer = ArrayWriter::start(options, Arc::clone(&store), spec, frames)?;
    let row_depth = writer.layout().row_depth();
    remove_behind(&*store, frames.div_ceil(row_depth))?;
    if !frames.is_multiple_of(row_depth) {
        begin_row_again(&mut writer, &*store, frames)?;
    }
    Ok(writer)
}

/// Removes the rows from `row` on: they were never published.
fn remove_behind(store: &dyn Store, row: u64) -> Result<(), StoreError> {
    for (key, suffix) in [("c", ""), ("frames", ".ndjson")] {
        for name in store.list(key)? {
            let number = name.strip_suffix(suffix).and_then(|name| name.parse::<u64>().ok());
            if number.is_some_and(|number| number >= row) {
                store.remove(&format!("{key}/{name}"))?;
            }
        }
    }
    Ok(())
}

fn begin_row_again(writer: &mut ArrayWriter, store: &dyn Store, frames: u64) -> Result<(), WriteError> {
    let layout = writer.layout().clone();
    let row = frames / layout.row_depth();
    let line = Bytes::from(notes_before(&read_notes(store, row)?, frames));
    writer.send(Task::Ready(Packed::Note { line }))?;
    let indexes = (0..layout.shards())
        .map(|shard| {
            let key = layout.key(row, shard);
            let index = ShardIndex::read(store, &key, layout.chunks_per_shard())?;
            Ok((key, index))
        })
        .collect::<Result<Vec<_>, WriteError>>()?;
    // Whatever wrote it: no codec makes a chunk more than a little larger.
    let most = 2 * layout.chunk_bytes as u64 + (1 << 20);
    let stored = |layer: u64, chunk: usize| -> Result<Option<Vec<u8>>, WriteError> {
        let (shard, place) = layout.place(layer % layout.layers_per_row, chunk);
        let (key, index) = &indexes[shard];
        let Some((offset, len)) = index.as_ref().and_then(|index| index.get(place)) else { return Ok(None) };
        Ok(Some(read(store, key, offset, len, most)?))
    };

    let (first, last) = (row * layout.layers_per_row, frames / layout.depth);
    for layer in first..last {
        for chunk in 0..layout.chunks {
            let parts = stored(layer, chunk)?.map(Bytes::from).into_iter().collect();
            writer.send(Task::Ready(Packed::Chunk { layer, chunk, parts, reloaded: true }))?;
        }
    }
    if !frames.is_multiple_of(layout.depth) {
        let spec = writer.spec().clone();
        let fill = spec.fill.bytes(spec.dtype);
        for chunk in 0..layout.chunks {
            let decoded = match stored(last, chunk)? {
                Some(bytes) => codec::decode(&spec.codec, spec.checksum, &bytes, layout.chunk_bytes)?,
                None => fill.repeat(layout.chunk_bytes / fill.len()),
            };
            writer.restore(chunk, &decoded);
        }
    }
    Ok(())
}

/// The lines about frames before `frames`. A line that is none is dropped.
fn notes_before(notes: &[u8], frames: u64) -> Vec<u8> {
    let before = |line: &&[u8]| {
        let line: Option<Value> = serde_json::from_slice(line).ok();
        line.and_then(|line| line.get("frame")?.as_u64()).is_some_and(|frame| frame < frames)
    };
    notes.split_inclusive(|&byte| byte == b'\n').filter(before).flatten().copied().collect()
}

fn read_notes(store: &dyn Store, row: u64) -> Result<Vec<u8>, StoreError> {
    let key = notes_key(row);
    match store.size(&key)? {
        Some(len) => read(store, &key, 0, len, MAX_NOTES),
        None => Ok(Vec::new()),
    }
}

/// Reads `len` bytes, if that is no more than `most`.
fn read(store: &dyn Store, key: &str, offset: u64, len: u64, most: u64) -> Result<Vec<u8>, StoreError> {
    if len > most {
        let error = io::Error::new(io::ErrorKind::InvalidData, format!("{len} bytes at {offset}, which is too much"));
        return Err(StoreError::Io { operation: "read", path: key.into(), error });
    }
    let mut bytes = vec![0; len as usize];
    store.read(key, offset, &mut bytes)?;
    Ok(bytes)
}
