//! [`CopyPool`]: splits one large copy or scatter over parked threads.
//!
//! The caller lends its closure and its items, works on them itself, and whichever helper wakes in time takes items as
//! well. The items are handed out in runs of some 64 KiB, so that nobody waits long for the last one.
//!
//! # Invariants
//! * Each item is handed out once: the runs come out of one iterator over the slice, under a lock.
//! * *Nobody waits for a helper that sleeps.* A caller that finds nothing left takes its offer back, and waits only for
//!   the helpers that have accepted it and are still at work. Who wakes later finds no offer and goes back to sleep
//!   without having touched anything.
//! * *What is lent is not used after the return.* An offer is accepted, and taken back, under the same lock that counts
//!   the helpers at work; the call returns, or unwinds, when there is no offer and that count is zero.
//! * One offer at a time: [`for_each`](CopyPool::for_each) takes the pool mutably. Use by several threads at once, or
//!   from within `work`, cannot be written down.
//!
//! # Failure
//! A panic of `work` on any thread is raised on the caller's, once all calls of `work` have ended; then some items may
//! not have been worked on. The pool stays usable. Threads that cannot be started are done without.
//!
//! # Numbers
//! Rows of 512 bytes on two cores of an AMD EPYC, both busy with other work: a parked helper is at its first item after
//! 25 us, and one core scatters 1 MiB in 55 us. With one helper a scatter of 256 KiB takes 1.4 times as long as without,
//! 1 MiB 1.1 times, 2 MiB 0.75 to 0.97 times, 4 MiB 0.7 to 0.95 times. Hence the default [threshold] of 2 MiB, below
//! which the caller does everything. `benches/src/bin/copy.rs` makes the table.
//!
//! [threshold]: CopyPool::with_threshold
//!
//! # Unsafe code
//! Threads that outlive the caller's borrow can be lent to in safe code only by starting them anew for each call
//! ([`std::thread::scope`], 30 us and more each). `CopyPool::lend` therefore forgets one lifetime; all else is
//! checked by the compiler, that the items may go to other threads included. The other unsafe block is a system call,
//! `madvise`, in `large_pages`.

mod large_pages;

use std::any::Any;
use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

pub use large_pages::zeroed_in_large_pages;

use crate::sync::{Arc, Condvar, Mutex, lock, thread, wait};

/// From how many bytes on helpers are called.
const THRESHOLD: usize = 2 << 20;

/// About how many bytes are handed out at a time.
const RUN: usize = 64 << 10;

/// Threads that help with one call of [`for_each`](CopyPool::for_each) at a time, and sleep in between.
///
/// ```
/// use forebay::CopyPool;
///
/// let (from, mut to) = (vec![7; 4 << 20], vec![0; 4 << 20]);
/// let bytes = from.len();
/// let mut rows: Vec<_> = to.chunks_mut(4096).zip(from.chunks(4096)).collect();
/// let mut pool = CopyPool::new(1);
/// pool.for_each(bytes, &mut rows, |(to, from)| to.copy_from_slice(from));
/// assert!(to == from);
/// ```
pub struct CopyPool {
    shared: Arc<Shared>,
    helpers: Vec<thread::JoinHandle<()>>,
    threshold: usize,
}

/// The caller's way through the items, as anybody may walk it: returns when there are none left, with whether it had
/// one.
type Share<'a> = dyn Fn() -> bool + Sync + 'a;

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// There is an offer, or it ended: for the helpers.
    offered: Condvar,
    /// No helper is at work: for the caller.
    left: Condvar,
}

#[derive(Default)]
struct State {
    /// Not `'static` at all: see [`CopyPool::lend`].
    offer: Option<&'static Share<'static>>,
    /// Helpers that have accepted it and have not come back.
    at_work: usize,
    /// A helper has worked on an item.
    helped: bool,
    /// A helper's `work` has panicked.
    panic: Option<Box<dyn Any + Send>>,
    ended: bool,
}

impl CopyPool {
    /// A pool of `helpers` threads beside the caller's own, named `forebay-copy-N`. With 0 every call is serial, and so
    /// it is if none can be started; that is logged (`tracing`).
    pub fn new(helpers: usize) -> Self {
        let shared = Arc::new(Shared::default());
        let mut pool = CopyPool { shared, helpers: Vec::new(), threshold: THRESHOLD };
        for n in 0..helpers {
            let shared = Arc::clone(&pool.shared);
            match thread::Builder::new().name(format!("forebay-copy-{n}")).spawn(move || shared.help()) {
                Ok(helper) => pool.helpers.push(helper),
                Err(error) => {
                    tracing::warn!(%error, started = n, wanted = helpers, "copies go on with fewer helpers");
                    break;
                }
            }
        }
        pool
    }

    /// Threads that were started.
    pub fn helpers(&self) -> usize {
        self.helpers.len()
    }

    /// From how many bytes on helpers are called.
    pub fn threshold(&self) -> usize {
        self.threshold
    }

