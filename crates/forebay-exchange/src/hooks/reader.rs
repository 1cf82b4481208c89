//! `ReadAhead`: the policy of a queue's reader. Brings back what is at the front.
//!
//! The I/O thread reads; the policy takes what is there, a step at a time, because whatever leaves the queue waits in
//! timely's own unbounded ones. It runs under the queue's mutex, so it waits for the disk at most half a millisecond, and
//! only if it has nothing to give: timely has a reader that got nothing come again at once, so that wait is also what
//! keeps it from spinning.
//!
//! # Failure
//! What cannot be read back ends the run. Not here: a panic would poison the mutex, and hide the reason. The policy
//! hands out an empty entry that raises when it is let go, which the reader does right after, without the mutex.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

use timely::bytes::arc::{Bytes, BytesMut};
use timely::communication::allocator::zero_copy::bytes_exchange::QueueEntry;
use timely::communication::allocator::zero_copy::spill::SpillPolicy;

use super::failed::SpillFailed;
use super::line::Line;
use super::spool::Spool;

/// Bytes that are read back before their reader comes, a queue.
pub(super) const AHEAD: usize = 2 << 20;

/// Bytes after which no further entry is handed out in one call.
const STEP: usize = 1 << 20;

/// How long a call waits for the disk: half of what a call may take, because being woken takes time too.
const PATIENCE: Duration = Duration::from_micros(500);

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

    /// Moves what is at the front of the line to `ready`, up to a step. Returns how many entries that were.
    fn bring(&mut self) -> usize {
        let spool = &self.spool;
        let mut line = self.line.lock();
        let mut ahead = 0;
        for entry in line.iter() {
            ahead += entry.load(spool);
            if ahead >= AHEAD {
                break;
            }
        }
        let (mut taken, mut bytes) = (0, 0);
        while bytes < STEP
            && let Some(entry) = line.front()
        {
            let patience = if taken == 0 { PATIENCE } else { Duration::ZERO };
            let failed = match entry.take(spool, patience) {
                Ok(Some(ready)) => {
                    self.waiting = None;
                    bytes += ready.len();
                    self.ready.push(ready);
                    line.pop_front();
                    taken += 1;
                    continue;
                }
                Ok(None) if taken > 0 => break,
                Ok(None) => {
                    let waited = self.waiting.get_or_insert_with(Instant::now).elapsed();
                    if waited < spool.gate.deadline {
                        break;
                    }
                    let failed = spool.gate.give_up("read back", waited);
                    spool.abandon(&failed);
                    failed
                }
                Err(failed) => failed,
            };
            self.ready.push(BytesMut::from(Alarm { failed, nothing: [] }).freeze());
            break;
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
        let spent = begun.elapsed();
        self.spool.counters.reader_applies.count(spent);
        if taken == 0 {
            self.spool.counters.fetch_waits.count(spent);
        }
    }
}

/// No bytes, and a panic when they are let go.
struct Alarm {
    failed: SpillFailed,
    nothing: [u8; 0],
}

impl Deref for Alarm {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.nothing
    }
}

impl DerefMut for Alarm {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.nothing
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        // While a panic unwinds a second one would end the process.
        if !std::thread::panicking() {
            super::raise(&self.failed);
        }
    }
}
