//! `ReadAhead`: the policy of a queue's reader. Brings back what is at the front.
//!
//! The I/O thread reads; the policy takes what is there, a step at a time, because whatever leaves the queue waits in
//! timely's own unbounded ones. It runs under the queue's mutex, for which the sender spins, so it waits for nothing and
//! reads nothing. If nothing is there it hands out a *pause*: an empty entry that waits for the front of the queue when
//! it is let go, which the reader does right after, without the mutex. Without that the reader would come again at once.
//!
//! # Failure
//! What cannot be read back ends the run. Not in the policy: a panic would poison the mutex, and hide the reason. The pause
//! that finds out raises.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use timely::bytes::arc::{Bytes, BytesMut};
use timely::communication::allocator::zero_copy::bytes_exchange::QueueEntry;
use timely::communication::allocator::zero_copy::spill::SpillPolicy;

use super::entry::Entry;
use super::line::Line;
use super::spool::Spool;

/// Bytes that are read back before their reader comes, a queue.
pub(super) const AHEAD: usize = 2 << 20;

/// Bytes after which no further entry is handed out in one call.
const STEP: usize = 1 << 20;

/// How long a pause is at most: what else the reader's thread has to do has its turn in between.
const PATIENCE: Duration = Duration::from_millis(1);

pub(super) struct ReadAhead {
    spool: Arc<Spool>,
    line: Arc<Line>,
    /// Since when the front has been waited for.
    waiting: Option<Instant>,
    /// Empty between calls.
    ready: Vec<Bytes>,
}

impl ReadAhead {
    pub(super) fn new(spool: Arc<Spool>, line: Arc<Line>) -> Self {
        ReadAhead { spool, line, waiting: None, ready: Vec::new() }
    }

    /// Moves what is at the front of the line and in memory to `ready`, up to a step; a pause, if nothing is. Returns how
    /// many entries that were.
    fn bring(&mut self) -> usize {
        let mut line = self.line.lock();
        let mut ahead = 0;
        for entry in line.iter() {
            ahead += entry.load(&self.spool);
            if ahead >= AHEAD {
                break;
            }
        }
        let (mut taken, mut bytes) = (0, 0);
        while bytes < STEP
            && let Some(ready) = line.front().and_then(|entry| entry.take(&self.spool))
        {
            bytes += ready.len();
            self.ready.push(ready);
            line.pop_front();
            taken += 1;
        }
        if taken > 0 {
            self.waiting = None;
        } else if let Some(front) = line.front() {
            let since = *self.waiting.get_or_insert_with(Instant::now);
            let pause = Pause { front: Arc::clone(front), spool: Arc::clone(&self.spool), since, nothing: [] };
            self.ready.push(BytesMut::from(pause).freeze());
        }
        taken
    }
}

impl SpillPolicy for ReadAhead {
    fn apply(&mut self, queue: &mut VecDeque<QueueEntry>) {
        if !matches!(queue.front(), Some(QueueEntry::Paged(_))) {
            return;
        }
        let begun = Instant::now();
        let taken = self.bring();
        // Both hold the same entries in the same order.
        queue.drain(..taken);
        while let Some(bytes) = self.ready.pop() {
            queue.push_front(QueueEntry::Bytes(bytes));
        }
        self.spool.counters.reader_applies.count(begun.elapsed());
    }
}

/// No bytes. When they are let go, waits for the bytes at the front of the queue; raises if they cannot be read back.
struct Pause {
    front: Arc<Entry>,
    spool: Arc<Spool>,
    /// When they were first waited for.
    since: Instant,
    nothing: [u8; 0],
}

impl Deref for Pause {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.nothing
    }
}

impl DerefMut for Pause {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.nothing
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        // While a panic unwinds a second one would end the process.
        if thread::panicking() {
            return;
        }
        let begun = Instant::now();
        let brought = self.front.bring(&self.spool, PATIENCE);
        self.spool.counters.fetch_waits.count(begun.elapsed());
        // As timely does when a reader got nothing and its queue is not empty: this thread is to come again.
        thread::current().unpark();
        let failed = match brought {
            Ok(false) if self.since.elapsed() >= self.spool.gate.deadline => {
                let failed = self.spool.gate.give_up("read back", self.since.elapsed());
                self.spool.abandon(&failed);
                failed
            }
            Ok(_) => return,
            Err(failed) => failed,
        };
        super::raise(&failed);
    }
}
