//! `Gate`: whether sources may go on.
//!
//! A source asks before it reads. The gate is shut for everything while some receiver owes credit, and for a commit
//! that is too far ahead of what is sealed. A source that finds it shut parks; it is activated when that changes.
//! Nobody polls.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::Instant;

use timely::scheduling::Activator;

use crate::exchange::spares::Spares;
use crate::metrics::Metrics;
use crate::rows::Rows;

/// Most commits that are not sealed yet and that sources have begun.
pub const OPEN_COMMITS: u64 = 3;

/// Between one `shard_accumulate` and the sources in front of it, on one worker. Cloning gives another handle.
#[derive(Clone)]
pub struct Gate {
    state: Rc<RefCell<State>>,
}

struct State {
    /// Rows wait for a receiver's credit.
    owed: bool,
    /// Commits below this one are sealed on every worker.
    sealed: u64,
    parked: Vec<Parked>,
    /// `Spares` of the rows that pass.
    spares: Option<Rc<dyn Any>>,
    metrics: std::sync::Arc<Metrics>,
}

struct Parked {
    source: Rc<Activator>,
    since: Instant,
    for_credit: bool,
}

impl Gate {
    pub(crate) fn new(metrics: std::sync::Arc<Metrics>) -> Self {
        let state = State { owed: false, sealed: 0, parked: Vec::new(), spares: None, metrics };
        Gate { state: Rc::new(RefCell::new(state)) }
    }

    /// Whether a source may read rows of `commit` now. If not, `source` is activated when it should ask again; one that
    /// asks before that is still parked once.
    pub fn admits(&self, commit: u64, source: &Rc<Activator>) -> bool {
        let mut state = self.state.borrow_mut();
        let for_credit = state.owed;
        if !for_credit && commit < state.sealed.saturating_add(OPEN_COMMITS) {
            return true;
        }
        if !state.parked.iter().any(|parked| Rc::ptr_eq(&parked.source, source)) {
            let (source, since) = (Rc::clone(source), Instant::now());
            state.parked.push(Parked { source, since, for_credit });
        }
        false
    }

    /// An empty container for a source to fill: one that was emptied behind the gate, if there is any. It keeps the
    /// shape of the rows that were in it.
    pub fn container<R: Rows>(&self) -> R {
        let state = self.state.borrow();
        let spares = state.spares.as_ref().and_then(|spares| spares.downcast_ref::<Spares<R>>());
        spares.and_then(Spares::take).unwrap_or_default()
    }

    /// Where emptied containers are, from now on.
    pub(crate) fn set_spares<R: Rows>(&self, spares: &Rc<Spares<R>>) {
        self.state.borrow_mut().spares = Some(Rc::clone(spares) as Rc<dyn Any>);
    }

    /// Notes whether some receiver owes credit.
    pub(crate) fn set_owed(&self, owed: bool) {
        let mut state = self.state.borrow_mut();
        if std::mem::replace(&mut state.owed, owed) && !owed {
            state.wake();
        }
    }

    /// Notes that commits below `sealed` are sealed on every worker.
    pub(crate) fn set_sealed(&self, sealed: u64) {
        let mut state = self.state.borrow_mut();
        if sealed > state.sealed {
            state.sealed = sealed;
            state.wake();
        }
    }
}

impl State {
    fn wake(&mut self) {
        for parked in self.parked.drain(..) {
            let wait = if parked.for_credit { &self.metrics.credit_waits } else { &self.metrics.commit_waits };
            wait.record(parked.since.elapsed());
            parked.source.activate();
        }
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.borrow();
        f.debug_struct("Gate").field("owed", &state.owed).field("sealed", &state.sealed).finish_non_exhaustive()
    }
}
