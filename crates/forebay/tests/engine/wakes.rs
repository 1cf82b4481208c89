//! Invariant 7: threads are woken for runs of items, and not at all while there is nothing to do.

use std::io;
use std::sync::mpsc;

use forebay::{Budget, Pipeline, SegmentStore};

use crate::support::{Gate, bytes_of, until, within};

/// A wake-up per item costs more than the item. All items are there before the first is worked on: how many there are at
/// once is not left to how threads are scheduled.
#[test]
fn the_sink_and_the_workers_are_woken_far_less_often_than_items_pass() {
    within(60, || {
        const ITEMS: u64 = 200_000;
        let gate = Gate::default();
        let opens = || {
            gate.open();
            None
        };
        let source = (0..ITEMS).chain(std::iter::from_fn(opens)).map(Ok::<_, io::Error>);
        let work = |n: u64| {
            if n < 2 {
                gate.pass();
            }
            Ok(n.wrapping_mul(3))
        };
        let mut next = 0;
        let sink = |n| {
            assert_eq!(n, next * 3);
            next += 1;
            Ok(())
        };
        let report = Pipeline::new().workers(2).window(ITEMS as usize).run(source, work, sink).unwrap();
        assert_eq!(report.delivered, ITEMS);
        assert!(report.head_stalls < ITEMS / 10, "{report:?}");
        assert!(report.worker_waits < ITEMS / 10, "{report:?}");
        assert!(report.batches < ITEMS / 10, "small items are batched: {report:?}");
        assert_eq!(report.delivered_runs.count(), report.delivered_runs.buckets().iter().sum::<u64>());
        assert!(report.delivered_runs.count() < ITEMS / 4, "results are handed on in runs: {report:?}");
    });
}

/// A sink that waits for a withheld head is woken when it comes, not by each result behind it.
#[test]
fn results_behind_a_withheld_head_do_not_wake_the_sink() {
    within(60, || {
        const ITEMS: u64 = 3000;
        let gate = Gate::default();
        let done = std::sync::atomic::AtomicU64::new(0);
        let report = std::thread::scope(|scope| {
            scope.spawn(|| {
                until("all others are finished", || done.load(std::sync::atomic::Ordering::Relaxed) == ITEMS - 1);
                gate.open();
            });
            let work = |n| {
                match n {
                    0 => gate.pass(),
                    _ => drop(done.fetch_add(1, std::sync::atomic::Ordering::Relaxed)),
                }
                Ok(n)
            };
            let pipeline = Pipeline::new().workers(3).batch(1);
            pipeline.run((0..ITEMS).map(Ok::<_, io::Error>), work, |_| Ok(())).unwrap()
        });
        assert_eq!(report.delivered, ITEMS);
        // None, if the sink came to look only when all were finished.
        assert!(report.head_stalls <= 3, "{report:?}");
    });
}

/// Nobody polls: a pipeline that waits for its source, its sink or its head uses no processor.
#[cfg(target_os = "linux")]
#[test]
fn an_idle_pipeline_uses_no_processor() {
    use crate::support::{alone, rests};
    alone("wakes::an_idle_pipeline_uses_no_processor", 60, || {
        let idle = |what: &str| {
            rests(
                &format!("while it waits for its {what}"),
                std::time::Duration::from_millis(400),
                std::time::Duration::from_millis(4),
            );
        };
        for waits_for in ["source", "sink", "head"] {
            let gate = Gate::default();
            let (feed, fed) = mpsc::channel();
            let budget = Budget::new(1 << 20);
            let pipeline = Pipeline::new()
                .workers(4)
                .budget(&budget)
                .window(64)
                .outstanding(600)
                .spill(SegmentStore::temp().unwrap());
            let monitor = pipeline.monitor();
            let report = std::thread::scope(|scope| {
                scope.spawn(|| {
                    (0..5000).for_each(|n| feed.send(n).unwrap());
                    match waits_for {
                        "source" => until("all is delivered", || monitor.snapshot().delivered >= 4000),
                        _ => until("it is full", || monitor.snapshot().spilled_items > 100),
                    }
                    idle(waits_for);
                    gate.open();
                    drop(feed);
                });
                let work = |n| {
                    if n == 0 && waits_for == "head" {
                        gate.pass();
                    }
                    Ok(bytes_of(n, 4000))
                };
                pipeline
                    .run(fed.into_iter().map(Ok::<_, io::Error>), work, |_| {
                        if waits_for == "sink" {
                            gate.pass();
                        }
                        Ok(())
                    })
                    .unwrap()
            });
            assert_eq!(report.delivered, 5000);
        }
    });
}
