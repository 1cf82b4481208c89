//! `run`: a group-by from its files to its results.
//!
//! ```text
//!   reader (a pipeline decodes, in order) --> inlets --> source: filter, keys, pre-aggregation --+
//!   output <-- results (merger threads) <-- Sealed <-- shard_accumulate <------------------------+
//! ```
//!
//! The reader is a thread; batches go to the worker that has room. Each worker writes a part of the output.

use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use arrow::array::RecordBatch;
use forebay::{Budget, CancelToken, Pager, SpillStore};
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Operator;

use super::job::{Job, Observer, Report, Wait};
use super::{Inputs, Intake, KeyedRows, Output, Part, Piece, Plan, ReadReport, Reading, Share, TableError};
use crate::error::ExchangeError;
use crate::exchange::{
    Convert, Exchange, ExchangeOptions, IntakeClosed, IntakeSender, ShardAccumulate, intake, source,
};
use crate::failure::Failure;
use crate::metrics::{ExchangeSnapshot, Times};
use crate::runs::Sealed;

/// The most memory, if nobody says how much.
const MEMORY: usize = 1 << 30;

/// The first error of a run that is not the exchange's own.
#[derive(Clone, Debug)]
struct Trouble {
    first: Arc<Mutex<Option<TableError>>>,
    failure: Failure,
    cancel: CancelToken,
}

impl Trouble {
    /// Ends the run.
    fn set(&self, error: TableError) {
        let text = error.to_string();
        self.lock().get_or_insert(error);
        self.failure.set(ExchangeError::Ended { reason: text });
        self.cancel.cancel();
    }

    fn is_set(&self) -> bool {
        self.failure.get().is_some()
    }

    /// What ended the run, if the exchange says `error`.
    fn instead_of(&self, error: ExchangeError) -> TableError {
        self.lock().take().unwrap_or(TableError::Exchange(error))
    }

    fn lock(&self) -> MutexGuard<'_, Option<TableError>> {
        self.first.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Runs `job` and says what it did. `observer` can be read meanwhile.
///
/// # Errors
/// [`TableError`]; nothing is published then.
pub fn run(job: Job, observer: &Observer) -> Result<Report, TableError> {
    let Job { query, inputs, input, output, workers, memory, spill, processes: _, cancel } = job;
    let workers = if workers > 0 { workers } else { thread::available_parallelism().map_or(1, usize::from) };
    let budget = memory.map_or_else(|| Budget::modest(MEMORY), Budget::new);
    let location = spill.as_ref().map(SpillStore::location);
    let pager = spill.map(|store| Pager::new(store, false)).transpose();
    let pager = pager.map_err(|cause| TableError::Thread { cause: Arc::new(cause) })?;

    let inputs = Inputs::open(&inputs, input)?;
    let plan = Plan::new(&query, inputs.schema())?;
    let options = ExchangeOptions::new(&budget, pager);
    let trouble = Trouble { first: Arc::default(), failure: options.failure().clone(), cancel: cancel.clone() };
    let (writing, parts) = Output::create(&output, plan.output_schema(), workers, &budget, &cancel)?;

    let (senders, intakes): (Vec<_>, Vec<_>) = (0..workers).map(|_| intake::<RecordBatch>()).unzip();
    let ends = intakes.into_iter().zip(parts).map(Some).collect();
    let reading = Reading { workers, budget: budget.clone(), cancel };
    let monitor = options.monitor();

    let read = thread::scope(|scope| {
        let (plan, trouble) = (&plan, &trouble);
        let reader = thread::Builder::new()
            .name("read".into())
            .spawn_scoped(scope, move || read(inputs, plan, reading, senders, observer, trouble))
            .map_err(|cause| TableError::Thread { cause: Arc::new(cause) })?;
        let ended = work(workers, options, plan.clone(), ends, observer.clone(), trouble.clone());
        if let Err(error) = &ended {
            trouble.failure.set(error.clone());
            trouble.cancel.cancel();
        }
        let read = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        match (ended, trouble.failure.get()) {
            (Ok(()), None) => read.ok_or(TableError::Cancelled),
            (Err(error), _) | (_, Some(error)) => Err(trouble.instead_of(error)),
        }
    })?;
    let written = writing.publish()?;
    let exchange = monitor.snapshot();
    Ok(Report {
        rows_in: read.rows,
        bytes_in: read.bytes,
        malformed_rows: read.malformed_rows,
        malformed: read.malformed,
        commits: observer.progress().commits,
        rows_out: written.rows,
        bytes_out: written.bytes,
        workers: workers as u64,
        rows_sent: exchange.rows_sent,
        bytes_sent: exchange.bytes_sent,
        waits: waits(&exchange),
        engine: exchange.spill.unwrap_or_default(),
        spill: location,
        ..Report::default()
    })
}

fn waits(exchange: &ExchangeSnapshot) -> Vec<Wait> {
    let wait = |reason, times: &Times| Wait { reason, times: times.nanos.count(), time: times.total };
    vec![
        wait("credit", &exchange.credit_waits),
        wait("a commit", &exchange.commit_waits),
        Wait { reason: "memory", times: exchange.memory_waits, time: Duration::ZERO },
    ]
}

/// Reads everything and deals it out.
fn read(
    inputs: Inputs,
    plan: &Plan,
    reading: Reading,
    senders: Vec<IntakeSender<RecordBatch>>,
    observer: &Observer,
    trouble: &Trouble,
) -> Option<ReadReport> {
    let consumer = match reading.budget.consumer("batches", 0) {
        Ok(consumer) => consumer,
        Err(error) => {
            trouble.set(error.into());
            return None;
        }
    };
    let mut next = 0;
    let result = inputs.read(plan.columns(), Share::ALL, reading, |piece| match piece {
        Piece::Rows { commit, batch } => {
            observer.read(batch.num_rows());
            let lease = consumer.lease_head(batch.get_array_memory_size());
            deal(&senders, &mut next, commit, batch, lease).map_err(|IntakeClosed| TableError::Cancelled)
        }
        Piece::Commit(commit) => {
            let all = senders.iter().try_for_each(|sender| sender.advance(commit + 1));
            all.map_err(|IntakeClosed| TableError::Cancelled)
        }
    });
    match result {
        Ok(report) => Some(report),
        Err(error) => {
            trouble.set(error);
            None
        }
    }
}

/// To the first worker with room, from `next` on; without any, waits for the next one.
fn deal(
    senders: &[IntakeSender<RecordBatch>],
    next: &mut usize,
    commit: u64,
    batch: RecordBatch,
    lease: forebay::Lease,
) -> Result<(), IntakeClosed> {
    let (mut batch, mut lease) = (batch, Some(lease));
    for turn in 0..senders.len() {
        let at = (*next + turn) % senders.len();
        match senders[at].try_send(commit, batch, lease) {
            Ok(()) => {
                *next = at + 1;
                return Ok(());
            }
            Err(back) => (batch, lease) = back,
        }
    }
    *next += 1;
    senders[(*next - 1) % senders.len()].send(commit, batch, lease)
}

/// What a worker begins with: where batches come from, and where its results go.
type Ends = (crate::exchange::Intake<RecordBatch>, Part);

/// Makes rows of batches on a worker.
struct Converter {
    intake: Intake,
    trouble: Trouble,
}

impl Convert<RecordBatch, KeyedRows> for Converter {
    fn convert(&mut self, batch: RecordBatch, out: &mut KeyedRows) {
        if let Err(error) = self.intake.push(&batch, out) {
            self.trouble.set(error);
        }
    }

