//! [`Account`]: a store's byte counts and its quota.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{SpillError, Usage};

/// The counts behind [`Usage`]. Bytes are charged before they are written and refunded after they are freed, so the
/// quota holds at every moment. The counts guard no other memory, hence `Relaxed`.
#[derive(Debug)]
pub(super) struct Account {
    live: AtomicU64,
    allocated: AtomicU64,
    quota: u64,
    failures: AtomicU64,
}

impl Account {
    pub(super) fn new(quota: u64) -> Self {
        Account { live: AtomicU64::new(0), allocated: AtomicU64::new(0), quota, failures: AtomicU64::new(0) }
    }

    /// Charges `len` bytes that are to be stored in `place`, as live and as allocated, or changes nothing.
    pub(super) fn charge(&self, len: u64, place: &dyn fmt::Display) -> Result<(), SpillError> {
        let fits = |allocated: u64| allocated.checked_add(len).filter(|&sum| sum <= self.quota);
        match self.allocated.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits) {
            Ok(_) => {
                self.live.fetch_add(len, Ordering::Relaxed);
                Ok(())
            }
            Err(allocated) => Err(SpillError::QuotaExceeded {
                place: place.to_string(),
                requested: len,
                allocated,
                quota: self.quota,
            }),
        }
    }

    /// `len` bytes are dead.
    pub(super) fn died(&self, len: u64) {
        self.live.fetch_sub(len, Ordering::Relaxed);
    }

    /// `len` bytes are no longer held.
    pub(super) fn refund(&self, len: u64) {
        self.allocated.fetch_sub(len, Ordering::Relaxed);
    }

    /// Freeing bytes failed. Returns whether it is the first time.
    pub(super) fn failed(&self) -> bool {
        self.failures.fetch_add(1, Ordering::Relaxed) == 0
    }

    pub(super) fn usage(&self) -> Usage {
        Usage {
            live: self.live.load(Ordering::Relaxed),
            allocated: self.allocated.load(Ordering::Relaxed),
            quota: self.quota,
            failures: self.failures.load(Ordering::Relaxed),
        }
    }
}
