//! `Entry`: bytes of a queue that are no longer in the queue itself.
//!
//! ```text
//!   Open ----> Out (in memory -> on disk -> loaded) -- bring --> Back
//!     |         |                                                 |
//!     +-- take -+------------------- take ------------------------+--> Taken
//! ```
//!
//! An entry is one page. Small entries of timely's queue are copied together into one while it is *open*: so they
//! make large records, and none of them keeps the buffer of a megabyte that it was cut from.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use forebay::{Page, Paged};
use timely::bytes::arc::Bytes;
use timely::communication::allocator::zero_copy::spill::BytesFetch;

use super::buffer::{Aligned, to_timely};
use super::failed::SpillFailed;
use super::gate::Held;
use super::spool::Spool;

/// Entries of timely's queue shorter than this are copied together. A longer one keeps the buffer that it was cut
/// from, 1 MiB as a rule, until it is written: at worst eight times its own size.
pub(super) const SMALL: usize = 128 << 10;

/// Most bytes that are copied together: a block of the pager.
pub(super) const GROUP: usize = 256 << 10;

pub(super) struct Entry {
    state: Mutex<State>,
}

enum State {
    Open {
        buffer: Aligned,
        entries: u64,
        pin: Option<Bytes>,
    },
    /// The bytes are in memory as long as they are held, then on disk; from then on they may have been asked for.
    Out {
        held: Weak<Held>,
        page: Arc<Page>,
        asked: bool,
    },
    Back(Bytes),
    Taken,
}

impl Entry {
    /// An open entry.
    pub(super) fn open() -> Self {
        Entry { state: Mutex::new(State::Open { buffer: Aligned::with_capacity(GROUP), entries: 0, pin: None }) }
    }

    /// An entry that is on its way to the store.
    pub(super) fn out(bytes: Bytes, spool: &Spool) -> Self {
        Entry { state: Mutex::new(State::out(spool.put(bytes, None, 1))) }
    }

    /// Copies `bytes` to the end of an open entry if they fit. As when timely merges what it sends, a message begins at
    /// a multiple of eight if all before it are padded to that, which timely's are.
    ///
    /// A copy gives the sender its buffer back, and a sender that never needs another one never passes the gate. So
    /// while that is closed the entry keeps the last of the buffers that it was copied from, until it is written.
    pub(super) fn append(&self, bytes: &Bytes, spool: &Spool) -> bool {
        match &mut *self.lock() {
            State::Open { buffer, entries, pin } if buffer.len() + bytes.len() <= GROUP => {
                buffer.extend(bytes);
                *entries += 1;
                *pin = spool.gate.is_closed().then(|| bytes.clone());
                true
            }
            _ => false,
        }
    }

    /// Sends an open entry on its way to the store.
    pub(super) fn close(&self, spool: &Spool) {
        let mut state = self.lock();
        *state = match std::mem::replace(&mut *state, State::Taken) {
            State::Open { buffer, entries, pin } => State::out(spool.put(buffer.freeze(), pin, entries)),
            other => other,
        };
    }

    /// Has the entry read back if it is on disk. Returns how many bytes it has.
    pub(super) fn load(&self, spool: &Spool) -> usize {
        match &mut *self.lock() {
            State::Open { buffer, .. } => buffer.len(),
            State::Out { held, page, asked } => {
                *asked = held.strong_count() == 0;
                if *asked {
                    spool.pager.load(page);
                }
                page.len()
            }
            State::Back(bytes) => bytes.len(),
            State::Taken => 0,
        }
    }

    /// The bytes, once, if they are in memory. Waits for nothing.
    pub(super) fn take(&self, spool: &Spool) -> Option<Bytes> {
        let mut state = self.lock();
        let bytes = match &mut *state {
            State::Open { buffer, .. } => {
                let buffer = std::mem::replace(buffer, Aligned::with_capacity(0));
                spool.counters.recalled_bytes.add(buffer.len() as u64);
                buffer.freeze()
            }
            State::Out { held, page, .. } => match held.upgrade() {
                Some(held) => {
                    spool.counters.recalled_bytes.add(page.len() as u64);
                    held.bytes().clone()
                }
                None => fetched(page.try_get()?, page, spool),
            },
            State::Back(bytes) => std::mem::replace(bytes, Aligned::zeroed(0).freeze()),
            State::Taken => Aligned::zeroed(0).freeze(),
        };
        // A page that is dropped before it is written is not written.
        *state = State::Taken;
        Some(bytes)
    }

    /// Waits until what was asked for is read back, `patience` at most. Returns whether that is so, or nothing was asked for.
    ///
    /// # Errors
    /// If it cannot be read back. It can be asked for again.
    pub(super) fn bring(&self, spool: &Spool, patience: Duration) -> Result<bool, SpillFailed> {
        let mut state = self.lock();
        let State::Out { page, asked: true, .. } = &*state else { return Ok(true) };
        let paged = page.get_within(patience).map_err(|error| spool.gate.refuse("read back", error))?;
        let Some(paged) = paged else { return Ok(false) };
        *state = State::Back(fetched(paged, page, spool));
        Ok(true)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn out((held, page): (Weak<Held>, Page)) -> State {
        State::Out { held, page: Arc::new(page), asked: false }
    }
}

/// What was read back of `page`.
fn fetched(paged: Paged, page: &Arc<Page>, spool: &Spool) -> Bytes {
    spool.counters.fetched_bytes.add(page.len() as u64);
    spool.counters.fetched_pages.add(1);
    // Giving the page's place on the disk back is a system call. The receiver makes it, when it is done with the bytes: here
    // it could be made under the queue's mutex.
    to_timely(paged.bytes, Arc::clone(page))
}

/// What stands in timely's queue for an entry.
pub(super) struct Handle {
    pub(super) entry: Arc<Entry>,
    pub(super) spool: Arc<Spool>,
}

impl BytesFetch for Handle {
    /// For another reader's policy than this crate's: waits for the disk.
    fn fetch(self: Box<Self>) -> Result<Vec<Bytes>, Box<dyn BytesFetch>> {
        loop {
            if let Some(bytes) = self.entry.take(&self.spool) {
                return Ok(vec![bytes]);
            }
            self.entry.load(&self.spool);
            if self.entry.bring(&self.spool, Duration::MAX).is_err() {
                // The error is in the monitor.
                return Err(self);
            }
        }
    }
}