    /// From how many bytes on helpers are called. Default: 2 MiB, where one helper was measured to pay for its waking.
    #[must_use]
    pub fn with_threshold(mut self, bytes: usize) -> Self {
        self.threshold = bytes;
        self
    }

    /// Calls `work` once for each item, in any order: on this thread and, if `bytes` (what all calls together copy) is
    /// at least the threshold, on the helpers. Returns when all calls have returned, with whether a helper worked on at
    /// least one item.
    ///
    /// # Panics
    /// If `work` does, with one of its panics.
    pub fn for_each<T: Send>(&mut self, bytes: usize, items: &mut [T], work: impl Fn(&mut T) + Sync) -> bool {
        let of_one = (bytes / items.len().max(1)).max(1);
        let run = (RUN / of_one).max(1);
        let runs = items.len().div_ceil(run);
        let helpers = self.helpers.len().min(runs.saturating_sub(1));
        if helpers == 0 || bytes < self.threshold {
            items.iter_mut().for_each(work);
            return false;
        }
        let runs = Mutex::new(items.chunks_mut(run));
        let share = || {
            let mut had_one = false;
            loop {
                let run = lock(&runs).next();
                match run {
                    Some(run) => run.iter_mut().for_each(&work),
                    None => return had_one,
                }
                had_one = true;
            }
        };
        self.lend(&share, helpers)
    }

    /// Calls `share` here and on at most `helpers` helpers. Whether one of these worked on an item.
    fn lend(&mut self, share: &Share<'_>, helpers: usize) -> bool {
        // SAFETY: only the lifetime changes. The reference is stored in `State::offer` alone, and copied from there by
        // helpers alone, which add themselves to `at_work` under the lock under which they copy it, and subtract
        // themselves when they have returned from calling it and do not use it any more (`Shared::help`). `Offer` is
        // made before the reference is stored, and dropped before this function returns or unwinds, and so before what
        // `share` borrows ends; its drop removes the reference and then waits until `at_work` is zero, all under that
        // lock. `&mut self` excludes another offer meanwhile.
        let lent = unsafe { mem::transmute::<&Share<'_>, &'static Share<'static>>(share) };
        let offer = Offer::new(&self.shared, lent, helpers);
        share();
        drop(offer);
        let (helped, panic) = {
            let mut state = lock(&self.shared.state);
            (state.helped, state.panic.take())
        };
        panic.map_or(helped, |panic| resume_unwind(panic))
    }
}

impl Drop for CopyPool {
    fn drop(&mut self) {
        lock(&self.shared.state).ended = true;
        self.shared.offered.notify_all();
        for helper in self.helpers.drain(..) {
            // Panics of `work` do not get here: they are the caller's.
            let _ = helper.join();
        }
    }
}

impl fmt::Debug for CopyPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("CopyPool");
        out.field("helpers", &self.helpers.len()).field("threshold", &self.threshold).finish_non_exhaustive()
    }
}

/// What is lent stands in `State::offer` for as long as this lives; when it is gone, nobody uses it.
struct Offer<'a> {
    shared: &'a Shared,
}

impl<'a> Offer<'a> {
    fn new(shared: &'a Shared, share: &'static Share<'static>, helpers: usize) -> Self {
        // Before anything that could unwind: it takes the offer back.
        let offer = Offer { shared };
        let mut state = lock(&shared.state);
        state.offer = Some(share);
        state.helped = false;
        // Left over if both the caller and a helper panicked in the call before. Dropping it is the user's code.
        let superseded = state.panic.take();
        drop(state);
        drop(superseded);
        (0..helpers).for_each(|_| shared.offered.notify_one());
        offer
    }
}

impl Drop for Offer<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.shared.state);
        state.offer = None;
        while state.at_work > 0 {
            state = wait(&self.shared.left, state);
        }
    }
}

impl Shared {
    /// A helper's life.
    fn help(&self) {
        while let Some(share) = self.accept() {
            let outcome = catch_unwind(AssertUnwindSafe(share));
            // From here on `share` may dangle.
            self.leave(outcome);
        }
    }

    /// Waits for an offer. `None` when the pool is dropped.
    fn accept(&self) -> Option<&'static Share<'static>> {
        let mut state = lock(&self.state);
        loop {
            if state.ended {
                return None;
            }
            if let Some(share) = state.offer {
                state.at_work += 1;
                return Some(share);
            }
            state = wait(&self.offered, state);
        }
    }

    fn leave(&self, outcome: std::thread::Result<bool>) {
        let mut state = lock(&self.state);
        // Nothing is left to do: nobody else need come.
        state.offer = None;
        let superseded = match outcome {
            Ok(helped) => {
                state.helped |= helped;
                None
            }
            Err(panic) => state.panic.replace(panic),
        };
        state.at_work -= 1;
        let last = state.at_work == 0;
        drop(state);
        if last {
            self.left.notify_one();
        }
        drop(superseded);
    }
}
