//! `ReorderBuffer`: results come in as they are finished and go out in order; what does not fit into memory waits on
//! disk.
//!
//! ```text
//!             head                                                       newest
//!   resident   | 7 8 . 10 |                                  | 812 . 814 |      slots (Ring)
//!   spilled               | 11 ... 74 | 75 ... 138 | ... 811 |                  runs of consecutive numbers, one page each
//!              `- head reserve: stays in memory
//! ```
//!
//! # Invariants
//! * Each number goes out once, in order. A number that is stored twice, or again after it went out, is an error and
//!   not a loss.
//! * Storing never waits and is never refused: what is stored has its lease, and whoever overdraws the budget to pay
//!   for it waits before the next item, not with the result in its hand. So there is no hole that only memory could
//!   fill.
//! * A failed item keeps its place: everything before it goes out, then the failure.
//! * What is spilled is the farthest, in blocks; the head is never spilled. No user code runs under the lock: what is
//!   encoded is out of the slots, marked as leaving, and the reader that comes for it waits for that encoding only.
//! * If a block cannot be written it stays in memory in its encoded form, readable, and nothing more is spilled until
//!   the head has moved ([`OnSpillError::Stall`]), or the run ends with the error ([`OnSpillError::Fail`]).
//!
//! In *completion order* (bypass) numbers are given on arrival; everything else is the same.
//!
//! The reader takes what is ready in runs (up to 256 KiB and a sixteenth of the budget) and is woken once when the
//! head has come, not for every item.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Weak;
use std::time::Instant;

use bytes::{Buf, Bytes};

use crate::budget::{Consumer, Lease, Reclaim};
use crate::item::{DecodeError, Parts, Spill};
use crate::line::Line;
use crate::metrics::{Metrics, nanos};
use crate::ring::Ring;
use crate::spill::SpillError;
use crate::spill::pager::{BLOCK, Page, Pager, Plan, Tenant};
use crate::spill::policy::{Decision, SpillPolicy, Stretch, View, Wake, Waker};
use crate::sync::{Arc, AtomicBool, AtomicUsize, Mutex, MutexGuard, Ordering, lock};

/// Most results that the reader takes at a time, if they are small.
const RUN: usize = 1024;

/// How often the reader lets others run before it goes to sleep.
const YIELDS: u32 = 3;

/// What happens when a block cannot be spilled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnSpillError {
    /// It stays in memory and the pipeline waits for its sink, as if it could not spill. It tries again when the head
    /// has moved.
    #[default]
    Stall,
    /// The run ends with the error.
    Fail,
}

/// A result that was not taken.
#[derive(Debug, PartialEq, Eq)]
pub enum InsertError<T> {
    /// This number is stored already, or has gone out.
    Duplicate {
        /// The number.
        seq: u64,
        /// The rejected item.
        item: T,
    },
}

impl<T> fmt::Display for InsertError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let InsertError::Duplicate { seq, .. } = self;
        write!(f, "result {seq} was stored twice")
    }
}

impl<T: fmt::Debug> std::error::Error for InsertError<T> {}

/// Why there is no next result.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum DeliverError {
    /// Item `seq` failed ([`ReorderBuffer::fail`]); everything before it went out.
    Failed {
        /// The number of the failed item.
        seq: u64,
    },
    /// Result `seq` could not be spilled ([`OnSpillError::Fail`]) or read back.
    Spill {
        /// The number of the first result concerned.
        seq: u64,
        /// What the store said.
        error: SpillError,
    },
    /// Result `seq` was read back and does not decode.
    Decode {
        /// The number of the first result concerned.
        seq: u64,
        /// What its `decode` said.
        error: DecodeError,
    },
    /// An item's `encode` or the spill policy panicked.
    Panicked {
        /// The number of the first result concerned.
        seq: u64,
        /// What the panic said.
        message: String,
    },
    /// The run was cancelled.
    Cancelled,
}

