//! Reads an array back, chunk by chunk, with the crate's own decoders and no regard for speed.

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use forebay_zarr::store::Memory;
use forebay_zarr::{ArraySpec, ShardIndex, Store, codec, metadata};

pub(crate) fn memory() -> Arc<Memory> {
    Arc::new(Memory::new())
}

/// Every object beneath `key`.
pub(crate) fn objects(store: &dyn Store, key: &str) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    if let Some(size) = store.size(key).unwrap() {
        let mut bytes = vec![0; size as usize];
        store.read(key, 0, &mut bytes).unwrap();
        found.insert(key.to_owned(), bytes);
    }
    for name in store.list(key).unwrap() {
        found.extend(objects(store, &format!("{key}/{name}")));
    }
    found
}

/// The specification, how many frames readers see, and their bytes in the order in which they were appended.
pub(crate) fn read(store: &dyn Store) -> (ArraySpec, u64, Vec<u8>) {
    let (spec, frames) = metadata::read(store).unwrap().unwrap();
    let size = spec.dtype.size();
    let rank = spec.rank();
    let order = &spec.storage_order;
    let mut shape = spec.frame.clone();
    shape.insert(0, frames);
    let elements: u64 = shape.iter().product();
    let per_shard: Vec<u64> = (0..rank).map(|dim| spec.shard[dim] / spec.chunk[dim]).collect();
    let chunks_per_shard = per_shard.iter().product::<u64>() as usize;
    let chunk_bytes = spec.chunk_bytes() as usize;
    let mut chunks = std::collections::HashMap::new();
    let mut indexes = std::collections::HashMap::new();
    let mut out = Vec::new();
    for n in 0..elements {
        let mut at = vec![0; rank];
        let mut rest = n;
        for dim in (0..rank).rev() {
            at[dim] = rest % shape[dim];
            rest /= shape[dim];
        }
        let chunk_at: Vec<u64> = (0..rank).map(|dim| at[dim] / spec.chunk[dim]).collect();
        let chunk = chunks.entry(chunk_at.clone()).or_insert_with(|| {
            let key = order.iter().fold("c".to_owned(), |key, &dim| format!("{key}/{}", at[dim] / spec.shard[dim]));
            let index =
                indexes.entry(key.clone()).or_insert_with(|| ShardIndex::read(store, &key, chunks_per_shard).unwrap());
            let place =
                order.iter().fold(0, |place, &dim| place * per_shard[dim] + chunk_at[dim] % per_shard[dim]) as usize;
            match index.as_ref().and_then(|index| index.get(place)) {
                Some((offset, length)) => {
                    let mut stored = vec![0; length as usize];
                    store.read(&key, offset, &mut stored).unwrap();
                    codec::decode(&spec.codec, spec.checksum, &stored, chunk_bytes).unwrap()
                }
                None => spec.fill.bytes(spec.dtype).repeat(chunk_bytes / size),
            }
        });
        let within =
            order.iter().fold(0, |within, &dim| within * spec.chunk[dim] + at[dim] % spec.chunk[dim]) as usize * size;
        out.extend_from_slice(&chunk[within..within + size]);
    }
    (spec, frames, out)
}

/// Bytes that do not compress.
pub(crate) fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes()
    });
    let mut bytes_of: Vec<u8> = words.take(bytes.div_ceil(8)).flatten().collect();
    bytes_of.truncate(bytes);
    bytes_of
}

/// Runs `test` on a thread of its own and gives up on it after `seconds`.
pub(crate) fn within(seconds: u64, test: impl FnOnce() + Send + 'static) {
    let (done, outcome) = mpsc::channel();
    let thread = thread::spawn(move || {
        test();
        // Nobody listens any more if the test has taken too long.
        let _ = done.send(());
    });
    match outcome.recv_timeout(Duration::from_secs(seconds)) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("not done within {seconds} seconds"),
        _ => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
    }
}
