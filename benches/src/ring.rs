//! The bare minimum that delivers in order from several workers: one mutex around a source and a
//! ring of slots, two condition variables. It bounds items but not bytes, and it knows no errors,
//! no panics, no cancellation, no spilling and no counters: what the engine costs beyond this
//! is what those cost.
//!
//! Both sides are woken for a run of slots, never for one: waking the consumer for each head costs
//! 400-600 ns an item on two cores instead of about 50. The price is that a source which pauses
//! delays what is finished already, which the engine must not do.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread;

/// The consumer is woken once this many results are there, if the window is not too small for it.
const RUN: usize = 512;

struct State<I, R> {
    source: I,
    /// Sequence number that the next item taken from the source will get.
    next: usize,
    /// Sequence number of `slots[0]`, the result that is delivered next.
    head: usize,
    slots: VecDeque<Option<R>>,
    /// Slots that have their result.
    stored: usize,
    ended: bool,
    consumer_waits: bool,
    workers_wait: usize,
}

struct Ring<I, R> {
    state: Mutex<State<I, R>>,
    filled: Condvar,
    room: Condvar,
    window: usize,
    batch: usize,
}

/// Runs `work` on `workers` threads and `sink` on this one, in order. At most `window` items are
/// between the source and the sink, or one batch if that is more; a worker takes and hands over `batch` at a time.
pub fn run<T, R, I>(
    source: I,
    workers: usize,
    window: usize,
    batch: usize,
    work: impl Fn(T) -> R + Sync,
    mut sink: impl FnMut(R),
) where
    I: Iterator<Item = T> + Send,
    T: Send,
    R: Send,
{
    let ring = Ring {
        state: Mutex::new(State {
            source,
            next: 0,
            head: 0,
            slots: VecDeque::new(),
            stored: 0,
            ended: false,
            consumer_waits: false,
            workers_wait: 0,
        }),
        filled: Condvar::new(),
        room: Condvar::new(),
        window,
        batch,
    };
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| ring.work(&work));
        }
        ring.deliver(&mut sink);
    });
}

impl<I, R> State<I, R> {
    /// Whether the consumer sleeps although the head is there, with `enough` results stored.
    fn wakes_consumer(&mut self, enough: usize) -> bool {
        let wake = self.consumer_waits && matches!(self.slots.front(), Some(Some(_))) && self.stored >= enough;
        self.consumer_waits &= !wake;
        wake
    }
}

impl<T, R, I: Iterator<Item = T>> Ring<I, R> {
    fn work(&self, work: impl Fn(T) -> R) {
        let mut items = Vec::with_capacity(self.batch);
        let mut results = Vec::with_capacity(self.batch);
        let mut first = 0;
        loop {
            // One lock to hand over what is done and to take what is next.
            let mut state = self.lock();
            let at = if results.is_empty() { 0 } else { first - state.head };
            state.stored += results.len();
            for (slot, result) in state.slots.range_mut(at..).zip(results.drain(..)) {
                *slot = Some(result);
            }
            while state.next - state.head + self.batch > self.window.max(self.batch) && !state.ended {
                if state.wakes_consumer(0) {
                    self.filled.notify_one();
                }
                state.workers_wait += 1;
                state = wait(&self.room, state);
                state.workers_wait -= 1;
            }
            first = state.next;
            while items.len() < self.batch && !state.ended {
                match state.source.next() {
                    Some(item) => items.push(item),
                    None => state.ended = true,
                }
            }
            state.next += items.len();
            let slots = state.next - state.head;
            state.slots.resize_with(slots, || None);
            let wake = state.wakes_consumer(RUN.min(self.window / 2));
            drop(state);
            if items.is_empty() {
                // Whoever waits for room or for the head finds the end.
                self.room.notify_all();
                self.filled.notify_one();
                return;
            }
            // After the lock is free, or the consumer would wake only to wait for it.
            if wake {
                self.filled.notify_one();
            }
            results.extend(items.drain(..).map(&work));
        }
    }

    fn deliver(&self, sink: &mut impl FnMut(R)) {
        let mut ready = Vec::new();
        loop {
            let mut state = self.lock();
            while !matches!(state.slots.front(), Some(Some(_))) {
                if state.ended && state.slots.is_empty() {
                    return;
                }
                state.consumer_waits = true;
                state = wait(&self.filled, state);
            }
            while let Some(Some(_)) = state.slots.front() {
                ready.extend(state.slots.pop_front().flatten());
                state.head += 1;
                state.stored -= 1;
            }
            // Wake workers only for a run of free slots, or each item would cost a wake.
            let wake = state.workers_wait > 0 && state.next - state.head <= self.window / 2;
            drop(state);
            if wake {
                self.room.notify_all();
            }
            ready.drain(..).for_each(&mut *sink);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<I, R>> {
        self.state.lock().expect("nothing panics here but the work that is measured")
    }
}

fn wait<'a, S>(condvar: &Condvar, guard: MutexGuard<'a, S>) -> MutexGuard<'a, S> {
    condvar.wait(guard).expect("nothing panics here but the work that is measured")
}