impl fmt::Display for DeliverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeliverError::Failed { seq } => write!(f, "item {seq} failed"),
            DeliverError::Spill { seq, error } => write!(f, "result {seq}: {error}"),
            DeliverError::Decode { seq, error } => write!(f, "result {seq}: {error}"),
            DeliverError::Panicked { seq, message } => {
                write!(f, "result {seq}: spilling it panicked: {message}")
            }
            DeliverError::Cancelled => f.write_str("the run was cancelled"),
        }
    }
}

impl std::error::Error for DeliverError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            DeliverError::Spill { error, .. } => Some(error),
            DeliverError::Decode { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// The storing side; shared by all workers.
pub struct ReorderBuffer<T> {
    line: Arc<Line>,
    consumer: Consumer,
    metrics: Arc<Metrics>,
    in_order: bool,
    state: Mutex<State<T>>,
    /// `None`: results stay in memory.
    spilling: Option<Spilling<T>>,
}

struct State<T> {
    slots: Ring<Slot<T>>,
    spilled: BTreeMap<u64, Run>,
    spilled_bytes: usize,
    /// Pays for what is in `slots`.
    resident: Lease,
    /// The next number to go out.
    head: u64,
    /// In completion order: the next number to give.
    arrivals: u64,
    /// No number from here on will come.
    end: Option<u64>,
    /// The lowest number that failed: nothing from there on goes out.
    failed: Option<u64>,
    reader_waits: bool,
    error: Option<DeliverError>,
}

struct Slot<T> {
    items: Results<T>,
    /// How much of what `State::resident` pays is for them.
    bytes: usize,
}

impl<T> Slot<T> {
    /// The front and the rest, where the rest is about `bytes` bytes of results of about the same size. `None` if all
    /// of it is no more than that, or it cannot be divided.
    fn split_at(&mut self, bytes: usize) -> Option<(Slot<T>, Slot<T>)> {
        let Results::Many(items) = &mut self.items else {
            return None;
        };
        let keep = items.len() - items.len() * bytes.min(self.bytes) / self.bytes.max(1);
        if keep == 0 || keep >= items.len() {
            return None;
        }
        let share = self.bytes * keep / items.len();
        let rest = items.split_off(keep);
        let front = std::mem::take(items);
        let front = Slot {
            items: Results::Many(front),
            bytes: share,
        };
        Some((
            front,
            Slot {
                items: Results::Many(rest),
                bytes: self.bytes - share,
            },
        ))
    }
}

/// Consecutive results of one batch. One is the common case of batches of one, and costs no allocation.
pub(crate) enum Results<T> {
    One(T),
    Many(VecDeque<T>),
}

impl<T> Results<T> {
    /// Of a batch of `items` items.
    pub(crate) fn with_capacity(items: usize) -> Self {
        Results::Many(VecDeque::with_capacity(if items > 1 { items } else { 0 }))
    }

    #[inline]
    pub(crate) fn push(&mut self, item: T) {
        match self {
            // The only result of a batch of one needs no allocation.
            Results::Many(items) if items.capacity() == 0 => *self = Results::One(item),
            Results::Many(items) => items.push_back(item),
            Results::One(_) => {
                if let Results::One(first) = std::mem::replace(self, Results::Many(VecDeque::with_capacity(2)))
                    && let Results::Many(items) = self
                {
                    items.extend([first, item]);
                }
            }
        }
    }

    pub(crate) fn len(&self) -> u64 {
        match self {
            Results::One(_) => 1,
            Results::Many(items) => items.len() as u64,
        }
    }
}

/// Consecutive results outside of the slots.
struct Run {
    count: u64,
    bytes: usize,
    /// `None` while they are being encoded.
    page: Option<Page>,
}

struct Spilling<T> {
    pager: Pager,
    policy: Mutex<Box<dyn SpillPolicy>>,
    on_error: OnSpillError,
    encode: fn(T, &mut Parts),
    decode: fn(Bytes) -> Result<T, DecodeError>,
    this: Weak<dyn Tenant>,
    /// The I/O thread has been called and has not come yet.
    called: AtomicBool,
    /// Bytes that were refused to somebody and have not been spilled since.
    wanted: AtomicUsize,
    /// As long as less is resident, another look at it would find nothing new.
    call_at: AtomicUsize,
    evicting: Mutex<Evicting>,
}

/// What the last decision left to do. Only the I/O thread uses it.
#[derive(Default)]
struct Evicting {
    bytes: usize,
    from: u64,
    /// The head when a write failed: nothing is spilled until it has moved.
    stalled_at: Option<u64>,
}

impl<T> ReorderBuffer<T> {
    /// A buffer in memory, paid for by `consumer`, and its reader.
    pub fn new(consumer: &Consumer) -> (Arc<Self>, Outlet<T>) {
        let line = Arc::new(Line::new(consumer.room()));
        Self::plain(line, consumer, Arc::new(Metrics::new()), true)
    }

    /// As [`new`](ReorderBuffer::new), but results go out in the order in which they come in.
    pub fn bypass(consumer: &Consumer) -> (Arc<Self>, Outlet<T>) {
        let line = Arc::new(Line::new(consumer.room()));
        Self::plain(line, consumer, Arc::new(Metrics::new()), false)
    }

    pub(crate) fn plain(
        line: Arc<Line>,
        consumer: &Consumer,
        metrics: Arc<Metrics>,
        in_order: bool,
    ) -> (Arc<Self>, Outlet<T>) {
        let buffer = Arc::new(Self::bare(line, consumer, metrics, in_order));
        let reader = Outlet::new(Arc::clone(&buffer));
        (buffer, reader)
    }

    fn bare(line: Arc<Line>, consumer: &Consumer, metrics: Arc<Metrics>, in_order: bool) -> Self {
        let state = State {
            slots: Ring::new(),
            spilled: BTreeMap::new(),
            spilled_bytes: 0,
            resident: consumer.empty_lease(),
            head: 0,
            arrivals: 0,
            end: None,
            failed: None,
            reader_waits: false,
            error: None,
        };
        ReorderBuffer {
            line,
            consumer: consumer.clone(),
            metrics,
            in_order,
            state: Mutex::new(state),
            spilling: None,
        }
    }

    /// Stores result `seq`; `lease`, of the buffer's consumer, pays for it.
    ///
    /// # Errors
    /// [`InsertError::Duplicate`] with the item, if there was a result of this number.
    pub fn insert(&self, seq: u64, item: T, mut lease: Lease) -> Result<(), InsertError<T>> {
        let bytes = lease.bytes();
        match self.store(seq, Results::One(item), bytes, &mut lease) {
            Ok(()) => Ok(()),
            Err(Results::One(item)) => Err(InsertError::Duplicate { seq, item }),
            Err(Results::Many(_)) => unreachable!("one item was stored"),
        }
    }

    /// Item `seq` will have no result. What comes before it still goes out.
    pub fn fail(&self, seq: u64) {
        self.line.fail_at(if self.in_order { seq } else { 0 });
        let mut state = lock(&self.state);
        let seq = state.number(seq, 1, self.in_order);
        // A number that went out cannot fail, and must not hide one that did.
        if seq >= state.head {
            state.failed = Some(state.failed.map_or(seq, |other| other.min(seq)));
        }
        self.rouse(state, seq);
    }

    /// No number from `end` on will come: the reader ends there.
    pub fn close(&self, end: u64) {
        let mut state = lock(&self.state);
        state.end = Some(end);
        let head = state.head;
        self.rouse(state, head);
    }

    /// Stores the results `first..`, paid for by `bytes` bytes of `lease`, or gives them back if they are there
    /// already.
    pub(crate) fn store(
        &self,
        first: u64,
        items: Results<T>,
        bytes: usize,
        lease: &mut Lease,
    ) -> Result<(), Results<T>> {
        let mut state = lock(&self.state);
        let first = state.number(first, items.len(), self.in_order);
        if state.gone(first) {
            return Err(items);
        }
        state
            .slots
            .insert(first, Slot { items, bytes })
            .map_err(|slot| slot.items)?;
        lease.transfer(&mut state.resident, bytes);
        let resident = state.resident.bytes();
        self.rouse(state, first);
        if let Some(spilling) = &self.spilling
            && resident >= spilling.call_at.load(Ordering::Relaxed)
            && (self.consumer.above(6) || spilling.wanted.load(Ordering::Relaxed) > 0)
        {
            spilling.call();
        }
        Ok(())
    }

    /// Wakes the reader if it waits for `seq`.
    fn rouse(&self, mut state: MutexGuard<'_, State<T>>, seq: u64) {
        let wake = state.reader_waits && seq == state.head;
        state.reader_waits &= !wake;
        drop(state);
        if wake {
            self.line.ready.notify();
        }
    }

    /// The reader sleeps until the head has come or the run is over.
    fn await_head<'a>(&'a self, mut state: MutexGuard<'a, State<T>>) -> MutexGuard<'a, State<T>> {
        let ReorderBuffer { line, metrics, .. } = self;
        state.reader_waits = true;
        let listener = line.ready.listen();
        drop(state);
        // The run may have been cancelled between the look at the line and `listen`.
        if !line.cancelled() {
            let start = Instant::now();
            listener.wait();
            metrics.head_stalls.add(1);
            metrics.head_stall_nanos.add(nanos(start.elapsed()));
        }
        lock(&self.state)
    }

    /// Ends the I/O thread: it may be the last to hold the buffer, and whoever waits for the run waits for that too.
    pub(crate) fn stop_spilling(&self) {
        if let Some(spilling) = &self.spilling {
            spilling.pager.stop();
        }
    }

    /// Ends the run with `error`.
    fn abort(&self, error: DeliverError) {
        lock(&self.state).error.get_or_insert(error);
        self.line.cancel();
    }
}

impl<T: Spill + Send + 'static> ReorderBuffer<T> {
    /// A buffer whose results go to `pager` when `policy` says so, and its reader.
    pub fn spilling(
        consumer: &Consumer,
        pager: &Pager,
        policy: impl SpillPolicy + 'static,
        on_error: OnSpillError,
    ) -> (Arc<Self>, Outlet<T>) {
        let line = Arc::new(Line::new(consumer.room()));
        let metrics = pager.monitor().metrics;
        Self::with_pager(line, consumer, metrics, true, pager, Box::new(policy), on_error)
    }

    pub(crate) fn with_pager(
        line: Arc<Line>,
        consumer: &Consumer,
        metrics: Arc<Metrics>,
        in_order: bool,
        pager: &Pager,
        policy: Box<dyn SpillPolicy>,
        on_error: OnSpillError,
    ) -> (Arc<Self>, Outlet<T>) {
        let buffer = Arc::new_cyclic(|this| {
            let spilling = Spilling {
                pager: pager.clone(),
                policy: Mutex::new(policy),
                on_error,
                encode: T::encode,
                decode: T::decode,
                this: Weak::<Self>::clone(this),
                called: AtomicBool::new(false),
                wanted: AtomicUsize::new(0),
                call_at: AtomicUsize::new(0),
                evicting: Mutex::new(Evicting::default()),
            };
            ReorderBuffer {
                spilling: Some(spilling),
                ..Self::bare(line, consumer, metrics, in_order)
            }
        });
        let handle: Arc<dyn Wake> = Arc::clone(&buffer) as _;
        if let Some(spilling) = &buffer.spilling {
            lock(&spilling.policy).attach(Waker {
                tenant: Arc::downgrade(&handle),
            });
        }
        let reclaim: Arc<dyn Reclaim> = Arc::clone(&buffer) as _;
        consumer.can_spill(Arc::downgrade(&reclaim));
        let reader = Outlet::new(Arc::clone(&buffer));
        (buffer, reader)
    }
}

