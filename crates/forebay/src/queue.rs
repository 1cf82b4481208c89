//! `WorkQueue`: from one producer to the workers, bounded by items and by bytes.
//!
//! ```text
//!   Sender --- send: pay, then number and store under one lock ---> [ n+3 n+2 n+1 ] ---> Receiver (one per worker)
//!                                                                                        Permit, until the result is stored
//! ```
//!
//! # Invariants
//! * The sequence number is given in the critical section that stores the item. There is no moment at which a number is
//!   taken and its item is not there, so a producer that is delayed delays nobody who came after it.
//! * Items are taken in order. The lowest item that is not delivered is therefore never behind a later one.
//! * *Window*: items queued and items whose permit is held never exceed the window. A permit is held until the item's
//!   result is stored, so what is in flight is bounded, not only what is queued.
//! * *Bytes*: every item is paid for by the consumer before it is stored, unless nothing at all is in flight: a
//!   pipeline may always have one item, the head ([`Consumer::lease_head`]).
//! * *Share*: in a pipeline, what is queued takes at most a quarter of the budget, and so does what is in work (one
//!   item is always allowed). Queued items cannot be spilled: if they filled the budget, finished results would find
//!   no room and a slow head would stop the pipeline instead of costing disk.
//! * While the budget is overdrawn, workers take nothing but the head: the overdraft is at most one result a worker.
//!
//! # Disconnection
//! A `Sender` cannot be cloned. [`Sender::finish`] is the only orderly end: receivers drain what is queued and then
//! see [`RecvError::Finished`]. A sender that is dropped without it (an early `?`, a panic) ends the queue at once
//! with [`RecvError::ProducerGone`], and what is queued is dropped. [`Sender::share`] gives a form for several
//! producers, each of which has to finish.
//!
//! # Waiting
//! Sleeping producers are woken when half of the window is free, not for every place. One idle worker is woken per item
//! stored, until none is idle.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use crate::budget::{Consumer, Lease};
use crate::item::Weigh;
use crate::line::Line;
use crate::sync::{Arc, Mutex, MutexGuard, lock};

/// What an item costs beside its own weight, in bytes, in the queue and as a result in the reorder buffer's slots.
pub(crate) const SLOT: usize = 48;

/// How much a sender pays for in advance, at most; it also takes no more than a 256th of the budget.
const IN_ADVANCE: usize = 64 << 10;

/// Makes queues.
#[derive(Debug)]
pub struct WorkQueue {
    _no_values: (),
}

impl WorkQueue {
    /// A queue of at most `window` items (at least one) in flight, paid for by `consumer`.
    ///
    /// On its own, without a pipeline, an item counts as done when its [`Permit`] is dropped.
    #[allow(clippy::new_ret_no_self, reason = "a queue exists only as its two ends")]
    pub fn new<T: Weigh>(consumer: &Consumer, window: usize) -> (Sender<T>, Receiver<T>) {
        let line = Arc::new(Line::new(consumer.room()));
        Self::on_line(consumer, window, u64::MAX, 1, line, true)
    }

    pub(crate) fn on_line<T: Weigh>(
        consumer: &Consumer,
        window: usize,
        outstanding: u64,
        workers: usize,
        line: Arc<Line>,
        alone: bool,
    ) -> (Sender<T>, Receiver<T>) {
        let state = State {
            items: VecDeque::new(),
            paid: consumer.empty_lease(),
            next: 0,
            working: 0,
            idle: 0,
            called: 0,
            senders: 1,
            receivers: 1,
            gone: false,
            sender_waits: false,
        };
        let shared = Arc::new(Shared {
            window: window.max(1),
            workers: workers.max(1),
            // On its own a queue may use all of the budget.
            share: if alone {
                usize::MAX
            } else {
                consumer.budget().limit() / 4
            },
            outstanding: outstanding.max(1),
            alone,
            line,
            consumer: consumer.clone(),
            state: Mutex::new(state),
        });
        let in_advance = IN_ADVANCE.min(consumer.budget().limit() / 256);
        let sender = Sender {
            prepaid: consumer.empty_lease(),
            group: Group::new(consumer),
            in_advance,
            finished: false,
            shared: Arc::clone(&shared),
        };
        (sender, Receiver { shared })
    }
}

struct Shared<T> {
    window: usize,
    workers: usize,
    /// Most bytes queued, unless a single item has more; and most bytes in work by taking several items at a time.
    share: usize,
    /// Most items submitted and not delivered.
    outstanding: u64,
    /// No reorder buffer moves the head: permits do.
    alone: bool,
    line: Arc<Line>,
    consumer: Consumer,
    state: Mutex<State<T>>,
}

