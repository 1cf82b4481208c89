//! `Job`: a group-by with everything that it needs, as [`run`](super::run) takes it, and what comes of it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use forebay::{CancelToken, Location, SegmentStore, Snapshot};

use super::output::{Left, Unpublished};
use super::{InputOptions, MalformedRow, OutputOptions, Query};
use crate::hooks::SpillSnapshot;

/// A group-by over files.
#[derive(Debug, Default)]
pub struct Job {
    /// What is asked.
    pub query: Query,
    /// The files; none: standard input.
    pub inputs: Vec<PathBuf>,
    /// How they are read.
    pub input: InputOptions,
    /// Where results go. Whether they are the changes of each commit is said there.
    pub output: OutputOptions,
    /// Workers of this process; 0: one per core.
    pub workers: usize,
    /// The most bytes of memory for what waits, in this process. Default: 1 GiB, or a quarter of what the process's
    /// control groups allow, if that is less.
    pub memory: Option<usize>,
    /// Where what does not fit goes. Default: nowhere, and memory that is too little ends the run.
    pub spill: Option<SegmentStore>,
    /// The other processes of the run. Default: there are none.
    pub processes: Option<Processes>,
    /// Ends it.
    pub cancel: CancelToken,
}

/// The processes of a run, and which one this is.
#[derive(Clone, Debug)]
pub struct Processes {
    /// The file with the address of each, one a line.
    pub hosts: PathBuf,
    /// The number of this one, from 0: its line.
    pub process: usize,
    /// The file with the secret that proves to be one of them.
    pub secret: Option<PathBuf>,
    /// How long one may be silent, or take to connect.
    pub deadline: Duration,
}

/// What a run did, of this process.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// Rows read.
    pub rows_in: u64,
    /// Bytes that were decoded for them.
    pub bytes_in: u64,
    /// Rows left out because they do not decode.
    pub malformed_rows: u64,
    /// Lines that these have.
    pub malformed_lines: u64,
    /// The first of them.
    pub malformed: Vec<MalformedRow>,
    /// Commits.
    pub commits: u64,
    /// Groups at the end, or with changes, changes.
    pub rows_out: u64,
    /// Bytes written for them.
    pub bytes_out: u64,
    /// Workers.
    pub workers: u64,
    /// Workers that accumulated at least one row.
    pub workers_used: u64,
    /// Rows that were sent to the worker that owns their key.
    pub rows_sent: u64,
    /// Those of them that another worker sent.
    pub rows_moved: u64,
    /// Bytes of these.
    pub bytes_sent: u64,
    /// For what was waited, and how long.
    pub waits: Vec<Wait>,
    /// What the operators did, and how long it took them.
    pub operators: Vec<OperatorTimes>,
    /// What was spilled and read back.
    pub engine: Snapshot,
    /// What timely's queues spilled; none without other processes, or without a place for it.
    pub queues: Option<SpillSnapshot>,
    /// Where it was spilled to.
    pub spill: Option<Location>,
}

/// A reason for waiting.
#[derive(Clone, Debug)]
pub struct Wait {
    /// As in "waited for REASON".
    pub reason: &'static str,
    /// How often.
    pub times: u64,
    /// How long, of all workers together.
    pub time: Duration,
}

/// How often an operator ran, and how long.
#[derive(Clone, Debug)]
pub struct OperatorTimes {
    /// Its name: `source` makes rows of batches, `partition` sends them, `accumulate` takes them in, sorts and spills them;
    /// on the threads that merge, `seal` completes a commit and `reduce` finds what it changes.
    pub name: &'static str,
    /// How often it ran.
    pub times: u64,
    /// How long, of all workers together.
    pub time: Duration,
}

/// Reads how far a run is, from any thread. Cloning gives another handle.
#[derive(Clone, Debug, Default)]
pub struct Observer {
    rows_in: Arc<AtomicU64>,
    commits: Arc<AtomicU64>,
    rows_out: Arc<AtomicU64>,
    /// Removes what is not published.
    unpublished: Arc<OnceLock<Unpublished>>,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Rows read.
    pub rows_in: u64,
    /// Commits that are complete.
    pub commits: u64,
    /// Results, or changes.
    pub rows_out: u64,
}

impl Observer {
    /// Of a run that has not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// How far the run is.
    pub fn progress(&self) -> Progress {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Progress { rows_in: read(&self.rows_in), commits: read(&self.commits), rows_out: read(&self.rows_out) }
    }

    /// Removes what is written and not published, for a process that must end before [`run`](super::run) has returned.
    /// Says what is left: a part that other processes may count on already stays.
    pub fn discard(&self) -> Left {
        self.unpublished.get().map_or(Left::Nothing, Unpublished::discard)
    }

    pub(crate) fn writes(&self, unpublished: Unpublished) {
        // A run has one output.
        let _ = self.unpublished.set(unpublished);
    }

    pub(crate) fn read(&self, rows: usize) {
        self.rows_in.fetch_add(rows as u64, Ordering::Relaxed);
    }

    pub(crate) fn committed(&self) {
        self.commits.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn wrote(&self, rows: usize) {
        self.rows_out.fetch_add(rows as u64, Ordering::Relaxed);
    }
}