impl<T> State<T> {
    fn number(&mut self, seq: u64, count: u64, in_order: bool) -> u64 {
        if in_order {
            return seq;
        }
        self.arrivals += count;
        self.arrivals - count
    }

    /// Whether there was a result `seq` that is not in the slots any more, or cannot be one because it failed.
    fn gone(&self, seq: u64) -> bool {
        let spilled = || {
            let before = self.spilled.range(..=seq).next_back();
            before.is_some_and(|(first, run)| seq < first + run.count)
        };
        seq < self.head || self.failed == Some(seq) || (!self.spilled.is_empty() && spilled())
    }
}

/// The delivering side of a [`ReorderBuffer`]; there is one.
///
/// A result counts as delivered, and the head moves, when the run of ready results that it was taken with is used up.
pub struct Outlet<T> {
    buffer: Arc<ReorderBuffer<T>>,
    /// Taken out and not handed over yet.
    ready: VecDeque<T>,
    /// Pays for the run that `ready` is the rest of.
    lease: Lease,
    /// Results in that run.
    taken: u64,
}

impl<T> Outlet<T> {
    fn new(buffer: Arc<ReorderBuffer<T>>) -> Self {
        let lease = buffer.consumer.empty_lease();
        Outlet {
            buffer,
            ready: VecDeque::new(),
            lease,
            taken: 0,
        }
    }

