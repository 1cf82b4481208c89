//! Results out: rows from several threads into one file, encoded in parallel, whole or not at all.
//!
//! ```text
//!   Part 0 --.  in turns   encoders (threads of a pipeline)   one thread
//!   Part 1 --+-----------> row group, lines ----------------> Sink ---> Place: temporary name, publish
//!   Part n --'   blocks                           in order
//! ```
//!
//! Each thread that has results gets a [`Part`]. A part gathers a block of rows and hands it over when it is its turn:
//! part 0, part 1, ..., part 0 again. So the order of the rows, and every byte, is a function of what each part is given
//! and of the memory's limit, whatever the threads' timing.
//!
//! # Memory
//! A part has at most one block, paid for from the start, and the pipeline's queue and results are leased. A block is
//! 131,072 rows or 4 MiB for Parquet (it becomes a row group), 32,768 rows or 1 MiB for lines, and less if all of them
//! together would take more than an eighth of the memory. What Parquet's footer says of a row group (some hundred bytes
//! a column) stays until the end and is not counted.
//!
//! # Compression
//! Parquet is written with zstd level 1, without a dictionary where there are more than some thousand values.
//!
//! # Failure
//! The first error ends it, and every part returns it. Nothing is published then, and nothing is left of what was
//! written. A part that is dropped before it is [finished](Part::finish) counts as an error, so a thread that fails needs
//! only to let go of its part.

mod block;
mod encoder;
mod error;
mod format;
mod options;
mod place;
mod sink;
mod spool;
mod turns;

pub use error::OutputError;
pub use format::OutputFormat;
pub use options::OutputOptions;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use forebay::{Budget, CancelToken, Cause, Feed, Lease, Pipeline, RunError, Snapshot};

use block::{Block, Encoded, Item, bytes_of};
use encoder::Encoder;
pub use place::Left;
use place::Place;
pub(crate) use place::Unpublished;
use sink::Sink;
use turns::{Stand, Turns};

/// The least that a block is allowed to take, in bytes.
const LEAST: usize = 64 << 10;

/// The share of the memory that blocks may take together.
const SHARE: usize = 8;

/// The column before changes: the number of the commit.
const COMMIT: &str = "commit";

/// The column behind changes: +1 for a row that came, -1 for one that went.
const CHANGE: &str = "change";

/// What was written.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// Rows.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
    /// What the pipeline of the encoders did.
    pub engine: Snapshot,
}

/// Results that are being written. Dropped before it is [published](Self::publish), nothing is left of them.
#[derive(Debug)]
pub struct Output {
    /// Before the place: who still writes must have ended when the name goes.
    shared: Arc<Shared>,
    sink: Arc<Mutex<Option<Sink>>>,
    place: Option<Place>,
    complete: bool,
    format: OutputFormat,
}

/// What one thread writes of an [`Output`].
pub struct Part {
    number: usize,
    shared: Arc<Shared>,
    schema: SchemaRef,
    block: Block,
    /// Rows and bytes of a block.
    bounds: (usize, usize),
    finished: bool,
    /// Pays for the block.
    _lease: Lease,
}

type Encoders = Feed<Item, (usize, Encoded), OutputError>;

/// What the parts share.
#[derive(Debug)]
struct Shared {
    fate: Arc<Fate>,
    /// Whose turn it is sends. `None` when it is over.
    feed: Mutex<Option<Encoders>>,
}

/// How it goes.
#[derive(Debug)]
struct Fate {
    turns: Turns,
    failed: Mutex<Option<OutputError>>,
}

impl Fate {
    /// Ends everything with the first error.
    fn fail(&self, error: OutputError) {
        lock(&self.failed).get_or_insert(error);
        self.turns.end();
    }

    fn error(&self) -> OutputError {
        lock(&self.failed).clone().unwrap_or(OutputError::Cancelled)
    }
}

