//! The pipeline against a plain loop: whatever the order of completion, the sizes, the budget and what fails, the sink sees what a loop
//! would have given it, byte for byte, and the run ends as the loop would have ended.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use forebay::{Budget, Cause, MemoryStore, OnSpillError, Pipeline, Prefetch, SegmentStore, Threshold};
use proptest::prelude::*;

use crate::support::{Gates, Random, bytes_of, within};

#[derive(Clone, Debug)]
struct Scene {
    seed: u64,
    items: u64,
    largest: usize,
    budget: usize,
    workers: usize,
    batch: Option<usize>,
    window: usize,
    outstanding: u64,
    store: Store,
    compress: bool,
    reserve: Option<f64>,
    /// What happens at which item.
    events: Vec<(u64, Event)>,
    /// Whether the test chooses what is finished next.
    scheduled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Store {
    None,
    Memory,
    /// Refuses what is over its quota.
    Small,
    Segments,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Event {
    WorkFails,
    WorkPanics,
    SourceFails,
    SourcePanics,
    SinkFails,
}

fn scene() -> impl Strategy<Value = Scene> {
    let sizes = prop_oneof![4 => 0..2000_usize, 2 => 0..40_000_usize, 1 => 0..300_000_usize];
    let budgets = prop_oneof![1 => 1..100_usize, 2 => 100..60_000_usize, 3 => 60_000..(2_usize << 20)];
    let batches = prop_oneof![Just(None), Just(Some(1)), Just(Some(7)), Just(Some(64))];
    let stores = prop_oneof![
        2 => Just(Store::None),
        3 => Just(Store::Memory),
        1 => Just(Store::Small),
        2 => Just(Store::Segments)
    ];
    let event = prop_oneof![
        Just(Event::WorkFails),
        Just(Event::WorkPanics),
        Just(Event::SourceFails),
        Just(Event::SourcePanics),
        Just(Event::SinkFails)
    ];
    let events = prop_oneof![2 => Just(Vec::new()), 3 => proptest::collection::vec((0..200_u64, event), 1..4)];
    let flow = (1..6_usize, batches, 1..100_usize, prop_oneof![Just(1 << 20), 1..50_u64]);
    let spill = (stores, any::<bool>(), proptest::option::of(0.0..1.0));
    (any::<u64>(), 0..200_u64, sizes, budgets, flow, spill, events, any::<bool>()).prop_map(
        |(seed, items, largest, budget, flow, spill, events, scheduled)| {
            let (workers, batch, window, outstanding) = flow;
            let (store, compress, reserve) = spill;
            // Gigabytes take too long.
            let items = items.min((24 << 20) / (largest as u64 + 1)).max(items.min(20));
            Scene {
                seed: seed | 1,
                items,
                largest,
                budget,
                workers,
                batch,
                window,
                outstanding,
                store,
                compress,
                reserve,
                events,
                scheduled,
            }
        },
    )
}

#[derive(Debug, PartialEq)]
enum Ending {
    Whole,
    Source,
    Work(u64),
    Sink(u64),
    Panic(String),
}

impl Scene {
    fn has(&self, n: u64, event: Event) -> bool {
        self.events.contains(&(n, event))
    }

    fn size(&self, n: u64) -> usize {
        Random(self.seed ^ (n + 1).wrapping_mul(0x9e37_79b9)).below(self.largest as u64 + 1) as usize
    }

    fn source(&self, n: u64) -> Result<u64, io::Error> {
        if self.has(n, Event::SourcePanics) {
            std::panic::panic_any(format!("source {n}"));
        }
        match self.has(n, Event::SourceFails) {
            true => Err(io::Error::other("source")),
            false => Ok(n),
        }
    }

    fn work(&self, n: u64) -> Result<Vec<u8>, io::Error> {
        if self.has(n, Event::WorkPanics) {
            std::panic::panic_any(format!("work {n}"));
        }
        match self.has(n, Event::WorkFails) {
            true => Err(io::Error::other("work")),
            // Half of it compresses.
            false => Ok([bytes_of(n, self.size(n) / 2), vec![n as u8; self.size(n) / 2]].concat()),
        }
    }

    /// The plain loop: how many results it gives, and how it ends.
    fn expected(&self) -> (u64, Ending) {
        for n in 0..self.items {
            let ending = match () {
                () if self.has(n, Event::SourcePanics) => Ending::Panic(format!("source {n}")),
                () if self.has(n, Event::SourceFails) => Ending::Source,
                () if self.has(n, Event::WorkPanics) => Ending::Panic(format!("work {n}")),
                () if self.has(n, Event::WorkFails) => Ending::Work(n),
                () if self.has(n, Event::SinkFails) => return (n + 1, Ending::Sink(n)),
                () => continue,
            };
            return (n, ending);
        }
        (self.items, Ending::Whole)
    }

    fn check(&self) {
        let (count, ending) = self.expected();
        let budget = Budget::new(self.budget);
        let gates = Gates::default();
        let mut seen = 0;
        let mut pipeline =
            Pipeline::new().workers(self.workers).budget(&budget).window(self.window).outstanding(self.outstanding);
        if let Some(items) = self.batch {
            pipeline = pipeline.batch(items);
        }
        let monitor = pipeline.monitor();
        let over = std::sync::atomic::AtomicBool::new(false);
        let outcome = std::thread::scope(|scope| {
            let scheduler = scope.spawn(|| self.schedule(&gates, &over));
            let work = |n| {
                if self.scheduled {
                    gates.pass(n);
                }
                self.work(n)
            };
            let sink = |bytes: Vec<u8>| {
                assert_eq!(bytes, self.work(seen).unwrap(), "result {seen}");
                seen += 1;
                match self.has(seen - 1, Event::SinkFails) {
                    true => Err(io::Error::other("sink")),
                    false => Ok(()),
                }
            };
            let source = (0..self.items).map(|n| self.source(n));
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                if self.store == Store::None {
                    return pipeline.run(source, work, sink);
                }
                let pipeline = match self.store {
                    Store::Segments => pipeline.spill(SegmentStore::temp().unwrap()),
                    Store::Small => pipeline.spill(MemoryStore::new(300_000)),
                    _ => pipeline.spill(MemoryStore::new(u64::MAX)),
                };
                let pipeline = pipeline.compress(self.compress).on_spill_error(OnSpillError::Stall);
                match self.reserve {
                    Some(share) => {
                        pipeline.policy(Prefetch::over(Threshold::with_reserve(share))).run(source, work, sink)
                    }
                    None => pipeline.run(source, work, sink),
                }
            }));
            over.store(true, std::sync::atomic::Ordering::SeqCst);
            scheduler.join().unwrap();
            outcome
        });
        let ended = match outcome {
            Ok(Ok(_)) => Ending::Whole,
            Ok(Err(error)) => match error.cause {
                Cause::Source(_) => Ending::Source,
                Cause::Work { seq, .. } => Ending::Work(seq),
                Cause::Sink { seq, .. } => Ending::Sink(seq),
                other => panic!("{other:?}"),
            },
            Err(panic) => match panic.downcast::<String>() {
                Ok(text) => Ending::Panic(*text),
                Err(panic) => std::panic::resume_unwind(panic),
            },
        };
        assert_eq!((seen, ended), (count, ending));
        let report = monitor.snapshot();
        assert_eq!(report.delivered, count, "{report:?}");
        assert_eq!(report.submitted, report.delivered + report.cancelled, "{report:?}");
        assert_eq!(budget.used(), 0);
        let item = self.largest + 72;
        let block = item.max(256 << 10) + 1024;
        // The item that the source has in its hand, the head, one result a worker, one block read back.
        let formula = self.budget + (2 + self.workers) * item + 2 * block;
        assert!(budget.peak() <= formula, "peak {} of {formula}: {report:?}", budget.peak());
    }

    /// Lets the items in work go on in an order of the test's choice: a random one, as long as any waits.
    fn schedule(&self, gates: &Gates, over: &std::sync::atomic::AtomicBool) {
        if !self.scheduled {
            return;
        }
        let mut random = Random(self.seed);
        while !over.load(std::sync::atomic::Ordering::SeqCst) {
            let waiting = gates.await_waiters(0);
            if waiting.is_empty() || (waiting.len() < self.workers && random.below(3) > 0) {
                // Not to provoke anything: another worker may or may not come.
                std::thread::yield_now();
                continue;
            }
            let farthest = random.below(3) > 0;
            let chosen = if farthest { waiting.len() - 1 } else { random.below(waiting.len() as u64) as usize };
            gates.open(waiting[chosen]);
            while gates.await_waiters(0).contains(&waiting[chosen]) {
                std::thread::yield_now();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, max_shrink_iters: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_pipeline_gives_what_a_loop_gives(scene in scene()) {
        within(30, move || scene.check());
    }
}
