//! `run`: a group-by from its files to its results.
//!
//! ```text
//!   reader (a pipeline decodes, in order) --> inlets --> source: filter, keys, pre-aggregation --+
//!   output <-- results (merger threads) <-- Sealed <-- shard_accumulate <------------------------+
//! ```
//!
//! The reader is a thread; batches go to the worker that has room. Each worker writes a part of the output.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use arrow::array::RecordBatch;
use forebay::{Budget, CancelToken, Lease, Pager, SegmentStore, SpillStore};
use timely::communication::Hooks;
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Operator;
use timely::worker::Worker;

use super::changed::{Changed, WriteChanges};
use super::job::{Job, Observer, OperatorTimes, Processes, Report, Wait};
use super::watch::{self, Watch};
use super::{
    InputOptions, Inputs, Intake, KeyedRows, Output, OutputOptions, Part, Piece, Plan, Query, ReadReport, Reading,
    Share, TableError,
};
use crate::cluster::{Cluster, ClusterOptions};
use crate::error::ExchangeError;
use crate::exchange::{
    Convert, Exchange, ExchangeOptions, IntakeClosed, IntakeSender, ShardAccumulate, intake, source,
};
use crate::execute::{Runtime, execute};
use crate::failure::Failure;
use crate::hooks::{SpillMonitor, SpillOptions, hooks};
use crate::metrics::{ExchangeSnapshot, Times};
use crate::operators::ReduceSealed;
use crate::runs::Sealed;

/// The most memory, if nobody says how much.
const MEMORY: usize = 1 << 30;

/// How many eighths of the memory can be leased. Measured: what is resident is once and a half what is leased, because blocks
/// that rows of different lengths fill in part are freed by other threads than those that will need the next ones.
const LEASED: usize = 5;

/// A connection's buffer.
const SLAB: usize = 1 << 20;

/// The least memory beside the connections' buffers.
const LEAST_BESIDE: usize = 4 << 20;

/// The least that may be on its way from timely's queues to the disk.
const LEAST_CAP: usize = 1 << 20;

/// The first error of a run that is not the exchange's own.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    first: Arc<Mutex<Option<TableError>>>,
    failure: Failure,
    cancel: CancelToken,
}

