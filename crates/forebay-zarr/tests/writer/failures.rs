//! A store that fails at every operation in turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use forebay_zarr::store::Memory;
use forebay_zarr::{ArraySpec, ArrayWriter, DataType, Shard, Store, StoreError, WriteError, WriterOptions};

use crate::reading::{memory, noise, objects, read, within};

/// Counts the operations that change the store, and fails at one of them.
#[derive(Debug)]
struct Failing {
    store: Arc<Memory>,
    count: Arc<Count>,
}

#[derive(Debug)]
struct Count {
    done: AtomicU64,
    fails_at: u64,
}

impl Count {
    fn pass(&self, operation: &'static str) -> Result<(), StoreError> {
        if self.done.fetch_add(1, Ordering::SeqCst) == self.fails_at {
            let error = std::io::Error::other("injected");
            return Err(StoreError::Io { operation, path: "nowhere".into(), error });
        }
        Ok(())
    }
}

impl Store for Failing {
    fn begin(&self, key: &str) -> Result<Box<dyn Shard>, StoreError> {
        self.count.pass("begin")?;
        Ok(Box::new(FailingShard { shard: self.store.begin(key)?, count: Arc::clone(&self.count) }))
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.count.pass("put")?;
        self.store.put(key, bytes)
    }

    fn size(&self, key: &str) -> Result<Option<u64>, StoreError> {
        self.store.size(key)
    }

    fn read(&self, key: &str, offset: u64, out: &mut [u8]) -> Result<(), StoreError> {
        self.store.read(key, offset, out)
    }

    fn remove(&self, key: &str) -> Result<(), StoreError> {
        self.count.pass("remove")?;
        self.store.remove(key)
    }

    fn list(&self, key: &str) -> Result<Vec<String>, StoreError> {
        self.store.list(key)
    }
}

#[derive(Debug)]
struct FailingShard {
    shard: Box<dyn Shard>,
    count: Arc<Count>,
}

impl Shard for FailingShard {
    fn write(&mut self, parts: &[Bytes]) -> Result<(), StoreError> {
        self.count.pass("write")?;
        self.shard.write(parts)
    }

    fn land(self: Box<Self>) -> Result<(), StoreError> {
        self.count.pass("land")?;
        self.shard.land()
    }
}

fn spec() -> ArraySpec {
    ArraySpec::new(DataType::UInt16, &[32, 32], &[2, 16, 16], &[4, 32, 16])
}

/// Four rows of shards and a part of one, with attributes and notes.
fn record(store: Failing, data: &[u8]) -> Result<u64, WriteError> {
    let mut writer = WriterOptions::new().workers(2).create(store, spec())?;
    for (n, frame) in data.chunks(spec().frame_bytes() as usize).enumerate() {
        if n % 5 == 0 {
            writer.annotate([("n".to_owned(), n.into())].into_iter().collect())?;
        }
        writer.append(frame)?;
    }
    writer.set_attributes([("done".to_owned(), true.into())].into_iter().collect())?;
    writer.flush()?;
    Ok(writer.close()?.frames)
}

#[test]
fn whichever_operation_fails_what_is_published_is_whole_and_the_array_can_be_gone_on_with() {
    within(240, || {
        let frame = spec().frame_bytes() as usize;
        let data = noise(18 * frame, 11);
        let whole = memory();
        let count = Arc::new(Count { done: AtomicU64::new(0), fails_at: u64::MAX });
        assert_eq!(record(Failing { store: Arc::clone(&whole), count: Arc::clone(&count) }, &data).unwrap(), 18);
        let operations = count.done.load(Ordering::SeqCst);
        assert!(operations > 30, "{operations}");

        for fails_at in 0..operations {
            let store = memory();
            let count = Arc::new(Count { done: AtomicU64::new(0), fails_at });
            let error = record(Failing { store: Arc::clone(&store), count }, &data).unwrap_err();
            assert!(matches!(error, WriteError::Store(_)), "operation {fails_at}: {error}");
            assert!(error.to_string().contains("nowhere: injected"), "{error}");
            if fails_at == 0 {
                assert!(objects(&store, "zarr.json").is_empty());
                continue;
            }
            let (_, frames, found) = read(&store);
            assert!(found == data[..frames as usize * frame], "operation {fails_at}, {frames} frames");

            let mut writer = ArrayWriter::open_append(Arc::clone(&store)).unwrap();
            assert_eq!(writer.next_frame(), frames);
            writer.append(&data[frames as usize * frame..]).unwrap();
            writer.close().unwrap();
            assert!(read(&store).2 == data, "operation {fails_at}");
            assert!(objects(&store, "c") == objects(&whole, "c"), "operation {fails_at}");
        }
    });
}
