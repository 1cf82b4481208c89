//! `WriteBehind`: the policy of a queue's writer. Everything but the tail leaves the queue at once.
//!
//! At once, because an idle queue gets no further call; and behind the sender's back, because it runs under the queue's
//! mutex, for which the other side spins: it does no I/O, waits for nothing, and cannot fail. The tail stays, because
//! timely merges what follows into it.
//!
//! *Invariant*: after a call every entry but the last is a handle. So a call looks at what came since the last one and
//! at one handle, however long the queue is.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use timely::bytes::arc::Bytes;
use timely::communication::allocator::zero_copy::bytes_exchange::QueueEntry;
use timely::communication::allocator::zero_copy::spill::SpillPolicy;

use super::entry::{Entry, Handle, SMALL};
use super::line::Line;
use super::spool::Spool;

pub(super) struct WriteBehind {
    spool: Arc<Spool>,
    line: Arc<Line>,
    /// The last entry of the line, if small ones are still copied into it.
    open: Option<Arc<Entry>>,
    /// Empty between calls.
    fresh: Vec<Bytes>,
}

impl WriteBehind {
    pub(super) fn new(spool: Arc<Spool>, line: Arc<Line>) -> Self {
        WriteBehind { spool, line, open: None, fresh: Vec::new() }
    }

    /// Takes `bytes` out of the queue. Returns what is to stand there instead, unless the handle before it stands for
    /// these bytes too.
    fn take_in(&mut self, bytes: Bytes) -> Option<Handle> {
        self.spool.counters.handed_entries.add(1);
        let small = bytes.len() < SMALL;
        if small && self.open.as_ref().is_some_and(|open| open.append(&bytes, &self.spool)) {
            return None;
        }
        if let Some(open) = self.open.take() {
            open.close(&self.spool);
        }
        let entry = if small {
            let entry = Arc::new(Entry::open());
            entry.append(&bytes, &self.spool);
            self.open = Some(Arc::clone(&entry));
            entry
        } else {
            Arc::new(Entry::out(bytes, &self.spool))
        };
        self.line.lock().push_back(Arc::clone(&entry));
        Some(Handle { entry, spool: Arc::clone(&self.spool) })
    }
}

impl SpillPolicy for WriteBehind {
    fn apply(&mut self, queue: &mut VecDeque<QueueEntry>) {
        let counters = Arc::clone(&self.spool.counters);
        let before_tail = queue.len().checked_sub(2).map(|at| &queue[at]);
        if !matches!(before_tail, Some(QueueEntry::Bytes(_))) {
            return counters.examined.add(1);
        }
        let begun = Instant::now();
        let mut examined = 1;
        let tail = queue.pop_back();
        while let Some(entry) = queue.pop_back() {
            examined += 1;
            match entry {
                QueueEntry::Bytes(bytes) => self.fresh.push(bytes),
                handle => {
                    queue.push_back(handle);
                    break;
                }
            }
        }
        while let Some(bytes) = self.fresh.pop() {
            if let Some(handle) = self.take_in(bytes) {
                queue.push_back(QueueEntry::Paged(Box::new(handle)));
            }
        }
        queue.extend(tail);
        counters.examined.add(examined);
        counters.writer_applies.count(begun.elapsed());
    }
}
