//! [`MemoryPressure`]: spill early when the machine, and not only the budget, is short of memory.
//!
//! A budget is what a process allows itself. Others on the machine, or in the container, may need the memory before
//! it is used up. The kernel says so in two ways, of which either counts:
//!
//! * pressure stall information: the share of the last ten seconds in which somebody waited for memory, of the
//!   process's control group, else of the machine (`memory.pressure`, `/proc/pressure/memory`);
//! * what a control group with a limit uses of it, less what the kernel can drop (`memory.current`, `memory.stat`,
//!   `memory.high`, `memory.max`; version 1 likewise).
//!
//! Under pressure the policy within sees a budget of an eighth of its size, so that it spills what it would spill if
//! that were full.
//!
//! The files are read at most ten times a second, on the I/O thread, and only while results wait in memory. Where there
//! are no such files there is no pressure.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::policy::{Decision, SpillPolicy, Threshold, View, Waker};
use crate::cgroup::{self, Group};

/// How often the files are read.
const EVERY: Duration = Duration::from_millis(100);

/// What is left of the budget under pressure.
const SHARE: usize = 8;

/// Has another policy spill as if the budget were smaller, while the system is short of memory. See the module.
///
/// ```
/// use forebay::{MemoryPressure, Pipeline, Prefetch, SegmentStore, Threshold};
///
/// let policy = Prefetch::over(MemoryPressure::over(Threshold::default()).stalled(5.0));
/// let report = Pipeline::new().spill(SegmentStore::temp()?).policy(policy).run(
///     (0..100u64).map(Ok::<_, std::io::Error>),
///     |number| Ok(vec![number as u8; 100]),
///     |_| Ok(()),
/// )?;
/// assert_eq!(report.delivered, 100);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct MemoryPressure<P = Threshold> {
    spilling: P,
    stalled: f64,
    used: f64,
    probe: Probe,
    looked: Option<Instant>,
    pressed: bool,
}

impl<P> MemoryPressure<P> {
    /// `spilling` decides what is spilled.
    pub fn over(spilling: P) -> Self {
        MemoryPressure { spilling, stalled: 10.0, used: 0.9, probe: Probe::system(), looked: None, pressed: false }
    }

    /// There is pressure when somebody waited for memory in more than `percent` (0.0 to 100.0) of the last ten seconds.
    /// Default: 10.
    #[must_use]
    pub fn stalled(mut self, percent: f64) -> Self {
        self.stalled = percent;
        self
    }

    /// There is pressure when a control group uses more than `share` (0.0 to 1.0) of its limit. Default: 0.9.
    #[must_use]
    pub fn used(mut self, share: f64) -> Self {
        self.used = share;
        self
    }

    fn look(&mut self) {
        if self.looked.is_some_and(|looked| looked.elapsed() < EVERY) {
            return;
        }
        self.looked = Some(Instant::now());
        let before = self.pressed;
        self.pressed = self.probe.stalled() > self.stalled || self.probe.used() > self.used;
        if self.pressed != before {
            tracing::info!(pressed = self.pressed, "memory pressure");
        }
    }
}

impl<P: SpillPolicy> SpillPolicy for MemoryPressure<P> {
    fn decide(&mut self, view: &View) -> Decision {
        if view.resident > 0 {
            self.look();
        }
        if !self.pressed {
            return self.spilling.decide(view);
        }
        self.spilling.decide(&View { limit: view.limit / SHARE, ..view.clone() })
    }

    fn attach(&mut self, waker: Waker) {
        self.spilling.attach(waker);
    }

    fn every(&self) -> Option<Duration> {
        Some(self.spilling.every().map_or(EVERY, |every| every.min(EVERY)))
    }
}

/// The files that say how short memory is.
#[derive(Clone, Debug, Default)]
struct Probe {
    pressure: Option<PathBuf>,
    groups: Vec<Group>,
}

impl Probe {
    fn system() -> Self {
        Self::new(cgroup::groups(), "/proc/pressure/memory".into())
    }

    fn new(groups: Vec<Group>, machine: PathBuf) -> Self {
        let own = groups.iter().rev().map(Group::pressure_file);
        Probe { pressure: own.chain([machine]).find(|file| file.exists()), groups }
    }

