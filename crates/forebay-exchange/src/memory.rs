//! `Memory`: who pays for what a worker keeps, and where it goes when nobody does.

use bytes::Bytes;
use forebay::{Consumer, Lease, Page, Pager, Parts};

/// A consumer of the process's budget, and the pager of its spill store, if there is one. Cloning gives another handle.
#[derive(Clone, Debug)]
pub struct Memory {
    consumer: Consumer,
    pager: Option<Pager>,
}

impl Memory {
    /// Memory that `consumer` pays for and that `pager` takes the rest of.
    pub fn new(consumer: Consumer, pager: Option<Pager>) -> Self {
        Memory { consumer, pager }
    }

    /// Who pays.
    pub fn consumer(&self) -> &Consumer {
        &self.consumer
    }

    /// Whether there is a spill store.
    pub fn can_spill(&self) -> bool {
        self.pager.is_some()
    }

    /// A lease of `bytes` bytes if they fit: never waits, never overdraws.
    pub fn try_lease(&self, bytes: usize) -> Option<Lease> {
        self.consumer.try_lease(bytes).ok()
    }

    /// Hands `bytes`, which hold `rows` rows, to the spill store and returns at once. `lease` pays until they are on
    /// disk. Without a spill store, everything comes back.
    ///
    /// # Errors
    /// The arguments, if there is no spill store.
    pub fn spill(&self, bytes: Vec<u8>, rows: u64, lease: Lease) -> Result<Page, (Vec<u8>, Lease)> {
        let Some(pager) = &self.pager else { return Err((bytes, lease)) };
        let mut parts = Parts::default();
        parts.put(Bytes::from(bytes));
        Ok(pager.put(parts, rows, lease))
    }

    /// Has `page` read ahead of its reader, if there is room. Ask only for what is going to be read.
    pub fn prefetch(&self, page: &Page) {
        if let Some(pager) = &self.pager {
            pager.prefetch(page);
        }
    }

    /// Waits until `page` is on disk or its write has failed. Only on a merger thread.
    pub fn settle(&self, page: &Page) {
        if let Some(pager) = &self.pager {
            pager.settle(page);
        }
    }
}
