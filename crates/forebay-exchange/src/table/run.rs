//! `run`: a group-by from its files to its results, on one thread.

use std::collections::BTreeMap;

use arrow::array::{Int64Array, RecordBatch};
use arrow::compute::concat_batches;
use arrow::row::{OwnedRow, RowConverter, SortField};
use forebay::{Budget, SpillStore};

use super::job::{AggregateError, Job, Observer, Report};
use super::{Inputs, KeyedRows, Output, Part, Piece, Plan, QueryError, Reading, Share, TableError};
use crate::rows::Rows;

/// The most memory, if nobody says how much.
const MEMORY: usize = 1 << 30;

/// What has been read so far.
struct State<'a> {
    plan: &'a Plan,
    /// Rows of all commits.
    rows: KeyedRows,
    /// With changes: the results of the last commit.
    results: Option<RecordBatch>,
    part: Part,
    observer: &'a Observer,
    commits: u64,
}

/// Runs `job` and says what it did. `observer` can be read meanwhile.
///
/// # Errors
/// [`AggregateError`]; nothing is published then.
pub fn run(job: Job, observer: &Observer) -> Result<Report, AggregateError> {
    let Job { query, inputs, input, output, workers: _, memory, spill, processes, cancel } = job;
    if processes.is_some() {
        let reason = "several processes are not supported".into();
        return Err(TableError::Option { option: "processes", reason }.into());
    }
    let budget = memory.map_or_else(|| Budget::modest(MEMORY), Budget::new);
    let workers = output.workers;
    let inputs = Inputs::open(&inputs, input)?;
    let plan = Plan::new(&query, inputs.schema())?;
    let (writing, mut parts) = Output::create(&output, plan.output_schema(), 1, &budget, &cancel)?;
    if let Some(unpublished) = writing.unpublished() {
        observer.writes(unpublished);
    }
    let Some(part) = parts.pop() else { unreachable!("one part was asked for") };
    let mut state = State { plan: &plan, rows: KeyedRows::default(), results: None, part, observer, commits: 0 };
    let mut intake = plan.intake();
    let reading = Reading { workers, budget: budget.clone(), cancel };
    let read = inputs.read(plan.columns(), Share::ALL, reading, |piece| match piece {
        Piece::Rows { batch, .. } => {
            observer.read(batch.num_rows());
            intake.push(&batch, &mut state.rows)
        }
        Piece::Commit(commit) => {
            intake.flush(&mut state.rows);
            state.commit(commit, output.changes)
        }
    })?;
    let State { mut part, rows, commits, .. } = state;
    if !output.changes {
        for batch in results(&plan, rows)? {
            observer.wrote(batch.num_rows());
            part.write(&batch)?;
        }
    }
    part.finish()?;
    let written = writing.publish()?;
    Ok(Report {
        rows_in: read.rows,
        bytes_in: read.bytes,
        malformed_rows: read.malformed_rows,
        malformed: read.malformed,
        commits,
        rows_out: written.rows,
        bytes_out: written.bytes,
        workers: 1,
        workers_used: 1,
        spill: spill.map(|store| store.location()),
        ..Report::default()
    })
}

fn results(plan: &Plan, mut rows: KeyedRows) -> Result<Vec<RecordBatch>, TableError> {
    rows.consolidate();
    let mut batches = Vec::new();
    let mut finisher = plan.finisher();
    finisher.push(&rows, &mut batches)?;
    finisher.finish(&mut batches)?;
    Ok(batches)
}

impl State<'_> {
    fn commit(&mut self, commit: u64, changes: bool) -> Result<(), TableError> {
        self.commits += 1;
        if changes {
            self.changes(commit)?;
        }
        self.observer.committed();
        Ok(())
    }

    /// Writes in what the results differ from those of the commit before.
    fn changes(&mut self, commit: u64) -> Result<(), TableError> {
        self.rows.consolidate();
        let schema = self.plan.output_schema();
        let failed = |error| TableError::from(QueryError::arrow("comparing results", error));
        let results = concat_batches(schema, &results(self.plan, self.rows.clone())?).map_err(failed)?;
        let fields = schema.fields().iter().map(|field| SortField::new(field.data_type().clone()));
        let converter = RowConverter::new(fields.collect()).map_err(failed)?;
        let mut rows: BTreeMap<OwnedRow, i64> = BTreeMap::new();
        for (batch, change) in self.results.iter().map(|batch| (batch, -1)).chain([(&results, 1)]) {
            for row in &converter.convert_columns(batch.columns()).map_err(failed)? {
                *rows.entry(row.owned()).or_default() += change;
            }
        }
        rows.retain(|_, change| *change != 0);
        let columns = converter.convert_rows(rows.keys().map(OwnedRow::row)).map_err(failed)?;
        if !rows.is_empty() {
            let batch = RecordBatch::try_new(schema.clone(), columns).map_err(failed)?;
            self.observer.wrote(batch.num_rows());
            self.part.write_changes(commit, &batch, Int64Array::from_iter_values(rows.into_values()))?;
        }
        self.results = Some(results);
        self.part.commit().map_err(TableError::from)
    }
}
