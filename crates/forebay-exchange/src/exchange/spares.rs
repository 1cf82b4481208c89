//! `Spares`: containers that were emptied, for whoever needs one next.
//!
//! A new container costs sixteen pages that the kernel has to clear, which takes longer than filling it. A worker
//! receives about as many as it sends, so what it has emptied is what it fills next. Each worker has its own: nobody
//! is waited for, and what there is no room for is dropped.
//!
//! What is taken stays paid for until all are given back, because others are soon kept in its place, and the budget is
//! one lock for all workers.

use std::cell::RefCell;

use forebay::Lease;

use crate::memory::Memory;
use crate::rows::{BLOCK, Rows};

/// A container larger than that is not kept.
const LARGEST: usize = 4 * BLOCK;

pub(crate) struct Spares<R> {
    kept: RefCell<Kept<R>>,
    /// How many are kept at most.
    most: usize,
}

struct Kept<R> {
    /// Empty containers, and what each takes.
    containers: Vec<(R, usize)>,
    /// What all of them take.
    bytes: usize,
    /// Pays for as many bytes as there have been at a time.
    lease: Lease,
}

impl<R: Rows> Spares<R> {
    /// None yet; `memory` pays for at most `most`.
    pub(crate) fn new(memory: &Memory, most: usize) -> Self {
        let kept = Kept { containers: Vec::new(), bytes: 0, lease: memory.consumer().empty_lease() };
        Spares { kept: RefCell::new(kept), most }
    }

    /// An empty container, if there is one.
    pub(crate) fn take(&self) -> Option<R> {
        let mut kept = self.kept.borrow_mut();
        let (container, bytes) = kept.containers.pop()?;
        kept.bytes -= bytes;
        Some(container)
    }

    /// Empties a container and keeps it, if the budget has room.
    pub(crate) fn put(&self, mut container: R) {
        let mut kept = self.kept.borrow_mut();
        let bytes = container.bytes().max(BLOCK);
        if bytes > LARGEST || kept.containers.len() >= self.most {
            return;
        }
        let more = (kept.bytes + bytes).saturating_sub(kept.lease.bytes());
        if more == 0 || kept.lease.try_grow(more) {
            container.clear();
            kept.bytes += bytes;
            kept.containers.push((container, bytes));
        }
    }

    /// Gives all of them back.
    pub(crate) fn clear(&self) {
        let mut kept = self.kept.borrow_mut();
        kept.containers = Vec::new();
        kept.bytes = 0;
        kept.lease.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use forebay::Budget;

    use super::*;
    use crate::rows::Changes;

    fn rows(count: u64) -> Changes<u64> {
        (0..count).map(|key| (key, (), 1)).collect()
    }

    #[test]
    fn containers_are_kept_as_far_as_they_are_paid_for() {
        let budget = Budget::new(3 * BLOCK);
        let spares = Spares::new(&Memory::new(budget.consumer("spares", 0).unwrap(), None), 2);
        assert!(spares.take().is_none());
        spares.put(rows(4096));
        spares.put(rows(1));
        spares.put(rows(2));
        assert_eq!(budget.used(), 2 * BLOCK, "two at most");
        let container = spares.take().unwrap();
        assert!(container.is_empty());
        spares.put(rows(9_000));
        assert_eq!(budget.used(), 2 * BLOCK, "too large for what is left");
        spares.put(rows(3));
        assert_eq!(budget.used(), 2 * BLOCK, "in the place of the one that was taken");
        assert!(spares.take().is_some() && spares.take().is_some() && spares.take().is_none());
        spares.clear();
        assert_eq!(budget.used(), 0);
        assert!(spares.take().is_none());
    }
}
