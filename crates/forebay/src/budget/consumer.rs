//! `Consumer`: who leases, waits, and is asked to give back.

use std::fmt;
use std::sync::Weak;

use super::account::Pool;
use super::{Budget, Lease, OverBudget};
use crate::event::Event;
use crate::sync::{Arc, lock};

/// How much a thread leases in advance, at most.
const IN_ADVANCE: usize = 64 << 10;

/// Implemented by whoever can move what it holds out of memory.
///
/// ```
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use std::sync::Arc;
///
/// use forebay::{Budget, Reclaim};
///
/// struct Cache(AtomicUsize);
///
/// impl Reclaim for Cache {
///     fn reclaim(&self, bytes: usize) {
///         self.0.fetch_max(bytes, Ordering::SeqCst); // a thread of the cache's own acts on it
///     }
/// }
///
/// let budget = Budget::new(100);
/// let cache = Arc::new(Cache(AtomicUsize::new(0)));
/// let holder = budget.consumer("cache", 0)?;
/// let as_dyn: Arc<dyn Reclaim> = cache.clone();
/// holder.can_spill(Arc::downgrade(&as_dyn));
/// let cached = holder.try_lease(90)?;
///
/// let operator = budget.consumer("operator", 0)?; // which must never wait
/// let (tell, told) = std::sync::mpsc::channel();
/// assert!(!operator.when_room(30, move || tell.send(()).expect("somebody listens")));
/// assert_eq!(cache.0.load(Ordering::SeqCst), 30, "the largest that can spill was asked");
/// drop(cached);
/// told.recv()?;
/// assert!(operator.try_lease(30).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Reclaim: Send + Sync {
    /// Asks for `bytes` bytes. Must not block: note the wish and let a thread of your own act on it.
    fn reclaim(&self, bytes: usize);
}

/// Somebody who leases from a [`Budget`]. Cloning gives another handle to the same account; the account closes with
/// the last handle and the last lease.
#[derive(Clone)]
pub struct Consumer {
    pub(super) inner: Arc<Membership>,
}

pub(super) struct Membership {
    pub(super) pool: Arc<Pool>,
    pub(super) slot: usize,
    id: u64,
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.pool.close(self.slot);
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("id", &self.inner.id).field("used", &self.used()).finish()
    }
}

impl Consumer {
    pub(super) fn new(pool: &Arc<Pool>, slot: usize, id: u64) -> Self {
        Consumer { inner: Arc::new(Membership { pool: Arc::clone(pool), slot, id }) }
    }

    /// A number that no other consumer of this budget has or had.
    pub fn id(&self) -> u64 {
        self.inner.id
    }

    /// Bytes leased by this consumer now.
    pub fn used(&self) -> usize {
        lock(&self.inner.pool.state).account(self.inner.slot).used
    }

    /// The most bytes that this consumer had leased at one time.
    pub fn peak(&self) -> usize {
        lock(&self.inner.pool.state).account(self.inner.slot).peak
    }

    /// The budget that it leases from.
    pub fn budget(&self) -> Budget {
        Budget { pool: Arc::clone(&self.inner.pool) }
    }

    /// From now on this consumer can spill: it is asked through `reclaim` when others (or itself) need memory.
    pub fn can_spill(&self, reclaim: Weak<dyn Reclaim>) {
        lock(&self.inner.pool.state).account(self.inner.slot).reclaim = Some(reclaim);
    }

    /// A lease of `bytes` bytes, now or not at all.
    ///
    /// # Errors
    /// [`OverBudget`] if they do not fit; nothing is asked to spill.
    pub fn try_lease(&self, bytes: usize) -> Result<Lease, OverBudget> {
        let mut lease = self.empty_lease();
        if lease.try_grow(bytes) { Ok(lease) } else { Err(self.inner.pool.refusal(bytes)) }
    }

    /// A lease of `bytes` bytes for the head of the line. Never refused and never waits: what does not fit overdraws
    /// the pool, and the overdraft is counted. Liveness rests on it, so it is for the one item that everybody waits
    /// for.
    pub fn lease_head(&self, bytes: usize) -> Lease {
        let mut lease = self.empty_lease();
        lease.grow_head(bytes);
        lease
    }

    /// A lease of `bytes` bytes; waits until they fit, and asks the largest consumer that can spill to make room. See
    /// the module about where not to call it.
    ///
    /// # Errors
    /// [`OverBudget`] if they can never fit: more than the limit less the other consumers' minimums.
    pub fn lease(&self, bytes: usize) -> Result<Lease, OverBudget> {
        let room = self.room();
        let mut lease = self.empty_lease();
        loop {
            let listener = room.listen();
            if lease.grow_or_hunger(bytes) {
                return Ok(lease);
            }
            if !self.inner.pool.could_fit(self.inner.slot, bytes) {
                return Err(self.inner.pool.refusal(bytes));
            }
            self.ask(bytes);
            listener.wait();
        }
    }

    /// Says whether `bytes` bytes fit now. If they do not, the largest consumer that can spill is asked to make room,
    /// and `call` is called once when a refund lets them in: for whoever must not wait, a dataflow operator for
    /// example. Somebody else may take the room first: try again then. A consumer has one such call; a later one
    /// replaces it. `call` runs on the thread that gives memory back, without a lock, and must not block.
    pub fn when_room(&self, bytes: usize, call: impl FnOnce() + Send + 'static) -> bool {
        let fits = self.inner.pool.fits_or_call(self.inner.slot, bytes, Box::new(call));
        if !fits {
            self.ask(bytes);
        }
        fits
    }

    pub(crate) fn room(&self) -> Arc<Event> {
        Arc::clone(&lock(&self.inner.pool.state).account(self.inner.slot).room)
    }

    pub(crate) fn overdrawn(&self) -> bool {
        self.inner.pool.charged() > self.inner.pool.limit
    }

    /// Whether more than three quarters of the pool are charged.
    pub(crate) fn crowded(&self) -> bool {
        self.inner.pool.charged() > self.inner.pool.limit / 4 * 3
    }

    /// How many bytes to handle at a time: `most`, but a small budget is not to be used up by one such piece.
    pub(crate) fn at_a_time(&self, most: usize) -> usize {
        most.min(self.inner.pool.limit / 16).max(1)
    }

    /// How much to lease in advance.
    pub(super) fn in_advance(&self) -> usize {
        IN_ADVANCE.min(self.inner.pool.limit / 256)
    }

    /// A lease of nothing, to grow later.
    pub fn empty_lease(&self) -> Lease {
        Lease { consumer: self.clone(), bytes: 0 }
    }

    /// Asks the largest consumer that can spill to make room for `bytes`. Takes and holds no lock while it asks.
    pub(crate) fn ask(&self, bytes: usize) {
        self.inner.pool.ask(bytes);
    }

    /// Whether the pool is within its limit. If not, this consumer is woken when it is.
    pub(crate) fn solvent_or_hunger(&self) -> bool {
        self.inner.pool.solvent_or_hunger(self.inner.slot)
    }
}
