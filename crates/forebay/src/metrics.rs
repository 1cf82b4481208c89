//! What a pipeline has done: a [`Monitor`] while it runs, [`Snapshot`] as plain numbers.
//!
//! The counters are always on. They are raised once per batch or per block, never per item, and clocks are read per
//! batch (or for one batch in 64 when batches are single items), so that counting costs a few nanoseconds an item at
//! most.
//!
//! ```
//! use forebay::Pipeline;
//!
//! let pipeline = Pipeline::new();
//! let monitor = pipeline.monitor(); // for other threads, while it runs
//! let work = |number: u64| Ok(number);
//! let report = pipeline.run((0..10u64).map(Ok::<_, std::io::Error>), work, |_| Ok(()))?;
//! assert_eq!((report.submitted, report.delivered, report.cancelled), (10, 10, 0));
//! assert_eq!(monitor.snapshot().delivered, 10);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::budget::Consumer;

/// Buckets of a [`Histogram`]: powers of two up to 2^39 (nine minutes, in nanoseconds).
const BUCKETS: usize = 40;

/// How often values of each power of two occurred. Bucket `n` counts values of `n` bits: 0, 1, 2-3, 4-7, ...
///
/// ```
/// use forebay::Histogram;
///
/// let mut sizes = Histogram::default();
/// [0, 1, 5, 6, 1000].into_iter().for_each(|size| sizes.record(size));
/// assert_eq!(sizes.buckets(), [1, 1, 0, 2, 0, 0, 0, 0, 0, 0, 1]);
/// assert_eq!((sizes.count(), sizes.quantile(0.5)), (5, 7)); // half of them are 7 or less
///
/// let mut all = Histogram::default();
/// all.record(5000);
/// all.merge(&sizes);
/// assert_eq!((all.count(), all.quantile(0.5)), (6, 7));
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Histogram {
    counts: Vec<u64>,
}

impl Histogram {
    /// Counts one more `value`.
    pub fn record(&mut self, value: u64) {
        let bucket = bucket(value);
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
    }

    /// Counts every value that `other` has counted.
    pub fn merge(&mut self, other: &Histogram) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        self.counts.iter_mut().zip(&other.counts).for_each(|(own, more)| *own += more);
    }

    /// The counts of the buckets, up to the last one that is not empty.
    pub fn buckets(&self) -> &[u64] {
        let used = self.counts.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
        &self.counts[..used]
    }

    /// How many values were recorded.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// An upper bound of the smallest value that at least `share` (0.0 to 1.0) of all values do not exceed; 0 without
    /// values.
    pub fn quantile(&self, share: f64) -> u64 {
        let wanted = (self.count() as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (bits, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return (1 << bits) - 1;
            }
        }
        0
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.buckets()).finish()
    }
}

fn bucket(value: u64) -> usize {
    ((u64::BITS - value.leading_zeros()) as usize).min(BUCKETS - 1)
}

#[derive(Debug)]
pub(crate) struct LiveHistogram {
    counts: [AtomicU64; BUCKETS],
}

impl LiveHistogram {
    fn new() -> Self {
        LiveHistogram { counts: std::array::from_fn(|_| AtomicU64::new(0)) }
    }

    pub(crate) fn record(&self, value: u64) {
        self.counts[bucket(value)].fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self) -> Histogram {
        Histogram { counts: self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect() }
    }
}

#[derive(Debug)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The counters of one pipeline, raised by its threads.
        #[derive(Debug)]
        pub(crate) struct Metrics {
            $(pub(crate) $name: Counter,)*
            pub(crate) batch_nanos: LiveHistogram,
            pub(crate) delivered_runs: LiveHistogram,
            pub(crate) consumer: OnceLock<Consumer>,
        }

        /// What a pipeline has done, as plain numbers. Of a run that still goes on, the numbers are from slightly
        /// different moments.
        #[derive(Clone, Debug, Default)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[non_exhaustive]
        pub struct Snapshot {
            $($(#[$doc])* pub $name: u64,)*
            /// The most bytes that the pipeline had leased at one time.
            pub peak_resident: u64,
            /// The most bytes by which the whole budget was overdrawn at one time.
            pub overdraft_peak: u64,
            /// How long batches were in work, in nanoseconds.
            pub batch_nanos: Histogram,
            /// How many results the sink was given at a time.
            pub delivered_runs: Histogram,
        }

        impl Metrics {
            pub(crate) fn new() -> Self {
                Metrics {
                    $($name: Counter(AtomicU64::new(0)),)*
                    batch_nanos: LiveHistogram::new(),
                    delivered_runs: LiveHistogram::new(),
                    consumer: OnceLock::new(),
                }
            }

            pub(crate) fn snapshot(&self) -> Snapshot {
                let consumer = self.consumer.get();
                Snapshot {
                    $($name: self.$name.get(),)*
                    peak_resident: consumer.map_or(0, |c| c.peak() as u64),
                    overdraft_peak: consumer.map_or(0, |c| c.budget().overdraft_peak() as u64),
                    batch_nanos: self.batch_nanos.read(),
                    delivered_runs: self.delivered_runs.read(),
                }
            }
        }
    };
}

counters! {
    /// Items taken from the source; while the run goes on, those of them that have got to a worker.
    submitted,
    /// Results that the sink has taken.
    delivered,
    /// Items that were submitted and, because of an error, a panic or a cancellation, not delivered.
    cancelled,
    /// Batches handed to workers.
    batches,
    /// Workers started.
    workers,
    /// Workers that worked on at least one item.
    workers_used,
    /// Times a worker waited for items or for memory.
    worker_waits,
    /// Nanoseconds that all workers together waited.
    worker_idle_nanos,
    /// Times the sink waited for the head of the line.
    head_stalls,
    /// Nanoseconds that the sink waited for the head of the line.
    head_stall_nanos,
    /// Results written to the spill store.
    spilled_items,
    /// Bytes written to the spill store, headers included.
    spilled_bytes,
    /// Appends to the spill store.
    spilled_blocks,
    /// Results that were read back from the spill store or, if they were needed before they were written, from the
    /// block on its way there.
    reloaded_items,
    /// Bytes read back from the spill store.
    reloaded_bytes,
    /// Reads of the spill store for which the sink waited.
    head_reads,
    /// Reads of the spill store ahead of the sink.
    prefetches,
    /// Appends to the spill store that failed; what they held stayed in memory.
    spill_failures,
}

/// Nanoseconds in `duration`, for a counter.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Reads the counters of a running pipeline from any thread. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Monitor {
    pub(crate) metrics: Arc<Metrics>,
}

impl Monitor {
    /// The counters now.
    pub fn snapshot(&self) -> Snapshot {
        self.metrics.snapshot()
    }
}
