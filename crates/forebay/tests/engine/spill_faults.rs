//! Invariant 6: a failed spill loses nothing. The block stays in memory and the pipeline falls back to back-pressure, or the run ends
//! with an error that names file, operation and item; and it never hangs.

use std::error::Error;
use std::fmt;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::thread;

use forebay::spill::faulty::{Errno, Fault, FaultyFs, Operation};
use forebay::{
    Backing, Budget, Cause, DeliverError, Extent, Location, MemoryStore, OnSpillError, Pipeline, RunError,
    SegmentOptions, Snapshot, SpillError, SpillStore, Usage,
};
use tempfile::TempDir;

use crate::support::{Gate, bytes_of, until, within};

const ITEMS: u64 = 1500;
const SIZE: usize = 2000;
const LIMIT: usize = 512 << 10;
const WORKERS: usize = 2;

struct Scene {
    fs: FaultyFs,
    dir: TempDir,
    on_error: OnSpillError,
    quota: u64,
    compress: bool,
}

impl Scene {
    fn new(on_error: OnSpillError) -> Self {
        Scene { fs: FaultyFs::new(), dir: tempfile::tempdir().unwrap(), on_error, quota: 1 << 40, compress: false }
    }

    fn open(&self) -> impl SpillStore + 'static {
        let options = SegmentOptions::new().quota(self.quota).file_system(Arc::new(self.fs.clone()));
        options.open(self.dir.path()).unwrap()
    }

    /// Runs with the head withheld until `ready`; checks order, content and memory, and counts what was delivered.
    fn run(
        &self,
        store: impl SpillStore + 'static,
        ready: impl Fn(&Snapshot) -> bool + Sync,
    ) -> (Result<Snapshot, RunError<io::Error>>, u64) {
        let budget = Budget::new(LIMIT);
        let gate = Gate::default();
        let pipeline = Pipeline::new()
            .workers(WORKERS)
            .budget(&budget)
            .spill(store)
            .compress(self.compress)
            .on_spill_error(self.on_error);
        let monitor = pipeline.monitor();
        let mut next = 0;
        let outcome = thread::scope(|scope| {
            scope.spawn(|| {
                until("the scene is ready", || ready(&monitor.snapshot()));
                gate.open();
            });
            pipeline.run(
                (0..ITEMS).map(Ok),
                |n| {
                    if n == 0 {
                        gate.pass();
                    }
                    Ok(bytes_of(n, SIZE))
                },
                |bytes| {
                    assert_eq!(bytes, bytes_of(next, SIZE), "result {next}");
                    next += 1;
                    Ok(())
                },
            )
        });
        let item = SIZE + 72;
        let formula = LIMIT + item + WORKERS * item + (256 << 10) + 2048;
        assert!(budget.peak() <= formula, "peak {} of {formula}", budget.peak());
        assert_eq!(budget.used(), 0);
        (outcome, next)
    }
}

fn whole(outcome: (Result<Snapshot, RunError<io::Error>>, u64)) -> Snapshot {
    let report = outcome.0.unwrap();
    assert_eq!((outcome.1, report.delivered, report.cancelled), (ITEMS, ITEMS, 0));
    report
}

#[test]
fn any_one_write_may_fail_and_nothing_is_lost() {
    within(90, || {
        for errno in [Errno::NOSPC, Errno::IO] {
            // As many as there are: until one comes too late to be struck.
            let mut struck = 0;
            for write in 0.. {
                let scene = Scene::new(OnSpillError::Stall);
                scene.fs.inject(Operation::Write, write..write + 1, Fault::Error(errno));
                let report = whole(scene.run(scene.open(), |now| now.spill_failures > 0 || now.spilled_blocks > 5));
                assert_eq!(report.spill_failures, scene.fs.fired(), "write {write}: {report:?}");
                if scene.fs.fired() == 0 {
                    break;
                }
                struck += 1;
            }
            assert!(struck >= 3, "{struck} writes");
        }
    });
}