    /// The next result in order; waits for it. `None` after the last one.
    ///
    /// # Errors
    /// [`DeliverError`]; every further call gives the same.
    pub fn next_result(&mut self) -> Result<Option<T>, DeliverError> {
        // Once the run is cancelled, the rest of what was taken out in one run is not delivered either.
        if !self.buffer.line.cancelled()
            && let Some(item) = self.ready.pop_front()
        {
            return Ok(Some(item));
        }
        self.refill()
    }

    /// How many results were handed over.
    pub fn delivered(&self) -> u64 {
        self.buffer.line.head() + self.taken - self.ready.len() as u64
    }

    fn refill(&mut self) -> Result<Option<T>, DeliverError> {
        self.settle();
        let buffer = Arc::clone(&self.buffer);
        let mut state = lock(&buffer.state);
        let mut yields = YIELDS;
        loop {
            if let Some(error) = &state.error {
                return Err(error.clone());
            }
            if buffer.line.cancelled() {
                return Err(DeliverError::Cancelled);
            }
            let head = state.head;
            self.take_run(&mut state);
            if let Some(item) = self.ready.pop_front() {
                drop(state);
                buffer.metrics.delivered_runs.record(self.taken);
                return Ok(Some(item));
            }
            if state.failed == Some(head) {
                return Err(DeliverError::Failed { seq: head });
            }
            if state.end == Some(head) {
                return Ok(None);
            }
            if let Some((count, page)) = state.take_page() {
                drop(state);
                return self.reload(head, count, &page);
            }
            if yields > 0 {
                yields -= 1;
                drop(state);
                std::thread::yield_now();
                state = lock(&buffer.state);
                continue;
            }
            state = buffer.await_head(state);
        }
    }

