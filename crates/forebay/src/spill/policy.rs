//! `SpillPolicy`: *whether and what* to spill. Where it goes is the business of the
//! [`SpillStore`](crate::SpillStore), how an item is written that of [`Spill`](crate::Spill).
//!
//! A policy looks at a [`View`] of one reorder buffer and returns a [`Decision`]. It is called on the I/O thread,
//! without any lock, when memory was refused to somebody, when three quarters of the budget are in use, and when the
//! sink begins to read what was spilled. It never runs per item, and because of a timer only if it asks for that
//! ([`SpillPolicy::every`]), while results wait in memory.
//!
//! Two rules are the engine's and not a policy's: what is spilled is spilled from the far end, in blocks of 256 KiB;
//! and the head is read back whatever the policy says.
//!
//! ```
//! use forebay::{Decision, Pipeline, SegmentStore, SpillPolicy, View};
//!
//! /// Keeps a megabyte in front of the sink, whatever the budget is.
//! struct Lean;
//!
//! impl SpillPolicy for Lean {
//!     fn decide(&mut self, view: &View) -> Decision {
//!         Decision {
//!             spill_bytes: view.resident.saturating_sub(1 << 20),
//!             spill_from: view.behind(1 << 20),
//!             prefetch: None, // the head is read back all the same
//!         }
//!     }
//! }
//!
//! let report = Pipeline::new().spill(SegmentStore::temp()?).policy(Lean).run(
//!     (0..100u64).map(Ok::<_, std::io::Error>),
//!     |number| Ok(vec![number as u8; 100]),
//!     |_| Ok(()),
//! )?;
//! assert_eq!(report.delivered, 100);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::ops::Range;
use std::sync::Weak;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::budget::Reclaim;
use crate::sync::{Arc, Mutex, lock};

/// Consecutive results of which all are in memory or all are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The sequence number of the first.
    pub first: u64,
    /// How many numbers it spans. In memory some of them may be missing: their results are not there yet.
    pub count: u64,
    /// Bytes they take in memory, or on disk.
    pub bytes: usize,
    /// Whether they are on disk (or on the way there).
    pub spilled: bool,
}

/// What a policy sees. Sequence numbers grow away from the head.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct View {
    /// The sequence number that the sink needs next.
    pub head: u64,
    /// Size of the budget, in bytes.
    pub limit: usize,
    /// Bytes of the budget in use, by everybody.
    pub charged: usize,
    /// Bytes that somebody asked for and did not get.
    pub wanted: usize,
    /// Bytes that finished results take in memory here.
    pub resident: usize,
    /// Bytes of results on disk.
    pub spilled: usize,
    pub(crate) stretches: Vec<Stretch>,
}

impl View {
    /// The stretches, nearest to the head first. `.rev()` gives the farthest first.
    pub fn stretches(&self) -> impl DoubleEndedIterator<Item = &Stretch> {
        self.stretches.iter()
    }

    /// The first sequence number behind which at least `bytes` resident bytes lie towards the head; `u64::MAX` if
    /// there are not so many.
    pub fn behind(&self, bytes: usize) -> u64 {
        let mut sum = 0;
        for stretch in self.stretches.iter().filter(|stretch| !stretch.spilled) {
            if sum >= bytes {
                return stretch.first;
            }
            sum += stretch.bytes;
        }
        u64::MAX
    }
}

/// What to do now. The default is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Spill about this many bytes,
    pub spill_bytes: usize,
    /// of results with this sequence number or a higher one, the farthest first.
    pub spill_from: u64,
    /// Read these back, as far as the budget allows.
    pub prefetch: Option<Range<u64>>,
}

/// Decides what is spilled and what is read back early. See the module.
pub trait SpillPolicy: Send {
    /// What to do about `view`. Should be quick and have no effects outside: it runs on the thread that does the I/O.
    fn decide(&mut self, view: &View) -> Decision;

    /// Called once, when the policy gets its buffer. A policy that decides by something else than memory keeps `waker`.
    fn attach(&mut self, waker: Waker) {
        drop(waker);
    }

    /// How often `decide` is called at least while results wait in memory, for a policy that looks at something else
    /// than the budget. Asked once. Default: never just because time goes by.
    fn every(&self) -> Option<Duration> {
        None
    }
}

/// Has a policy's `decide` called soon. Does nothing once the run is over.
#[derive(Clone)]
pub struct Waker {
    pub(crate) buffer: Weak<dyn Reclaim>,
}

impl Waker {
    /// Has `decide` called soon, on the I/O thread.
    pub fn wake(&self) {
        if let Some(buffer) = self.buffer.upgrade() {
            // A wish for nothing: the policy is asked all the same.
            buffer.reclaim(0);
        }
    }
}

impl std::fmt::Debug for Waker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waker")
    }
}

/// Spills what lies past the head reserve when memory runs short: the default, within [`Prefetch`].
///
/// ```
/// use forebay::{MemoryStore, Pipeline, Prefetch, Threshold};
///
/// // Half of the budget stays in front of the sink, and 8 MiB are read ahead.
/// let policy = Prefetch::over(Threshold::with_reserve(0.5)).ahead(8 << 20);
/// let report = Pipeline::new().spill(MemoryStore::new(1 << 20)).policy(policy).run(
///     (0..100u64).map(Ok::<_, std::io::Error>),
///     Ok,
///     |_| Ok(()),
/// )?;
/// assert_eq!(report.delivered, 100);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// It acts when bytes were refused to somebody or when three quarters of the budget are in use, and then frees what
/// was asked for and at least as much as brings the budget down to a half.
#[derive(Clone, Debug)]
pub struct Threshold {
    reserve: f64,
}

