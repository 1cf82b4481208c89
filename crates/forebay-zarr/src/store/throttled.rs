//! `Throttled`: a store that is slow.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Activity, Shard, Store, StoreError};

/// A store that takes no more than so many bytes a second, all shards together: to try a rig against slow storage.
/// Only writing to shards is slowed down. A write that is under way is not cut short when the writer is dropped.
#[derive(Debug)]
pub struct Throttled<S> {
    store: S,
    gate: Arc<Gate>,
}

impl<S: Store> Throttled<S> {
    /// `store`, with at most `bytes_per_second` (at least 1).
    pub fn new(store: S, bytes_per_second: u64) -> Self {
        let gate = Gate { bytes_per_second: bytes_per_second.max(1), free_at: Mutex::new(Instant::now()) };
        Throttled { store, gate: Arc::new(gate) }
    }
}

#[derive(Debug)]
struct Gate {
    bytes_per_second: u64,
    /// When everything so far will have passed.
    free_at: Mutex<Instant>,
}

impl Gate {
    /// Returns when `bytes` more have passed.
    fn pass(&self, bytes: u64) {
        let takes = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        let until = {
            let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
            *free_at = Instant::now().max(*free_at) + takes;
            *free_at
        };
        thread::sleep(until.saturating_duration_since(Instant::now()));
    }
}

impl<S: Store> Store for Throttled<S> {
    fn begin(&self, key: &str) -> Result<Box<dyn Shard>, StoreError> {
        Ok(Box::new(ThrottledShard { shard: self.store.begin(key)?, gate: Arc::clone(&self.gate) }))
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.store.put(key, bytes)
    }

    fn size(&self, key: &str) -> Result<Option<u64>, StoreError> {
        self.store.size(key)
    }

    fn read(&self, key: &str, offset: u64, out: &mut [u8]) -> Result<(), StoreError> {
        self.store.read(key, offset, out)
    }

    fn remove(&self, key: &str) -> Result<(), StoreError> {
        self.store.remove(key)
    }

    fn list(&self, key: &str) -> Result<Vec<String>, StoreError> {
        self.store.list(key)
    }

    fn activity(&self) -> Result<Activity, StoreError> {
        self.store.activity()
    }
}

#[derive(Debug)]
struct ThrottledShard {
    shard: Box<dyn Shard>,
    gate: Arc<Gate>,
}

impl Shard for ThrottledShard {
    fn write(&mut self, parts: &[Bytes]) -> Result<(), StoreError> {
        self.shard.write(parts)?;
        self.gate.pass(parts.iter().map(|part| part.len() as u64).sum());
        Ok(())
    }

    fn land(self: Box<Self>) -> Result<(), StoreError> {
        self.shard.land()
    }
}
