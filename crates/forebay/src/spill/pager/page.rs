//! `Page`: what was put in at once, wherever it is now.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Weak;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::Shared;
use crate::budget::Lease;
use crate::event::Event;
use crate::item::Parts;
use crate::spill::{Extent, SpillError, record};
use crate::sync::{Arc, Mutex, lock};

/// What a page on disk costs in memory: it stays leased.
const INDEX: usize = 256;

/// The largest record that is read back: what was written was no larger.
const MAX_RECORD: usize = u32::MAX as usize;

/// Encoded items on their way out of memory, or out of it.
pub struct Page {
    inner: Arc<Inner>,
}

/// A page that is forgotten when nobody else has it.
pub(super) struct WeakPage(Weak<Inner>);

struct Inner {
    pager: Weak<Shared>,
    bytes: usize,
    items: u64,
    /// The consumer that pays.
    owner: u64,
    state: Mutex<State>,
    /// A write or a read of the I/O thread has ended.
    changed: Event,
}

enum State {
    Memory { parts: Vec<Bytes>, lease: Lease, status: Status, call: Option<Call> },
    Disk { place: Place, ahead: Ahead, index: Lease },
}

#[derive(Clone)]
enum Status {
    Waiting,
    Writing,
    Failed(SpillError),
}

/// What is called when the write has ended.
type Call = Box<dyn FnOnce() + Send>;

/// Where a record is: several share the extent of a block.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) extent: Arc<Extent>,
    pub(super) offset: u64,
    pub(super) len: usize,
}

/// How far reading ahead of the reader has come.
enum Ahead {
    No,
    /// Somebody asked for it; it waits for the I/O thread.
    Asked,
    Reading,
    Done(Paged),
}

/// The bytes of a page, back in memory and paid for.
#[derive(Debug)]
pub struct Paged {
    /// What was put in.
    pub bytes: Bytes,
    /// Pays for `bytes`.
    pub lease: Lease,
}

impl Paged {
    /// What was put in and is still there.
    fn joined(parts: &[Bytes], lease: &Lease) -> Self {
        let bytes = join(parts);
        let lease = lease.consumer().lease_head(bytes.len());
        Paged { bytes, lease }
    }
}

impl Ahead {
    /// What was read, if it was.
    fn take_done(&mut self) -> Option<Paged> {
        match std::mem::replace(self, Ahead::No) {
            Ahead::Done(paged) => Some(paged),
            other => {
                *self = other;
                None
            }
        }
    }
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
    /// A page that nobody writes yet.
    pub(super) fn new(pager: Weak<Shared>, parts: Parts, items: u64, lease: Lease) -> Self {
        let (bytes, owner) = (parts.len(), lease.consumer().id());
        let state = Mutex::new(State::Memory { parts: parts.finish(), lease, status: Status::Waiting, call: None });
        Page { inner: Arc::new(Inner { pager, bytes, items, owner, state, changed: Event::new() }) }
    }

    /// Says whether the page is on disk or its write has failed. If neither is so yet, `call` is called once when it is:
    /// for whoever must not wait ([`Pager::settle`](super::Pager::settle)), a dataflow operator for example. A page has
    /// one such call; a later one replaces it. `call` runs on the I/O thread, without a lock, and must not block. It is
    /// not called if the pager or the page goes first.
    pub fn when_settled(&self, call: impl FnOnce() + Send + 'static) -> bool {
        let mut state = lock(&self.inner.state);
        let replaced = match &mut *state {
            State::Memory { status: Status::Waiting | Status::Writing, call: at, .. } => at.replace(Box::new(call)),
            State::Memory { status: Status::Failed(_), .. } | State::Disk { .. } => return true,
        };
        drop(state);
        drop(replaced);
        false
    }

