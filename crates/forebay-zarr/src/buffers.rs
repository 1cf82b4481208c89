//! `Buffers`: where chunks are compressed to.
//!
//! A buffer has room for the longest that a chunk can become, but takes memory only as far as it was ever filled. The
//! last one given back is the first one given out. A [`Buffer`] finds its own way back when it is dropped.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Buffers that grow. Cloning gives another handle to the same ones.
#[derive(Clone)]
pub(crate) struct Buffers {
    idle: Arc<Mutex<Vec<Vec<u8>>>>,
    /// Most buffers kept while they are not in use.
    keep: usize,
}

impl Buffers {
    /// Any number of buffers, of which `keep` are kept when they are not in use.
    pub(crate) fn new(keep: usize) -> Self {
        Buffers { idle: Arc::default(), keep }
    }

    /// An empty buffer.
    pub(crate) fn take(&self) -> Buffer {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Buffer { bytes: idle.unwrap_or_default(), home: self.clone() }
    }
}

impl fmt::Debug for Buffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffers").field("keep", &self.keep).finish_non_exhaustive()
    }
}

/// A buffer of [`Buffers`], to which it returns when it is dropped.
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    home: Buffers,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        let mut idle = self.home.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let surplus = if idle.len() < self.home.keep {
            idle.push(bytes);
            None
        } else {
            Some(bytes)
        };
        drop(idle);
        // Given back to the system without the lock.
        drop(surplus);
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

/// So that what is in it can be shared as [`Bytes`](bytes::Bytes).
impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer").field("len", &self.bytes.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_that_came_back_last_goes_out_first_and_surplus_is_not_kept() {
        let buffers = Buffers::new(2);
        let mut out: Vec<Buffer> = (0..3).map(|_| buffers.take()).collect();
        for (capacity, buffer) in [10, 20, 30].into_iter().zip(&mut out) {
            buffer.reserve_exact(capacity);
            buffer.push(1);
        }
        out.into_iter().for_each(drop);
        let next: Vec<Buffer> = (0..3).map(|_| buffers.take()).collect();
        assert_eq!(
            next.iter().map(|buffer| (buffer.len(), buffer.capacity())).collect::<Vec<_>>(),
            [(0, 20), (0, 10), (0, 0)]
        );
    }
}
