//! A pipeline that is run as planned, and what is to come out of it.

use std::any::Any;
use std::collections::BTreeSet;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use forebay::spill::faulty::{Errno, Fault, FaultyFs, Operation};
use forebay::{
    Budget, CancelToken, Cause, MemoryStore, Mode, OnSpillError, OrderedMapExt, Pipeline, RunError, SegmentOptions,
    SegmentStore, Snapshot,
};

use super::plan::{End, Form, Plan, Store};
use super::{NAME, Tally};

/// A pipeline that runs. Its threads share it.
struct Scene {
    plan: Arc<Plan>,
    budget: Budget,
    tally: Arc<Mutex<Tally>>,
    cancel: CancelToken,
    seen: Mutex<Seen>,
}

/// What its sink has seen.
#[derive(Default)]
struct Seen {
    count: u64,
    /// In completion order: the numbers.
    numbers: BTreeSet<u64>,
}

/// What everything panics with that is to panic. Raised without the hook, which would print each.
struct AsTold;

fn panic_as_told() -> ! {
    resume_unwind(Box::new(AsTold))
}

fn refuse<T>() -> io::Result<T> {
    Err(io::Error::other("as told"))
}

#[derive(Debug)]
enum Outcome {
    Ended(Box<Snapshot>),
    Failed(RunError<io::Error>),
    Panicked,
    /// The iterator gave no more.
    Exhausted,
    Dropped,
}

fn ended(result: Result<Snapshot, RunError<io::Error>>) -> Outcome {
    match result {
        Ok(snapshot) => Outcome::Ended(Box::new(snapshot)),
        Err(error) => Outcome::Failed(error),
    }
}

/// Only a panic that was planned is an outcome.
fn panicked(panic: Box<dyn Any + Send>) -> Outcome {
    match panic.downcast::<AsTold>() {
        Ok(_) => Outcome::Panicked,
        Err(other) => resume_unwind(other),
    }
}

/// Runs `plan` and holds it against the plain loop.
pub(super) fn play(plan: &Arc<Plan>, budget: &Budget, tally: &Arc<Mutex<Tally>>) {
    let scene = Arc::new(Scene {
        plan: Arc::clone(plan),
        budget: budget.clone(),
        tally: Arc::clone(tally),
        cancel: CancelToken::new(),
        seen: Mutex::default(),
    });
    let mut pipeline = Pipeline::new().name(NAME).workers(plan.workers).window(plan.window).budget(budget);
    pipeline = pipeline.cancel(&scene.cancel);
    if let Some(batch) = plan.batch {
        pipeline = pipeline.batch(batch);
    }
    if !plan.in_order {
        pipeline = pipeline.unordered();
    }
    match plan.store {
        Store::None => scene.drive(pipeline),
        Store::Memory { quota } => {
            scene.drive(pipeline.spill(MemoryStore::new(quota)).on_spill_error(plan.on_error));
        }
        Store::Segments { compress } => {
            let store = SegmentStore::temp().unwrap();
            scene.drive(pipeline.spill(store).on_spill_error(plan.on_error).compress(compress));
        }
        Store::Faulty { period } => {
            let fs = FaultyFs::new();
            let options = SegmentOptions::new().quota(1 << 30).file_system(Arc::new(fs.clone()));
            let store = options.open(std::env::temp_dir()).unwrap();
            for write in (0..500).step_by(period as usize) {
                fs.inject(Operation::Write, write..write + 1, Fault::Error(Errno::NOSPC));
                fs.inject(Operation::Write, write + 1..write + 2, Fault::Short(1000));
            }
            scene.drive(pipeline.spill(store).on_spill_error(plan.on_error));
            assert_eq!(fs.open_files(), 0, "{plan:?}");
        }
    }
}

