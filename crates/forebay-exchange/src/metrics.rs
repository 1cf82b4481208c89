//! `ExchangeMonitor` and `ExchangeSnapshot`: what the workers of a process have done and are doing.
//!
//! Each worker has its own counters, and a look adds them up: a counter that two workers raised for every container
//! would go back and forth between their caches all the time.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use forebay::{Budget, Histogram, Monitor};

/// Counts up.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Goes up and down, and keeps the most there was.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    now: AtomicU64,
    most: AtomicU64,
}

impl Gauge {
    pub(crate) fn add(&self, count: u64) {
        let now = self.now.fetch_add(count, Ordering::Relaxed) + count;
        self.most.fetch_max(now, Ordering::Relaxed);
    }

    pub(crate) fn sub(&self, count: u64) {
        self.now.fetch_sub(count, Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    fn most(&self) -> u64 {
        self.most.load(Ordering::Relaxed)
    }
}

/// How often something took how long.
#[derive(Default)]
pub(crate) struct Spans {
    nanos: Mutex<(Histogram, u64)>,
}

impl Spans {
    pub(crate) fn record(&self, span: Duration) {
        let nanos = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        let mut all = self.lock();
        all.0.record(nanos);
        all.1 = all.1.saturating_add(nanos);
    }

    /// Records the time until what it returns is dropped.
    pub(crate) fn activated(&self) -> Activation<'_> {
        Activation { spans: self, since: Instant::now() }
    }

    fn add_to(&self, times: &mut Times) {
        let all = self.lock();
        times.nanos.merge(&all.0);
        times.total += Duration::from_nanos(all.1);
    }

    fn lock(&self) -> MutexGuard<'_, (Histogram, u64)> {
        self.nanos.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl fmt::Debug for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Spans").field(&Duration::from_nanos(self.lock().1)).finish()
    }
}

pub(crate) struct Activation<'a> {
    spans: &'a Spans,
    since: Instant,
}

impl Drop for Activation<'_> {
    fn drop(&mut self) {
        self.spans.record(self.since.elapsed());
    }
}

/// The counters of all workers of a process, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    workers: Mutex<BTreeMap<usize, Arc<Metrics>>>,
}

impl Counted {
    /// Those of one worker.
    pub(crate) fn by(&self, worker: usize) -> Arc<Metrics> {
        Arc::clone(self.lock().entry(worker).or_default())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Arc<Metrics>>> {
        self.workers.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Counters of one worker and its merger thread.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) rows_sent: Counter,
    pub(crate) rows_moved: Counter,
    pub(crate) bytes_sent: Counter,
    pub(crate) rows_received: Counter,
    pub(crate) workers_used: Counter,
    pub(crate) in_flight: Gauge,
    pub(crate) open_commits: Gauge,
    pub(crate) credit_waits: Spans,
    pub(crate) commit_waits: Spans,
    pub(crate) commit: Spans,
    pub(crate) runs: Counter,
    pub(crate) runs_spilled: Counter,
    pub(crate) merged_early: Counter,
    pub(crate) refused: Counter,
    pub(crate) memory_waits: Spans,
    pub(crate) overdrawn: Counter,
    pub(crate) source: Spans,
    pub(crate) partition: Spans,
    pub(crate) accumulate: Spans,
    pub(crate) seal: Spans,
    pub(crate) reduce: Spans,
}

/// How often something happened and how long it took.
#[derive(Clone, Debug, Default)]
pub struct Times {
    /// Nanoseconds of each.
    pub nanos: Histogram,
    /// All together.
    pub total: Duration,
}

/// What the workers of this process have done so far.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ExchangeSnapshot {
    /// Rows that left `partition`, to other workers and to their own.
    pub rows_sent: u64,
    /// Those of them that went to another worker.
    pub rows_moved: u64,
    /// Bytes that all of them took in memory.
    pub bytes_sent: u64,
    /// Rows that arrived at `accumulate`.
    pub rows_received: u64,
    /// Workers at which any arrived.
    pub workers_used: u64,
    /// Bytes sent from here of which no receipt has come.
    pub bytes_in_flight: u64,
    /// The most of them at a time: of each worker, added up.
    pub bytes_in_flight_most: u64,
    /// Commits of which rows have arrived and that are not sealed, over all workers.
    pub open_commits: u64,
    /// The most of them at a time: of each worker, added up.
    pub open_commits_most: u64,
    /// Waits of sources for a receiver's credit.
    pub credit_waits: Times,
    /// Waits of sources because three commits were open.
    pub commit_waits: Times,
    /// From a commit's first row at a worker to its sealed batch.
    pub commits: Times,
    /// Sorted runs that were made.
    pub runs: u64,
    /// Runs that were handed to the spill store before their commit.
    pub runs_spilled: u64,
    /// Bytes that sorting and merging saved before a run was closed.
    pub merged_early: u64,
    /// Times that the budget refused memory for what had arrived.
    pub memory_refused: u64,
    /// Waits of receivers for memory, from a refusal until all that had arrived was paid for.
    pub memory_waits: Times,
    /// Times that the head got in nevertheless.
    pub overdrawn: u64,
    /// Time in `source`, by activation: the conversion of items to rows.
    pub source: Times,
    /// Time in `partition`, by activation.
    pub partition: Times,
    /// Time in `accumulate`, by activation.
    pub accumulate: Times,
    /// Time of the merger threads for sealing, by batch.
    pub seal: Times,
    /// Time of the merger threads in operators on sealed batches, by batch.
    pub reduce: Times,
    /// Bytes of the budget in use.
    pub resident: u64,
    /// The most of them at a time.
    pub resident_most: u64,
    /// The spill store's counters; `None` without one.
    pub spill: Option<forebay::Snapshot>,
}

