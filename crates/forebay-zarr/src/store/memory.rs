//! `Memory`: a store in memory.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::{Shard, Store, StoreError};

/// A store in memory, for tests and small arrays. It grows with the array, and it has no lock: that there is one writer
/// at a time is up to you.
#[derive(Debug, Default)]
pub struct Memory {
    objects: Arc<Mutex<Objects>>,
}

type Objects = BTreeMap<String, Vec<u8>>;

impl Memory {
    /// A store without objects.
    pub fn new() -> Self {
        Self::default()
    }
}

/// The map is whole between any two of its operations.
fn lock(objects: &Mutex<Objects>) -> MutexGuard<'_, Objects> {
    objects.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store for Memory {
    fn begin(&self, key: &str) -> Result<Box<dyn Shard>, StoreError> {
        Ok(Box::new(MemoryShard { objects: Arc::clone(&self.objects), key: key.to_owned(), bytes: Vec::new() }))
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        lock(&self.objects).insert(key.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn size(&self, key: &str) -> Result<Option<u64>, StoreError> {
        Ok(lock(&self.objects).get(key).map(|bytes| bytes.len() as u64))
    }

    fn read(&self, key: &str, offset: u64, out: &mut [u8]) -> Result<(), StoreError> {
        let objects = lock(&self.objects);
        let refuse = |kind: io::ErrorKind| StoreError::io("read", key)(kind.into());
        let bytes = objects.get(key).ok_or_else(|| refuse(io::ErrorKind::NotFound))?;
        let from = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)?.get(..out.len()));
        out.copy_from_slice(from.ok_or_else(|| refuse(io::ErrorKind::UnexpectedEof))?);
        Ok(())
    }

    fn remove(&self, key: &str) -> Result<(), StoreError> {
        lock(&self.objects).retain(|name, _| beneath(name, key).is_none() && name != key);
        Ok(())
    }

    fn list(&self, key: &str) -> Result<Vec<String>, StoreError> {
        let objects = lock(&self.objects);
        let names = objects.keys().filter_map(|name| beneath(name, key)?.split('/').next());
        let mut names: Vec<String> = names.map(str::to_owned).collect();
        // All that have a name in common follow each other.
        names.dedup();
        Ok(names)
    }
}

/// The rest of `name` behind `key/`.
fn beneath<'a>(name: &'a str, key: &str) -> Option<&'a str> {
    name.strip_prefix(key)?.strip_prefix('/')
}

#[derive(Debug)]
struct MemoryShard {
    objects: Arc<Mutex<Objects>>,
    key: String,
    bytes: Vec<u8>,
}

impl Shard for MemoryShard {
    fn write(&mut self, parts: &[Bytes]) -> Result<(), StoreError> {
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
        Ok(())
    }

    fn land(self: Box<Self>) -> Result<(), StoreError> {
        lock(&self.objects).insert(self.key, self.bytes);
        Ok(())
    }
}
