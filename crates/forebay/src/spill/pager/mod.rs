//! `Pager`: the one way out of memory, and its I/O thread.
//!
//! ```text
//!   put ---> Waiting ---> Writing ---> OnDisk ---> Reading ---> read ahead
//!               |            |           |                         |
//!               +------------+--- get ---+-------------------------+
//!                            |
//!                            +--> Failed (stays in memory)
//! ```
//!
//! A [`Page`] is what was put in at once: the encoded bytes of up to a block of items. Pages of one consumer are
//! written together, in blocks of 256 KiB; each is a record of its own with a header and a checksum.
//!
//! # Invariants
//! * Until a page is on disk its bytes are in memory and can be read; its lease is held exactly that long. What stays
//!   leased afterwards is what the page itself costs.
//! * A write that fails loses nothing: the page is `Failed`, keeps its bytes and its lease, and can be written again.
//! * Dropping a page that is not written yet cancels the write; dropping one that is frees its place in the store.
//! * The I/O thread never waits for a lease. It reads ahead ([`Pager::prefetch`]) what gets one and skips the rest. The
//!   reader's own reads ([`Page::get`]) overdraw the budget by at most one block, and run on the reader's thread: they
//!   are never behind a write. A reader that must not wait for the disk ([`Page::get_within`]) has the next pages read
//!   whatever the budget says ([`Pager::load`]), and so bounds them itself. Reads go before writes.
//! * No lock is held during a read or a write of the store.
//!
//! # Memory
//! Beside the pages' leases: the headers of one block, and one compressed record if compression is on.
//!
//! # Failure
//! Nothing is lost by a write that fails: [`Page::state`] says why, and the bytes are still in memory. What cannot be
//! read back, or is not what was written, is an error of [`Page::get`], with the place and both checksums.
//!
//! # Shutdown
//! When the last handle is dropped, the write in progress is waited for, what still waits is cancelled, and the
//! thread is joined. Pages may outlive the pager; they are read by whoever gets them.
//!
//! ```
//! use forebay::{Budget, Page, PageState, Pager, Parts, SegmentStore};
//!
//! let consumer = Budget::new(1 << 20).consumer("pages", 0)?;
//! let pager = Pager::new(SegmentStore::temp()?, false)?;
//! let mut parts = Parts::default();
//! parts.write(&[7; 100_000]);
//! let page: Page = pager.put(parts, 1, consumer.try_lease(100_000)?); // returns at once
//! pager.settle(&page);
//! assert!(matches!(page.state(), PageState::OnDisk));
//! pager.prefetch(&page);
//! assert_eq!(page.get()?.bytes[..], [7; 100_000]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod io_thread;
mod page;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Weak;
use std::time::Instant;

use io_thread::IoThread;
use page::WeakPage;
pub use page::{Page, PageState, Paged};

use crate::budget::Lease;
use crate::event::Event;
use crate::item::Parts;
use crate::metrics::{Metrics, Monitor};
use crate::spill::record::Compressor;
use crate::spill::{SpillError, SpillStore};
use crate::sync::{Arc, Mutex, lock, thread};

/// How much is written at once, in bytes.
pub(crate) const BLOCK: usize = 256 << 10;

/// Writes pages to a store on a thread of its own. Cloning gives another handle to the same thread.
#[derive(Clone)]
pub struct Pager {
    owner: Arc<Owner>,
}

/// Joins the thread when the last handle goes.
struct Owner {
    shared: Arc<Shared>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
}

struct Shared {
    store: Box<dyn SpillStore>,
    metrics: Arc<Metrics>,
    queue: Mutex<Queue>,
    work: Event,
}

#[derive(Default)]
struct Queue {
    /// Pages that somebody is about to read, and whether for that the budget may be overdrawn.
    ahead: VecDeque<(WeakPage, bool)>,
    /// The thread ends: nothing is read ahead or written any more.
    ended: bool,
    /// Pages to be written.
    pages: VecDeque<WeakPage>,
    calls: VecDeque<Weak<dyn Tenant>>,
}

/// A buffer that has the I/O thread find work for itself.
pub(crate) trait Tenant: Send + Sync {
    /// Called on the I/O thread after [`Pager::call`]: at most one block to write, and what to read ahead.
    fn plan(&self) -> Plan;

    /// The block of the last plan could not be written. Its pages are `Failed`.
    fn refused(&self, error: &SpillError);
}