impl Default for Threshold {
    /// A fifth of the budget stays in memory in front of the sink.
    fn default() -> Self {
        Threshold { reserve: 0.2 }
    }
}

impl Threshold {
    /// `share` of the budget (0.0 to 1.0) is the head reserve: results this near to the head stay in memory.
    pub fn with_reserve(share: f64) -> Self {
        Threshold { reserve: share.clamp(0.0, 1.0) }
    }
}

impl SpillPolicy for Threshold {
    fn decide(&mut self, view: &View) -> Decision {
        let high = view.limit / 4 * 3;
        if view.wanted == 0 && view.charged <= high {
            return Decision::default();
        }
        let excess = view.charged.saturating_sub(view.limit / 2);
        let reserve = (view.limit as f64 * self.reserve) as usize;
        Decision {
            spill_bytes: view.wanted.max(excess),
            spill_from: view.behind(reserve.min(view.resident)),
            prefetch: None,
        }
    }
}

/// Most bytes that [`Prefetch`] keeps ready unless it is told otherwise.
const AHEAD: usize = 2 << 20;

/// Reads back what the sink needs next before it asks, and leaves what to spill to another policy.
#[derive(Clone, Debug, Default)]
pub struct Prefetch<P = Threshold> {
    spilling: P,
    ahead: Option<usize>,
}

impl<P> Prefetch<P> {
    /// `spilling` decides what is spilled.
    pub fn over(spilling: P) -> Self {
        Prefetch { spilling, ahead: None }
    }

    /// Keeps at most `bytes` bytes ready in front of the sink, in whole pages of up to 256 KiB. Default: an eighth of
    /// the budget, 2 MiB at most: eight blocks hide a disk's latency, and more would only take memory from what
    /// waits.
    #[must_use]
    pub fn ahead(mut self, bytes: usize) -> Self {
        self.ahead = Some(bytes);
        self
    }
}

impl<P: SpillPolicy> SpillPolicy for Prefetch<P> {
    fn decide(&mut self, view: &View) -> Decision {
        let mut decision = self.spilling.decide(view);
        let ahead = self.ahead.unwrap_or(AHEAD.min(view.limit / 8));
        let mut bytes = 0;
        let mut end = None;
        for stretch in &view.stretches {
            // What was read ahead cannot be given back: a page that is too large for its share stays where it is.
            if bytes >= ahead || (stretch.spilled && bytes + stretch.bytes > ahead) {
                break;
            }
            bytes += stretch.bytes;
            if stretch.spilled {
                end = Some(stretch.first + stretch.count);
            }
        }
        decision.prefetch = end.map(|end| view.head..end);
        decision
    }

    fn attach(&mut self, waker: Waker) {
        self.spilling.attach(waker);
    }

    fn every(&self) -> Option<Duration> {
        self.spilling.every()
    }
}

/// Spills when its owner says so, and not otherwise.
///
/// ```
/// use forebay::{Manual, MemoryStore, Pipeline};
///
/// let (policy, handle) = Manual::new();
/// let pipeline = Pipeline::new().workers(2).spill(MemoryStore::new(1 << 20)).policy(policy);
/// let monitor = pipeline.monitor();
/// let report = pipeline.run(
///     (0..100u64).map(Ok::<_, std::io::Error>),
///     |number| {
///         while number == 0 && monitor.snapshot().spilled_items == 0 {
///             handle.spill(1000); // bytes, of what waits behind this item
///             std::thread::yield_now();
///         }
///         Ok(vec![number as u8; 100])
///     },
///     |_| Ok(()),
/// )?;
/// assert_eq!(report.delivered, 100);
/// assert_eq!(report.reloaded_items, report.spilled_items);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Manual {
    shared: Arc<ManualShared>,
}

/// The owner's side of a [`Manual`] policy.
#[derive(Clone, Debug)]
pub struct ManualHandle {
    shared: Arc<ManualShared>,
}

#[derive(Debug)]
struct ManualShared {
    bytes: AtomicUsize,
    waker: Mutex<Option<Waker>>,
}

impl Manual {
    /// A policy and the handle that drives it.
    pub fn new() -> (Self, ManualHandle) {
        let shared = Arc::new(ManualShared { bytes: AtomicUsize::new(0), waker: Mutex::new(None) });
        (Manual { shared: Arc::clone(&shared) }, ManualHandle { shared })
    }
}

impl ManualHandle {
    /// Spills about `bytes` bytes of finished results, from the far end. What is not there yet when the wish is
    /// looked at is not spilled later.
    pub fn spill(&self, bytes: usize) {
        self.shared.bytes.fetch_add(bytes, Ordering::SeqCst);
        let waker = lock(&self.shared.waker).clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl SpillPolicy for Manual {
    fn decide(&mut self, _: &View) -> Decision {
        Decision { spill_bytes: self.shared.bytes.swap(0, Ordering::SeqCst), ..Decision::default() }
    }

    fn attach(&mut self, waker: Waker) {
        *lock(&self.shared.waker) = Some(waker);
    }
}