impl Output {
    /// Begins to write rows of `schema` that `parts` threads have. What waits is paid from `budget`. The place is
    /// claimed now, so that one that cannot be written is known before any work is done.
    ///
    /// # Errors
    /// [`OutputError`]; nothing is left then.
    pub fn create(
        options: &OutputOptions,
        schema: &SchemaRef,
        parts: usize,
        budget: &Budget,
        cancel: &CancelToken,
    ) -> Result<(Output, Vec<Part>), OutputError> {
        let format = options.format()?;
        let schema = if options.changes { with_changes(schema)? } else { Arc::clone(schema) };
        let (place, stream) = match (&options.target, options.part) {
            (None, _) => Place::standard_output()?,
            (Some(path), None) => Place::file(path)?,
            (Some(dir), Some(process)) => Place::part(dir, process, format, options.fresh)?,
        };
        let spool = (options.changes && options.target.is_none()).then_some(options.scratch.as_path());
        let (encoder, sink) = match format {
            OutputFormat::Parquet => {
                let (writer, encoder) = encoder::parquet(stream, &schema)?;
                (encoder, Sink::parquet(writer))
            }
            OutputFormat::Table => (Encoder::Table, Sink::table(stream, Arc::clone(&schema), options.shown)),
            OutputFormat::Ndjson => (Encoder::Ndjson, Sink::lines(stream, Vec::new(), spool)),
            OutputFormat::Csv | OutputFormat::Tsv => {
                let delimiter = if format == OutputFormat::Tsv { b'\t' } else { b',' };
                let header = encoder::csv_header(delimiter, &schema)?;
                (Encoder::Csv(delimiter), Sink::lines(stream, header, spool))
            }
        };
        let (rows, bytes) = encoder.bounds();
        let most = budget.limit() / (SHARE * (parts + options.workers));
        let bounds = (rows, bytes.min(most).max(LEAST));
        // Who gathers is never refused: the room is set aside.
        let consumer = budget.consumer("output", parts * bounds.1).map_err(OutputError::Memory)?;
        let fate = Arc::new(Fate { turns: Turns::new(parts), failed: Mutex::new(None) });
        let sink = Arc::new(Mutex::new(Some(sink)));
        let feed = encoders(options.workers, bounds.1, budget, cancel, encoder, &fate, &sink)?;
        let shared = Arc::new(Shared { fate, feed: Mutex::new(Some(feed)) });
        let part = |number| {
            Ok(Part {
                number,
                shared: Arc::clone(&shared),
                schema: Arc::clone(&schema),
                block: Block::default(),
                bounds,
                finished: false,
                _lease: consumer.try_lease(bounds.1).map_err(OutputError::Memory)?,
            })
        };
        let parts = (0..parts).map(part).collect::<Result<_, _>>()?;
        Ok((Output { shared, sink, place: Some(place), complete: false, format }, parts))
    }

    /// What is left if the process ends before this is dropped.
    pub(crate) fn unpublished(&self) -> Option<Unpublished> {
        self.place.as_ref().map(Place::unpublished)
    }

    /// Waits until what the parts have written is in the file, which has its temporary name still.
    ///
    /// # Errors
    /// The first error of all that there were; [`OutputError::Unfinished`] if a part is not finished.
    ///
    /// # Panics
    /// If an encoder panicked.
    pub fn complete(&mut self) -> Result<Written, OutputError> {
        let fate = &self.shared.fate;
        if !fate.turns.all_finished() {
            fate.fail(OutputError::Unfinished);
            return Err(fate.error());
        }
        let Some(feed) = lock(&self.shared.feed).take() else { return Err(fate.error()) };
        let engine = feed.finish().map_err(|error| reason(error, fate))?;
        let Some(sink) = lock(&self.sink).take() else { return Err(fate.error()) };
        let (rows, bytes) = sink.finish()?;
        self.complete = true;
        Ok(Written { rows, bytes, engine })
    }

    /// Gives the file its name, after [`complete`](Self::complete).
    ///
    /// # Errors
    /// [`OutputError::Unfinished`] if it is not complete, and what the system says. Nothing is left then.
    pub fn publish(mut self) -> Result<(), OutputError> {
        self.prepare()?;
        self.name()?;
        self.keep()
    }

    /// Does all of [`publish`](Self::publish) that is slow or may fail, and gives a number by which the file can be known.
    pub(crate) fn prepare(&self) -> Result<u64, OutputError> {
        self.whole()?.prepare()
    }

    /// Gives the file its name. It goes with this, until it is [kept](Self::keep).
    pub(crate) fn name(&self) -> Result<(), OutputError> {
        self.whole()?.name()
    }

    /// Others are going to count on the file.
    pub(crate) fn told(&self) {
        let _ = self.whole().map(Place::told);
    }

    /// The file stays.
    pub(crate) fn keep(&mut self) -> Result<(), OutputError> {
        self.place.take().map_or(Ok(()), Place::keep)
    }

    /// Takes the file away again, and the parts of `others`, which have these marks, where they are in the same directory. The
    /// name that it had, and which of the others' were there.
    pub(crate) fn withdraw(mut self, others: &[(usize, u64)]) -> (PathBuf, Vec<usize>) {
        let Some(place) = self.place.take() else { return Default::default() };
        (place.path().to_owned(), place.withdraw(others, self.format))
    }

    fn whole(&self) -> Result<&Place, OutputError> {
        self.place.as_ref().filter(|_| self.complete).ok_or(OutputError::Unfinished)
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // Parts that are waiting for their turn wait for nothing.
        self.shared.fate.fail(OutputError::Cancelled);
    }
}

