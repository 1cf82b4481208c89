//! `Line`: where the head of the line is, and whether the run still goes on.
//!
//! Everything that may have to wait asks the same questions: *is this the item that the sink needs next?*, *is the run
//! over?* and *is there memory?* The queue, the workers and the reorder buffer of one pipeline share one `Line`, so each
//! has one answer.
//!
//! The head's sequence number is the number of delivered items: in order, it is the head exactly if everything
//! submitted before it has been delivered.
//!
//! A run ends in one of three ways: the source is finished and everything is delivered; item `n` fails, then
//! everything before `n` is still worked on and delivered and nothing from `n` on ([`Line::fail_at`]); or it is
//! cancelled, then nothing more is delivered ([`Line::cancel`]).

use crate::budget::Consumer;
use crate::event::Event;
use crate::sync::{Arc, AtomicBool, AtomicU64, Ordering, fence};

/// No sequence number: nobody waits for the head, nothing has failed.
const NONE: u64 = u64::MAX;

/// On a cache line of its own: the sink writes it all the time, and the workers read what is beside it.
#[derive(Debug)]
#[repr(align(128))]
struct Apart<T>(T);

#[derive(Debug)]
pub(crate) struct Line {
    delivered: Apart<AtomicU64>,
    /// The smallest head that somebody waits for on `room`.
    awaited: AtomicU64,
    /// Items from this number on are not worked on.
    limit: AtomicU64,
    cancelled: AtomicBool,
    /// Workers wait here for items.
    pub(crate) work: Event,
    /// The sink waits here for the head.
    pub(crate) ready: Event,
    /// Producers wait here for places in the queue.
    pub(crate) space: Event,
    /// Producers and workers wait here for memory, or for an item of theirs to become the head: what the budget notifies
    /// for `consumer`.
    pub(crate) room: Arc<Event>,
    /// Pays for everything that waits.
    pub(crate) consumer: Consumer,
}

impl Line {
    pub(crate) fn new(consumer: &Consumer) -> Self {
        Line {
            delivered: Apart(AtomicU64::new(0)),
            awaited: AtomicU64::new(NONE),
            limit: AtomicU64::new(NONE),
            cancelled: AtomicBool::new(false),
            work: Event::new(),
            ready: Event::new(),
            space: Event::new(),
            room: consumer.room(),
            consumer: consumer.clone(),
        }
    }

    /// The sequence number of the head: how many items have been delivered.
    pub(crate) fn head(&self) -> u64 {
        self.delivered.0.load(Ordering::Acquire)
    }

    /// Whether everything before item `seq` has been delivered; in completion order, whether as many items have.
    ///
    /// Of the items that wait for memory, in a queue or in a worker's hand, the lowest becomes the head as soon as
    /// nothing else moves. In order the head is never past an item that waits; in completion order it may be.
    pub(crate) fn is_head(&self, seq: u64) -> bool {
        self.head() >= seq
    }

    /// Moves the head past `items` delivered items.
    pub(crate) fn advance(&self, items: u64) {
        let head = self.delivered.0.fetch_add(items, Ordering::AcqRel) + items;
        fence(Ordering::SeqCst);
        if self.awaited.load(Ordering::Relaxed) <= head {
            // Whoever announced itself after this store has listened before, and is woken too: it looks again.
            self.awaited.store(NONE, Ordering::Relaxed);
            self.room.notify();
        }
    }

    /// Asks for a notification of `room` once the head is `seq` or further. Call after `room.listen()`.
    pub(crate) fn await_head(&self, seq: u64) {
        self.awaited.fetch_min(seq, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Nothing from item `seq` on is to be worked on; what comes before still is.
    pub(crate) fn fail_at(&self, seq: u64) {
        self.limit.fetch_min(seq, Ordering::SeqCst);
        self.wake_all();
    }

    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
        self.limit.store(0, Ordering::SeqCst);
        self.wake_all();
    }

    pub(crate) fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    /// Whether item `seq` is still wanted.
    pub(crate) fn wants(&self, seq: u64) -> bool {
        seq < self.limit.load(Ordering::Acquire)
    }

    /// Whether something failed or the run was cancelled: nothing new is to be submitted.
    pub(crate) fn over(&self) -> bool {
        self.limit.load(Ordering::Acquire) != NONE
    }

    fn wake_all(&self) {
        for event in [&self.work, &self.ready, &self.space, &*self.room] {
            event.notify();
        }
    }
}