struct State<T> {
    /// Items with what each of them paid.
    items: VecDeque<(T, usize)>,
    /// Pays for `items`.
    paid: Lease,
    /// The next sequence number. The first item of `items` has `next - items.len()`.
    next: u64,
    /// Permits held.
    working: usize,
    /// Workers that sleep, and how many of them have been called.
    idle: usize,
    called: usize,
    senders: usize,
    receivers: usize,
    gone: bool,
    sender_waits: bool,
}

impl<T> State<T> {
    fn front(&self) -> u64 {
        self.next - self.items.len() as u64
    }
}

/// Items on their way into the queue, and what pays for them.
struct Group<T> {
    items: VecDeque<(T, usize)>,
    paid: Lease,
}

impl<T> Group<T> {
    fn new(consumer: &Consumer) -> Self {
        Group {
            items: VecDeque::new(),
            paid: consumer.empty_lease(),
        }
    }
}

/// How many of the first `most` items have at most `room` bytes together.
fn fitting<T>(items: &VecDeque<(T, usize)>, most: usize, room: usize) -> usize {
    let mut sum = 0usize;
    let sums = items.iter().take(most).map(|(_, bytes)| {
        sum = sum.saturating_add(*bytes);
        sum
    });
    sums.take_while(|sum| *sum <= room).count()
}

/// Why a producer has to wait.
enum Full {
    /// The window, or the queue's share of the budget: wait on `space`.
    Window,
    /// Too many items are not delivered: wait on `room`.
    Outstanding,
}

impl<T> Shared<T> {
    /// Gives `items` permits back. Says whether producers are to be woken (on `space`).
    fn release(&self, state: &mut State<T>, items: usize) -> bool {
        state.working -= items;
        if self.alone {
            self.line.advance(items as u64);
        }
        self.wake(state)
    }

    /// Whether sleeping producers are to be woken (on `space`): half of the window is free, and half of the queue's
    /// share of the budget.
    fn wake(&self, state: &mut State<T>) -> bool {
        let wake = state.sender_waits
            && state.working + state.items.len() <= self.window / 2
            && state.paid.bytes() <= self.share / 2;
        state.sender_waits &= !wake;
        wake
    }

    /// Whether one more sleeping worker is to be called for what is queued.
    fn call(state: &mut State<T>) -> bool {
        let call = state.idle > state.called;
        state.called += usize::from(call);
        call
    }

    /// Moves items from `group` into the queue, as many as the window has room for, and numbers them.
    fn push(&self, group: &mut Group<T>) -> Result<u64, Full> {
        let mut state = lock(&self.state);
        let in_flight = state.items.len() + state.working;
        let mut fit = group.items.len().min(self.window.saturating_sub(in_flight));
        let room = self.share.saturating_sub(state.paid.bytes());
        if group.paid.bytes() > room {
            let least = usize::from(state.items.is_empty()).min(fit);
            fit = fitting(&group.items, fit, room).max(least);
        }
        if fit == 0 {
            state.sender_waits = true;
            return Err(Full::Window);
        }
        let mut left = self.outstanding.saturating_sub(state.next - self.line.head());
        if left == 0 {
            self.line.await_head(state.next - self.outstanding / 2);
            left = self.outstanding.saturating_sub(state.next - self.line.head());
            if left == 0 {
                return Err(Full::Outstanding);
            }
        }
        let first = state.next;
        let count = usize::try_from(left).map_or(fit, |left| fit.min(left));
        let bytes = match count == group.items.len() {
            true => group.paid.bytes(),
            false => group.items.iter().take(count).map(|(_, bytes)| bytes).sum(),
        };
        group.paid.transfer(&mut state.paid, bytes);
        state.items.extend(group.items.drain(..count));
        state.next += count as u64;
        let call = Self::call(&mut state);
        drop(state);
        if call {
            self.line.work.notify_one();
        }
        // A worker that sleeps for want of memory may take the head.
        if self.line.is_head(first) {
            self.line.room.notify();
        }
        Ok(first)
    }

    fn close(&self, gone: bool) {
        let mut state = lock(&self.state);
        state.senders -= 1;
        state.gone |= gone;
        let over = state.senders == 0 || gone;
        drop(state);
        if gone {
            self.line.cancel();
        } else if over {
            self.line.work.notify();
            self.line.room.notify();
        }
    }
}