    /// Where the page is now.
    pub fn state(&self) -> PageState {
        match &*lock(&self.inner.state) {
            State::Memory { status: Status::Waiting, .. } => PageState::Resident,
            State::Memory { status: Status::Writing, .. } => PageState::Writing,
            State::Memory { status: Status::Failed(error), .. } => PageState::Failed(error.clone()),
            State::Disk { .. } => PageState::OnDisk,
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

    /// The bytes: from memory, from where the I/O thread has read them ahead, or by a read on this thread. Overdraws the
    /// budget rather than wait for memory; waits for the disk, but not for what the I/O thread has to do before.
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

    /// As [`get`](Page::get), but leaves to the I/O thread what it was asked to read ahead, and waits at most `patience`
    /// for that; `None` if it is not done by then.
    ///
    /// # Errors
    /// As [`get`](Page::get).
    pub fn get_within(&self, patience: Duration) -> Result<Option<Paged>, SpillError> {
        self.take(Instant::now().checked_add(patience))
    }

    /// The bytes, if they are in memory or have been read ahead: reads nothing and waits for nothing.
    pub fn try_get(&self) -> Option<Paged> {
        match &mut *lock(&self.inner.state) {
            State::Memory { parts, lease, .. } => Some(Paged::joined(parts, lease)),
            State::Disk { ahead, .. } => ahead.take_done(),
        }
    }

    fn take(&self, deadline: Option<Instant>) -> Result<Option<Paged>, SpillError> {
        let (place, lease) = loop {
            let listener = self.inner.changed.listen();
            match &mut *lock(&self.inner.state) {
                State::Memory { parts, lease, .. } => return Ok(Some(Paged::joined(parts, lease))),
                State::Disk { place, ahead, index } => match std::mem::replace(ahead, Ahead::No) {
                    Ahead::Done(paged) => return Ok(Some(paged)),
                    Ahead::Reading => *ahead = Ahead::Reading,
                    Ahead::Asked if deadline.is_some() => *ahead = Ahead::Asked,
                    Ahead::Asked | Ahead::No => {
                        let lease = index.consumer().lease_head(self.memory(place));
                        break (place.clone(), lease);
                    }
                },
            }
            match deadline {
                None => listener.wait(),
                Some(deadline) if Instant::now() >= deadline => return Ok(None),
                Some(deadline) => listener.wait_until(deadline),
            }
        };
        if let Some(pager) = self.inner.pager.upgrade() {
            pager.metrics.head_reads.add(1);
        }
        self.read(&place, lease).map(Some)
    }

    /// What the page takes when it is read back: the record, or what it unpacks to.
    fn memory(&self, place: &Place) -> usize {
        place.len.max(self.inner.bytes)
    }

    fn read(&self, place: &Place, lease: Lease) -> Result<Paged, SpillError> {
        let mut buffer = BytesMut::zeroed(place.len);
        place.extent.read(place.offset, &mut buffer)?;
        let bytes = record::open(&buffer.freeze(), MAX_RECORD, &place.extent)?;
        if let Some(pager) = self.inner.pager.upgrade() {
            pager.metrics.reloaded_bytes.add(place.len as u64);
        }
        Ok(Paged { bytes, lease })
    }

    /// Notes that the page is to be read ahead. `false` if there is nothing to do about it.
    pub(super) fn ask(&self) -> bool {
        match &mut *lock(&self.inner.state) {
            State::Disk { ahead: ahead @ Ahead::No, .. } => {
                *ahead = Ahead::Asked;
                true
            }
            _ => false,
        }
    }

    /// Reads the page ahead of its reader, if that was asked for and the reader has not come meanwhile. Where the
    /// budget has no room for it: only if it is to `overdraw`. On the I/O thread.
    pub(super) fn read_ahead(&self, overdraw: bool) {
        // Else its reader has come and gone.
        let wanted = Arc::strong_count(&self.inner) > 1;
        let paid = match &mut *lock(&self.inner.state) {
            State::Disk { place, ahead: ahead @ Ahead::Asked, index } => {
                let bytes = self.memory(place);
                let mut lease = index.consumer().empty_lease();
                if wanted && overdraw {
                    lease.grow_head(bytes);
                }
                let paid = wanted && (overdraw || lease.try_grow(bytes));
                *ahead = if paid { Ahead::Reading } else { Ahead::No };
                paid.then(|| (place.clone(), lease))
            }
            _ => return,
        };
        if let Some((place, lease)) = paid {
            // A store is foreign code. Its panic and its error are the reader's to find, when it reads the page itself.
            let read = catch_unwind(AssertUnwindSafe(|| self.read(&place, lease)));
            if let Some(pager) = self.inner.pager.upgrade() {
                pager.metrics.prefetches.add(1);
            }
            if let State::Disk { ahead, .. } = &mut *lock(&self.inner.state) {
                *ahead = read.ok().and_then(Result::ok).map_or(Ahead::No, Ahead::Done);
            }
        }
        self.inner.changed.notify();
    }

    /// Nobody is left to read it ahead: whoever waits for that reads it itself.
    pub(super) fn withdraw(&self) {
        if let State::Disk { ahead: ahead @ Ahead::Asked, .. } = &mut *lock(&self.inner.state) {
            *ahead = Ahead::No;
        }
        self.inner.changed.notify();
    }

    /// Waits until it is written, or cannot be.
    pub(super) fn settle(&self) {
        loop {
            let listener = self.inner.changed.listen();
            match self.state() {
                PageState::OnDisk | PageState::Failed(_) => return,
                PageState::Resident | PageState::Writing => listener.wait(),
            }
        }
    }

    pub(crate) fn failed(&self) -> bool {
        matches!(&*lock(&self.inner.state), State::Memory { status: Status::Failed(_), .. })
    }

    pub(crate) fn handle(&self) -> Page {
        Page { inner: Arc::clone(&self.inner) }
    }

    pub(super) fn downgrade(&self) -> WeakPage {
        WeakPage(Arc::downgrade(&self.inner))
    }

    /// How many items are in it.
    pub(super) fn items(&self) -> u64 {
        self.inner.items
    }

    /// Whose it is.
    pub(super) fn owner(&self) -> u64 {
        self.inner.owner
    }

    /// The parts, if they are still to be written.
    pub(super) fn begin(&self) -> Option<Vec<Bytes>> {
        match &mut *lock(&self.inner.state) {
            State::Memory { parts, status, .. } if !matches!(status, Status::Writing) => {
                *status = Status::Writing;
                Some(parts.clone())
            }
            _ => None,
        }
    }

    pub(super) fn end(&self, outcome: Result<Place, SpillError>) {
        let mut state = lock(&self.inner.state);
        let (mut written, mut due) = (None, None);
        if let State::Memory { lease, status, call, .. } = &mut *state {
            due = call.take();
            match outcome {
                Ok(place) => {
                    let index = lease.split(INDEX);
                    written = Some(std::mem::replace(&mut *state, State::Disk { place, ahead: Ahead::No, index }));
                }
                Err(error) => *status = Status::Failed(error),
            }
        }
        // Without the lock: its lease wakes whom it lets in.
        drop(state);
        drop(written);
        self.inner.changed.notify();
        if let Some(call) = due {
            call();
        }
    }
}

impl WeakPage {
    pub(super) fn upgrade(&self) -> Option<Page> {
        self.0.upgrade().map(|inner| Page { inner })
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