    fn flush(&mut self, out: &mut KeyedRows) {
        self.intake.flush(out);
    }
}

/// Runs the workers until everything is written.
fn work(
    workers: usize,
    options: ExchangeOptions,
    plan: Plan,
    ends: Vec<Option<Ends>>,
    observer: Observer,
    trouble: Trouble,
) -> Result<(), ExchangeError> {
    let ends = Mutex::new(ends);
    let failure = options.failure().clone();
    let stop = failure.clone();
    let guards = timely::execute(timely::Config::process(workers), move |worker| {
        let me = worker.index();
        let Some((inlet, part)) = ends.lock().unwrap_or_else(|poisoned| poisoned.into_inner())[me].take() else {
            unreachable!("every worker is started once");
        };
        let exchange = match Exchange::new(&options, worker) {
            Ok(exchange) => exchange,
            Err(error) => return options.failure().set(error),
        };
        let gate = exchange.gate();
        let converter = Converter { intake: plan.intake(), trouble: trouble.clone() };
        let results =
            Results { plan: plan.clone(), part: Some(part), observer: observer.clone(), trouble: trouble.clone() };
        worker.dataflow::<u64, _, _>(|scope| {
            let batches = source(scope, &exchange, &gate, inlet, converter).shard_accumulate(&exchange, &gate);
            write(batches, &exchange, results);
        });
        while failure.get().is_none() && worker.has_dataflows() {
            worker.step_or_park(None);
        }
    });
    let guards = guards.map_err(|cause| ExchangeError::Thread { name: "work".into(), cause })?;
    for result in guards.join() {
        result.map_err(|message| ExchangeError::Panicked { message })?;
    }
    stop.get().map_or(Ok(()), Err)
}

/// Where a worker's sealed batch becomes rows of the output.
struct Results {
    plan: Plan,
    part: Option<Part>,
    observer: Observer,
    trouble: Trouble,
}

/// Writes the one sealed batch of each worker, on its merger thread.
fn write(batches: Stream<'_, u64, Vec<Sealed<KeyedRows>>>, exchange: &Exchange, mut results: Results) {
    let exchange = exchange.clone();
    batches.sink(Pipeline, "write", move |(input, frontier)| {
        let mut batch = None;
        input.for_each(|_, batches| batch = batches.pop());
        if batch.is_none() && !frontier.is_empty() {
            return;
        }
        let Some(part) = results.part.take() else { return };
        let (plan, observer, trouble) = (results.plan.clone(), results.observer.clone(), results.trouble.clone());
        exchange.merger().submit(move || {
            if let Err(error) = write_part(batch, &plan, part, &observer, &trouble) {
                trouble.set(error);
            }
        });
    });
}

fn write_part(
    batch: Option<Sealed<KeyedRows>>,
    plan: &Plan,
    mut part: Part,
    observer: &Observer,
    trouble: &Trouble,
) -> Result<(), TableError> {
    if let Some(batch) = batch {
        let mut cursor = batch.into_cursor()?;
        let (mut finisher, mut out) = (plan.finisher(), Vec::new());
        let mut write = |out: &mut Vec<RecordBatch>| {
            out.drain(..).try_for_each(|batch| {
                observer.wrote(batch.num_rows());
                part.write(&batch)
            })
        };
        while let Some(block) = cursor.next_block()? {
            if trouble.is_set() {
                return Ok(());
            }
            finisher.push(&block, &mut out)?;
            write(&mut out)?;
        }
        finisher.finish(&mut out)?;
        write(&mut out)?;
    }
    Ok(part.finish()?)
}