    /// What was handed over is delivered; what was not, if the run was cancelled, is dropped.
    fn settle(&mut self) {
        self.taken -= self.ready.len() as u64;
        self.ready.clear();
        self.lease.shrink_to(0);
        if self.taken > 0 {
            self.buffer.metrics.delivered.add(self.taken);
            self.buffer.line.advance(std::mem::take(&mut self.taken));
        }
    }

    fn take_run(&mut self, state: &mut State<T>) {
        // At least one result, however small the budget.
        let most = BLOCK.min(self.buffer.consumer.budget().limit() / 16).max(1);
        while self.ready.len() < RUN && self.lease.bytes() < most && state.failed != Some(state.head) {
            let Some(Slot { items, bytes }) = state.slots.take(state.head) else {
                break;
            };
            state.head += items.len();
            self.taken += items.len();
            state.resident.transfer(&mut self.lease, bytes);
            match items {
                Results::One(item) => self.ready.push_back(item),
                Results::Many(items) if self.ready.is_empty() => self.ready = items,
                Results::Many(items) => self.ready.extend(items),
            }
        }
        state.slots.forget_before(state.head);
    }

    /// Reads a page back. On this thread, so that it is never behind a write.
    fn reload(&mut self, first: u64, count: u64, page: &Page) -> Result<Option<T>, DeliverError> {
        let Some(spilling) = &self.buffer.spilling else {
            unreachable!("a page without a pager")
        };
        spilling.call();
        let paged = page.get().map_err(|error| DeliverError::Spill { seq: first, error });
        let items = paged.and_then(|paged| {
            self.lease = paged.lease;
            unpack(paged.bytes, count, spilling.decode).map_err(|error| DeliverError::Decode { seq: first, error })
        });
        match items {
            Ok(items) => {
                self.buffer.metrics.reloaded_items.add(count);
                self.buffer.metrics.delivered_runs.record(count);
                self.taken = count;
                self.ready = items;
                Ok(self.ready.pop_front())
            }
            Err(error) => {
                self.buffer.abort(error.clone());
                Err(error)
            }
        }
    }
}