/// Looks at the counters of a process, from any thread.
#[derive(Clone, Debug)]
pub struct ExchangeMonitor {
    counted: Arc<Counted>,
    budget: Budget,
    pager: Option<Monitor>,
}

impl ExchangeMonitor {
    pub(crate) fn new(counted: Arc<Counted>, budget: Budget, pager: Option<Monitor>) -> Self {
        ExchangeMonitor { counted, budget, pager }
    }

    /// What has been done so far. Counters are read one after the other, not at one instant.
    pub fn snapshot(&self) -> ExchangeSnapshot {
        let workers: Vec<_> = self.counted.lock().values().cloned().collect();
        let all = |of: fn(&Metrics) -> u64| workers.iter().map(|worker| of(worker)).sum();
        let times = |of: fn(&Metrics) -> &Spans| {
            let mut times = Times::default();
            workers.iter().for_each(|worker| of(worker).add_to(&mut times));
            times
        };
        ExchangeSnapshot {
            rows_sent: all(|worker| worker.rows_sent.get()),
            rows_moved: all(|worker| worker.rows_moved.get()),
            bytes_sent: all(|worker| worker.bytes_sent.get()),
            rows_received: all(|worker| worker.rows_received.get()),
            workers_used: all(|worker| worker.workers_used.get()),
            bytes_in_flight: all(|worker| worker.in_flight.now()),
            bytes_in_flight_most: all(|worker| worker.in_flight.most()),
            open_commits: all(|worker| worker.open_commits.now()),
            open_commits_most: all(|worker| worker.open_commits.most()),
            credit_waits: times(|worker| &worker.credit_waits),
            commit_waits: times(|worker| &worker.commit_waits),
            commits: times(|worker| &worker.commit),
            runs: all(|worker| worker.runs.get()),
            runs_spilled: all(|worker| worker.runs_spilled.get()),
            merged_early: all(|worker| worker.merged_early.get()),
            memory_refused: all(|worker| worker.refused.get()),
            memory_waits: times(|worker| &worker.memory_waits),
            overdrawn: all(|worker| worker.overdrawn.get()),
            source: times(|worker| &worker.source),
            partition: times(|worker| &worker.partition),
            accumulate: times(|worker| &worker.accumulate),
            seal: times(|worker| &worker.seal),
            reduce: times(|worker| &worker.reduce),
            resident: self.budget.used() as u64,
            resident_most: self.budget.peak() as u64,
            spill: self.pager.as_ref().map(Monitor::snapshot),
        }
    }
}
