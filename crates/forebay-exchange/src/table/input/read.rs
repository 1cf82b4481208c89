//! Joins schedule, workers and commits in one pipeline.

use arrow::array::RecordBatch;
use forebay::{Cause, Consumer, Lease, Pipeline, RunError, Weigh};

use super::commits::Commits;
use super::decoded::Decoded;
use super::layout::{Layout, layouts};
use super::parquet_file::Part;
use super::row::Malformed;
use super::schedule::{Missing, Schedule, Sizes, Unit, UnitKind};
use super::{Inputs, Piece, ReadReport, Reading};
use crate::table::TableError;

/// Units in flight, for each worker: enough that none waits while the oldest is decoded.
const AHEAD: usize = 4;

/// The least of a unit, in bytes. Less, and dictionaries are decoded more often than they are used.
const LEAST: usize = 128 << 10;
/// The most text in a unit.
const MOST_TEXT: usize = 1 << 20;
/// The most that a part of Parquet decodes to. More only keeps more in memory: it takes as long.
const MOST_PART: usize = 2 << 20;

/// What a worker made of a unit.
struct Done {
    input: usize,
    ended: bool,
    bytes: u64,
    decoded: Decoded,
    /// What it left to whoever delivers, because it takes more than was thought.
    rest: Option<Part>,
}

impl Weigh for Done {
    fn weight(&self) -> usize {
        size_of::<Self>() + self.decoded.weight()
    }
}

/// Reads the inputs of the share.
pub(super) fn read(
    inputs: Inputs,
    columns: &[usize],
    reading: Reading,
    deliver: impl FnMut(Piece) -> Result<(), TableError>,
) -> Result<ReadReport, TableError> {
    let Reading { workers, budget, cancel } = reading;
    let workers = workers.max(1);
    let every = inputs.options.commit_every;
    let (piece, longest) = (inputs.options.piece, inputs.options.longest_row);
    let (layouts, streams) = layouts(inputs, columns);

    // With commits a unit of each input may wait.
    let holders = if every.is_some() { workers.max(streams.len()) } else { workers };
    // A quarter of the budget at most: what is made of the rows needs the rest.
    let fair = budget.limit() / (4 * AHEAD * holders);
    let piece = piece.unwrap_or(fair.clamp(LEAST, MOST_TEXT));
    let sizes = Sizes { piece, part: fair.clamp(LEAST, MOST_PART), longest };

    let missing = Missing::new(streams.len());
    let commits = every.map(|every| Commits::new(every, streams.len()));
    let held = budget.consumer("rows of later commits", 0)?.empty_lease();
    let pages = budget.consumer("pages", 0)?;
    let layouts = &layouts[..];
    let mut sink = Sink { deliver, layouts, commits, held, pages, rows: 0, bytes: 0, malformed: Malformed::default() };

    let decode = |unit: Unit| {
        let (decoded, rest) = layouts[unit.input].decode(&unit)?;
        let left = rest.as_ref().map_or(0, |rest| rest.rows as u64);
        missing.add(unit.input, unit.expected_rows(), decoded.rows + left);
        let ended = matches!(unit.kind, UnitKind::End);
        Ok(Done { input: unit.input, ended, bytes: unit.bytes(), decoded, rest })
    };
    let outcome = Pipeline::new()
        .name("input")
        .workers(workers)
        .budget(&budget)
        .window(AHEAD * workers)
        .outstanding((AHEAD * workers) as u64)
        .batch(1)
        .cancel(&cancel)
        .run(Schedule::new(streams, sizes, every, &missing), decode, |done| sink.take(done));
    let snapshot = outcome.map_err(ended_by)?;
    sink.finish()?;
    let Sink { rows, bytes, malformed, .. } = sink;
    Ok(ReadReport {
        rows,
        bytes,
        malformed_rows: malformed.count,
        malformed_lines: malformed.lines,
        malformed: malformed.first,
        snapshot,
    })
}

/// The caller's side.
struct Sink<'l, D> {
    deliver: D,
    layouts: &'l [Layout],
    commits: Option<Commits>,
    /// Pays for what waits for its commit.
    held: Lease,
    /// Pays for pages that are as large as who wrote the file would have them.
    pages: Consumer,
    rows: u64,
    bytes: u64,
    malformed: Malformed,
}

impl<D: FnMut(Piece) -> Result<(), TableError>> Sink<'_, D> {
    fn take(&mut self, done: Done) -> Result<(), TableError> {
        let Decoded { batches, rows, malformed } = done.decoded;
        self.rows += rows;
        self.bytes += done.bytes;
        self.malformed.append(malformed);
        self.hand_on(done.input, batches, done.ended)?;
        let Some(rest) = done.rest else { return Ok(()) };
        let layouts = self.layouts;
        let _pages = self.pages.lease_head(rest.pages);
        layouts[done.input].decode_rest(&rest, |batch| {
            self.rows += batch.num_rows() as u64;
            self.hand_on(done.input, vec![batch], false)
        })
    }

    fn hand_on(&mut self, input: usize, batches: Vec<RecordBatch>, ended: bool) -> Result<(), TableError> {
        let Some(commits) = &mut self.commits else {
            let rows = |batch: RecordBatch| Piece::Rows { commit: 0, batch };
            return batches.into_iter().map(rows).try_for_each(&mut self.deliver);
        };
        commits.push(input, batches, ended, &mut self.deliver)?;
        let (now, before) = (commits.waiting(), self.held.bytes());
        if now > before {
            // Never refused: nothing could be delivered without what waits here.
            self.held.grow_head(now - before);
        } else {
            self.held.shrink_to(now);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), TableError> {
        match &self.commits {
            Some(commits) => commits.finish(&mut self.deliver),
            None => (self.deliver)(Piece::Commit(0)),
        }
    }
}

fn ended_by(error: RunError<TableError>) -> TableError {
    match error.cause {
        Cause::Source(error) | Cause::Work { error, .. } | Cause::Sink { error, .. } => error,
        Cause::Budget(error) => TableError::Memory(error),
        Cause::Thread(error) => TableError::Thread { cause: error.into() },
        // Nothing is spilled here, so nothing else is left.
        _ => TableError::Cancelled,
    }
}