/// The producer's end. Not `Clone`: see [`Sender::share`].
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
    /// Paid for in advance.
    prepaid: Lease,
    /// Not yet in the queue. Empty between calls unless the pipeline asked for fixed batches.
    group: Group<T>,
    in_advance: usize,
    finished: bool,
}

/// The queue no longer takes items: the run failed or was cancelled, or the receivers are gone. Gives the item back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendError(..)")
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue is closed: the run has ended")
    }
}

impl<T> std::error::Error for SendError<T> {}

/// Why [`Sender::try_send`] did not take an item. Gives the item back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TrySendError<T> {
    /// The window is full or the budget refuses; later it may succeed.
    Full(T),
    /// See [`SendError`].
    Closed(T),
}

impl<T> fmt::Debug for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TrySendError::Full(_) => "Full(..)",
            TrySendError::Closed(_) => "Closed(..)",
        })
    }
}

impl<T> fmt::Display for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TrySendError::Full(_) => "the queue is full",
            TrySendError::Closed(_) => "the queue is closed: the run has ended",
        })
    }
}

impl<T> std::error::Error for TrySendError<T> {}

impl<T: Weigh> Sender<T> {
    /// Submits `item` and returns its sequence number. Waits while the window or the budget is full.
    ///
    /// # Errors
    /// [`SendError`] with the item, once the run is over.
    pub fn send(&mut self, item: T) -> Result<u64, SendError<T>> {
        let bytes = item.weight() + SLOT;
        if !self.pay(bytes) {
            return Err(SendError(item));
        }
        self.group.items.push_back((item, bytes));
        self.flush().map_err(|()| self.take_back()).map_err(SendError)
    }

    /// Submits `item` if that is possible without waiting.
    ///
    /// A worker that produces work for its own queue uses this and, when the queue is full, does the work itself: it
    /// must never wait for a queue that it serves.
    ///
    /// # Errors
    /// [`TrySendError`] with the item.
    pub fn try_send(&mut self, item: T) -> Result<u64, TrySendError<T>> {
        if self.shared.line.over() {
            return Err(TrySendError::Closed(item));
        }
        let bytes = item.weight() + SLOT;
        if !self.try_pay(bytes, false) {
            return Err(TrySendError::Full(item));
        }
        self.group.items.push_back((item, bytes));
        match self.shared.push(&mut self.group) {
            Ok(seq) => Ok(seq),
            Err(_) => Err(TrySendError::Full(self.take_back())),
        }
    }

    /// As [`send`](Sender::send), but items are handed on in groups of `size`. `Err` once the run is over.
    pub(crate) fn feed(&mut self, item: T, size: usize) -> Result<(), ()> {
        let bytes = item.weight() + SLOT;
        if !self.pay(bytes) {
            return Err(());
        }
        self.group.items.push_back((item, bytes));
        if self.group.items.len() >= size {
            self.flush().map(drop)
        } else {
            Ok(())
        }
    }

    /// Everything that was submitted is to be worked on, and nothing more comes. The sequence number that would have
    /// been next, or `None` if the run was over before the last group was queued.
    pub fn finish(mut self) -> Option<u64> {
        let complete = self.flush().is_ok();
        self.finished = true;
        let next = lock(&self.shared.state).next;
        complete.then_some(next)
    }

    /// A form of this sender that can be cloned. The queue ends when every clone has called
    /// [`finish`](SharedSender::finish), and is cut off when one of them is dropped without it.
    pub fn share(mut self) -> SharedSender<T> {
        self.finished = true; // The count of senders moves to the shared form.
        lock(&self.shared.state).senders += 1;
        let fresh = Sender {
            shared: Arc::clone(&self.shared),
            prepaid: self.shared.consumer.empty_lease(),
            group: Group::new(&self.shared.consumer),
            in_advance: self.in_advance,
            finished: false,
        };
        SharedSender { sender: fresh }
    }

    fn take_back(&mut self) -> T {
        match self.group.items.pop_back() {
            Some((item, bytes)) => {
                self.group.paid.transfer(&mut self.prepaid, bytes);
                item
            }
            None => unreachable!("the group holds the item that was not taken"),
        }
    }

    /// Pays for one more item of `bytes` bytes; waits for memory if it must. `false` once the run is over.
    #[inline]
    fn pay(&mut self, bytes: usize) -> bool {
        if self.prepaid.bytes() >= bytes {
            self.prepaid.transfer(&mut self.group.paid, bytes);
            return true;
        }
        self.pay_anew(bytes)
    }

