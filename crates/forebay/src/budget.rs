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

use std::fmt;
use std::sync::Weak;

use crate::event::Event;
use crate::sync::{Arc, AtomicUsize, Mutex, Ordering, lock};

/// A byte pool. Cloning gives another handle to the same pool.
#[derive(Clone)]
pub struct Budget {
    pool: Arc<Pool>,
}

struct Pool {
    limit: usize,
    /// Mirror of `State::charged` for checks that need no exact answer.
    charged: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Sum of `max(used, minimum)` over the consumers.
    charged: usize,
    /// Sum of the minimums.
    promised: usize,
    used: usize,
    peak: usize,
    overdraft_peak: usize,
    accounts: Vec<Option<Account>>,
    next_id: u64,
    /// Accounts whose `hungry` is set.
    hungry: usize,
}

struct Account {
    name: String,
    minimum: usize,
    used: usize,
    peak: usize,
    reclaim: Option<Weak<dyn Reclaim>>,
    /// Bytes that were refused to somebody who now waits.
    hungry: Option<usize>,
    room: Arc<Event>,
    /// What to call beside notifying `room`.
    call: Option<Box<dyn FnOnce() + Send>>,
}

/// Somebody who waited and may try again.
struct Fed {
    room: Arc<Event>,
    call: Option<Box<dyn FnOnce() + Send>>,
}

impl Fed {
    /// Without the pool's lock.
    fn wake(self) {
        self.room.notify();
        if let Some(call) = self.call {
            call();
        }
    }
}

/// Implemented by whoever can move what it holds out of memory.
pub trait Reclaim: Send + Sync {
    /// Asks for `bytes` bytes. Must not block: note the wish and let a thread of your own act on it.
    fn reclaim(&self, bytes: usize);
}

/// What one consumer holds, for error messages and reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// The name under which the consumer registered.
    pub name: String,
    /// Bytes leased now.
    pub used: usize,
    /// Bytes that are reserved for it.
    pub minimum: usize,
}

/// A lease was refused. Says who holds the memory.
#[derive(Clone, Debug)]
pub struct OverBudget {
    /// Bytes asked for.
    pub requested: usize,
    /// Size of the pool, in bytes.
    pub limit: usize,
    /// Bytes leased when the request was refused.
    pub used: usize,
    /// The largest consumers, largest first, at most three.
    pub largest: Vec<Holding>,
}

impl fmt::Display for OverBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} bytes do not fit into the memory budget: {} of {} bytes are in use",
            self.requested, self.used, self.limit
        )?;
        for (n, holding) in self.largest.iter().enumerate() {
            let lead = if n == 0 { "; largest: " } else { ", " };
            write!(f, "{lead}{} {}", holding.name, holding.used)?;
        }
        Ok(())
    }
}

impl std::error::Error for OverBudget {}

impl Budget {
    /// A pool of `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Budget { pool: Arc::new(Pool { limit, charged: AtomicUsize::new(0), state: Mutex::new(State::default()) }) }
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
        self.register(name, minimum, Arc::new(Event::new()))
    }

    pub(crate) fn register(&self, name: &str, minimum: usize, room: Arc<Event>) -> Result<Consumer, OverBudget> {
        let account =
            Account { name: name.to_owned(), minimum, used: 0, peak: 0, reclaim: None, hungry: None, room, call: None };
        let mut state = lock(&self.pool.state);
        if minimum > 0 && state.promised.saturating_add(minimum) > self.pool.limit {
            drop(state);
            return Err(self.pool.refusal(minimum));
        }
        let id = state.next_id;
        state.next_id += 1;
        state.promised += minimum;
        state.charged += minimum;
        self.pool.publish(&state);
        let slot = state.accounts.iter().position(Option::is_none).unwrap_or_else(|| {
            state.accounts.push(None);
            state.accounts.len() - 1
        });
        state.accounts[slot] = Some(account);
        drop(state);
        Ok(Consumer { inner: Arc::new(Membership { pool: Arc::clone(&self.pool), slot, id }) })
    }
}

impl Budget {
    /// Bytes charged now, minimums included.
    pub(crate) fn charged(&self) -> usize {
        self.pool.charged.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget").field("limit", &self.limit()).field("holdings", &self.holdings()).finish()
    }
}

