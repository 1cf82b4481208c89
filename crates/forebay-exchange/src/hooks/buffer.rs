//! Buffers that begin at a multiple of eight: what timely's plain containers are read from in place.

use std::ops::{Deref, DerefMut};

use timely::bytes::arc::{Bytes, BytesMut};

/// What timely requires of the address of a message.
const ALIGN: usize = 8;

/// `len` bytes from a multiple of eight on. The system's allocator aligns like that anyway; nothing in the language
/// says so for bytes.
pub(super) struct Aligned {
    bytes: Vec<u8>,
    skip: usize,
}

impl Aligned {
    pub(super) fn zeroed(len: usize) -> Self {
        let bytes = vec![0; len + ALIGN - 1];
        let skip = bytes.as_ptr().align_offset(ALIGN).min(ALIGN - 1);
        let mut aligned = Aligned { bytes, skip };
        aligned.bytes.truncate(aligned.skip + len);
        aligned
    }

    /// An empty buffer that takes up to `capacity` bytes without moving.
    pub(super) fn with_capacity(capacity: usize) -> Self {
        let mut bytes: Vec<u8> = Vec::with_capacity(capacity + ALIGN - 1);
        let skip = bytes.as_ptr().align_offset(ALIGN).min(ALIGN - 1);
        bytes.resize(skip, 0);
        Aligned { bytes, skip }
    }

    /// Adds `bytes`, which must fit into the capacity.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        debug_assert!(self.bytes.capacity() - self.bytes.len() >= bytes.len());
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn freeze(self) -> Bytes {
        BytesMut::from(self).freeze()
    }
}

impl Deref for Aligned {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.skip..]
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.skip..]
    }
}

/// What was read back, as timely's own bytes: without a copy if nobody else has them and they are aligned, which is
/// what the pager gives.
pub(super) fn to_timely(bytes: bytes::Bytes) -> Bytes {
    match bytes.try_into_mut() {
        Ok(buffer) if buffer.as_ptr().align_offset(ALIGN) == 0 => BytesMut::from(buffer).freeze(),
        Ok(buffer) => copy(&buffer),
        Err(shared) => copy(&shared),
    }
}

fn copy(bytes: &[u8]) -> Bytes {
    let mut buffer = Aligned::with_capacity(bytes.len());
    buffer.extend(bytes);
    buffer.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aligned(bytes: &[u8]) -> bool {
        bytes.as_ptr().align_offset(ALIGN) == 0
    }

    #[test]
    fn whatever_comes_back_begins_at_a_multiple_of_eight() {
        for len in [0, 1, 8, 1000, 1 << 20] {
            let zeroed = Aligned::zeroed(len);
            assert!(zeroed.len() == len && aligned(&zeroed));
            for offset in 0..9 {
                let source: Vec<u8> = (0..len + offset).map(|n| n as u8).collect();
                let shared = bytes::Bytes::from(source.clone());
                let own = bytes::Bytes::from(source.clone()).slice(offset..);
                for bytes in [shared.slice(offset..), own] {
                    let timely = to_timely(bytes);
                    assert!(aligned(&timely) && timely[..] == source[offset..]);
                }
            }
        }
    }
}