impl Trouble {
    /// Ends the run. If the exchange has failed already, `error` is but what came of that: a reader whose workers have
    /// left, for example, is cancelled.
    pub(super) fn set(&self, error: TableError) {
        let mut first = self.lock();
        if !self.is_set() {
            self.failure.set(ExchangeError::Ended { reason: error.to_string() });
            *first = Some(error);
        }
        drop(first);
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
/// [`TableError`]; nothing is published then. A thread that waits for a pipe is left behind, until its read returns.
pub fn run(mut job: Job, observer: &Observer) -> Result<Report, TableError> {
    if !job.output.changes {
        // Only the groups at the end are asked for.
        job.input.commit_every = None;
    }
    let (query, inputs, input, cancel) = (job.query.clone(), job.inputs.clone(), job.input.clone(), job.cancel.clone());
    let look = move |input: InputOptions| {
        if !Inputs::may_wait(&inputs, &input) {
            return Looked::at(&query, &inputs, input);
        }
        let (query, inputs) = (query.clone(), inputs.clone());
        watch::unless_cancelled(&cancel, "look", move || Looked::at(&query, &inputs, input))?
    };
    let Some(processes) = job.processes.take() else {
        let looked = look(input)?;
        return group(job, looked, None, observer);
    };
    let options = cluster_options(&processes, meaning(&job))?;
    job.input.share = Share { index: options.process, count: options.hosts.len() };
    // What is wrong with files or with the query is said before anybody is waited for. A pipe may give nothing for long: the
    // processes meet before they look at one, and watch each other meanwhile.
    let waits = Inputs::may_wait(&job.inputs, &job.input);
    let input = job.input.clone();
    let look = move || look(input.clone());
    let early = (!waits).then(&look).transpose()?;
    // Looked at before all have met, and made after that.
    job.output.fresh = job.output.target.as_ref().is_some_and(|dir| fs::symlink_metadata(dir).is_err());
    let cluster = Cluster::connect(options)?;
    let looked = match early {
        Some(looked) => Ok(looked),
        None => cluster.beside("look", look)?,
    };
    let report = looked.and_then(|looked| {
        cluster.agree(&looked.to_agree_on(&job.inputs))?;
        group(job, looked, Some(&cluster), observer)
    });
    let report = report.inspect_err(|error| cluster.abort(&ExchangeError::Ended { reason: error.to_string() }))?;
    // All have published, and that stands whoever is lost now.
    let _ = cluster.close();
    Ok(report)
}

/// What a job means, in words: with something else in another process, the parts would not belong together.
fn meaning(job: &Job) -> String {
    let Job { query, input, output, .. } = job;
    let InputOptions { share: _, format, delimiter, strict, commit_every, piece: _, longest_row, sample_rows } = input;
    let (parts, changes) = (output.format, output.changes);
    format!(
        "aggregate {query:?}, changes: {changes}, commits: {commit_every:?}, input: {format:?}, delimiter: {delimiter:?}, \
         strict: {strict}, longest row: {longest_row}, sample: {sample_rows}, parts: {parts:?}"
    )
}

/// What each process has written gets its name, or none of it does.
fn publish_together(cluster: &Cluster, mut output: Output) -> Result<(), TableError> {
    let mark = output.prepare()?;
    // Nobody publishes before everybody can; what is left is quick.
    cluster.ready(mark)?;
    output.name()?;
    output.told();
    match cluster.conclude() {
        Ok(()) => output.keep().map_err(TableError::from),
        Err(cause) => {
            let (path, gone) = output.withdraw(&cluster.marks());
            let lost = if let ExchangeError::PeerLost { process, .. } = cause { Some(process) } else { None };
            let other = lost.filter(|process| !gone.contains(process));
            Err(TableError::Withdrawn { cause: Box::new(cause), path, other })
        }
    }
}

/// The inputs, and what the query means for them.
struct Looked {
    inputs: Inputs,
    plan: Plan,
}

impl Looked {
    fn at(query: &Query, inputs: &[PathBuf], input: InputOptions) -> Result<Self, TableError> {
        let inputs = Inputs::open(inputs, input)?;
        let plan = Plan::new(query, inputs.schema()).map_err(|error| inputs.explain(error))?;
        Ok(Looked { plan, inputs })
    }

    /// What has to be the same in all processes: the columns that the query looks at, and the inputs that are dealt out.
    fn to_agree_on(&self, paths: &[PathBuf]) -> String {
        let schema = self.inputs.schema();
        let mut fields: Vec<_> = self.plan.columns().iter().map(|column| schema.field(*column)).collect();
        fields.sort_by_key(|field| field.name());
        let columns: Vec<_> = fields.iter().map(|field| format!("{:?} {}", field.name(), field.data_type())).collect();
        // The same files may be in another directory there.
        let name = |path: &PathBuf| format!("{:?}", path.file_name().unwrap_or(path.as_os_str()));
        let names: Vec<_> = paths.iter().map(name).collect();
        let inputs = if names.len() == 1 { "the input".to_owned() } else { format!("{} inputs", names.len()) };
        format!("the columns {} and {inputs} {}", columns.join(", "), names.join(", "))
    }
}

/// Everything from the inputs to what is published.
fn group(job: Job, looked: Looked, cluster: Option<&Cluster>, observer: &Observer) -> Result<Report, TableError> {
    let (Job { mut output, workers, memory, spill, cancel, .. }, Looked { inputs, plan }) = (job, looked);
    let workers = if workers > 0 { workers } else { thread::available_parallelism().map_or(1, usize::from) };
    let memory = memory.unwrap_or_else(|| Budget::modest(MEMORY).limit());
    let location = spill.as_ref().map(SpillStore::location);
    let store = spill.map(Arc::new);

    let (mut memory, mut queues) = (memory, None);
    if let Some(cluster) = cluster {
        output.part = Some(cluster.process());
        memory = beside_slabs(memory, workers, cluster.processes())?;
        queues = store.clone().map(|store| spilling(store, memory)).transpose()?;
    }
    // What decoders and encoders have in hand and what the allocator keeps is not leased.
    let budget = Budget::new(memory / 8 * LEASED);
    let pager = store.map(|store| Pager::new(store, false)).transpose().map_err(no_thread)?;
    let options = ExchangeOptions::new(&budget, pager);
    let trouble = Trouble { first: Arc::default(), failure: options.failure().clone(), cancel: cancel.clone() };
    let (monitor, reading) = (options.monitor(), Reading { workers, budget, cancel });
    let (hooks, queues) = queues.unzip();
    let runtime = match cluster {
        None => Runtime::Process { workers },
        Some(cluster) => Runtime::Cluster { cluster, workers, hooks: hooks.unwrap_or_default() },
    };
    let (changes, commits) = (output.changes, Arc::default());
    let flow = Flow { plan, options, observer: observer.clone(), trouble, changes, commits };
    let done = flow.run(runtime, inputs, reading, &output, workers).and_then(|(read, mut writing)| {
        let written = writing.complete()?;
        match cluster {
            None => writing.publish()?,
            Some(cluster) => publish_together(cluster, writing)?,
        }
        Ok((read, written))
    });
    let (read, written) = done.map_err(|error| {
        // What stopped a queue says more than that a worker panicked of it.
        let failed = queues.as_ref().and_then(|queues: &SpillMonitor| queues.error());
        failed.map_or(error, |failed| ExchangeError::Queues(failed).into())
    })?;
    let exchange = monitor.snapshot();
    Ok(Report {
        rows_in: read.rows,
        bytes_in: read.bytes,
        malformed_rows: read.malformed_rows,
        malformed_lines: read.malformed_lines,
        malformed: read.malformed,
        commits: observer.progress().commits,
        rows_out: written.rows,
        bytes_out: written.bytes,
        workers: workers as u64,
        workers_used: exchange.workers_used,
        rows_sent: exchange.rows_sent,
        rows_moved: exchange.rows_moved,
        bytes_sent: exchange.bytes_sent,
        waits: waits(&exchange),
        operators: operators(&exchange),
        engine: exchange.spill.unwrap_or_default(),
        queues: queues.map(|queues| queues.snapshot()),
        spill: location,
    })
}

fn no_thread(cause: std::io::Error) -> TableError {
    TableError::Thread { cause: Arc::new(cause) }
}

/// How the other processes are met.
fn cluster_options(processes: &Processes, job: String) -> Result<ClusterOptions, TableError> {
    let in_cluster = |error| TableError::Exchange(ExchangeError::Cluster(error));
    let hosts = ClusterOptions::hosts_file(&processes.hosts).map_err(in_cluster)?;
    let secret = processes.secret.as_ref().map(ClusterOptions::secret_file).transpose().map_err(in_cluster)?;
    Ok(ClusterOptions { secret, job, deadline: processes.deadline, ..ClusterOptions::new(hosts, processes.process) })
}

/// Timely's queues write what waits in them to `store`.
fn spilling(store: Arc<SegmentStore>, memory: usize) -> Result<(Hooks, SpillMonitor), TableError> {
    let options = SpillOptions::new(store).cap((memory / 8).max(LEAST_CAP));
    hooks(&options).map_err(|error| TableError::Option { option: "spill-dir", reason: error.to_string() })
}

/// What is left of `memory` beside the buffers that timely's connections have from birth.
fn beside_slabs(memory: usize, workers: usize, processes: usize) -> Result<usize, TableError> {
    let others = processes.saturating_sub(1);
    // From each worker to each worker here, from each worker to each other process, and from each of those.
    let slabs = (workers * workers + workers * others + others) * SLAB;
    let least = slabs + LEAST_BESIDE;
    memory.checked_sub(slabs).filter(|rest| *rest >= LEAST_BESIDE).ok_or_else(|| TableError::Option {
        option: "memory",
        reason: format!(
            "{workers} workers in each of {processes} processes need {} MiB at least, and {} MiB are given",
            least.div_ceil(1 << 20),
            memory >> 20
        ),
    })
}

fn waits(exchange: &ExchangeSnapshot) -> Vec<Wait> {
    let wait = |reason, times: &Times| Wait { reason, times: times.nanos.count(), time: times.total };
    vec![
        wait("credit", &exchange.credit_waits),
        wait("a commit", &exchange.commit_waits),
        wait("memory", &exchange.memory_waits),
    ]
}

fn operators(exchange: &ExchangeSnapshot) -> Vec<OperatorTimes> {
    let operator = |name, times: &Times| OperatorTimes { name, times: times.nanos.count(), time: times.total };
    vec![
        operator("source", &exchange.source),
        operator("partition", &exchange.partition),
        operator("accumulate", &exchange.accumulate),
        operator("seal", &exchange.seal),
        operator("reduce", &exchange.reduce),
    ]
}

/// What every thread of a run has.
#[derive(Clone)]
struct Flow {
    plan: Plan,
    options: ExchangeOptions,
    observer: Observer,
    trouble: Trouble,
    /// Whether what each commit changes is asked for.
    changes: bool,
    /// Commits that the inputs have ended so far.
    commits: Arc<AtomicU64>,
}

impl Flow {
    /// Everything from the inputs to the parts of the output.
    fn run(
        &self,
        runtime: Runtime<'_>,
        inputs: Inputs,
        reading: Reading,
        output: &OutputOptions,
        workers: usize,
    ) -> Result<(ReadReport, Output), TableError> {
        let schema = self.plan.output_schema();
        let (writing, parts) = Output::create(output, schema, workers, &reading.budget, &reading.cancel)?;
        if let Some(unpublished) = writing.unpublished() {
            self.observer.writes(unpublished);
        }
        let (senders, intakes): (Vec<_>, Vec<_>) = (0..workers).map(|_| intake::<RecordBatch>()).unzip();
        let ends = intakes.into_iter().zip(parts).map(Some).collect();
        let flow = self.clone();
        // A reader that waits for a pipe does not see that the run is cancelled.
        let trouble = self.trouble.clone();
        let _watch = match inputs.is_awaited() {
            true => Some(Watch::start(&reading.cancel, move || trouble.set(TableError::Cancelled)).map_err(no_thread)?),
            false => None,
        };
        let reader = thread::Builder::new()
            .name("read".into())
            .spawn(move || flow.read(inputs, reading, &senders))
            .map_err(no_thread)?;
        if let Err(error) = self.work(runtime, ends) {
            // The reader is left to itself: it may wait for a pipe whose writer gives nothing.
            self.trouble.cancel.cancel();
            return Err(self.trouble.instead_of(error));
        }
        let read = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        match self.trouble.failure.get() {
            None => Ok((read.ok_or(TableError::Cancelled)?, writing)),
            Some(error) => Err(self.trouble.instead_of(error)),
        }
    }

    /// Reads everything and deals it out. What goes wrong is the run's trouble.
    fn read(&self, inputs: Inputs, reading: Reading, senders: &[IntakeSender<RecordBatch>]) -> Option<ReadReport> {
        let closed = |IntakeClosed| TableError::Cancelled;
        let consumer = reading.budget.consumer("batches", 0).map_err(TableError::from);
        let read = consumer.and_then(|consumer| {
            let mut next = 0;
            inputs.read(self.plan.columns(), reading, |piece| match piece {
                Piece::Rows { commit, batch } => {
                    self.observer.read(batch.num_rows());
                    let lease = consumer.lease_head(batch.get_array_memory_size());
                    deal(senders, &mut next, commit, batch, lease).map_err(closed)
                }
                Piece::Commit(commit) => {
                    self.commits.store(commit + 1, Ordering::Release);
                    senders.iter().try_for_each(|to| to.advance(commit + 1)).map_err(closed)
                }
            })
        });
        read.map_err(|error| self.trouble.set(error)).ok()
    }

    /// Runs the workers until everything is written.
    fn work(&self, runtime: Runtime<'_>, ends: Vec<Option<Ends>>) -> Result<(), ExchangeError> {
        let first =
            if let Runtime::Cluster { cluster, workers, .. } = &runtime { cluster.process() * workers } else { 0 };
        let (ends, flow) = (Mutex::new(ends), self.clone());
        let ran = execute(runtime, self.options.failure(), move |worker| {
            let mut ends = ends.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let at = worker.index() - first;
            let Some(its) = ends[at].take() else {
                unreachable!("every worker is started once");
            };
            drop(ends);
            match Exchange::new(&flow.options, worker) {
                Ok(exchange) => flow.build(worker, &exchange, its, at == 0),
                Err(error) => flow.trouble.failure.set(error),
            }
        });
        ran.map(drop)
    }

    /// The dataflow of one worker.
    fn build(&self, worker: &mut Worker, exchange: &Exchange, (inlet, part): Ends, first: bool) {
        let gate = exchange.gate();
        let converter = Converter { intake: self.plan.intake(), trouble: self.trouble.clone() };
        worker.dataflow::<u64, _, _>(|scope| {
            let batches = source(scope, exchange, &gate, inlet, converter).shard_accumulate(exchange, &gate);
            if self.changes {
                self.write_changes(batches, exchange, part, first);
            } else {
                self.clone().write(batches, exchange, part, first);
            }
        });
    }

    /// Writes what each commit changes, on the merger thread. The `first` worker of the process counts commits.
    fn write_changes(&self, batches: Batches<'_>, exchange: &Exchange, part: Part, first: bool) {
        let changed = Changed::new(part, first.then(|| self.observer.clone()));
        let paid = exchange.memory().consumer().empty_lease();
        let write = WriteChanges::new(&self.plan, changed.clone(), self.observer.clone(), self.trouble.clone(), paid);
        let write = match write {
            Ok(write) => write,
            Err(error) => return self.trouble.set(error),
        };
        let (flow, merger) = (self.clone(), exchange.merger().clone());
        // Commits below `next` have a batch, or it is noted that they have none.
        let (mut next, mut full) = (0, BTreeSet::new());
        let noted = batches.unary_frontier(Pipeline, "commits", move |_, _| {
            move |(input, frontier), output| {
                input.for_each(|capability, batches| {
                    full.insert(*capability.time());
                    output.session(&capability).give_container(batches);
                });
                let (before, over) = (next, frontier.is_empty());
                let announced = || flow.commits.load(Ordering::Acquire).max(full.last().map_or(0, |last| last + 1));
                next = frontier.frontier().first().copied().unwrap_or_else(announced).max(next);
                if next == before && !over {
                    return;
                }
                changed.skip((before..next).filter(|commit| !full.contains(commit)));
                full = full.split_off(&next);
                if over {
                    changed.end_after(next);
                }
                let (changed, trouble) = (changed.clone(), flow.trouble.clone());
                merger.submit(move || {
                    if let Err(error) = changed.settle() {
                        trouble.set(error);
                    }
                });
            }
        });
        noted.reduce(exchange, "changes", write).sink(Pipeline, "written", |(input, _)| {
            // The output has them already; this takes the last of them off the stream.
            input.for_each(|_, _| {});
        });
    }

    /// Writes the one sealed batch of a worker, on its merger thread. The `first` worker of the process counts the commit.
    fn write(self, batches: Batches<'_>, exchange: &Exchange, part: Part, first: bool) {
        let (merger, memory, mut part) = (exchange.merger().clone(), exchange.memory().clone(), Some(part));
        batches.sink(Pipeline, "write", move |(input, frontier)| {
            let mut batch = None;
            input.for_each(|_, batches| batch = batches.pop());
            if batch.is_none() && !frontier.is_empty() {
                return;
            }
            if let Some(mut part) = part.take() {
                let (flow, paid) = (self.clone(), memory.consumer().empty_lease());
                merger.submit(move || {
                    if let Err(error) = flow.write_groups(batch, &mut part, paid) {
                        // The part is dropped after that: the others' end then, with an error that says less.
                        return flow.trouble.set(error);
                    }
                    match part.finish() {
                        Ok(()) if first => flow.observer.committed(),
                        Ok(()) => {}
                        Err(error) => flow.trouble.set(error.into()),
                    }
                });
            }
        });
    }

    /// `paid` pays for groups of which there is no batch yet.
    fn write_groups(
        &self,
        batch: Option<Sealed<KeyedRows>>,
        part: &mut Part,
        mut paid: Lease,
    ) -> Result<(), TableError> {
        if let Some(batch) = batch {
            let mut cursor = batch.into_cursor()?;
            let (mut finisher, mut out) = (self.plan.finisher(), Vec::new());
            let mut write = |out: &mut Vec<RecordBatch>| {
                out.drain(..).try_for_each(|batch| {
                    self.observer.wrote(batch.num_rows());
                    part.write(&batch)
                })
            };
            while let Some(block) = cursor.next_block()? {
                if self.trouble.is_set() {
                    return Ok(());
                }
                finisher.push(&block, &mut out)?;
                write(&mut out)?;
                let bytes = finisher.bytes();
                paid.shrink_to(bytes);
                // Never refused: only results make room.
                paid.grow_head(bytes - paid.bytes());
            }
            finisher.finish(&mut out)?;
            write(&mut out)?;
        }
        Ok(())
    }
}

/// What workers have of each commit.
type Batches<'scope> = Stream<'scope, u64, Vec<Sealed<KeyedRows>>>;

/// Where a worker's batches come from.
type Inlet = crate::exchange::Intake<RecordBatch>;

/// What a worker begins with: where batches come from, and where its results go.
type Ends = (Inlet, Part);

/// To the first worker with room, from `next` on; without any, waits for the next one.
fn deal(
    senders: &[IntakeSender<RecordBatch>],
    next: &mut usize,
    commit: u64,
    batch: RecordBatch,
    lease: Lease,
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
