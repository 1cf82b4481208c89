//! Results as they lie in the slots: those of one batch together.

use std::collections::VecDeque;

pub(super) struct Slot<T> {
    pub(super) items: Results<T>,
    /// How much of what `State::resident` pays is for them.
    pub(super) bytes: usize,
}

impl<T> Slot<T> {
    /// The front and the rest, where the rest is about `bytes` bytes of results of about the same size. `None` if all
    /// of it is no more than that, or it cannot be divided.
    pub(super) fn split_at(&mut self, bytes: usize) -> Option<(Slot<T>, Slot<T>)> {
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
        let front = Slot { items: Results::Many(front), bytes: share };
        Some((front, Slot { items: Results::Many(rest), bytes: self.bytes - share }))
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
