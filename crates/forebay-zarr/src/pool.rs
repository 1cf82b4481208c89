//! `Pool`: buffers that are used again and again.
//!
//! Touching memory for the first time is five times slower than touching it again, so buffers are kept, and the last
//! one given back is the first one given out. A [`Pooled`] buffer finds its own way back when it is dropped.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

/// Buffers of one kind. Cloning gives another handle to the same pool.
#[derive(Clone)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    /// Bytes that each buffer has from the start; 0 for buffers that grow.
    len: usize,
    /// Most buffers out at a time.
    limit: usize,
    /// Most buffers kept while they are not in use.
    keep: usize,
    state: Mutex<State>,
    /// The one producer waits here.
    room: Condvar,
}

#[derive(Default)]
struct State {
    idle: Vec<Vec<u8>>,
    out: usize,
    most_out: usize,
    /// How many buffers somebody waits for; 0: nobody waits.
    awaited: usize,
    /// Nobody waits any more.
    closed: bool,
}

impl Pool {
    /// At most `limit` buffers of `len` zeros.
    pub(crate) fn of_slabs(len: usize, limit: usize) -> Self {
        Self::new(len, limit, limit)
    }

    /// Any number of empty buffers, of which `keep` are kept when they are not in use.
    pub(crate) fn of_buffers(keep: usize) -> Self {
        Self::new(0, usize::MAX, keep)
    }

    fn new(len: usize, limit: usize, keep: usize) -> Self {
        let (state, room) = (Mutex::new(State::default()), Condvar::new());
        Pool { shared: Arc::new(Shared { len, limit, keep, state, room }) }
    }

    /// A buffer with whatever it held last, or `None` if the limit is reached.
    pub(crate) fn take(&self) -> Option<Pooled> {
        let mut state = self.shared.lock();
        if state.out == self.shared.limit {
            return None;
        }
        state.out += 1;
        state.most_out = state.most_out.max(state.out);
        let idle = state.idle.pop();
        drop(state);
        let bytes = idle.unwrap_or_else(|| vec![0; self.shared.len]);
        Some(Pooled { bytes, pool: self.clone() })
    }

    /// How many buffers may still be taken. Only the one who takes them makes it less.
    pub(crate) fn available(&self) -> usize {
        self.shared.limit - self.shared.lock().out
    }

    /// Waits until `count` buffers can be taken, or the pool is closed.
    pub(crate) fn wait_for(&self, count: usize) {
        let Shared { limit, room, .. } = &*self.shared;
        let mut state = self.shared.lock();
        state.awaited = count.min(*limit);
        while !state.closed && limit - state.out < state.awaited {
            state = room.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        state.awaited = 0;
    }

    /// Wakes whoever waits, now and in future.
    pub(crate) fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.room.notify_all();
    }

    /// Bytes of the buffers that are out now, and the most there were; of buffers of fixed size.
    pub(crate) fn bytes_out(&self) -> (usize, usize) {
        let state = self.shared.lock();
        (state.out * self.shared.len, state.most_out * self.shared.len)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.lock();
        f.debug_struct("Pool").field("out", &state.out).field("idle", &state.idle.len()).finish_non_exhaustive()
    }
}

/// A buffer of a [`Pool`], to which it returns when it is dropped.
pub(crate) struct Pooled {
    bytes: Vec<u8>,
    pool: Pool,
}

impl Drop for Pooled {
    fn drop(&mut self) {
        let shared = &self.pool.shared;
        let mut bytes = std::mem::take(&mut self.bytes);
        if shared.len == 0 {
            bytes.clear();
        }
        let mut state = shared.lock();
        state.out -= 1;
        let wake = state.awaited > 0 && shared.limit - state.out >= state.awaited;
        let surplus = if state.idle.len() < shared.keep {
            state.idle.push(bytes);
            None
        } else {
            Some(bytes)
        };
        drop(state);
        // Given back to the system without the lock.
        drop(surplus);
        if wake {
            shared.room.notify_one();
        }
    }
}

impl Deref for Pooled {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for Pooled {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

/// So that a finished buffer can be shared as [`Bytes`](bytes::Bytes).
impl AsRef<[u8]> for Pooled {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Pooled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pooled").field("len", &self.bytes.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_and_is_the_next_one_out() {
        let pool = Pool::of_slabs(4, 2);
        let mut first = pool.take().unwrap();
        first[0] = 7;
        let second = pool.take().unwrap();
        assert!(pool.take().is_none());
        drop(first);
        assert_eq!(pool.available(), 1);
        assert_eq!(pool.take().unwrap()[..], [7, 0, 0, 0]);
        drop(second);
        assert_eq!(pool.bytes_out(), (0, 8));
    }

    #[test]
    fn surplus_buffers_are_not_kept() {
        let pool = Pool::of_buffers(1);
        let buffers: Vec<Pooled> = (0..3).filter_map(|_| pool.take()).collect();
        drop(buffers);
        assert_eq!(pool.shared.lock().idle.len(), 1);
    }

    #[test]
    fn whoever_waits_is_woken_when_enough_came_back_or_by_the_end() {
        let pool = Pool::of_slabs(1, 2);
        let (first, second) = (pool.take(), pool.take());
        let waiter = std::thread::spawn({
            let pool = pool.clone();
            move || {
                pool.wait_for(2);
                pool.available()
            }
        });
        while pool.shared.lock().awaited == 0 {
            std::thread::yield_now();
        }
        drop(first);
        assert_eq!(pool.shared.lock().awaited, 2);
        drop(second);
        assert_eq!(waiter.join().unwrap(), 2);
        let _out = (pool.take(), pool.take());
        pool.close();
        pool.wait_for(1);
    }
}