/// What the I/O thread is to do for a tenant.
#[derive(Default)]
pub(crate) struct Plan {
    pub(crate) write: Vec<Page>,
    pub(crate) prefetch: Vec<Page>,
    /// There is more: call again.
    pub(crate) more: bool,
    /// Call again then, instead of any time asked for before.
    pub(crate) again: Option<Instant>,
}

impl Pager {
    /// Starts the I/O thread of `store`. Records are compressed if `compress`, as long as that pays (lz4; off when
    /// records save less than an eighth).
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn new(store: impl SpillStore + 'static, compress: bool) -> std::io::Result<Self> {
        Self::start(Box::new(store), compress, Arc::new(Metrics::new()))
    }

    pub(crate) fn start(store: Box<dyn SpillStore>, compress: bool, metrics: Arc<Metrics>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { store, metrics, queue: Mutex::new(Queue::default()), work: Event::new() });
        let own = Arc::clone(&shared);
        let thread = thread::Builder::new().name("forebay-spill".into()).spawn(move || {
            let compressor = if compress { Compressor::lz4() } else { Compressor::off() };
            IoThread::new(own, compressor).run();
        })?;
        Ok(Pager { owner: Arc::new(Owner { shared, thread: Mutex::new(Some(thread)) }) })
    }

    /// The pager's counters.
    pub fn monitor(&self) -> Monitor {
        Monitor { metrics: Arc::clone(&self.owner.shared.metrics) }
    }

    /// Hands over `parts` to be written, `items` items in all. Returns at once; `lease` pays for the bytes until they
    /// are on disk.
    pub fn put(&self, parts: Parts, items: u64, lease: Lease) -> Page {
        let page = self.page(parts, items, lease);
        lock(&self.owner.shared.queue).pages.push_back(page.downgrade());
        self.owner.shared.work.notify();
        page
    }

    /// Has the I/O thread read `page` ahead of its reader, if it is on disk and the budget has room for it. Returns at
    /// once. What is read stays in memory, paid for, until [`Page::get`] takes it or the page is dropped: ask only for
    /// what is going to be read. A reader that comes first reads itself, and takes the wish back.
    pub fn prefetch(&self, page: &Page) {
        self.read_ahead(page, false);
    }

    /// As [`prefetch`](Self::prefetch), but not skipped when the budget is full: the caller bounds how much that is. For
    /// a reader that cannot wait for the disk and uses [`Page::get_within`].
    pub fn load(&self, page: &Page) {
        self.read_ahead(page, true);
    }

    fn read_ahead(&self, page: &Page, overdraw: bool) {
        let mut queue = lock(&self.owner.shared.queue);
        if queue.ended || !page.ask() {
            return;
        }
        queue.ahead.push_back((page.downgrade(), overdraw));
        drop(queue);
        self.owner.shared.work.notify();
    }

    /// Waits until `page`, which was [`put`](Self::put), is on disk or its write has failed: for whoever writes faster
    /// than the store and has nothing else to do meanwhile. Never call it where others wait for this thread:
    /// [`Page::when_settled`] does not wait.
    pub fn settle(&self, page: &Page) {
        page.settle();
    }

    /// A page that nobody writes yet.
    pub(crate) fn page(&self, parts: Parts, items: u64, lease: Lease) -> Page {
        Page::new(Arc::downgrade(&self.owner.shared), parts, items, lease)
    }

    /// Ends the I/O thread, whoever still has a handle: nothing is written or read ahead any more. Waits for the
    /// write in progress.
    pub(crate) fn stop(&self) {
        self.owner.stop();
    }

    /// Has the I/O thread call `tenant`.
    pub(crate) fn call(&self, tenant: Weak<dyn Tenant>) {
        lock(&self.owner.shared.queue).calls.push_back(tenant);
        self.owner.shared.work.notify();
    }
}

impl fmt::Debug for Pager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pager").field("store", &self.owner.shared.store).finish_non_exhaustive()
    }
}

impl Owner {
    /// Ends the thread and waits for it.
    fn stop(&self) {
        let mut queue = lock(&self.shared.queue);
        queue.ended = true;
        let ahead = std::mem::take(&mut queue.ahead);
        drop(queue);
        ahead.iter().filter_map(|(page, _)| page.upgrade()).for_each(|page| page.withdraw());
        self.shared.work.notify();
        let Some(thread) = lock(&self.thread).take() else {
            return;
        };
        // A tenant that dies on the I/O thread may hold the last handle: the thread cannot wait for itself, and ends
        // by itself.
        if thread.thread().id() != thread::current().id() && thread.join().is_err() {
            tracing::error!("the spill thread panicked");
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.stop();
    }
}