impl State {
    fn account(&mut self, slot: usize) -> &mut Account {
        match &mut self.accounts[slot] {
            Some(account) => account,
            None => unreachable!("a consumer keeps its account until it is dropped"),
        }
    }

    /// What the account and the pool would be charged with `bytes` more, and whether the pool has room for that.
    fn charged_with(&mut self, limit: usize, slot: usize, bytes: usize) -> Option<(usize, usize, bool)> {
        let account = self.account(slot);
        let used = account.used.checked_add(bytes)?;
        let extra = used.max(account.minimum) - account.used.max(account.minimum);
        let charged = self.charged.saturating_add(extra);
        // What lies within a minimum was set aside before, so it is granted even while others have overdrawn the pool.
        Some((used, charged, extra == 0 || charged <= limit))
    }

    /// Takes or refuses `bytes`; `force` overdraws.
    fn charge(&mut self, limit: usize, slot: usize, bytes: usize, force: bool) -> bool {
        let Some((used, charged, fits)) = self.charged_with(limit, slot, bytes) else {
            return false;
        };
        if !fits && !force {
            return false;
        }
        let account = self.account(slot);
        account.used = used;
        account.peak = account.peak.max(used);
        self.charged = charged;
        self.used = self.used.saturating_add(bytes);
        self.peak = self.peak.max(self.used);
        self.overdraft_peak = self.overdraft_peak.max(charged.saturating_sub(limit));
        true
    }

    /// Gives `bytes` back; returns whom to wake.
    fn refund(&mut self, limit: usize, slot: usize, bytes: usize) -> Vec<Fed> {
        let account = self.account(slot);
        let before = account.used.max(account.minimum);
        account.used -= bytes;
        let after = account.used.max(account.minimum);
        self.charged -= before - after;
        self.used -= bytes;
        self.fed(limit)
    }

    /// Takes everyone who now fits off the list of the hungry.
    fn fed(&mut self, limit: usize) -> Vec<Fed> {
        if self.hungry == 0 {
            return Vec::new();
        }
        let mut woken = Vec::new();
        for account in self.accounts.iter_mut().flatten() {
            let Some(wanted) = account.hungry else {
                continue;
            };
            let slack = account.minimum.saturating_sub(account.used);
            // A wish for nothing is one for the pool to be within its limit.
            let within_minimum = wanted > 0 && wanted <= slack;
            if within_minimum || self.charged.saturating_add(wanted.saturating_sub(slack)) <= limit {
                account.hungry = None;
                self.hungry -= 1;
                woken.push(Fed { room: Arc::clone(&account.room), call: account.call.take() });
            }
        }
        woken
    }

    fn set_hungry(&mut self, slot: usize, wanted: usize) {
        let account = self.account(slot);
        let fresh = account.hungry.is_none();
        // Several threads of one consumer may wait: the smallest wish wakes them all, and each looks again.
        account.hungry = Some(account.hungry.map_or(wanted, |other| other.min(wanted)));
        self.hungry += usize::from(fresh);
    }

    fn holdings(&self) -> Vec<Holding> {
        let mut all: Vec<Holding> = self
            .accounts
            .iter()
            .flatten()
            .map(|a| Holding { name: a.name.clone(), used: a.used, minimum: a.minimum })
            .collect();
        all.sort_by_key(|holding| std::cmp::Reverse(holding.used));
        all
    }
}

impl Pool {
    fn publish(&self, state: &State) {
        self.charged.store(state.charged, Ordering::Relaxed);
    }

    fn refusal(&self, requested: usize) -> OverBudget {
        let state = lock(&self.state);
        let mut largest = state.holdings();
        largest.truncate(3);
        OverBudget { requested, limit: self.limit, used: state.used, largest }
    }

    /// Asks the largest consumer that can spill to make room for `bytes`.
    fn ask(&self, bytes: usize) {
        let state = lock(&self.state);
        let above = state.accounts.iter().flatten().filter(|a| a.used > a.minimum);
        let mut able: Vec<(usize, Weak<dyn Reclaim>)> =
            above.filter_map(|a| Some((a.used, Weak::clone(a.reclaim.as_ref()?)))).collect();
        drop(state);
        able.sort_by_key(|(used, _)| std::cmp::Reverse(*used));
        // Upgraded without the lock: the handle may turn out to be the last, and what it then drops gives leases back.
        if let Some(victim) = able.iter().find_map(|(_, consumer)| consumer.upgrade()) {
            victim.reclaim(bytes);
        }
    }
}