impl<T> fmt::Debug for ReorderBuffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.state);
        f.debug_struct("ReorderBuffer")
            .field("head", &state.head)
            .field("resident", &state.resident.bytes())
            .field("spilled", &state.spilled_bytes)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Outlet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlet")
            .field("ready", &self.ready.len())
            .finish_non_exhaustive()
    }
}

impl<T> Drop for Outlet<T> {
    /// Without a reader nothing can be delivered: the run is cancelled unless it is complete.
    fn drop(&mut self) {
        let handed = self.taken - self.ready.len() as u64;
        self.buffer.metrics.delivered.add(handed);
        let state = lock(&self.buffer.state);
        let complete = state.end == Some(state.head) && self.ready.is_empty();
        drop(state);
        if !complete {
            self.buffer.line.cancel();
        }
    }
}

impl<T> State<T> {
    /// The page of the head, if it is spilled and encoded.
    fn take_page(&mut self) -> Option<(u64, Page)> {
        let entry = self
            .spilled
            .first_entry()
            .filter(|entry| *entry.key() == self.head && entry.get().page.is_some())?;
        let Run { count, bytes, page } = entry.remove();
        self.spilled_bytes -= bytes;
        self.head += count;
        Some((count, page?))
    }

    fn pages(&self, range: Range<u64>) -> Vec<Page> {
        self.spilled
            .range(range)
            .filter_map(|(_, run)| Some(run.page.as_ref()?.handle()))
            .collect()
    }

    /// Up to a block of the pages that could not be written.
    fn failed_pages(&self) -> Vec<Page> {
        let mut bytes = 0;
        let pages = self
            .spilled
            .values()
            .rev()
            .filter_map(|run| run.page.as_ref())
            .filter(|page| page.failed());
        pages
            .take_while(|page| {
                bytes += page.len();
                bytes == page.len() || bytes <= BLOCK
            })
            .map(Page::handle)
            .collect()
    }

    fn first_failed(&self) -> u64 {
        let mut failed = self
            .spilled
            .iter()
            .filter(|(_, run)| run.page.as_ref().is_some_and(Page::failed));
        failed.next().map_or(self.head, |(first, _)| *first)
    }

    fn view(&self, limit: usize, charged: usize, wanted: usize) -> View {
        // Fine enough for a policy to draw its line, coarse enough to be quick.
        let grain = (limit / 64).max(1);
        let mut stretches: Vec<Stretch> = Vec::new();
        let mut spilled = self.spilled.iter().peekable();
        let page = |(first, run): (&u64, &Run)| Stretch {
            first: *first,
            count: run.count,
            bytes: run.bytes,
            spilled: true,
        };
        for (seq, slot) in self.slots.iter() {
            let Slot { items, bytes } = slot;
            while let Some(run) = spilled.next_if(|(first, _)| **first < seq) {
                stretches.push(page(run));
            }
            match stretches.last_mut() {
                Some(last) if !last.spilled && last.bytes < grain => {
                    last.count = seq + items.len() - last.first;
                    last.bytes += bytes;
                }
                _ => stretches.push(Stretch {
                    first: seq,
                    count: items.len(),
                    bytes: *bytes,
                    spilled: false,
                }),
            }
        }
        stretches.extend(spilled.map(page));
        View {
            head: self.head,
            limit,
            charged,
            wanted,
            resident: self.resident.bytes(),
            spilled: self.spilled_bytes,
            stretches,
        }
    }

    fn put_back(&mut self, seq: u64, slot: Slot<T>) {
        if self.slots.insert(seq, slot).is_err() {
            unreachable!("the slot was emptied a moment ago");
        }
    }

