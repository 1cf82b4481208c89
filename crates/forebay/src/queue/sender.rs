//! The producer's end of a queue.

use std::collections::VecDeque;
use std::fmt;

use super::{Full, Group, SLOT, Shared};
use crate::budget::Lease;
use crate::item::Weigh;
use crate::sync::{Arc, lock};

/// The producer's end. Not `Clone`: see [`Sender::share`].
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
    /// Paid for in advance.
    prepaid: Lease,
    /// Not yet in the queue. Empty between calls unless the pipeline asked for fixed batches.
    group: Group<T>,
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

impl<T> Sender<T> {
    /// The first one; it is counted already.
    pub(super) fn new(shared: &Arc<Shared<T>>) -> Self {
        Sender {
            shared: Arc::clone(shared),
            prepaid: shared.line.consumer.empty_lease(),
            group: Group { items: VecDeque::new(), paid: shared.line.consumer.empty_lease() },
            finished: false,
        }
    }

    fn another(&self) -> Self {
        lock(&self.shared.state).senders += 1;
        Self::new(&self.shared)
    }
}

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
        if self.group.items.len() >= size { self.flush().map(drop) } else { Ok(()) }
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
        SharedSender { sender: self.another() }
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
            line.consumer.ask(bytes);
            listener.wait();
        }
    }

    /// `wait`: what is needed to be woken is announced.
    fn try_pay(&mut self, bytes: usize, wait: bool) -> bool {
        let need = bytes.saturating_sub(self.prepaid.bytes());
        let paid = need == 0
            || self.prepaid.try_grow_ahead(need)
            || (wait && self.prepaid.grow_or_hunger(need))
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
        let mut listeners = None;
        while !group.items.is_empty() {
            if line.over() {
                return Err(());
            }
            match (shared.push(group), listeners.take()) {
                (Ok(pushed), _) => last = pushed,
                // Looks again before it sleeps.
                (Err(_), None) => listeners = Some((line.space.listen(), line.room.listen())),
                (Err(Full::Window), Some((space, _))) => space.wait(),
                (Err(Full::Outstanding), Some((_, room))) => room.wait(),
            }
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
///
/// ```
/// use forebay::{Budget, RecvError, WorkQueue};
///
/// let (sender, receiver) = WorkQueue::new(&Budget::new(1 << 20).consumer("queue", 0)?, 16);
/// let first = sender.share();
/// let second = first.clone();
/// for (n, mut sender) in [first, second].into_iter().enumerate() {
///     std::thread::spawn(move || {
///         sender.send(n).expect("there is a receiver");
///         sender.finish(); // dropped instead, it would cut the queue off
///     });
/// }
/// let mut jobs = [(); 2].map(|()| receiver.recv().map(|job| (job.seq, job.item)).expect("two items come"));
/// jobs.sort_by_key(|(_, item)| *item);
/// assert_eq!(jobs.map(|(_, item)| item), [0, 1]);
/// assert_eq!(receiver.recv().unwrap_err(), RecvError::Finished);
/// # Ok::<(), forebay::OverBudget>(())
/// ```
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
        SharedSender { sender: self.sender.another() }
    }
}