/// Somebody who leases from a [`Budget`]. Cloning gives another handle to the same account; the account closes with
/// the last handle and the last lease.
#[derive(Clone)]
pub struct Consumer {
    inner: Arc<Membership>,
}

struct Membership {
    pool: Arc<Pool>,
    slot: usize,
    id: u64,
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut state = lock(&self.pool.state);
        let gone = state.accounts[self.slot].take();
        if let Some(account) = &gone {
            state.charged -= account.used.max(account.minimum);
            state.used -= account.used;
            state.promised -= account.minimum;
            state.hungry -= usize::from(account.hungry.is_some());
        }
        let woken = state.fed(self.pool.limit);
        self.pool.publish(&state);
        drop(state);
        woken.into_iter().for_each(Fed::wake);
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("id", &self.inner.id).field("used", &self.used()).finish()
    }
}

impl Consumer {
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
            let mut state = lock(&self.inner.pool.state);
            let others = state.promised - state.account(self.inner.slot).minimum;
            drop(state);
            if bytes.saturating_add(others) > self.inner.pool.limit {
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
        let mut state = lock(&self.inner.pool.state);
        if state.charged_with(self.inner.pool.limit, self.inner.slot, bytes).is_some_and(|(_, _, fits)| fits) {
            return true;
        }
        state.set_hungry(self.inner.slot, bytes);
        let replaced = state.account(self.inner.slot).call.replace(Box::new(call));
        drop(state);
        drop(replaced);
        self.ask(bytes);
        false
    }

    pub(crate) fn room(&self) -> Arc<Event> {
        Arc::clone(&lock(&self.inner.pool.state).account(self.inner.slot).room)
    }

    pub(crate) fn overdrawn(&self) -> bool {
        self.inner.pool.charged.load(Ordering::Relaxed) > self.inner.pool.limit
    }

    /// Whether more than `numerator / 8` of the pool is charged.
    pub(crate) fn above(&self, numerator: usize) -> bool {
        self.inner.pool.charged.load(Ordering::Relaxed) / numerator > self.inner.pool.limit / 8
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
        let mut state = lock(&self.inner.pool.state);
        let solvent = state.charged <= self.inner.pool.limit;
        if !solvent {
            state.set_hungry(self.inner.slot, 0);
        }
        solvent
    }
}

/// Bytes that are paid for. Refunded on drop.
#[must_use = "a lease that is dropped pays for nothing"]
pub struct Lease {
    consumer: Consumer,
    bytes: usize,
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
        self.grow(bytes, false, false)
    }

    /// Adds `bytes` bytes, overdrawing the pool if they do not fit (see [`Consumer::lease_head`]).
    pub fn grow_head(&mut self, bytes: usize) {
        self.grow(bytes, true, false);
    }

    /// As `try_grow`; if refused, the consumer's event is notified once they would fit.
    pub(crate) fn grow_or_hunger(&mut self, bytes: usize) -> bool {
        self.grow(bytes, false, true)
    }

    fn grow(&mut self, bytes: usize, force: bool, hunger: bool) -> bool {
        let Membership { pool, slot, .. } = &*self.consumer.inner;
        let mut state = lock(&pool.state);
        let granted = state.charge(pool.limit, *slot, bytes, force);
        if granted {
            pool.publish(&state);
            self.bytes += bytes;
        } else if hunger {
            state.set_hungry(*slot, bytes);
        }
        granted
    }

    /// Gives back everything above `bytes`.
    pub fn shrink_to(&mut self, bytes: usize) {
        if bytes >= self.bytes {
            return;
        }
        let Membership { pool, slot, .. } = &*self.consumer.inner;
        let mut state = lock(&pool.state);
        let woken = state.refund(pool.limit, *slot, self.bytes - bytes);
        pool.publish(&state);
        drop(state);
        self.bytes = bytes;
        woken.into_iter().for_each(Fed::wake);
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
