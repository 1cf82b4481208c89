//! `Budget`: one byte pool for everything that waits in memory.
//!
//! ```text
//!   Budget (limit)
//!     +- Consumer "sync"    minimum 1 MiB, spills    --- Lease 4 KiB, Lease 256 KiB, ...
//!     +- Consumer "inner"   no minimum               --- Lease 4 KiB
//! ```
//!
//! A pipeline registers as a [`Consumer`]. A [`Lease`] is charged *before* what it pays for is stored, travels with
//! it, and is refunded when it is dropped: delivered, spilled or thrown away.
//!
//! # Invariants
//! * The sum over all consumers of `max(leased, minimum)` exceeds the limit only by what [`Consumer::lease_head`]
//!   granted. That overdraft is what keeps every pipeline going whoever holds the memory; it is counted and its peak
//!   is shown.
//! * A refused consumer that announced itself is woken by the refund that would let it in, not by every refund.
//! * No user code and no callback runs under the pool's lock. A request to give memory back
//!   ([`Reclaim::reclaim`]) goes, without the lock, to the largest consumer that can spill and is above its minimum.
//!
//! # Waiting
//! [`Consumer::lease`] blocks. Call it only on a thread that holds no lease of the same budget, and never in a sink
//! or on a thread that frees memory for others: that is a deadlock by design. Pipelines never call it; they wait for
//! several things at once.
//!
//! # Disconnection
//! An account closes with the last handle of its consumer and the last lease; what it still held is given back then. A
//! lease that is forgotten (`mem::forget`) is never given back.
//!
//! ```
//! use forebay::Budget;
//!
//! let budget = Budget::new(1000); // bytes
//! let mine = budget.consumer("mine", 0)?;
//! let other = budget.consumer("other", 300)?; // set aside for it
//! let lease = mine.try_lease(700)?;
//! assert!(mine.try_lease(1).is_err());
//! assert!(other.try_lease(300).is_ok());
//! let head = mine.lease_head(50); // never refused: what everybody waits for
//! assert_eq!(budget.overdraft_peak(), 50);
//! drop((lease, head));
//! assert_eq!(budget.used(), 0);
//! # Ok::<(), forebay::OverBudget>(())
//! ```
//!
//! # Cost
//! One short lock per operation. Pipelines lease for groups of items, so it is not on the path of every item.

mod account;
mod consumer;
mod error;
mod lease;

use std::fmt;

use account::Pool;
pub use consumer::{Consumer, Reclaim};
pub use error::{Holding, OverBudget};
pub use lease::Lease;

use crate::sync::{Arc, lock};

/// A byte pool. Cloning gives another handle to the same pool.
#[derive(Clone)]
pub struct Budget {
    pool: Arc<Pool>,
}

impl Budget {
    /// A pool of `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Budget { pool: Arc::new(Pool::new(limit)) }
    }

    /// A pool of `most` bytes, or of a quarter of what the process's control groups allow it, if that is less: a default
    /// that leaves a small container room for everything else.
    pub fn modest(most: usize) -> Self {
        let allowed = crate::cgroup::memory_limit().and_then(|bytes| usize::try_from(bytes / 4).ok());
        Self::new(allowed.map_or(most, |allowed| allowed.min(most)))
    }

    /// Size of the pool, in bytes.
    pub fn limit(&self) -> usize {
        self.pool.limit
    }

    /// Bytes leased now.
    pub fn used(&self) -> usize {
        lock(&self.pool.state).used
    }

    /// The most bytes that were leased at one time.
    pub fn peak(&self) -> usize {
        lock(&self.pool.state).peak
    }

    /// The most bytes by which the pool was overdrawn at one time (see [`Consumer::lease_head`]).
    pub fn overdraft_peak(&self) -> usize {
        lock(&self.pool.state).overdraft_peak
    }

    /// What each consumer holds, largest first.
    pub fn holdings(&self) -> Vec<Holding> {
        lock(&self.pool.state).holdings()
    }

    /// Registers a consumer for which `minimum` bytes (0: none) are set aside. It cannot spill until
    /// [`Consumer::can_spill`] says how.
    ///
    /// # Errors
    /// [`OverBudget`] if the minimums of all consumers together would exceed the limit; never for a minimum of 0.
    pub fn consumer(&self, name: &str, minimum: usize) -> Result<Consumer, OverBudget> {
        let (slot, id) = self.pool.open(name, minimum)?;
        Ok(Consumer::new(&self.pool, slot, id))
    }

    /// Bytes charged now, minimums included.
    pub(crate) fn charged(&self) -> usize {
        self.pool.charged()
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget").field("limit", &self.limit()).field("holdings", &self.holdings()).finish()
    }
}
