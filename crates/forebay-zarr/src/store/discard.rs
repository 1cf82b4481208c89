//! `Discard`: a store that forgets shards.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;

use super::{Memory, Shard, Store, StoreError};

/// A store that forgets shards: to measure everything but the disk. What is [put](Store::put), metadata that is, it
/// keeps in memory.
#[derive(Debug, Default)]
pub struct Discard {
    small: Memory,
    discarded: Arc<Discarded>,
}

#[derive(Debug, Default)]
struct Discarded {
    bytes: AtomicU64,
    shards: AtomicU64,
}

impl Discard {
    /// A store without objects.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes of shards that were written so far.
    pub fn bytes(&self) -> u64 {
        self.discarded.bytes.load(Relaxed)
    }

    /// Shards that have landed so far.
    pub fn shards(&self) -> u64 {
        self.discarded.shards.load(Relaxed)
    }
}

impl Store for Discard {
    fn begin(&self, _key: &str) -> Result<Box<dyn Shard>, StoreError> {
        Ok(Box::new(DiscardedShard { discarded: Arc::clone(&self.discarded) }))
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.small.put(key, bytes)
    }

    fn size(&self, key: &str) -> Result<Option<u64>, StoreError> {
        self.small.size(key)
    }

    fn read(&self, key: &str, offset: u64, out: &mut [u8]) -> Result<(), StoreError> {
        self.small.read(key, offset, out)
    }

    fn remove(&self, key: &str) -> Result<(), StoreError> {
        self.small.remove(key)
    }

    fn list(&self, key: &str) -> Result<Vec<String>, StoreError> {
        self.small.list(key)
    }
}

#[derive(Debug)]
struct DiscardedShard {
    discarded: Arc<Discarded>,
}

impl Shard for DiscardedShard {
    fn write(&mut self, parts: &[Bytes]) -> Result<(), StoreError> {
        let bytes = parts.iter().map(|part| part.len() as u64).sum();
        self.discarded.bytes.fetch_add(bytes, Relaxed);
        Ok(())
    }

    fn land(self: Box<Self>) -> Result<(), StoreError> {
        self.discarded.shards.fetch_add(1, Relaxed);
        Ok(())
    }
}