impl Scene {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        // A sink that panics as planned holds it.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn source(&self, n: u64) -> io::Result<u64> {
        match self.plan.end {
            End::SourceFails(at) if n == at => refuse(),
            End::SourcePanics(at) if n == at => panic_as_told(),
            _ => Ok(n),
        }
    }

    fn work(&self, n: u64) -> io::Result<Vec<u8>> {
        let Scene { plan, budget, tally, .. } = self;
        for (at, millis) in plan.slow {
            if n == at {
                std::thread::sleep(Duration::from_millis(millis));
            }
        }
        if let Some(inner) = &plan.inner
            && n % 97 == 5
        {
            tally.lock().unwrap().nested += 1;
            play(inner, budget, tally);
        }
        match plan.end {
            End::WorkFails(at) if n == at => refuse(),
            End::WorkPanics(at) if n == at => panic_as_told(),
            _ => Ok(plan.result(n)),
        }
    }

    fn sink(&self, bytes: &[u8]) -> io::Result<()> {
        let plan = &self.plan;
        let mut seen = self.seen();
        for (at, millis) in plan.stalls {
            if seen.count == at {
                std::thread::sleep(Duration::from_millis(millis));
            }
        }
        let n = u64::from_le_bytes(bytes[..8].try_into().unwrap());
        assert!(!plan.in_order || n == seen.count, "result {n} came in place of {}: {plan:?}", seen.count);
        assert!(plan.in_order || seen.numbers.insert(n), "result {n} came twice: {plan:?}");
        assert!(bytes == plan.result(n), "result {n} is damaged: {plan:?}");
        match plan.end {
            End::SinkFails(at) if seen.count == at => return refuse(),
            End::SinkPanics(at) if seen.count == at => panic_as_told(),
            End::Cancelled(at) if seen.count == at => self.cancel.cancel(),
            _ => {}
        }
        seen.count += 1;
        Ok(())
    }

    fn drive<M: Mode<Vec<u8>>>(self: &Arc<Self>, pipeline: Pipeline<M>) {
        let monitor = pipeline.monitor();
        let outcome = catch_unwind(AssertUnwindSafe(|| match self.plan.form {
            Form::Run => self.run(pipeline),
            Form::Feed => self.feed(pipeline),
            Form::Iterator => self.iterate(pipeline),
        }));
        let outcome = outcome.unwrap_or_else(panicked);
        self.tally.lock().unwrap().count(&self.plan, &monitor.snapshot());
        self.judge(&outcome);
    }

    fn run<M: Mode<Vec<u8>>>(&self, pipeline: Pipeline<M>) -> Outcome {
        let source = (0..self.plan.items).map(|n| self.source(n));
        ended(pipeline.run(source, |n| self.work(n), |bytes: Vec<u8>| self.sink(&bytes)))
    }

    fn feed<M: Mode<Vec<u8>>>(self: &Arc<Self>, pipeline: Pipeline<M>) -> Outcome {
        let (work, sink) = (Arc::clone(self), Arc::clone(self));
        let mut feed = pipeline.feed(move |n| work.work(n), move |bytes: Vec<u8>| sink.sink(&bytes)).unwrap();
        for n in 0..self.plan.items {
            if matches!(self.plan.end, End::Dropped(at) if n == at) {
                return Outcome::Dropped;
            }
            if feed.send(n).is_err() {
                break;
            }
        }
        ended(feed.finish())
    }

    fn iterate<M: Mode<Vec<u8>>>(self: &Arc<Self>, pipeline: Pipeline<M>) -> Outcome {
        let (source, work) = (Arc::clone(self), Arc::clone(self));
        let source = (0..self.plan.items).map(move |n| source.source(n).unwrap());
        let results = source.ordered_map_with(pipeline, move |n| work.work(n).unwrap());
        for (taken, bytes) in results.enumerate() {
            if matches!(self.plan.end, End::Dropped(at) if taken as u64 == at) {
                return Outcome::Dropped;
            }
            self.sink(&bytes).unwrap();
        }
        Outcome::Exhausted
    }

    /// What the plain loop says.
    fn judge(&self, outcome: &Outcome) {
        let plan = &self.plan;
        let seen = self.seen().count;
        if let Outcome::Ended(snapshot) | Outcome::Failed(RunError { snapshot, .. }) = outcome {
            assert_eq!(snapshot.submitted, snapshot.delivered + snapshot.cancelled, "{plan:?}");
        }
        // In completion order, what was finished before the failure is not what comes before it.
        let before = |at: u64| if plan.in_order { seen == at } else { seen < plan.items };
        let right = match (plan.end, outcome) {
            (_, Outcome::Failed(RunError { cause: Cause::Spill(_), .. })) => plan.on_error == OnSpillError::Fail,
            (End::Complete, Outcome::Ended(_) | Outcome::Exhausted) => seen == plan.items,
            (End::SourceFails(at), Outcome::Failed(RunError { cause: Cause::Source(_), .. })) => before(at),
            (End::WorkFails(at), Outcome::Failed(RunError { cause: Cause::Work { seq, .. }, .. })) => {
                *seq == at && before(at)
            }
            (End::SourcePanics(at) | End::WorkPanics(at), Outcome::Panicked) => before(at),
            (End::SinkFails(at), Outcome::Failed(RunError { cause: Cause::Sink { seq, .. }, .. })) => {
                *seq == at && seen == at
            }
            (End::SinkPanics(at), Outcome::Panicked) => seen == at,
            (End::Cancelled(at), Outcome::Failed(RunError { cause: Cause::Cancelled, .. })) => seen == at + 1,
            (End::Cancelled(at), Outcome::Exhausted) => seen == at + 1,
            (End::Dropped(at), Outcome::Dropped) => seen <= at,
            _ => false,
        };
        assert!(right, "{outcome:?} after {seen} results: {plan:?}");
    }
}