    /// Takes a block of the farthest results out of the slots, or what there is from `from` on, and leaves marks in
    /// their places.
    fn take_farthest(&mut self, from: u64) -> Vec<Leaving<T>> {
        let mut chosen = Vec::new();
        let mut room = BLOCK;
        for (seq, slot) in self.slots.iter().rev() {
            if seq < from || seq == self.head || room == 0 {
                break;
            }
            chosen.push(seq);
            room = room.saturating_sub(slot.bytes);
        }
        let mut leaving: Vec<Leaving<T>> = Vec::new();
        let mut room = BLOCK;
        for seq in chosen {
            let Some(mut slot) = self.slots.take(seq) else { continue };
            let mut first = seq;
            if slot.bytes > room {
                match slot.split_at(room) {
                    Some((front, rest)) => {
                        first = seq + front.items.len();
                        self.put_back(seq, front);
                        slot = rest;
                    }
                    None if leaving.is_empty() => {}
                    None => {
                        self.put_back(seq, slot);
                        break;
                    }
                }
            }
            room = room.saturating_sub(slot.bytes);
            let count = slot.items.len();
            match leaving.last_mut().filter(|run| first + count == run.first) {
                Some(run) => {
                    run.first = first;
                    run.count += count;
                    run.items.push(slot.items);
                    self.resident.transfer(&mut run.lease, slot.bytes);
                }
                None => {
                    let lease = self.resident.split(slot.bytes);
                    leaving.push(Leaving {
                        first,
                        count,
                        items: vec![slot.items],
                        lease,
                    });
                }
            }
        }
        leaving.iter_mut().for_each(|run| run.items.reverse());
        self.slots.forget_before(self.head);
        for run in &leaving {
            self.spilled.insert(
                run.first,
                Run {
                    count: run.count,
                    bytes: run.lease.bytes(),
                    page: None,
                },
            );
            self.spilled_bytes += run.lease.bytes();
        }
        leaving
    }
}

/// Consecutive results that are being encoded.
struct Leaving<T> {
    first: u64,
    count: u64,
    items: Vec<Results<T>>,
    lease: Lease,
}

/// The items one after the other, then their lengths as u32: an item is `Bytes`, and whole blocks stay whole.
fn pack<T>(items: Vec<Results<T>>, encode: fn(T, &mut Parts)) -> Parts {
    let mut parts = Parts::default();
    let mut lengths = Vec::new();
    let mut one = |item| {
        let before = parts.len();
        encode(item, &mut parts);
        // A length over 4 GiB makes the record too large, which the pager refuses with an error.
        lengths.extend_from_slice(&u32::try_from(parts.len() - before).unwrap_or(u32::MAX).to_le_bytes());
    };
    for results in items {
        match results {
            Results::One(item) => one(item),
            Results::Many(items) => items.into_iter().for_each(&mut one),
        }
    }
    parts.write(&lengths);
    parts
}

fn unpack<T>(
    bytes: Bytes,
    count: u64,
    decode: fn(Bytes) -> Result<T, DecodeError>,
) -> Result<VecDeque<T>, DecodeError> {
    const BROKEN: DecodeError = DecodeError("the block's table of lengths is broken");
    let table = usize::try_from(count)
        .ok()
        .and_then(|count| count.checked_mul(4))
        .ok_or(BROKEN)?;
    let start = bytes.len().checked_sub(table).ok_or(BROKEN)?;
    let mut lengths = bytes.slice(start..);
    let mut rest = bytes.slice(..start);
    let mut items = VecDeque::with_capacity(table / 4);
    while lengths.has_remaining() {
        let len = lengths.get_u32_le() as usize;
        if len > rest.len() {
            return Err(BROKEN);
        }
        items.push_back(decode(rest.split_to(len))?);
    }
    if rest.is_empty() { Ok(items) } else { Err(BROKEN) }
}

impl<T> Spilling<T> {
    /// Has the I/O thread come by, once.
    fn call(&self) {
        if !self.called.swap(true, Ordering::SeqCst) {
            self.pager.call(Weak::clone(&self.this));
        }
    }
}

impl<T: Send> Reclaim for ReorderBuffer<T> {
    fn reclaim(&self, bytes: usize) {
        if let Some(spilling) = &self.spilling {
            spilling.wanted.fetch_max(bytes, Ordering::SeqCst);
            spilling.call();
        }
    }
}

