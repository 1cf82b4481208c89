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
//!
//! # Memory
//! The items, and 48 bytes for each. Nothing is allocated per item.
//!
//! ```
//! use forebay::{Budget, RecvError, WorkQueue};
//!
//! let budget = Budget::new(1 << 20);
//! let (mut sender, receiver) = WorkQueue::new(&budget.consumer("queue", 0)?, 16); // items in flight
//! let worker = std::thread::spawn(move || {
//!     let mut sum = 0;
//!     loop {
//!         match receiver.recv() {
//!             Ok(job) => sum += job.item, // `job.permit` is held until here
//!             Err(end) => return (sum, end),
//!         }
//!     }
//! });
//! for number in 1..=100u64 {
//!     sender.send(number)?; // waits while the window or the budget is full
//! }
//! assert_eq!(sender.finish(), Some(100)); // dropped instead, the worker would see `ProducerGone`
//! assert_eq!(worker.join().unwrap(), (5050, RecvError::Finished));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod receiver;
mod sender;

use std::collections::VecDeque;

pub use receiver::{Job, Permit, Receiver, RecvError};
pub use sender::{SendError, Sender, SharedSender, TrySendError};

use crate::budget::{Consumer, Lease};
use crate::item::Weigh;
use crate::line::Line;
use crate::sync::{Arc, Mutex, lock};

/// What an item costs beside its own weight, in bytes, in the queue and as a result in the reorder buffer's slots.
pub(crate) const SLOT: usize = 48;

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
        Self::on_line(Arc::new(Line::new(consumer)), window, u64::MAX, 1, true)
    }

    pub(crate) fn on_line<T: Weigh>(
        line: Arc<Line>,
        window: usize,
        outstanding: u64,
        workers: usize,
        alone: bool,
    ) -> (Sender<T>, Receiver<T>) {
        let state = State {
            items: VecDeque::new(),
            paid: line.consumer.empty_lease(),
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
            share: if alone { usize::MAX } else { line.consumer.budget().limit() / 4 },
            outstanding: outstanding.max(1),
            alone,
            line,
            state: Mutex::new(state),
        });
        (Sender::new(&shared), Receiver { shared })
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

    /// Moves items from `group` into the queue, as many as the window has room for, and numbers them. Returns the number
    /// of the last of them.
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
        let last = state.next - 1;
        let call = Self::call(&mut state);
        drop(state);
        if call {
            self.line.work.notify_one();
        }
        // A worker that sleeps for want of memory may take the head.
        if self.line.is_head(first) {
            self.line.room.notify();
        }
        Ok(last)
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
