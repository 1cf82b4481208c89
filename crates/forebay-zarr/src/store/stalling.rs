//! `Stalling`: a store that stops when told to.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Activity, Shard, Store, StoreError};

/// A store that stops when its [`Stall`] says so: to try a rig against storage that hangs. While it is stalled, calls
/// that write, land or put do not come back.
#[derive(Debug)]
pub struct Stalling<S> {
    store: S,
    gate: Arc<Gate>,
}

impl<S: Store> Stalling<S> {
    /// `store`, and what stalls it. It goes, at first.
    pub fn new(store: S) -> (Self, Stall) {
        let gate = Arc::new(Gate::default());
        (Stalling { store, gate: Arc::clone(&gate) }, Stall { gate })
    }
}

/// Stalls a [`Stalling`] store. Dropped, it ends a stall without end: nobody else could.
#[derive(Debug)]
pub struct Stall {
    gate: Arc<Gate>,
}

impl Stall {
    /// Stops the store until [`go_on`](Stall::go_on).
    pub fn stall(&self) {
        self.gate.set(State::Stalled);
    }

    /// Stops the store for `time` from now, or until [`go_on`](Stall::go_on). Goes on by itself also if this is dropped.
    pub fn stall_for(&self, time: Duration) {
        self.gate.set(State::StalledUntil(Instant::now() + time));
    }

    /// Ends a stall.
    pub fn go_on(&self) {
        self.gate.set(State::Going);
    }

    /// How many calls have had to wait so far.
    pub fn waits(&self) -> u64 {
        self.gate.lock().waits
    }

    /// Returns true once more than `waits` calls have had to wait, or false if that takes longer than `time`.
    pub fn waited_more_than(&self, waits: u64, time: Duration) -> bool {
        let more = |inside: &mut Inside| inside.waits <= waits;
        let waited = self.gate.changed.wait_timeout_while(self.gate.lock(), time, more);
        waited.unwrap_or_else(PoisonError::into_inner).0.waits > waits
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        if self.gate.lock().state == State::Stalled {
            self.go_on();
        }
    }
}

#[derive(Debug, Default)]
struct Gate {
    inside: Mutex<Inside>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inside {
    state: State,
    waits: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum State {
    #[default]
    Going,
    Stalled,
    StalledUntil(Instant),
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: State) {
        self.lock().state = state;
        self.changed.notify_all();
    }

    /// Returns when the store is not stalled.
    fn pass(&self) {
        let mut inside = self.lock();
        let mut waited = false;
        loop {
            let left = match inside.state {
                State::Going => return,
                State::Stalled => None,
                State::StalledUntil(end) => match end.checked_duration_since(Instant::now()) {
                    None | Some(Duration::ZERO) => return,
                    left => left,
                },
            };
            if !waited {
                waited = true;
                inside.waits += 1;
                self.changed.notify_all();
            }
            inside = match left {
                None => self.changed.wait(inside).unwrap_or_else(PoisonError::into_inner),
                Some(left) => self.changed.wait_timeout(inside, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }
}

impl<S: Store> Store for Stalling<S> {
    fn begin(&self, key: &str) -> Result<Box<dyn Shard>, StoreError> {
        Ok(Box::new(StallingShard { shard: self.store.begin(key)?, gate: Arc::clone(&self.gate) }))
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.gate.pass();
        self.store.put(key, bytes)
    }

    fn size(&self, key: &str) -> Result<Option<u64>, StoreError> {
        self.store.size(key)
    }

    fn read(&self, key: &str, offset: u64, out: &mut [u8]) -> Result<(), StoreError> {
        self.store.read(key, offset, out)
    }

    fn remove(&self, key: &str) -> Result<(), StoreError> {
        self.store.remove(key)
    }

    fn list(&self, key: &str) -> Result<Vec<String>, StoreError> {
        self.store.list(key)
    }

    fn activity(&self) -> Result<Activity, StoreError> {
        self.store.activity()
    }
}

#[derive(Debug)]
struct StallingShard {
    shard: Box<dyn Shard>,
    gate: Arc<Gate>,
}

impl Shard for StallingShard {
    fn write(&mut self, parts: &[Bytes]) -> Result<(), StoreError> {
        self.gate.pass();
        self.shard.write(parts)
    }

    fn land(self: Box<Self>) -> Result<(), StoreError> {
        self.gate.pass();
        self.shard.land()
    }
}