/// Disk full falls back to growing in memory in silence, or to a deadlock at teardown: here to back-pressure, within the budget.
#[test]
fn a_disk_that_stays_full_is_back_pressure() {
    within(60, || {
        for first in [0, 1, 3] {
            let scene = Scene::new(OnSpillError::Stall);
            scene.fs.inject(Operation::Write, first.., Fault::Error(Errno::NOSPC));
            let report = whole(scene.run(scene.open(), |now| now.spill_failures > 0));
            assert!(report.spill_failures > 0 && report.spilled_blocks <= first, "{report:?}");
        }
        let mut scene = Scene::new(OnSpillError::Stall);
        scene.quota = 600 << 10;
        let report = whole(scene.run(scene.open(), |now| now.spill_failures > 0));
        assert!(report.spilled_blocks > 0, "{report:?}");
        let report = whole(scene.run(MemoryStore::new(1000), |now| now.spill_failures > 0));
        assert_eq!(report.spilled_blocks, 0, "{report:?}");
    });
}

/// After a failed write nothing is spilled until the head has moved; then it is tried again. A buffer that never tried again would stop
/// at the next slow head.
#[test]
fn spilling_is_tried_again_when_the_head_has_moved() {
    within(60, || {
        let scene = Scene::new(OnSpillError::Stall);
        scene.fs.inject(Operation::Write, 0..1, Fault::Error(Errno::NOSPC));
        let gates = crate::support::Gates::default();
        let pipeline = Pipeline::new().workers(2).budget(&Budget::new(LIMIT)).spill(scene.open());
        let monitor = pipeline.monitor();
        thread::scope(|scope| {
            scope.spawn(|| {
                until("a write has failed", || monitor.snapshot().spill_failures > 0);
                gates.open_below(1);
                until("something is spilled in front of the second slow head", || {
                    monitor.snapshot().spilled_items > 100
                });
                gates.open_below(u64::MAX);
            });
            let mut next = 0;
            let report = pipeline.run(
                (0..ITEMS).map(Ok::<_, io::Error>),
                |n| {
                    if n == 0 || n == 500 {
                        gates.pass(n);
                    }
                    Ok(bytes_of(n, SIZE))
                },
                |bytes| {
                    assert_eq!(bytes, bytes_of(next, SIZE));
                    next += 1;
                    Ok(())
                },
            );
            assert_eq!(report.unwrap().delivered, ITEMS);
        });
    });
}

#[test]
fn a_run_that_is_to_fail_fails_with_file_operation_and_item() {
    within(60, || {
        let scene = Scene::new(OnSpillError::Fail);
        scene.fs.inject(Operation::Write, 1.., Fault::Error(Errno::NOSPC));
        let (outcome, delivered) = scene.run(scene.open(), |now| now.spill_failures > 0);
        let error = outcome.unwrap_err();
        let text = error.to_string();
        let dir = scene.dir.path().display().to_string();
        match &error.cause {
            Cause::Spill(DeliverError::Spill { seq, error: SpillError::Io { operation, path, .. } }) => {
                assert!((1..ITEMS).contains(seq) && *seq >= delivered, "{seq}");
                assert!(text.contains(&format!("result {seq}")), "{text}");
                assert_eq!(path, scene.dir.path());
                assert_eq!(*operation, "write a segment in");
            }
            other => panic!("{other:?}"),
        }
        assert!(text.contains(&dir) && text.contains("write a segment in"), "{text}");
        assert!(
            error.source().and_then(Error::source).and_then(Error::source).is_some(),
            "the system's error is there"
        );
        assert_eq!(error.snapshot.submitted, error.snapshot.delivered + error.snapshot.cancelled);

        let (outcome, _) = scene.run(MemoryStore::new(300 << 10), |now| now.spill_failures > 0);
        let cause = outcome.unwrap_err().cause;
        let refused =
            matches!(&cause, Cause::Spill(DeliverError::Spill { error: SpillError::QuotaExceeded { .. }, .. }));
        assert!(refused, "{cause:?}");
    });
}

#[test]
fn short_and_interrupted_calls_are_continued() {
    within(60, || {
        let scene = Scene::new(OnSpillError::Fail);
        scene.fs.inject(Operation::Write, 0..40, Fault::Short(10_001));
        scene.fs.inject(Operation::Write, 45..48, Fault::Error(Errno::INTR));
        scene.fs.inject(Operation::Read, 0..30, Fault::Short(777));
        let report = whole(scene.run(scene.open(), |now| now.spilled_items > ITEMS / 3));
        assert_eq!(report.spill_failures, 0);
        assert!(scene.fs.fired() >= 73, "{}", scene.fs.fired());
    });
}

