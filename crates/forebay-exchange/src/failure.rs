//! `Failure`: the first error of a run, seen by all its workers.

use std::sync::{Arc, Mutex, MutexGuard};

use timely::scheduling::SyncActivator;

use crate::error::ExchangeError;

/// Where the parts of a run say that it cannot go on. The first error counts. Cloning gives another handle.
#[derive(Clone, Default)]
pub struct Failure {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    error: Option<ExchangeError>,
    workers: Vec<SyncActivator>,
}

impl Failure {
    /// Nothing has failed yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Records `error`, if it is the first, and wakes the workers.
    pub fn set(&self, error: impl Into<ExchangeError>) {
        let workers = {
            let mut state = self.lock();
            state.error.get_or_insert_with(|| error.into());
            std::mem::take(&mut state.workers)
        };
        for worker in workers {
            // A worker that is gone needs no waking.
            let _ = worker.activate();
        }
    }

    /// The first error.
    pub fn get(&self) -> Option<ExchangeError> {
        self.lock().error.clone()
    }

    /// Has `worker` activated when something fails; at once if it has already.
    pub fn wake(&self, worker: SyncActivator) {
        let mut state = self.lock();
        if state.error.is_none() {
            return state.workers.push(worker);
        }
        drop(state);
        let _ = worker.activate();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl std::fmt::Debug for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Failure").field("error", &self.lock().error).finish_non_exhaustive()
    }
}