/// Starts the threads.
fn encoders(
    workers: usize,
    block: usize,
    budget: &Budget,
    cancel: &CancelToken,
    encoder: Encoder,
    fate: &Arc<Fate>,
    sink: &Arc<Mutex<Option<Sink>>>,
) -> Result<Encoders, OutputError> {
    let (at_work, at_sink, sink) = (Arc::clone(fate), Arc::clone(fate), Arc::clone(sink));
    let work = move |item: Item| {
        let rows = if let Item::Block(block) = &item { block.rows } else { 0 };
        let encoded = encoder.encode(item).inspect_err(|error| at_work.fail(error.clone()))?;
        Ok((rows, encoded))
    };
    let take = move |(rows, encoded)| {
        let taken = lock(&sink).as_mut().map_or(Ok(()), |sink| sink.take(rows, encoded));
        taken.inspect_err(|error| at_sink.fail(error.clone()))
    };
    let pipeline = Pipeline::new().name("output").workers(workers).budget(budget).minimum((workers + 1) * block);
    // Blocks are large: each is work for one thread.
    pipeline.batch(1).window(4 * workers + 1).cancel(cancel).feed(work, take).map_err(|error| reason(error, fate))
}

/// What ended the pipeline.
fn reason(error: RunError<OutputError>, fate: &Fate) -> OutputError {
    let error = match error.cause {
        Cause::Source(error) | Cause::Work { error, .. } | Cause::Sink { error, .. } => error,
        Cause::Budget(error) => OutputError::Memory(error),
        Cause::Thread(error) => OutputError::Thread(Arc::new(error)),
        _ => OutputError::Cancelled,
    };
    fate.fail(error);
    fate.error()
}

/// The columns of changes to rows of `schema`.
fn with_changes(schema: &SchemaRef) -> Result<SchemaRef, OutputError> {
    for column in [COMMIT, CHANGE] {
        if schema.field_with_name(column).is_ok() {
            return Err(OutputError::Reserved { column });
        }
    }
    let mut fields = vec![Arc::new(Field::new(COMMIT, DataType::Int64, false))];
    fields.extend(schema.fields().iter().cloned());
    fields.push(Arc::new(Field::new(CHANGE, DataType::Int64, false)));
    Ok(Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone())))
}

impl Part {
    /// Adds rows. Waits for its turn, and for room, when a block is full.
    ///
    /// # Errors
    /// What ended the output; the first error of all parts.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), OutputError> {
        if batch.schema_ref().fields().len() != self.schema.fields().len() {
            let error = OutputError::encode("rows of this output", "they have other columns");
            self.shared.fate.fail(error);
            return Err(self.shared.fate.error());
        }
        let (rows, bytes) = self.bounds;
        let row = (bytes_of(batch) / batch.num_rows().max(1)).max(1);
        let mut done = 0;
        while done < batch.num_rows() {
            let room = (rows - self.block.rows).min(bytes.saturating_sub(self.block.bytes) / row);
            if room == 0 && self.block.rows > 0 {
                self.hand_over()?;
                continue;
            }
            let take = room.max(1).min(batch.num_rows() - done);
            self.block.add(batch.slice(done, take), take * row);
            done += take;
        }
        Ok(())
    }

    /// Adds changes of the commit of this number: rows, and for each by how much its number has changed. For an output
    /// with [`changes`](OutputOptions::changes).
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_changes(&mut self, commit: u64, rows: &RecordBatch, change: Int64Array) -> Result<(), OutputError> {
        let number = i64::try_from(commit).unwrap_or(i64::MAX);
        let mut columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from_value(number, rows.num_rows()))];
        columns.extend(rows.columns().iter().cloned());
        columns.push(Arc::new(change));
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns);
        self.write(&batch.map_err(|error| OutputError::encode("changes", error))?)
    }

    /// Nothing more of this commit comes from this part; what it writes next is of the one after it. For an output with
    /// [`changes`](OutputOptions::changes), where every part says so of every commit.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn commit(&mut self) -> Result<(), OutputError> {
        self.end(Stand::Committed)
    }

    /// Everything has been written.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn finish(mut self) -> Result<(), OutputError> {
        self.end(Stand::Finished)?;
        self.finished = true;
        Ok(())
    }

    /// Hands over what there is, says how this part stands, and ends the commit if that completes it.
    fn end(&mut self, stand: Stand) -> Result<(), OutputError> {
        let shared = Arc::clone(&self.shared);
        let turn = shared.fate.turns.wait(self.number).ok_or_else(|| shared.fate.error())?;
        self.send_block()?;
        if turn.stand(stand) { shared.send(Item::Commit) } else { Ok(()) }
    }

    fn hand_over(&mut self) -> Result<(), OutputError> {
        let shared = Arc::clone(&self.shared);
        let _turn = shared.fate.turns.wait(self.number).ok_or_else(|| shared.fate.error())?;
        self.send_block()
    }

    /// Only in its turn.
    fn send_block(&mut self) -> Result<(), OutputError> {
        match std::mem::take(&mut self.block) {
            block if block.rows == 0 => Ok(()),
            block => self.shared.send(Item::Block(block)),
        }
    }
}

impl Shared {
    fn send(&self, item: Item) -> Result<(), OutputError> {
        let sent = lock(&self.feed).as_mut().is_some_and(|feed| feed.send(item).is_ok());
        if sent { Ok(()) } else { Err(self.fate.error()) }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.finished {
            self.shared.fate.fail(OutputError::Unfinished);
        }
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("number", &self.number).field("block", &self.block.rows).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