#[test]
fn what_cannot_be_read_back_is_an_error_with_its_number_after_everything_before_it() {
    within(60, || {
        for (fault, compress) in [
            (Fault::Error(Errno::IO), false),
            (Fault::Flip(40), false),
            (Fault::Flip(40), true),
            (Fault::Flip(8), false),
        ] {
            let mut scene = Scene::new(OnSpillError::Stall);
            scene.compress = compress;
            scene.fs.inject(Operation::Read, .., fault);
            let (outcome, delivered) = scene.run(scene.open(), |now| now.spilled_items > ITEMS / 3);
            let error = outcome.unwrap_err();
            match (&error.cause, fault) {
                (Cause::Spill(DeliverError::Spill { seq, error }), fault) => {
                    assert_eq!(*seq, delivered, "everything before it went out");
                    match (error, fault) {
                        (SpillError::Io { operation, path, .. }, Fault::Error(_)) => {
                            assert_eq!((*operation, &**path), ("read a segment in", scene.dir.path()));
                        }
                        (SpillError::ChecksumMismatch { got, expected, place }, Fault::Flip(_)) => {
                            assert_ne!(got, expected);
                            assert!(place.contains("segment"), "{place}");
                        }
                        other => panic!("{other:?}"),
                    }
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(error.snapshot.delivered, delivered);
            assert_eq!(error.snapshot.submitted, delivered + error.snapshot.cancelled);
        }
    });
}

/// Results that are being written are still in memory: everything is delivered while the write hangs.
#[test]
fn a_write_that_hangs_holds_up_no_delivery() {
    within(60, || {
        let scene = Scene::new(OnSpillError::Stall);
        scene.fs.inject(Operation::Write, 2.., Fault::Hang);
        let store = scene.open();
        let released = Gate::default();
        thread::scope(|scope| {
            let fs = &scene.fs;
            let budget = Budget::new(LIMIT);
            let gate = Gate::default();
            let pipeline = Pipeline::new().workers(2).budget(&budget).spill(store);
            let monitor = pipeline.monitor();
            let (open, wait) = (gate.clone(), &released);
            scope.spawn(move || {
                fs.wait_until_hanging(1);
                open.open();
                until("everything is delivered although the write hangs", || monitor.snapshot().delivered == ITEMS);
                wait.open();
                fs.release();
            });
            let mut next = 0;
            let report = pipeline.run(
                (0..ITEMS).map(Ok::<_, io::Error>),
                |n| {
                    if n == 0 {
                        gate.pass();
                    }
                    Ok(bytes_of(n, SIZE))
                },
                |bytes| {
                    assert_eq!(bytes, bytes_of(next, SIZE));
                    next += 1;
                    Ok(())
                },
            );
            assert_eq!(report.unwrap().delivered, ITEMS);
        });
        assert_eq!(scene.fs.open_files(), 0);
    });
}

/// What was spilled is read from the open file, whatever becomes of its directory; what is spilled afterwards stays in memory.
#[test]
fn a_vanished_directory_loses_nothing() {
    within(60, || {
        let mut scene = Scene::new(OnSpillError::Stall);
        let dir = std::mem::replace(&mut scene.dir, tempfile::tempdir().unwrap());
        let options =
            SegmentOptions::new().quota(1 << 40).segment_size(300 << 10).file_system(Arc::new(scene.fs.clone()));
        let store = options.open(dir.path()).unwrap();
        let path = dir.path().to_owned();
        let removed = std::sync::Mutex::new(Some(dir));
        let report = whole(scene.run(store, |now| {
            if now.spilled_blocks > 1 {
                drop(removed.lock().unwrap().take());
            }
            now.spill_failures > 0
        }));
        assert!(!path.exists());
        assert!(report.spilled_blocks > 1 && report.reloaded_items > 0, "{report:?}");
    });
}

/// The same, without faults: a real file system that is full. Nothing is lost, and with `Fail` the error is the system's.
#[cfg(target_os = "linux")]
#[test]
fn a_tmpfs_of_16_mib_fills_and_nothing_is_lost() {
    use crate::support::Tmpfs;
    // More than the tmpfs and the budget have room for.
    const ITEMS: u64 = 4000;
    const SIZE: usize = 8192;
    within(90, || {
        let full = Tmpfs::mount("16m");
        for on_error in [OnSpillError::Stall, OnSpillError::Fail] {
            // The quota is not what refuses.
            let store = SegmentOptions::new().quota(1 << 30).open(full.path()).unwrap();
            let gate = Gate::default();
            let pipeline = Pipeline::new().workers(WORKERS).budget(&Budget::new(LIMIT));
            let pipeline = pipeline.spill(store).on_spill_error(on_error);
            let monitor = pipeline.monitor();
            let mut next = 0;
            let outcome = thread::scope(|scope| {
                scope.spawn(|| {
                    until("the file system is full", || monitor.snapshot().spill_failures > 0);
                    assert!(full.used() > 15 << 20, "{} bytes in use", full.used());
                    gate.open();
                });
                pipeline.run(
                    (0..ITEMS).map(Ok::<_, io::Error>),
                    |n| {
                        if n == 0 {
                            gate.pass();
                        }
                        Ok(bytes_of(n, SIZE))
                    },
                    |bytes| {
                        assert_eq!(bytes, bytes_of(next, SIZE), "result {next}");
                        next += 1;
                        Ok(())
                    },
                )
            });
            match (on_error, outcome) {
                (OnSpillError::Stall, Ok(report)) => {
                    assert_eq!((report.delivered, next), (ITEMS, ITEMS));
                    assert!(report.reloaded_items > 1000, "{report:?}");
                }
                (OnSpillError::Fail, Err(RunError { cause: Cause::Spill(error), .. })) => {
                    let text = error.to_string();
                    assert!(text.contains(&full.path().display().to_string()), "{text}");
                    assert!(text.starts_with("result ") && text.contains("cannot write a segment in"), "{text}");
                    assert!(text.contains("No space left on device"), "{text}");
                }
                (_, other) => panic!("{other:?}"),
            }
            assert_eq!(full.used(), 0, "everything is given back");
        }
    });
}

/// A disk that hangs for ten seconds while the head is withheld: the source waits, the run ends when the disk goes on.
#[test]
fn a_write_that_hangs_for_ten_seconds_loses_nothing() {
    within(90, || {
        let scene = Scene::new(OnSpillError::Fail);
        scene.fs.inject(Operation::Write, 1..2, Fault::Hang);
        thread::scope(|scope| {
            scope.spawn(|| {
                scene.fs.wait_until_hanging(1);
                thread::sleep(std::time::Duration::from_secs(10));
                scene.fs.release();
            });
            // The head goes on only after the hung write did.
            let report = whole(scene.run(scene.open(), |now| now.spilled_blocks > 1));
            assert_eq!((report.spill_failures, scene.fs.fired()), (0, 1));
        });
    });
}

/// A store of the user's own that panics.
#[derive(Debug)]
struct Panicking {
    within: MemoryStore,
    append: bool,
}

#[derive(Debug)]
struct PanickingExtent(Extent);

impl fmt::Display for PanickingExtent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Backing for PanickingExtent {
    fn read(&self, _: u64, _: &mut [u8]) -> Result<(), SpillError> {
        std::panic::panic_any("the store's read")
    }

    fn release(&self, _: u64, _: u64) {}
}

impl SpillStore for Panicking {
    fn append(&self, owner: u64, parts: &[IoSlice<'_>]) -> Result<Extent, SpillError> {
        assert!(!self.append, "the store's append");
        let extent = self.within.append(owner, parts)?;
        let len = extent.len();
        Ok(Extent::new(Arc::new(PanickingExtent(extent)), 0, len))
    }

    fn usage(&self) -> Usage {
        self.within.usage()
    }

    fn location(&self) -> Location {
        self.within.location()
    }
}

#[test]
fn a_store_that_panics_while_it_writes_has_refused_the_block() {
    within(60, || {
        let store = || Panicking { within: MemoryStore::new(u64::MAX), append: true };
        let report = whole(Scene::new(OnSpillError::Stall).run(store(), |now| now.spill_failures > 0));
        assert_eq!(report.spilled_blocks, 0);
        let (outcome, _) = Scene::new(OnSpillError::Fail).run(store(), |now| now.spill_failures > 0);
        let text = outcome.unwrap_err().to_string();
        assert!(text.contains("the store panicked"), "{text}");
    });
}

/// The panic may come on the I/O thread, which reads ahead, or on the reader's: the reader must not wait for a thread that is gone.
#[test]
fn a_store_that_panics_while_it_reads_is_a_panic_of_the_run() {
    within(60, || {
        let store = Panicking { within: MemoryStore::new(u64::MAX), append: false };
        let scene = Scene::new(OnSpillError::Stall);
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            scene.run(store, |now| now.spilled_items > ITEMS / 3)
        }))
        .unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"the store's read"));
    });
}