    fn pay_anew(&mut self, bytes: usize) -> bool {
        if self.try_pay(bytes, false) {
            return true;
        }
        // Not a byte of what was handed to us may wait with us.
        if self.flush().is_err() {
            return false;
        }
        let line = Arc::clone(&self.shared.line);
        loop {
            let listener = line.room.listen();
            if line.over() {
                return false;
            }
            if self.try_pay(bytes, true) {
                return true;
            }
            self.shared.consumer.ask(bytes);
            listener.wait();
        }
    }

    /// `wait`: what is needed to be woken is announced.
    fn try_pay(&mut self, bytes: usize, wait: bool) -> bool {
        let need = bytes.saturating_sub(self.prepaid.bytes());
        let paid = need == 0
            || self.prepaid.try_grow(need + self.in_advance)
            || if wait {
                self.prepaid.grow_or_hunger(need)
            } else {
                self.prepaid.try_grow(need)
            }
            || self.pay_for_head(need, wait);
        if paid {
            self.prepaid.transfer(&mut self.group.paid, bytes);
        }
        paid
    }

    fn pay_for_head(&mut self, need: usize, wait: bool) -> bool {
        if !self.group.items.is_empty() {
            return false;
        }
        let next = lock(&self.shared.state).next;
        if wait {
            self.shared.line.await_head(next);
        }
        let head = self.shared.line.is_head(next);
        if head {
            self.prepaid.grow_head(need);
        }
        head
    }

    /// Moves the whole group into the queue; waits for places. The number of the group's last item; `Err` once the
    /// run is over.
    fn flush(&mut self) -> Result<u64, ()> {
        let Sender { shared, group, .. } = self;
        let line = &shared.line;
        let mut last = 0;
        while !group.items.is_empty() {
            if line.over() {
                return Err(());
            }
            let before = group.items.len();
            let first = match shared.push(group) {
                Ok(first) => first,
                Err(_) => {
                    let (space, room) = (line.space.listen(), line.room.listen());
                    if line.over() {
                        return Err(());
                    }
                    match shared.push(group) {
                        Ok(first) => first,
                        Err(full) => {
                            match full {
                                Full::Window => space.wait(),
                                Full::Outstanding => room.wait(),
                            }
                            continue;
                        }
                    }
                }
            };
            last = first + (before - group.items.len()) as u64 - 1;
        }
        Ok(last)
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.shared.close(!self.finished);
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}

/// One of several producers of a queue. Items are numbered in the order in which they are stored.
#[derive(Debug)]
pub struct SharedSender<T> {
    sender: Sender<T>,
}

impl<T: Weigh> SharedSender<T> {
    /// As [`Sender::send`].
    ///
    /// # Errors
    /// As [`Sender::send`].
    pub fn send(&mut self, item: T) -> Result<u64, SendError<T>> {
        self.sender.send(item)
    }

    /// As [`Sender::try_send`].
    ///
    /// # Errors
    /// As [`Sender::try_send`].
    pub fn try_send(&mut self, item: T) -> Result<u64, TrySendError<T>> {
        self.sender.try_send(item)
    }

    /// This producer has submitted everything it had.
    pub fn finish(self) {
        self.sender.finish();
    }
}

impl<T: Weigh> Clone for SharedSender<T> {
    fn clone(&self) -> Self {
        let shared = &self.sender.shared;
        lock(&shared.state).senders += 1;
        SharedSender {
            sender: Sender {
                shared: Arc::clone(shared),
                prepaid: shared.consumer.empty_lease(),
                group: Group::new(&shared.consumer),
                in_advance: self.sender.in_advance,
                finished: false,
            },
        }
    }
}

/// The workers' end. Clone it for each worker.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        lock(&self.shared.state).receivers += 1;
        Receiver {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = lock(&self.shared.state);
        state.receivers -= 1;
        let deserted = state.receivers == 0 && state.senders > 0;
        drop(state);
        if deserted {
            self.shared.line.cancel();
        }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

/// Why there is no item to receive, and never will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvError {
    /// Every producer has finished and everything was taken.
    Finished,
    /// A producer went away without finishing, or the run ended early; what was queued is dropped.
    ProducerGone,
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RecvError::Finished => "the producers have finished",
            RecvError::ProducerGone => "a producer went away without finishing",
        })
    }
}

impl std::error::Error for RecvError {}

/// One item to work on.
#[derive(Debug)]
pub struct Job<'q, T> {
    /// The item's sequence number.
    pub seq: u64,
    /// The item.
    pub item: T,
    /// Pays for the item; resize it to the result.
    pub lease: Lease,
    /// Its place in the window. Drop it when the result is stored.
    pub permit: Permit<'q, T>,
}

