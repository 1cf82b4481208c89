//! `Entry`: bytes of a queue that are no longer in the queue itself.
//!
//! ```text
//!   Open ----> Out (in memory -> on disk -> loaded)
//!     |         |
//!     +-- take -+--> Taken
//! ```
//!
//! An entry is one page. Small entries of timely's queue are copied together into one while it is *open*: so they
//! make large records, and none of them keeps the buffer of a megabyte that it was cut from.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use forebay::Page;
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
    Open { buffer: Aligned, entries: u64, pin: Option<Bytes> },
    Out { held: Weak<Held>, page: Page },
    Taken,
}

impl Entry {
    /// An open entry.
    pub(super) fn open() -> Self {
        Entry { state: Mutex::new(State::Open { buffer: Aligned::with_capacity(GROUP), entries: 0, pin: None }) }
    }

    /// An entry that is on its way to the store.
    pub(super) fn out(bytes: Bytes, spool: &Spool) -> Self {
        let (held, page) = spool.put(bytes, None, 1);
        Entry { state: Mutex::new(State::Out { held, page }) }
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
            State::Open { buffer, entries, pin } => {
                let (held, page) = spool.put(buffer.freeze(), pin, entries);
                State::Out { held, page }
            }
            other => other,
        };
    }

    /// Has the entry read back if it is on disk. Returns how many bytes it has.
    pub(super) fn load(&self, spool: &Spool) -> usize {
        match &*self.lock() {
            State::Open { buffer, .. } => buffer.len(),
            State::Out { page, .. } => {
                spool.pager.load(page);
                page.len()
            }
            State::Taken => 0,
        }
    }

    /// The bytes, once: from memory, or read back. `None` if that takes longer than `patience`.
    ///
    /// # Errors
    /// If they cannot be read back. They can be asked for again.
    pub(super) fn take(&self, spool: &Spool, patience: Duration) -> Result<Option<Bytes>, SpillFailed> {
        let mut state = self.lock();
        let bytes = match &mut *state {
            State::Open { buffer, .. } => {
                let buffer = std::mem::replace(buffer, Aligned::with_capacity(0));
                spool.counters.recalled_bytes.add(buffer.len());
                buffer.freeze()
            }
            State::Out { held, page } => match held.upgrade() {
                Some(held) => {
                    spool.counters.recalled_bytes.add(page.len());
                    held.bytes().clone()
                }
                None => match page.get_within(patience).map_err(|error| spool.gate.refuse("read back", error))? {
                    Some(paged) => {
                        spool.counters.fetched_bytes.add(page.len());
                        spool.counters.fetched_pages.add(1);
                        to_timely(paged.bytes)
                    }
                    None => return Ok(None),
                },
            },
            State::Taken => return Ok(Some(Aligned::zeroed(0).freeze())),
        };
        // A page that is dropped before it is written is not written.
        *state = State::Taken;
        Ok(Some(bytes))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What stands in timely's queue for an entry.
pub(super) struct Handle {
    pub(super) entry: Arc<Entry>,
    pub(super) spool: Arc<Spool>,
}

impl BytesFetch for Handle {
    /// For another reader's policy than this crate's: waits for the disk.
    fn fetch(self: Box<Self>) -> Result<Vec<Bytes>, Box<dyn BytesFetch>> {
        match self.entry.take(&self.spool, Duration::MAX) {
            Ok(Some(bytes)) => Ok(vec![bytes]),
            Ok(None) | Err(_) => Err(self),
        }
    }
}
