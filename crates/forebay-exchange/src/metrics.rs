//! `ExchangeMonitor` and `ExchangeSnapshot`: what the workers of a process have done and are doing.

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

    fn get(&self) -> Times {
        let all = self.lock();
        Times { nanos: all.0.clone(), total: Duration::from_nanos(all.1) }
    }

    fn lock(&self) -> MutexGuard<'_, (Histogram, u64)> {
        self.nanos.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl fmt::Debug for Spans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Spans").field(&self.get().total).finish()
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

/// Counters of one process, shared by its workers.
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
#[derive(Clone, Debug)]
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
    /// The most of them at a time.
    pub bytes_in_flight_most: u64,
    /// Commits of which rows have arrived and that are not sealed, over all workers.
    pub open_commits: u64,
    /// The most of them at a time.
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
    metrics: Arc<Metrics>,
    budget: Budget,
    pager: Option<Monitor>,
}

impl ExchangeMonitor {
    pub(crate) fn new(metrics: Arc<Metrics>, budget: Budget, pager: Option<Monitor>) -> Self {
        ExchangeMonitor { metrics, budget, pager }
    }

    /// What has been done so far. Counters are read one after the other, not at one instant.
    pub fn snapshot(&self) -> ExchangeSnapshot {
        let metrics = &*self.metrics;
        let now = |gauge: &Gauge| gauge.now.load(Ordering::Relaxed);
        let most = |gauge: &Gauge| gauge.most.load(Ordering::Relaxed);
        ExchangeSnapshot {
            rows_sent: metrics.rows_sent.get(),
            rows_moved: metrics.rows_moved.get(),
            bytes_sent: metrics.bytes_sent.get(),
            rows_received: metrics.rows_received.get(),
            workers_used: metrics.workers_used.get(),
            bytes_in_flight: now(&metrics.in_flight),
            bytes_in_flight_most: most(&metrics.in_flight),
            open_commits: now(&metrics.open_commits),
            open_commits_most: most(&metrics.open_commits),
            credit_waits: metrics.credit_waits.get(),
            commit_waits: metrics.commit_waits.get(),
            commits: metrics.commit.get(),
            runs: metrics.runs.get(),
            runs_spilled: metrics.runs_spilled.get(),
            merged_early: metrics.merged_early.get(),
            memory_refused: metrics.refused.get(),
            memory_waits: metrics.memory_waits.get(),
            overdrawn: metrics.overdrawn.get(),
            source: metrics.source.get(),
            partition: metrics.partition.get(),
            accumulate: metrics.accumulate.get(),
            seal: metrics.seal.get(),
            reduce: metrics.reduce.get(),
            resident: self.budget.used() as u64,
            resident_most: self.budget.peak() as u64,
            spill: self.pager.as_ref().map(Monitor::snapshot),
        }
    }
}