/// A place in the window, from the submission of an item until its result is stored.
pub struct Permit<'q, T> {
    shared: &'q Shared<T>,
}

impl<T> fmt::Debug for Permit<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit")
    }
}

impl<T> Drop for Permit<'_, T> {
    fn drop(&mut self) {
        if self.shared.release(&mut lock(&self.shared.state), 1) {
            self.shared.line.space.notify();
        }
    }
}

/// Consecutive items were taken together.
#[derive(Debug)]
pub(crate) struct Taken {
    /// The sequence number of the first.
    pub(crate) first: u64,
    /// How long the worker slept before.
    pub(crate) waited: Duration,
}

impl<T> Receiver<T> {
    /// The next item. Waits for one.
    ///
    /// # Errors
    /// [`RecvError`] once there is none and will be none.
    pub fn recv(&self) -> Result<Job<'_, T>, RecvError> {
        let mut items = VecDeque::with_capacity(1);
        let mut lease = self.shared.consumer.empty_lease();
        let taken = self.take(0, 1, &mut items, &mut lease)?;
        match items.pop_front() {
            Some(item) => Ok(Job {
                seq: taken.first,
                item,
                lease,
                permit: Permit { shared: &self.shared },
            }),
            None => unreachable!("one item was taken"),
        }
    }

    /// Gives the permits of `done` items back and moves up to `max` items into `into`, and what pays for them into
    /// `lease`: no more than this worker's share of what is queued, so that the last items of a run do not end up
    /// with one worker.
    pub(crate) fn take(
        &self,
        done: usize,
        max: usize,
        into: &mut VecDeque<T>,
        lease: &mut Lease,
    ) -> Result<Taken, RecvError> {
        let Shared {
            line,
            consumer,
            workers,
            share,
            ..
        } = &*self.shared;
        let mut slept_since = None;
        let mut state = lock(&self.shared.state);
        if self.shared.release(&mut state, done) {
            line.space.notify();
        }
        loop {
            if state.gone || !line.wants(state.front()) {
                return Err(RecvError::ProducerGone);
            }
            if state.items.is_empty() {
                if state.senders == 0 {
                    return Err(RecvError::Finished);
                }
                slept_since.get_or_insert_with(Instant::now);
                state = self.sleep(state);
                continue;
            }
            let front = state.front();
            if consumer.overdrawn() && !line.is_head(front) {
                drop(state);
                slept_since.get_or_insert_with(Instant::now);
                self.await_memory(front);
                state = lock(&self.shared.state);
                continue;
            }
            let mut count = (state.items.len() / (2 * workers)).clamp(1, max);
            if count > 1 && state.paid.bytes() > share / workers {
                count = fitting(&state.items, count, share / workers).max(1);
            }
            let mut bytes = 0;
            for (item, paid) in state.items.drain(..count) {
                bytes += paid;
                into.push_back(item);
            }
            state.paid.transfer(lease, bytes);
            state.working += count;
            let call = !state.items.is_empty() && Shared::call(&mut state);
            let wake = self.shared.wake(&mut state);
            drop(state);
            if call {
                line.work.notify_one();
            }
            if wake {
                line.space.notify();
            }
            let waited = slept_since.map_or(Duration::ZERO, |since| since.elapsed());
            return Ok(Taken { first: front, waited });
        }
    }

    fn sleep<'a>(&'a self, mut state: MutexGuard<'a, State<T>>) -> MutexGuard<'a, State<T>> {
        state.idle += 1;
        let listener = self.shared.line.work.listen();
        drop(state);
        // The run may have ended between the look at the line and `listen`.
        if !self.shared.line.over() {
            listener.wait();
        }
        let mut state = lock(&self.shared.state);
        state.idle -= 1;
        state.called = state.called.saturating_sub(1).min(state.idle);
        state
    }

    /// Waits until the budget is within its limit again, or item `front` is the head or not wanted any more.
    pub(crate) fn await_memory(&self, front: u64) {
        let Shared { line, consumer, .. } = &*self.shared;
        loop {
            let listener = line.room.listen();
            line.await_head(front);
            if !line.wants(front) || line.is_head(front) || consumer.solvent_or_hunger() {
                return;
            }
            consumer.ask(1);
            listener.wait();
        }
    }

    /// How many items have been submitted.
    pub(crate) fn submitted(&self) -> u64 {
        lock(&self.shared.state).next
    }
}
