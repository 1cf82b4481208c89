//! `Settings`: what a pipeline was told, and the parts that it puts together from that.

use std::thread;

use super::mode::Mode;
use super::{Cause, RunError};
use crate::budget::Budget;
use crate::cancel::CancelToken;
use crate::item::Weigh;
use crate::line::Line;
use crate::metrics::Metrics;
use crate::queue::{Sender, WorkQueue};
use crate::reorder::{Outlet, Site};
use crate::run::{Core, Threads};
use crate::sync::Arc;

/// Budget of a pipeline that was not given one.
const OWN_BUDGET: usize = 64 << 20;
/// Default of [`Pipeline::window`].
const WINDOW: usize = 4096;
/// Default of [`Pipeline::outstanding`].
const OUTSTANDING: u64 = 16 << 20;

pub(super) struct Settings {
    pub(super) name: String,
    pub(super) workers: usize,
    pub(super) budget: Option<Budget>,
    pub(super) minimum: usize,
    pub(super) window: usize,
    pub(super) outstanding: u64,
    pub(super) batch: Option<usize>,
    pub(super) in_order: bool,
    pub(super) cancel: CancelToken,
    pub(super) metrics: Arc<Metrics>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            name: "forebay".into(),
            workers: thread::available_parallelism().map_or(1, usize::from),
            budget: None,
            minimum: 0,
            window: WINDOW,
            outstanding: OUTSTANDING,
            batch: None,
            in_order: true,
            cancel: CancelToken::new(),
            metrics: Arc::new(Metrics::new()),
        }
    }
}

/// The parts of a pipeline that is about to run.
pub(super) struct Parts<T, R, E> {
    pub(super) sender: Sender<T>,
    pub(super) outlet: Outlet<R>,
    pub(super) core: Core<T, R, E>,
}

impl Settings {
    pub(super) fn thread(&self, role: &str) -> thread::Builder {
        thread::Builder::new().name(format!("{}-{role}", self.name))
    }

    /// Starts the threads of a run that owns what it works with: its workers, and `role` beside them. Without one of them
    /// there is no run.
    pub(super) fn start<T, R, E, C>(
        &self,
        core: &Arc<Core<T, R, E>>,
        init: impl Fn() -> C + Send + Sync + 'static,
        work: impl Fn(&mut C, T) -> Result<R, E> + Send + Sync + 'static,
        role: &str,
        other: impl FnOnce(&Core<T, R, E>) + Send + 'static,
    ) -> Result<Threads, RunError<E>>
    where
        T: Weigh + Send + 'static,
        R: Weigh + Send + 'static,
        E: Send + 'static,
    {
        let mut threads = Threads::default();
        let jobs = Arc::new((init, work));
        let own = Arc::clone(core);
        let mut started = threads.start(self.thread(role), move || other(&own));
        for n in 0..self.workers {
            let (core, jobs) = (Arc::clone(core), Arc::clone(&jobs));
            let worker = self.thread(&format!("work-{n}"));
            started = started.and_then(|()| threads.start(worker, move || core.work(&jobs.0, &jobs.1)));
        }
        match started {
            Ok(()) => Ok(threads),
            Err(error) => {
                core.cancel();
                drop(threads);
                Err(RunError { cause: Cause::Thread(error), snapshot: Box::new(core.finish()) })
            }
        }
    }

    pub(super) fn assemble<T: Weigh, R, E>(&self, mode: impl Mode<R>) -> Result<Parts<T, R, E>, RunError<E>> {
        let metrics = &self.metrics;
        let refuse = |cause| RunError { cause, snapshot: Box::new(metrics.snapshot()) };
        let budget = self.budget.clone().unwrap_or_else(|| Budget::modest(OWN_BUDGET));
        let consumer = budget.consumer(&self.name, self.minimum).map_err(|error| refuse(Cause::Budget(error)))?;
        // A pipeline that is run a second time cannot be: `run` takes it. So this is the first and only consumer.
        let _ = metrics.consumer.set(consumer.clone());
        let line = Arc::new(Line::new(&consumer));
        let (sender, receiver) =
            WorkQueue::on_line(Arc::clone(&line), self.window, self.outstanding, self.workers, false);
        let site = Site { line: Arc::clone(&line), metrics: Arc::clone(metrics), in_order: self.in_order };
        let (buffer, outlet) = mode.buffer(site).map_err(|error| refuse(Cause::Thread(error)))?;
        self.cancel.attach(&line);
        let core = Core::new(line, Arc::clone(metrics), receiver, buffer, self.batch);
        Ok(Parts { sender, outlet, core })
    }
}
