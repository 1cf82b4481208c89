//! `Pool`: slabs that are used again and again.
//!
//! Touching memory for the first time is five times slower than touching it again, so slabs are kept, and the last one
//! given back is the first one given out. A [`Pooled`] slab finds its own way back when it is dropped.
//!
//! Slabs are cut from *blocks*, which are large for three reasons: the system maps, and unmaps, one block and not some
//! hundred slabs; a block has room for large pages; and slabs that are whole pages lie at page boundaries, so that a disk
//! can read them where they are.
//!
//! Slabs that every run needs are *certain*: they are cut first, from blocks in large pages, which cost a fault for each
//! 2 MiB instead of 512. The others are cut from ordinary pages, of which a block takes no more than slabs of it were
//! given out: they may never be needed, and what is said of a writer's memory would not hold.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use bytes::BytesMut;
use forebay::zeroed_in_large_pages;

/// About how many bytes a block has: whole large pages, and more than the 32 MiB up to which an allocator may hand out
/// memory that was used before, all of which it would have to fill with zeros.
const BLOCK: usize = 34 << 20;

/// Where the first slab of a block begins: at a multiple of this.
const PAGE: usize = 4096;

/// Slabs of one size. Cloning gives another handle to the same pool.
#[derive(Clone)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    /// Bytes of a slab.
    len: usize,
    /// Most slabs out at a time.
    limit: usize,
    /// So many of them are in large pages.
    certain: usize,
    state: Mutex<State>,
    /// The one producer waits here.
    room: Condvar,
}

#[derive(Default)]
struct State {
    idle: Vec<BytesMut>,
    /// What is left of the last block.
    block: BytesMut,
    /// Slabs of all blocks, those that are still to be cut included.
    made: usize,
    out: usize,
    most_out: usize,
    /// How many slabs somebody waits for; 0: nobody waits.
    awaited: usize,
    /// Nobody waits any more.
    closed: bool,
}

impl Pool {
    /// At most `limit` slabs of `len` zeros, of which it is `certain` that so many will be out at a time.
    pub(crate) fn new(len: usize, limit: usize, certain: usize) -> Self {
        let (state, room) = (Mutex::new(State::default()), Condvar::new());
        Pool { shared: Arc::new(Shared { len, limit, certain: certain.min(limit), state, room }) }
    }

    /// A slab with whatever it held last, or `None` if the limit is reached.
    pub(crate) fn take(&self) -> Option<Pooled> {
        let mut state = self.shared.lock();
        if state.out == self.shared.limit {
            return None;
        }
        state.out += 1;
        state.most_out = state.most_out.max(state.out);
        let idle = state.idle.pop();
        let bytes = idle.unwrap_or_else(|| self.shared.cut(&mut state));
        drop(state);
        Some(Pooled { bytes, pool: self.clone() })
    }

    /// How many slabs may still be taken. Only the one who takes them makes it less.
    pub(crate) fn available(&self) -> usize {
        self.shared.limit - self.shared.lock().out
    }

    /// Waits until `count` slabs can be taken, or the pool is closed.
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

    /// Bytes of the slabs that are out now, and the most there were.
    pub(crate) fn bytes_out(&self) -> (usize, usize) {
        let state = self.shared.lock();
        (state.out * self.shared.len, state.most_out * self.shared.len)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// A slab that was never used.
    fn cut(&self, state: &mut State) -> BytesMut {
        if state.block.len() < self.len {
            let certain = state.made < self.certain;
            let wanted = if certain { self.certain } else { self.limit } - state.made;
            let slabs = wanted.min(BLOCK.div_ceil(self.len));
            state.block = if certain { zeroed_in_large_pages(slabs * self.len) } else { zeroed(slabs * self.len) };
            state.made += slabs;
        }
        state.block.split_to(self.len)
    }
}

/// `len` zeros that begin at the boundary of a page.
fn zeroed(len: usize) -> BytesMut {
    let mut bytes = BytesMut::zeroed(len + PAGE);
    let _before = bytes.split_to(bytes.as_ptr().align_offset(PAGE));
    bytes.truncate(len);
    bytes
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.lock();
        f.debug_struct("Pool").field("out", &state.out).field("idle", &state.idle.len()).finish_non_exhaustive()
    }
}

/// A slab of a [`Pool`], to which it returns when it is dropped.
pub(crate) struct Pooled {
    bytes: BytesMut,
    pool: Pool,
}

impl Drop for Pooled {
    fn drop(&mut self) {
        let shared = &self.pool.shared;
        let mut state = shared.lock();
        state.out -= 1;
        state.idle.push(std::mem::take(&mut self.bytes));
        let wake = state.awaited > 0 && shared.limit - state.out >= state.awaited;
        drop(state);
        if wake {
            shared.room.notify_one();
        }
    }
}

impl Deref for Pooled {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for Pooled {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

/// So that a slab can be shared as [`Bytes`](bytes::Bytes).
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
        let pool = Pool::new(4, 2, 1);
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
    fn slabs_of_whole_pages_begin_at_pages_and_do_not_overlap() {
        let block = BLOCK / (2 * PAGE);
        for certain in [0, 1, block + 5, block + 8] {
            let limit = block + 8;
            let pool = Pool::new(2 * PAGE, limit, certain);
            let mut slabs: Vec<Pooled> = std::iter::from_fn(|| pool.take()).collect();
            assert_eq!(slabs.len(), limit);
            for (n, slab) in slabs.iter_mut().enumerate() {
                assert_eq!((slab.len(), slab.as_ptr().align_offset(PAGE)), (2 * PAGE, 0));
                slab.fill(n as u8);
            }
            assert!(slabs.iter().enumerate().all(|(n, slab)| slab.iter().all(|&byte| byte == n as u8)));
            assert_eq!(pool.shared.lock().made, limit);
        }
    }

    /// Those that may never be needed must not be in large pages: touching one would take the memory of its neighbours.
    #[cfg(target_os = "linux")]
    #[test]
    fn only_what_is_certain_is_in_large_pages() {
        let (len, certain) = (1 << 20, 8);
        let pool = Pool::new(len, 2 * certain, certain);
        let slabs: Vec<Pooled> = std::iter::from_fn(|| pool.take()).collect();
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let wanted = slabs.iter().map(|slab| large_pages_are_wanted(&maps, slab.as_ptr().addr()));
        assert_eq!(wanted.collect::<Vec<_>>(), [vec![true; certain], vec![false; certain]].concat());
    }

    /// What the kernel has noted of the mapping around `address`: `hg`, large pages are wanted.
    #[cfg(target_os = "linux")]
    fn large_pages_are_wanted(maps: &str, address: usize) -> bool {
        let mut within = false;
        let flags = maps.lines().find(|line| {
            if let Some((from, to)) = line.split_once(' ').and_then(|(range, _)| range.split_once('-')) {
                let [from, to] = [from, to].map(|number| usize::from_str_radix(number, 16).unwrap_or(0));
                within = (from..to).contains(&address);
            }
            within && line.starts_with("VmFlags:")
        });
        flags.is_some_and(|flags| flags.split(' ').any(|flag| flag == "hg"))
    }

    #[test]
    fn whoever_waits_is_woken_when_enough_came_back_or_by_the_end() {
        let pool = Pool::new(1, 2, 0);
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
