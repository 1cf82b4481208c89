//! `Results`: what a job on the merger thread has made, on its way to the operator that submitted it.
//!
//! At most [`MOST`] blocks wait. The job waits for room, the operator never waits for anything: it is activated. When
//! the operator is dropped, jobs that wait go on, and find that nobody listens.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use forebay::Lease;
use timely::scheduling::SyncActivator;

/// Blocks that wait for the operator.
pub(crate) const MOST: usize = 4;

/// What a job says.
pub(crate) enum Event<C> {
    /// Records, and what pays for them while they wait.
    Rows(C, Lease),
    /// The job is done.
    Done,
}

struct Shared<C> {
    state: Mutex<State<C>>,
    room: Condvar,
    operator: SyncActivator,
}

struct State<C> {
    events: VecDeque<Event<C>>,
    blocks: usize,
    closed: bool,
}

impl<C> Shared<C> {
    fn lock(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The job's end.
pub(crate) struct Teller<C> {
    shared: Arc<Shared<C>>,
}

/// The operator's end.
pub(crate) struct Results<C> {
    shared: Arc<Shared<C>>,
}

/// A way from jobs to the operator that `operator` activates.
pub(crate) fn results<C>(operator: SyncActivator) -> (Teller<C>, Results<C>) {
    let state = Mutex::new(State { events: VecDeque::new(), blocks: 0, closed: false });
    let shared = Arc::new(Shared { state, room: Condvar::new(), operator });
    (Teller { shared: Arc::clone(&shared) }, Results { shared })
}

impl<C> Teller<C> {
    /// Hands `event` over; waits while there are enough blocks. Nothing happens when nobody listens any more.
    pub(crate) fn tell(&self, event: Event<C>) {
        let mut state = self.shared.lock();
        if let Event::Rows(..) = event {
            while state.blocks >= MOST && !state.closed {
                state = self.shared.room.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
            }
            state.blocks += 1;
        }
        if state.closed {
            return;
        }
        let first = state.events.is_empty();
        state.events.push_back(event);
        drop(state);
        if first {
            // An operator that is gone needs no waking.
            let _ = self.shared.operator.activate();
        }
    }

    /// Whether nobody listens any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.shared.lock().closed
    }
}

impl<C> Clone for Teller<C> {
    fn clone(&self) -> Self {
        Teller { shared: Arc::clone(&self.shared) }
    }
}

impl<C> Results<C> {
    /// The next event.
    pub(crate) fn take(&self) -> Option<Event<C>> {
        let mut state = self.shared.lock();
        let event = state.events.pop_front()?;
        if let Event::Rows(..) = event {
            state.blocks -= 1;
            // In runs: a job that is woken for every block does little else.
            if state.blocks <= MOST / 2 {
                self.shared.room.notify_one();
            }
        }
        Some(event)
    }
}

impl<C> Drop for Results<C> {
    fn drop(&mut self) {
        let events = {
            let mut state = self.shared.lock();
            state.closed = true;
            std::mem::take(&mut state.events)
        };
        self.shared.room.notify_all();
        drop(events);
    }
}