    /// Percent of the last ten seconds in which somebody waited for memory.
    fn stalled(&self) -> f64 {
        let text = self.pressure.as_ref().and_then(|file| fs::read_to_string(file).ok());
        text.and_then(|text| some_avg10(&text)).unwrap_or(0.0)
    }

    /// The largest share that a control group uses of its limit.
    fn used(&self) -> f64 {
        self.groups.iter().filter_map(Group::used).fold(0.0, f64::max)
    }
}

/// `some avg10=1.23 avg60=...`
fn some_avg10(text: &str) -> Option<f64> {
    let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
    some.split_whitespace().find_map(|field| field.strip_prefix("avg10=")).and_then(|percent| percent.parse().ok())
}

#[cfg(all(test, not(loom)))]
#[allow(clippy::unwrap_used, reason = "helpers of tests are tests")]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, Mutex, mpsc};

    use super::*;
    use crate::{Budget, CancelToken, MemoryStore, Pipeline};

    #[test]
    fn the_share_of_the_last_ten_seconds_is_read() {
        let text = "some avg10=12.34 avg60=0.50 avg300=0.00 total=2992622\nfull avg10=1.00 avg60=0.00 total=1\n";
        assert_eq!(some_avg10(text), Some(12.34));
        for broken in ["", "some\n", "some avg10=\n", "full avg10=5.00\n", "some avg60=1.0\n"] {
            assert_eq!(some_avg10(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn without_files_there_is_no_pressure() {
        let probe = Probe::new(Vec::new(), "/nowhere/at/all".into());
        assert_eq!((probe.stalled(), probe.used()), (0.0, 0.0));
    }

    /// Results that wait behind a withheld head, in a budget that they do not nearly fill. Returns what was spilled when
    /// `enough` says so of it.
    fn spilled(psi: &str, enough: impl Fn(u64, u64) -> bool) -> u64 {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("memory");
        fs::write(&file, psi).unwrap();
        let mut policy = Counting { policy: MemoryPressure::over(Threshold::default()), calls: Default::default() };
        policy.policy.probe = Probe::new(Vec::new(), file);
        let calls = Arc::clone(&policy.calls);
        let budget = Budget::new(64 << 20);
        let pipeline = Pipeline::new().workers(2).budget(&budget).cancel(&CancelToken::new());
        let pipeline = pipeline.spill(MemoryStore::new(u64::MAX)).policy(policy);
        let monitor = pipeline.monitor();
        let (go, head) = mpsc::channel::<()>();
        let head = Mutex::new(head);
        let source = (0..1000u64).map(Ok::<_, std::io::Error>);
        let work = |number| {
            if number == 0 {
                let _ = head.lock().unwrap().recv();
            }
            Ok(vec![number as u8; 16 << 10])
        };
        std::thread::scope(|scope| {
            let run = scope.spawn(|| pipeline.run(source, work, |_| Ok(())).unwrap());
            let begun = Instant::now();
            let seen = loop {
                let spilled = monitor.snapshot().spilled_items;
                if enough(spilled, calls.load(Ordering::SeqCst)) {
                    break spilled;
                }
                assert!(begun.elapsed() < Duration::from_secs(20), "{spilled} spilled");
                std::thread::sleep(Duration::from_millis(1));
            };
            drop(go);
            assert_eq!(run.join().unwrap().delivered, 1000);
            seen
        })
    }

    struct Counting {
        policy: MemoryPressure,
        calls: Arc<AtomicU64>,
    }

    impl SpillPolicy for Counting {
        fn decide(&mut self, view: &View) -> Decision {
            self.calls.fetch_add(1, Ordering::SeqCst);
            self.policy.decide(view)
        }

        fn every(&self) -> Option<Duration> {
            self.policy.every()
        }
    }

    #[test]
    fn under_pressure_results_go_to_disk_that_the_budget_has_room_for() {
        spilled("some avg10=50.00 avg60=0.00 avg300=0.00 total=0\n", |spilled, _| spilled > 100);
    }

    #[test]
    fn without_pressure_they_stay_in_memory_however_often_it_looks() {
        assert_eq!(spilled("some avg10=9.00 avg60=0.00 avg300=0.00 total=0\n", |_, calls| calls >= 5), 0);
    }
}
