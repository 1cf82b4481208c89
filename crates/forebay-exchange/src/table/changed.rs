//! `Changed`: what each commit changes, on its way from a worker's state to its part of the output.
//!
//! Everything here happens on the worker's merger thread, where commits come in order. A commit of which a worker has
//! no rows has no job there, but its part of the output must say so too, or the others wait for their turn: the dataflow
//! notes such commits, and they are said when their turn has come.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};

use arrow::array::{Array, Int64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use forebay::Lease;

use super::changes::{ChangeFinisher, ChangeReduce};
use super::error::TableError;
use super::job::Observer;
use super::keyed::{KeyedRow, KeyedRows};
use super::output::Part;
use super::plan::Plan;
use super::query_error::QueryError;
use super::run::Trouble;
use crate::error::ExchangeError;
use crate::operators::{Outlet, Reduce};
use crate::rows::{BLOCK, Rows};
use crate::runs::Group;

/// A worker's part of the output, and which commits it has said.
#[derive(Clone, Debug)]
pub(super) struct Changed {
    /// For the merger thread alone, which holds it while it waits for the part's turn.
    said: Arc<Mutex<Said>>,
    /// What the worker notes. Never held while anything is waited for: the turn may not come before the worker has
    /// gone on.
    noted: Arc<Mutex<Noted>>,
}

#[derive(Debug)]
struct Said {
    part: Option<Part>,
    /// The first commit that is not said yet.
    next: u64,
    /// Told of commits, by one of the workers.
    observer: Option<Observer>,
}

#[derive(Debug, Default)]
struct Noted {
    /// Commits that nothing comes of here.
    empty: BTreeSet<u64>,
    /// After this many commits nothing comes.
    commits: Option<u64>,
}

impl Changed {
    /// `observer` is told of commits.
    pub(super) fn new(part: Part, observer: Option<Observer>) -> Self {
        let said = Said { part: Some(part), next: 0, observer };
        Changed { said: Arc::new(Mutex::new(said)), noted: Arc::default() }
    }

    /// Nothing comes of these commits here. On the worker's own thread: it only notes it.
    pub(super) fn skip(&self, commits: impl Iterator<Item = u64>) {
        lock(&self.noted).empty.extend(commits);
    }

    /// Nothing comes after so many commits. On the worker's own thread.
    pub(super) fn end_after(&self, commits: u64) {
        lock(&self.noted).commits = Some(commits);
    }

    /// Says what is known of commits. Waits for the part's turn.
    ///
    /// # Errors
    /// What ended the output.
    pub(super) fn settle(&self) -> Result<(), TableError> {
        lock(&self.said).settle(&self.noted)
    }

    /// All rows of the commit are written.
    fn commit(&self, commit: u64) -> Result<(), TableError> {
        let mut said = lock(&self.said);
        said.reach(commit)?;
        said.say()?;
        said.settle(&self.noted)
    }

    fn write(&self, commit: u64, changes: &RecordBatch) -> Result<(), TableError> {
        let failed = |error| TableError::from(QueryError::arrow("writing changes", error));
        let (signs, rows) = changes.columns().split_last().ok_or(TableError::Cancelled)?;
        let signs = cast(signs, &DataType::Int64).map_err(failed)?;
        let Some(signs) = signs.as_any().downcast_ref::<Int64Array>() else { return Err(TableError::Cancelled) };
        let places: Vec<usize> = (0..rows.len()).collect();
        let rows: RecordBatch = changes.project(&places).map_err(failed)?;
        let mut said = lock(&self.said);
        said.reach(commit)?;
        match &mut said.part {
            Some(part) => Ok(part.write_changes(commit, &rows, signs.clone())?),
            None => Err(TableError::Cancelled),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Said {
    /// Says all before `commit`. Commits come in order: those that are left out had no rows here, which a job for
    /// `commit` may show before it is noted.
    fn reach(&mut self, commit: u64) -> Result<(), TableError> {
        while self.next < commit {
            self.say()?;
        }
        Ok(())
    }

    fn say(&mut self) -> Result<(), TableError> {
        self.next += 1;
        if let Some(part) = &mut self.part {
            part.commit()?;
        }
        if let Some(observer) = &self.observer {
            observer.committed();
        }
        Ok(())
    }

    fn settle(&mut self, noted: &Mutex<Noted>) -> Result<(), TableError> {
        loop {
            let is_empty = {
                let mut noted = lock(noted);
                noted.empty = noted.empty.split_off(&self.next);
                noted.empty.remove(&self.next)
            };
            if !is_empty {
                break;
            }
            self.say()?;
        }
        let commits = lock(noted).commits;
        if commits.is_some_and(|commits| self.next >= commits)
            && let Some(part) = self.part.take()
        {
            part.finish()?;
        }
        Ok(())
    }
}

/// Gives nothing out: what a commit changes goes to the part of the output at once.
#[derive(Debug)]
pub(super) struct WriteChanges {
    reduce: ChangeReduce,
    finisher: Option<ChangeFinisher>,
    plan: Plan,
    changed: Changed,
    observer: Observer,
    trouble: Trouble,
    batches: Vec<RecordBatch>,
    /// Pays for changes of which there is no batch yet.
    paid: Lease,
    /// The commit in hand.
    commit: u64,
}

impl WriteChanges {
    /// `paid` pays nothing yet.
    pub(super) fn new(
        plan: &Plan,
        changed: Changed,
        observer: Observer,
        trouble: Trouble,
        paid: Lease,
    ) -> Result<Self, TableError> {
        let (reduce, plan, batches) = (plan.changes()?, plan.clone(), Vec::new());
        Ok(WriteChanges { reduce, finisher: None, plan, changed, observer, trouble, batches, paid, commit: 0 })
    }

    /// Hands `rows` on, of the commit that is in hand.
    fn take(&mut self, rows: &mut KeyedRows, last: bool) -> Result<(), TableError> {
        let mut finisher = self.finisher.take().unwrap_or_else(|| self.plan.change_finisher());
        finisher.push(rows, &mut self.batches)?;
        rows.clear();
        let bytes = if last { 0 } else { finisher.bytes() };
        if last {
            finisher.finish(&mut self.batches)?;
        } else {
            self.finisher = Some(finisher);
        }
        self.paid.shrink_to(bytes);
        // Never refused: only changes that are written make room.
        self.paid.grow_head(bytes - self.paid.bytes());
        for batch in self.batches.drain(..) {
            self.observer.wrote(batch.num_rows());
            self.changed.write(self.commit, &batch)?;
        }
        Ok(())
    }

    /// The run's trouble says what it was.
    fn failed(&self, error: TableError) -> ExchangeError {
        let reason = error.to_string();
        self.trouble.set(error);
        ExchangeError::Ended { reason }
    }
}

impl Reduce<KeyedRows> for WriteChanges {
    type State = KeyedRows;
    type Out = KeyedRows;

    fn state(&self) -> KeyedRows {
        self.reduce.state()
    }

    fn out(&self) -> KeyedRows {
        self.reduce.out()
    }

    fn keep(&self, row: KeyedRow<'_>, state: &mut KeyedRows) {
        self.reduce.keep(row, state);
    }

    fn begin(&mut self, commit: u64) {
        self.commit = commit;
    }

    fn group(
        &mut self,
        group: &mut Group<'_, '_, KeyedRows>,
        out: &mut Outlet<'_, KeyedRows>,
    ) -> Result<(), ExchangeError> {
        self.reduce.group(group, out)?;
        if out.rows().bytes() >= BLOCK {
            self.take(out.rows(), false).map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    fn end(&mut self, out: &mut Outlet<'_, KeyedRows>) -> Result<(), ExchangeError> {
        let written = self.take(out.rows(), true).and_then(|()| self.changed.commit(self.commit));
        written.map_err(|error| self.failed(error))
    }
}
