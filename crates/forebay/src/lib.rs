//! forebay moves data in parallel, delivers it in order, and stays inside a memory budget. When the slow part is
//! slow, it spills to disk and catches up; it neither stalls the fast part nor grows.
//!
//! ```
//! use forebay::{Budget, Pipeline, SegmentStore};
//!
//! let budget = Budget::new(64 << 20);
//! let mut total = 0;
//! let report = Pipeline::new()
//!     .workers(4)
//!     .budget(&budget)
//!     .spill(SegmentStore::temp()?)
//!     .run(
//!         (0..1000u64).map(Ok::<_, std::io::Error>),
//!         |number| Ok(vec![number as u8; 100]),
//!         |result| {
//!             total += result.len();
//!             Ok(())
//!         },
//!     )?;
//! assert_eq!(total, 100_000);
//! assert_eq!(report.delivered, 1000);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | noun | what it is |
//! |---|---|
//! | [`Budget`], [`Consumer`], [`Lease`] | one byte pool for everything that waits in memory |
//! | [`WorkQueue`] | from one producer to the workers, bounded by items and by bytes |
//! | [`ReorderBuffer`] | results in any order in, in order out; what does not fit waits on disk |
//! | [`Pager`], [`Page`] | the one way out of memory |
//! | [`SpillStore`] | *where* spilled bytes go: [`SegmentStore`], [`MemoryStore`] |
//! | [`SpillPolicy`] | *whether and what* is spilled: [`Threshold`], [`Prefetch`], [`MemoryPressure`], [`Manual`], your own |
//! | [`Spill`], [`Weigh`] | *how*: what items say about themselves |
//! | [`Delivery`], [`Filling`] | one thread that hands finished jobs to a sink, oldest first, with a fixed number of slots |
//! | [`CopyPool`] | splits a large copy or scatter over parked threads |
//! | [`zeroed_in_large_pages`] | memory for those who fill hundreds of MiB |
//! | [`Pipeline`] | the builder that joins them; [`OrderedMapExt`] does it for iterators, [`Feed`] is pushed into |
//! | [`CancelToken`] | ends runs from outside |
//! | [`Snapshot`] | what it did, as plain numbers |
//!
//! It has no async runtime and no thread pool shared with others: plain named threads that are joined. Its unsafe
//! code lends a closure to the threads of a [`CopyPool`], asks the system for large pages, and is the allocator [`Blocks`].
//!
//! # What it is not
//! Not a way to make a loop over millions of cheap items faster: an item costs some ten to a hundred nanoseconds
//! here. Not durable: what is spilled is scratch. Not a bound on what items allocate while they are worked on, only
//! on what waits.

/// The example of the repository's README.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// The example of the crate's README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct CrateReadme;

#[allow(unsafe_code, reason = "an allocator is made of pointers; the module says what holds of them")]
mod blocks;
pub mod budget;
mod cancel;
mod cgroup;
#[allow(
    unsafe_code,
    reason = "a borrowed closure is lent to threads that outlive the borrow, and large pages are asked for; the module says why and how"
)]
pub mod copy;
pub mod delivery;
mod event;
pub mod feed;
pub mod item;
pub mod iter;
mod line;
#[cfg(all(test, loom))]
mod loom_models;
pub mod metrics;
pub mod pipeline;
pub mod queue;
pub mod reorder;
mod ring;
mod run;
pub mod spill;
mod sync;

#[doc(inline)]
pub use blocks::Blocks;
#[doc(inline)]
pub use budget::{Budget, Consumer, Holding, Lease, OverBudget, Reclaim};
#[doc(inline)]
pub use cancel::{CancelToken, OnCancel};
#[doc(inline)]
pub use copy::{CopyPool, zeroed_in_large_pages};
#[doc(inline)]
pub use delivery::{Delivery, DeliveryError, DeliveryMonitor, DeliverySnapshot, Filling};
#[doc(inline)]
pub use feed::Feed;
#[cfg(feature = "serde")]
#[doc(inline)]
pub use item::Serde;
#[doc(inline)]
pub use item::{DecodeError, Parts, Spill, Weigh};
#[doc(inline)]
pub use iter::{OrderedMap, OrderedMapExt};
#[doc(inline)]
pub use metrics::{Histogram, Monitor, Snapshot};
#[doc(inline)]
pub use pipeline::{Cause, InMemory, Init, Mode, NoInit, Pipeline, RunError, Spilling};
#[doc(inline)]
pub use queue::{Job, Permit, Receiver, RecvError, SendError, Sender, SharedSender, TrySendError, WorkQueue};
#[doc(inline)]
pub use reorder::{DeliverError, InsertError, OnSpillError, Outlet, ReorderBuffer};
#[doc(inline)]
pub use spill::pager::{Page, PageState, Paged, Pager};
#[doc(inline)]
pub use spill::policy::{Decision, Manual, ManualHandle, Prefetch, SpillPolicy, Stretch, Threshold, View, Waker};
#[doc(inline)]
pub use spill::pressure::MemoryPressure;
#[doc(inline)]
pub use spill::{Backing, Extent, Location, MemoryStore, SegmentOptions, SegmentStore, SpillError, SpillStore, Usage};
