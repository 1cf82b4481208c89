//! `Settings`: what a pipeline was told, and the parts that it puts together from that.

use std::io;
use std::thread;

use super::mode::Mode;
use super::mode::sealed::Site;
use super::{Cause, RunError};
use crate::budget::Budget;
use crate::cancel::CancelToken;
use crate::event::Event;
use crate::item::Weigh;
use crate::line::Line;
use crate::metrics::Metrics;
use crate::queue::{Sender, WorkQueue};
use crate::reorder::Outlet;
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
    pub(super) delivery: Outlet<R>,
    pub(super) core: Core<T, R, E>,
}

impl Settings {
    pub(super) fn thread(&self, role: &str) -> thread::Builder {
        thread::Builder::new().name(format!("{}-{role}", self.name))
    }

    /// Starts the workers of a run that owns what it works with.
    pub(super) fn start_workers<T, R, E, C>(
        &self,
        core: &Arc<Core<T, R, E>>,
        init: impl Fn() -> C + Send + Sync + 'static,
        work: impl Fn(&mut C, T) -> Result<R, E> + Send + Sync + 'static,
        threads: &mut Threads,
    ) -> io::Result<()>
    where
        T: Weigh + Send + 'static,
        R: Weigh + Send + 'static,
        E: Send + 'static,
    {
        let jobs = Arc::new((init, work));
        for n in 0..self.workers {
            let (core, jobs) = (Arc::clone(core), Arc::clone(&jobs));
            threads.push(self.thread(&format!("work-{n}")).spawn(move || core.work(&jobs.0, &jobs.1))?);
        }
        Ok(())
    }

    pub(super) fn assemble<T: Weigh, R, E>(&self, mode: impl Mode<R>) -> Result<Parts<T, R, E>, RunError<E>> {
        let metrics = &self.metrics;
        let refuse = |cause| RunError { cause, snapshot: Box::new(metrics.snapshot()) };
        let budget = self.budget.clone().unwrap_or_else(|| Budget::modest(OWN_BUDGET));
        let room = Arc::new(Event::new());
        let consumer = budget
            .register(&self.name, self.minimum, Arc::clone(&room))
            .map_err(|error| refuse(Cause::Budget(error)))?;
        // A pipeline that is run a second time cannot be: `run` takes it. So this is the first and only consumer.
        let _ = metrics.consumer.set(consumer.clone());
        let line = Arc::new(Line::new(room));
        let (sender, receiver) =
            WorkQueue::on_line(&consumer, self.window, self.outstanding, self.workers, Arc::clone(&line), false);
        let site = Site {
            line: Arc::clone(&line),
            consumer: consumer.clone(),
            metrics: Arc::clone(metrics),
            in_order: self.in_order,
        };
        let (buffer, delivery) = mode.buffer(site).map_err(|error| refuse(Cause::Thread(error)))?;
        let stop: Arc<dyn crate::cancel::Stop> = line.clone();
        self.cancel.attach(Arc::downgrade(&stop));
        let core = Core::new(line, &consumer, Arc::clone(metrics), receiver, buffer, self.batch);
        Ok(Parts { sender, delivery, core })
    }
}
