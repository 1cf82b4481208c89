//! `Pager`: the one way out of memory, and its I/O thread.
//!
//! ```text
//!   put ---> Waiting ---> Writing ---> OnDisk ---> Loading ---> Loaded
//!               |            |           |                        |
//!               +------------+--- get ---+------------------------+
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
//! * The I/O thread never waits for a lease. A prefetch that gets none is skipped. The reader's own reads
//!   ([`Page::get`]) overdraw the budget by at most one block, and run on the reader's thread: they are never behind
//!   a write. A reader that must not wait for the disk has the next pages loaded ([`Pager::load`]): they overdraw the
//!   budget too, so it bounds them itself, and go before everything that waits to be written.
//! * No lock is held during a read or a write of the store.
//!
//! # Memory
//! Beside the pages' leases: the headers of one block, and one compressed record if compression is on.
//!
//! # Shutdown
//! When the last handle is dropped, the write in progress is waited for, what still waits is cancelled, and the
//! thread is joined.

use std::collections::VecDeque;
use std::fmt;
use std::io::IoSlice;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Weak;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::budget::Lease;
use crate::event::Event;
use crate::item::Parts;
use crate::metrics::{Metrics, Monitor};
use crate::spill::record::{self, Compressor};
use crate::spill::{Extent, SpillError, SpillStore};
use crate::sync::{Arc, AtomicBool, Mutex, Ordering, lock};

/// How much is written at once, in bytes.
pub(crate) const BLOCK: usize = 256 << 10;

/// What a page on disk costs in memory: it stays leased.
const INDEX: usize = 256;

/// The largest record that is read back: what was written was no larger.
const MAX_RECORD: usize = u32::MAX as usize;

/// Writes pages to a store on a thread of its own. Cloning gives another handle to the same thread.
#[derive(Clone)]
pub struct Pager {
    owner: Arc<Owner>,
}

/// Joins the thread when the last handle goes.
struct Owner {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    store: Box<dyn SpillStore>,
    metrics: Arc<Metrics>,
    queue: Mutex<Queue>,
    work: Event,
    stop: AtomicBool,
}

