//! `Stream`: the bytes that go to the receiving side, lists and answers among each other.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::wire::error::WireError;
use crate::wire::number::{Indexes, Put, special};
use crate::wire::receiver::Way;

/// The way to the receiving side, for one whole item at a time.
#[derive(Debug)]
pub(crate) struct Stream<'w, W: ?Sized> {
    way: &'w W,
    indexes: Mutex<Indexes>,
}

/// The right to send one item, in as many pieces as it takes.
pub(crate) struct Turn<'t, W: ?Sized> {
    way: &'t W,
    indexes: MutexGuard<'t, Indexes>,
}

impl<'w, W: Way + ?Sized> Stream<'w, W> {
    pub(crate) fn new(way: &'w W) -> Self {
        Stream { way, indexes: Mutex::default() }
    }

    /// Waits until nobody else is sending an item.
    pub(crate) fn turn(&self) -> Turn<'_, W> {
        Turn { way: self.way, indexes: self.indexes.lock().unwrap_or_else(PoisonError::into_inner) }
    }

    /// Ends a list or a phase.
    pub(crate) fn done(&self) -> Result<(), WireError> {
        let mut turn = self.turn();
        let mut out = Vec::new();
        turn.number(special::DONE, &mut out);
        turn.send(&out)
    }
}

impl<W: Way + ?Sized> Turn<'_, W> {
    /// Appends the number of an entry, or one that stands for something else.
    pub(crate) fn number<P: Put + ?Sized>(&mut self, index: i32, out: &mut P) {
        self.indexes.write(out, index);
    }

    /// Waits as long as too much is on its way.
    pub(crate) fn send(&self, bytes: &[u8]) -> Result<(), WireError> {
        self.way.send(bytes)
    }

    /// As [`send`](Turn::send), with a few bytes before them that go along.
    pub(crate) fn send_behind(&self, head: &[u8], bytes: &[u8]) -> Result<(), WireError> {
        self.way.send_behind(head, bytes)
    }

    /// As [`send`](Turn::send). Adds how long it took to `time`.
    pub(crate) fn send_timed(&self, bytes: &[u8], time: &mut Duration) -> Result<(), WireError> {
        let begun = Instant::now();
        let sent = self.way.send(bytes);
        *time += begun.elapsed();
        sent
    }
}