impl<T: Send> Wake for ReorderBuffer<T> {
    fn wake(&self) {
        if let Some(spilling) = &self.spilling {
            spilling.call();
        }
    }
}

impl<T: Send> Tenant for ReorderBuffer<T> {
    fn plan(&self) -> Plan {
        let Some(spilling) = &self.spilling else {
            return Plan::default();
        };
        spilling.called.store(false, Ordering::SeqCst);
        let mut evicting = lock(&spilling.evicting);
        let mut plan = Plan::default();
        if let Some(head) = evicting.stalled_at {
            if self.line.head() == head {
                return plan;
            }
            evicting.stalled_at = None;
            plan.write = lock(&self.state).failed_pages();
            plan.more = !plan.write.is_empty();
            if plan.more {
                return plan;
            }
        }
        if evicting.bytes == 0 {
            let decision = self.decide(spilling);
            evicting.bytes = decision.spill_bytes;
            evicting.from = decision.spill_from;
            plan.prefetch = decision
                .prefetch
                .map_or_else(Vec::new, |range| lock(&self.state).pages(range));
        }
        if evicting.bytes > 0 {
            let leaving = lock(&self.state).take_farthest(evicting.from);
            let bytes: usize = leaving.iter().map(|run| run.lease.bytes()).sum();
            evicting.bytes = if leaving.is_empty() {
                0
            } else {
                evicting.bytes.saturating_sub(bytes)
            };
            if evicting.bytes == 0 && !leaving.is_empty() {
                spilling.wanted.store(0, Ordering::SeqCst);
            }
            plan.write = leaving
                .into_iter()
                .filter_map(|run| self.encode(spilling, run))
                .collect();
            plan.more = evicting.bytes > 0;
        }
        let grain = BLOCK.min(self.consumer.budget().limit() / 16);
        spilling
            .call_at
            .store(lock(&self.state).resident.bytes() + grain, Ordering::Relaxed);
        plan
    }

    fn refused(&self, error: &SpillError) {
        let Some(spilling) = &self.spilling else {
            return;
        };
        match spilling.on_error {
            OnSpillError::Stall => {
                let mut evicting = lock(&spilling.evicting);
                evicting.bytes = 0;
                evicting.stalled_at = Some(self.line.head());
            }
            OnSpillError::Fail => {
                let seq = lock(&self.state).first_failed();
                self.abort(DeliverError::Spill {
                    seq,
                    error: error.clone(),
                });
            }
        }
    }
}

impl<T> ReorderBuffer<T> {
    fn decide(&self, spilling: &Spilling<T>) -> Decision {
        let wanted = spilling.wanted.load(Ordering::SeqCst);
        let budget = self.consumer.budget();
        let view = lock(&self.state).view(budget.limit(), budget.charged(), wanted);
        // A policy is foreign code: if it panics, the run ends, and the I/O thread goes on for others.
        let decided = catch_unwind(AssertUnwindSafe(|| lock(&spilling.policy).decide(&view)));
        decided.unwrap_or_else(|panic| {
            self.abort(DeliverError::Panicked {
                seq: view.head,
                message: panic_text(&*panic),
            });
            Decision::default()
        })
    }

    /// Makes a page of what left the slots, and puts it in the place of the mark. `None` if an item's `encode`
    /// panicked: then the run ends.
    fn encode(&self, spilling: &Spilling<T>, run: Leaving<T>) -> Option<Page> {
        let Leaving {
            first,
            count,
            items,
            lease,
        } = run;
        let packed = catch_unwind(AssertUnwindSafe(|| pack(items, spilling.encode)));
        match packed {
            Ok(parts) => {
                let page = spilling.pager.page(parts, count, lease);
                let mut state = lock(&self.state);
                if let Some(run) = state.spilled.get_mut(&first) {
                    run.page = Some(page.handle());
                }
                self.rouse(state, first);
                Some(page)
            }
            Err(panic) => {
                self.abort(DeliverError::Panicked {
                    seq: first,
                    message: panic_text(&*panic),
                });
                None
            }
        }
    }
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}