#[derive(Default)]
struct Queue {
    loads: VecDeque<Weak<Inner>>,
    /// The thread has ended: nothing is loaded any more.
    closed: bool,
    pages: VecDeque<Weak<Inner>>,
    calls: VecDeque<Weak<dyn Tenant>>,
    /// Pages that somebody is about to read.
    ahead: VecDeque<Weak<Inner>>,
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
        let shared = Arc::new(Shared {
            store,
            metrics,
            queue: Mutex::new(Queue::default()),
            work: Event::new(),
            stop: AtomicBool::new(false),
        });
        let own = Arc::clone(&shared);
        let thread = thread::Builder::new().name("forebay-spill".into()).spawn(move || {
            let compressor = if compress { Compressor::lz4() } else { Compressor::off() };
            IoThread { shared: own, compressor, timers: Vec::new() }.run();
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
        lock(&self.owner.shared.queue).pages.push_back(Arc::downgrade(&page.inner));
        self.owner.shared.work.notify();
        page
    }

    /// Has the I/O thread read `page` ahead of its reader, if it is on disk and the budget has room for it. Returns at
    /// once. What is read stays in memory, paid for, until [`Page::get`] takes it or the page is dropped: ask only for
    /// what is going to be read. A reader that comes first reads itself, and takes the wish back.
    pub fn prefetch(&self, page: &Page) {
        match &mut *lock(&page.inner.state) {
            State::Disk { load: load @ Load::None, .. } => *load = Load::Asked,
            _ => return,
        }
        lock(&self.owner.shared.queue).ahead.push_back(Arc::downgrade(&page.inner));
        self.owner.shared.work.notify();
    }

    /// Waits until `page`, which was [`put`](Self::put), is on disk or its write has failed: for whoever writes faster
    /// than the store and has nothing else to do meanwhile. Never call it where others wait for this thread.
    pub fn settle(&self, page: &Page) {
        loop {
            let listener = page.inner.changed.listen();
            if !page.in_motion() || self.owner.shared.stop.load(Ordering::SeqCst) {
                return;
            }
            listener.wait();
        }
    }

    /// Has the I/O thread read `page` back before it writes anything more. For what a reader needs next and cannot
    /// wait for: it is not skipped when the budget is full, as a prefetch is, so the caller bounds how much it loads.
    /// Returns at once. Does nothing for a page that is in memory, or loaded, or being loaded.
    pub fn load(&self, page: &Page) {
        let mut queue = lock(&self.owner.shared.queue);
        if queue.closed {
            return;
        }
        match &mut *lock(&page.inner.state) {
            State::Disk { load, .. } if matches!(load, Load::None) => *load = Load::Running,
            _ => return,
        }
        queue.loads.push_back(Arc::downgrade(&page.inner));
        drop(queue);
        self.owner.shared.work.notify();
    }

    /// A page that nobody writes yet.
    pub(crate) fn page(&self, parts: Parts, items: u64, lease: Lease) -> Page {
        let bytes = parts.len();
        let state = State::Memory { parts: parts.finish(), lease, status: Status::Waiting };
        let inner = Inner {
            shared: Arc::downgrade(&self.owner.shared),
            bytes,
            items,
            state: Mutex::new(state),
            changed: Event::new(),
        };
        Page { inner: Arc::new(inner) }
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
        self.shared.stop.store(true, Ordering::SeqCst);
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

/// Encoded items on their way out of memory, or out of it.
pub struct Page {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Weak<Shared>,
    bytes: usize,
    items: u64,
    state: Mutex<State>,
    changed: Event,
}

enum State {
    Memory {
        parts: Vec<Bytes>,
        lease: Lease,
        status: Status,
    },
    Disk {
        place: Place,
        load: Load,
        _index: Lease,
    },
    /// Only while a transition runs, under the lock.
    Moving,
}

#[derive(Clone)]
enum Status {
    Waiting,
    Writing,
    Failed(SpillError),
}

/// Where a record is: several share the extent of a block.
#[derive(Clone)]
struct Place {
    extent: Arc<Extent>,
    offset: u64,
    len: usize,
}

enum Load {
    None,
    /// Waits for the I/O thread, which somebody asked to read it ahead.
    Asked,
    Running,
    Done(Paged),
    /// What [`Pager::load`] met: the reader is told once.
    Failed(SpillError),
}

/// The bytes of a page, back in memory and paid for.
#[derive(Debug)]
pub struct Paged {
    /// What was put in.
    pub bytes: Bytes,
    /// Pays for `bytes`.
    pub lease: Lease,
}

/// Where a page is.
#[derive(Clone, Debug)]
pub enum PageState {
    /// In memory, not yet being written.
    Resident,
    /// In memory and being written.
    Writing,
    /// On disk; in memory only if it was read ahead.
    OnDisk,
    /// In memory, because it could not be written.
    Failed(SpillError),
}

impl Page {
    /// Where the page is now.
    pub fn state(&self) -> PageState {
        match &*lock(&self.inner.state) {
            State::Memory { status: Status::Waiting, .. } => PageState::Resident,
            State::Memory { status: Status::Failed(error), .. } => PageState::Failed(error.clone()),
            State::Disk { .. } => PageState::OnDisk,
            State::Memory { .. } | State::Moving => PageState::Writing,
        }
    }

    /// Size of the encoded bytes.
    pub fn len(&self) -> usize {
        self.inner.bytes
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.inner.bytes == 0
    }

    /// The bytes: from memory, from a finished prefetch, or by a read on this thread. Overdraws the budget rather
    /// than wait for memory; waits for the disk, or for a prefetch in progress.
    ///
    /// # Errors
    /// [`SpillError`] if they cannot be read or are not what was written.
    pub fn get(&self) -> Result<Paged, SpillError> {
        loop {
            if let Some(paged) = self.take(None)? {
                return Ok(paged);
            }
        }
    }

    /// As [`get`](Page::get), but waits at most `patience` for a load or a prefetch in progress; `None` if it is not
    /// done by then.
    ///
    /// # Errors
    /// As [`get`](Page::get).
    pub fn get_within(&self, patience: Duration) -> Result<Option<Paged>, SpillError> {
        self.take(Instant::now().checked_add(patience))
    }

    fn take(&self, deadline: Option<Instant>) -> Result<Option<Paged>, SpillError> {
        let place = loop {
            let listener = self.inner.changed.listen();
            match &mut *lock(&self.inner.state) {
                State::Memory { parts, lease, .. } => {
                    let bytes = join(parts);
                    let lease = lease.consumer().lease_head(bytes.len());
                    return Ok(Some(Paged { bytes, lease }));
                }
                State::Disk { load, place, .. } => match std::mem::replace(load, Load::None) {
                    Load::Done(paged) => return Ok(Some(paged)),
                    Load::Failed(error) => return Err(error),
                    Load::None | Load::Asked => break place.clone(),
                    Load::Running => *load = Load::Running,
                },
                State::Moving => {}
            }
            match deadline {
                None => listener.wait(),
                Some(deadline) if Instant::now() >= deadline => return Ok(None),
                Some(deadline) => listener.wait_until(deadline),
            }
        };
        let lease = self.consumer_lease(self.memory(&place));
        if let Some(shared) = self.inner.shared.upgrade() {
            shared.metrics.head_reads.add(1);
        }
        self.read(&place, lease).map(Some)
    }

    fn consumer_lease(&self, bytes: usize) -> Lease {
        match &*lock(&self.inner.state) {
            State::Disk { _index: lease, .. } | State::Memory { lease, .. } => lease.consumer().lease_head(bytes),
            State::Moving => unreachable!("a page on disk does not move"),
        }
    }

    /// What the page takes when it is read back: the record, or what it unpacks to.
    fn memory(&self, place: &Place) -> usize {
        place.len.max(self.inner.bytes)
    }

    fn read(&self, place: &Place, lease: Lease) -> Result<Paged, SpillError> {
        let mut buffer = BytesMut::zeroed(place.len);
        place.extent.read(place.offset, &mut buffer)?;
        let bytes = record::open(&buffer.freeze(), MAX_RECORD, &place.extent)?;
        if let Some(shared) = self.inner.shared.upgrade() {
            shared.metrics.reloaded_bytes.add(place.len as u64);
        }
        Ok(Paged { bytes, lease })
    }

    /// Reads the page ahead of its reader, if the budget has room for it; one that was `asked` for, only as long as its
    /// reader has not come. On the I/O thread.
    fn prefetch(&self, asked: bool) {
        if Arc::strong_count(&self.inner) == 1 {
            // Its reader has come and gone since the plan was made.
            return;
        }
        let (place, lease) = match &mut *lock(&self.inner.state) {
            State::Disk { place, load: load @ (Load::None | Load::Asked), _index: lease }
                if matches!(load, Load::Asked) == asked =>
            {
                *load = Load::None;
                let mut paid = lease.consumer().empty_lease();
                if !paid.try_grow(self.memory(place)) {
                    return;
                }
                *load = Load::Running;
                (place.clone(), paid)
            }
            _ => return,
        };
        // An error is the reader's to find, when it reads the page itself.
        let loaded = self.read_caught(&place, lease).map_or(Load::None, Load::Done);
        self.finish_load(loaded);
    }

    /// Reads the page back for [`Pager::load`]. On the I/O thread.
    fn load(&self) {
        let place = match &*lock(&self.inner.state) {
            State::Disk { place, .. } if Arc::strong_count(&self.inner) > 1 => place.clone(),
            _ => return,
        };
        let lease = self.consumer_lease(self.memory(&place));
        let loaded = self.read_caught(&place, lease).map_or_else(Load::Failed, Load::Done);
        self.finish_load(loaded);
    }

    /// A store is foreign code: its panic is an error like any other.
    fn read_caught(&self, place: &Place, lease: Lease) -> Result<Paged, SpillError> {
        let read = catch_unwind(AssertUnwindSafe(|| self.read(place, lease)));
        if let Some(shared) = self.inner.shared.upgrade() {
            shared.metrics.prefetches.add(1);
        }
        read.unwrap_or_else(|_| Err(SpillError::io("read", "spill store", std::io::Error::other("the store panicked"))))
    }

    fn finish_load(&self, loaded: Load) {
        if let State::Disk { load, .. } = &mut *lock(&self.inner.state) {
            *load = loaded;
        }
        self.inner.changed.notify();
    }

    /// Whether it is still to be written.
    fn in_motion(&self) -> bool {
        match &*lock(&self.inner.state) {
            State::Memory { status, .. } => !matches!(status, Status::Failed(_)),
            State::Disk { .. } => false,
            State::Moving => true,
        }
    }

    pub(crate) fn failed(&self) -> bool {
        matches!(&*lock(&self.inner.state), State::Memory { status: Status::Failed(_), .. })
    }

    pub(crate) fn handle(&self) -> Page {
        Page { inner: Arc::clone(&self.inner) }
    }

    /// The parts, if they are still to be written.
    fn begin(&self) -> Option<Vec<Bytes>> {
        match &mut *lock(&self.inner.state) {
            State::Memory { parts, status, .. } if !matches!(status, Status::Writing) => {
                *status = Status::Writing;
                Some(parts.clone())
            }
            _ => None,
        }
    }

    fn end(&self, outcome: Result<Place, SpillError>) {
        let mut state = lock(&self.inner.state);
        let mut refund = None;
        *state = match (std::mem::replace(&mut *state, State::Moving), outcome) {
            (State::Memory { mut lease, .. }, Ok(place)) => {
                let index = lease.split(INDEX);
                refund = Some(lease);
                State::Disk { place, load: Load::None, _index: index }
            }
            (State::Memory { parts, lease, .. }, Err(error)) => {
                State::Memory { parts, lease, status: Status::Failed(error) }
            }
            (other, _) => other,
        };
        drop(state);
        drop(refund);
        self.inner.changed.notify();
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").field("bytes", &self.inner.bytes).field("state", &self.state()).finish()
    }
}

fn join(parts: &[Bytes]) -> Bytes {
    match parts {
        [one] => one.clone(),
        _ => {
            let mut all = BytesMut::with_capacity(parts.iter().map(Bytes::len).sum());
            parts.iter().for_each(|part| all.extend_from_slice(part));
            all.freeze()
        }
    }
}

struct IoThread {
    shared: Arc<Shared>,
    compressor: Compressor,
    /// Whom to call when: one time a tenant.
    timers: Vec<(Instant, Weak<dyn Tenant>)>,
}

impl IoThread {
    fn run(mut self) {
        loop {
            let shared = Arc::clone(&self.shared);
            let listener = shared.work.listen();
            if shared.stop.load(Ordering::SeqCst) {
                return self.close();
            }
            let load = lock(&shared.queue).loads.pop_front();
            if let Some(page) = load {
                if let Some(inner) = page.upgrade() {
                    Page { inner }.load();
                }
                continue;
            }
            // A reader waits for what is read ahead; nobody waits for a write.
            let ahead = lock(&shared.queue).ahead.pop_front();
            if let Some(ahead) = ahead {
                if let Some(inner) = ahead.upgrade() {
                    Page { inner }.prefetch(true);
                }
                continue;
            }
            let pages = self.queued();
            if !pages.is_empty() {
                // Whoever put a page in looks at its state.
                let _ = self.write(&pages);
                continue;
            }
            let call = self.due().or_else(|| lock(&shared.queue).calls.pop_front());
            match (call, self.timers.iter().map(|(at, _)| *at).min()) {
                (Some(tenant), _) => self.serve(tenant),
                (None, Some(next)) => listener.wait_until(next),
                (None, None) => listener.wait(),
            }
        }
    }

    /// A tenant whose time has come.
    fn due(&mut self) -> Option<Weak<dyn Tenant>> {
        if self.timers.is_empty() {
            return None;
        }
        let now = Instant::now();
        let due = self.timers.iter().position(|(at, _)| *at <= now)?;
        Some(self.timers.swap_remove(due).1)
    }

    /// Whoever waits for a page that is not loaded any more reads it itself.
    fn close(&self) {
        let mut queue = lock(&self.shared.queue);
        queue.closed = true;
        let loads = std::mem::take(&mut queue.loads);
        drop(queue);
        loads.iter().filter_map(Weak::upgrade).for_each(|inner| Page { inner }.finish_load(Load::None));
    }

    /// Up to a block of the pages that wait, all of one consumer.
    fn queued(&self) -> Vec<Page> {
        let mut queue = lock(&self.shared.queue);
        let mut pages: Vec<Page> = Vec::new();
        let mut bytes = 0;
        while let Some(next) = queue.pages.front() {
            if let Some(inner) = next.upgrade() {
                let page = Page { inner };
                let fits =
                    bytes + page.len() <= BLOCK && pages.first().is_none_or(|first| first.owner() == page.owner());
                if !fits && !pages.is_empty() {
                    break;
                }
                bytes += page.len();
                pages.push(page);
            }
            queue.pages.pop_front();
        }
        pages
    }

    fn serve(&mut self, tenant: Weak<dyn Tenant>) {
        let Some(buffer) = tenant.upgrade() else {
            return;
        };
        let plan = buffer.plan();
        if let Some(again) = plan.again {
            self.timers.retain(|(_, other)| !Weak::ptr_eq(other, &tenant));
            self.timers.push((again, Weak::clone(&tenant)));
        }
        if !plan.write.is_empty()
            && let Err(error) = self.write(&plan.write)
        {
            self.shared.metrics.spill_failures.add(1);
            tracing::warn!(%error, "a block was not spilled and stays in memory");
            buffer.refused(&error);
        }
        plan.prefetch.iter().for_each(|page| page.prefetch(false));
        if plan.more {
            // To the end of the line: other tenants of this thread have their turn.
            lock(&self.shared.queue).calls.push_back(tenant);
        }
    }

    /// Writes `pages`, which belong to one consumer, as one block.
    fn write(&mut self, pages: &[Page]) -> Result<(), SpillError> {
        let mut records = Vec::with_capacity(pages.len());
        let mut result = Ok(());
        for page in pages {
            let Some(parts) = page.begin() else { continue };
            match record::seal(parts, &mut self.compressor) {
                Ok(sealed) => records.push((page, sealed)),
                Err(error) => {
                    page.end(Err(error.clone()));
                    result = Err(error);
                }
            }
        }
        let Some(owner) = records.first().map(|(page, _)| page.owner()) else {
            return result;
        };
        let slices: Vec<IoSlice<'_>> = records.iter().flat_map(|(_, sealed)| sealed.slices()).collect();
        // A store is foreign code: if it panics, its block stays in memory like after any other failure.
        let appended =
            catch_unwind(AssertUnwindSafe(|| self.shared.store.append(owner, &slices))).unwrap_or_else(|_| {
                Err(SpillError::io("append", "spill store", std::io::Error::other("the store panicked")))
            });
        match appended {
            Ok(extent) => {
                let metrics = &self.shared.metrics;
                metrics.spilled_blocks.add(1);
                metrics.spilled_bytes.add(extent.len());
                metrics.spilled_items.add(records.iter().map(|(page, _)| page.inner.items).sum());
                let extent = Arc::new(extent);
                let mut offset = 0;
                for (page, sealed) in &records {
                    let len = sealed.stored_len();
                    page.end(Ok(Place { extent: Arc::clone(&extent), offset, len }));
                    offset += len as u64;
                }
                result
            }
            Err(error) => {
                records.iter().for_each(|(page, _)| page.end(Err(error.clone())));
                Err(error)
            }
        }
    }
}

impl Page {
    fn owner(&self) -> u64 {
        match &*lock(&self.inner.state) {
            State::Memory { lease, .. } | State::Disk { _index: lease, .. } => lease.consumer().id(),
            State::Moving => u64::MAX,
        }
    }
}
