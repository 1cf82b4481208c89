//! [`MemoryStore`]: a store that keeps its bytes in memory, for tests and for machines without a disk.
//!
//! Spilling to it frees nothing; with [`Compressor::lz4`](super::record::Compressor::lz4) above it the bytes get fewer.
//! Each extent is one allocation, so its space comes back exactly when it is dropped.
//!
//! ```
//! use std::io::IoSlice;
//!
//! use forebay::{MemoryStore, SpillError, SpillStore};
//!
//! let store = MemoryStore::new(10); // bytes
//! let extent = store.append(1, &[IoSlice::new(b"eight "), IoSlice::new(b"of")])?;
//! let refused = store.append(1, &[IoSlice::new(b"3 more")]).unwrap_err();
//! assert!(matches!(refused, SpillError::QuotaExceeded { requested: 6, allocated: 8, quota: 10, .. }));
//! let mut bytes = [0; 2];
//! extent.read(6, &mut bytes)?;
//! assert_eq!(&bytes, b"of");
//! drop(extent); // frees them
//! assert_eq!(store.usage().allocated, 0);
//! # Ok::<(), SpillError>(())
//! ```

use std::fmt;
use std::io::{self, IoSlice};
use std::sync::Arc;

use super::SpillError;
use super::account::Account;
use super::store::{Backing, Extent, Location, SpillStore, Usage};

const NAME: &str = "memory";

/// A store in memory with a quota in bytes.
#[derive(Debug)]
pub struct MemoryStore {
    account: Arc<Account>,
}

impl MemoryStore {
    /// A store of at most `quota` bytes.
    pub fn new(quota: u64) -> Self {
        MemoryStore { account: Arc::new(Account::new(quota)) }
    }
}

impl SpillStore for MemoryStore {
    fn append(&self, _owner: u64, parts: &[IoSlice<'_>]) -> Result<Extent, SpillError> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        self.account.charge(len as u64, &NAME)?;
        // From here on dropping the block, or the extent that holds it, pays the charge back.
        let mut block = Block { data: Vec::new(), charged: len as u64, account: self.account.clone() };
        if let Err(error) = block.data.try_reserve_exact(len) {
            self.account.died(block.charged);
            return Err(SpillError::io("allocate in", NAME, io::Error::new(io::ErrorKind::OutOfMemory, error)));
        }
        for part in parts {
            block.data.extend_from_slice(part);
        }
        Ok(Extent::new(Arc::new(block), 0, len as u64))
    }

    fn usage(&self) -> Usage {
        self.account.usage()
    }

    fn location(&self) -> Location {
        Location { name: NAME.to_owned(), in_memory: true }
    }
}

/// The bytes of one extent.
struct Block {
    data: Vec<u8>,
    charged: u64,
    account: Arc<Account>,
}

impl Backing for Block {
    fn read(&self, at: u64, buf: &mut [u8]) -> Result<(), SpillError> {
        // The extent has checked the bounds, and it is all of this block.
        let at = at as usize;
        buf.copy_from_slice(&self.data[at..at + buf.len()]);
        Ok(())
    }

    fn release(&self, _at: u64, len: u64) {
        self.account.died(len);
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        drop(std::mem::take(&mut self.data));
        self.account.refund(self.charged);
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block").field("len", &self.data.len()).finish_non_exhaustive()
    }
}
