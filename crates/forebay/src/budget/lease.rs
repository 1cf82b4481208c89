//! `Lease`: bytes that are paid for.

use std::fmt;

use super::Consumer;
use super::account::Refused;
use super::consumer::Membership;
use crate::sync::Arc;

/// Bytes that are paid for. Refunded on drop.
#[must_use = "a lease that is dropped pays for nothing"]
pub struct Lease {
    pub(super) consumer: Consumer,
    pub(super) bytes: usize,
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("bytes", &self.bytes).finish()
    }
}

impl Lease {
    /// Bytes that this lease pays for.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Who pays.
    pub fn consumer(&self) -> &Consumer {
        &self.consumer
    }

    /// Adds `bytes` bytes if they fit; says whether they did.
    #[must_use]
    pub fn try_grow(&mut self, bytes: usize) -> bool {
        self.grow(bytes, Refused::Nothing)
    }

    /// As [`try_grow`](Lease::try_grow), and if there is room takes something in advance, so that whoever grows for
    /// many items does not ask for each.
    pub(crate) fn try_grow_ahead(&mut self, bytes: usize) -> bool {
        self.try_grow(bytes.saturating_add(self.consumer.in_advance())) || self.try_grow(bytes)
    }

    /// Adds `bytes` bytes, overdrawing the pool if they do not fit (see [`Consumer::lease_head`]).
    pub fn grow_head(&mut self, bytes: usize) {
        self.grow(bytes, Refused::Overdraw);
    }

    /// As `try_grow`; if refused, the consumer's event is notified once they would fit.
    pub(crate) fn grow_or_hunger(&mut self, bytes: usize) -> bool {
        self.grow(bytes, Refused::Hunger)
    }

    fn grow(&mut self, bytes: usize, refused: Refused) -> bool {
        let Membership { pool, slot, .. } = &*self.consumer.inner;
        let granted = pool.charge(*slot, bytes, refused);
        if granted {
            self.bytes += bytes;
        }
        granted
    }

    /// Gives back everything above `bytes`.
    pub fn shrink_to(&mut self, bytes: usize) {
        if bytes >= self.bytes {
            return;
        }
        let Membership { pool, slot, .. } = &*self.consumer.inner;
        let excess = self.bytes - bytes;
        self.bytes = bytes;
        pool.refund(*slot, excess);
    }

    /// A lease of its own for `bytes` bytes out of this one (all of them, if it has fewer).
    pub fn split(&mut self, bytes: usize) -> Lease {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Lease { consumer: self.consumer.clone(), bytes }
    }

    /// Moves `bytes` bytes (all, if it has fewer) into `other`, which must belong to the same consumer. Touches
    /// nothing shared.
    #[inline]
    pub(crate) fn transfer(&mut self, other: &mut Lease, bytes: usize) {
        debug_assert!(Arc::ptr_eq(&self.consumer.inner, &other.consumer.inner));
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        other.bytes += bytes;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}
