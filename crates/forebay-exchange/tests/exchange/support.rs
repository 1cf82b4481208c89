//! A run of the exchange: each worker's source gets what a thread of the test hands over.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use forebay::{Budget, Pager, SpillStore};
use forebay_exchange::{
    Changes, Exchange, ExchangeError, ExchangeMonitor, ExchangeOptions, ExchangeSnapshot, IntakeSender,
    ShardAccumulate, intake, source,
};
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Operator;

pub(crate) use crate::engine::until;

pub(crate) type Rows = Vec<(u64, (), i64)>;

/// What was sealed: for each commit, the weights by key.
pub(crate) type Sums = BTreeMap<u64, BTreeMap<u64, i64>>;

/// What happens to the rows is this, whatever the interleaving.
pub(crate) fn model(sent: &[(u64, Rows)]) -> Sums {
    let mut sums = Sums::new();
    for (commit, rows) in sent {
        for (key, (), weight) in rows {
            *sums.entry(*commit).or_default().entry(*key).or_default() += weight;
        }
    }
    sums.values_mut().for_each(|sums| sums.retain(|_, weight| *weight != 0));
    sums.retain(|_, sums| !sums.is_empty());
    sums
}

/// How a run is made.
pub(crate) struct Setup {
    pub(crate) workers: usize,
    pub(crate) memory: usize,
    /// Bytes of it that somebody else has for the whole run.
    pub(crate) taken: usize,
    pub(crate) window: Option<usize>,
    pub(crate) store: Option<Box<dyn SpillStore>>,
    /// A worker that takes so long for each item.
    pub(crate) slow: Option<(usize, Duration)>,
}

impl Default for Setup {
    fn default() -> Self {
        Setup { workers: 2, memory: 64 << 20, taken: 0, window: None, store: None, slow: None }
    }
}

/// A run in progress.
pub(crate) struct Run {
    /// For each worker, the way into its source.
    pub(crate) senders: Vec<Option<IntakeSender<Rows>>>,
    pub(crate) monitor: ExchangeMonitor,
    done: mpsc::Receiver<Result<Sums, ExchangeError>>,
    /// Commits as they are sealed: worker and number.
    pub(crate) sealed: mpsc::Receiver<(usize, u64)>,
}

impl Run {
    pub(crate) fn start(setup: Setup) -> Run {
        let budget = Budget::new(setup.memory);
        let taken = budget.consumer("somebody else", 0).unwrap().lease_head(setup.taken);
        let pager = setup.store.map(|store| Pager::new(store, false).unwrap());
        let mut options = ExchangeOptions::new(&budget, pager);
        if let Some(window) = setup.window {
            options = options.window(window);
        }
        let monitor = options.monitor();
        let (senders, intakes): (Vec<_>, Vec<_>) = (0..setup.workers).map(|_| intake::<Rows>()).unzip();
        let intakes: Mutex<Vec<_>> = Mutex::new(intakes.into_iter().map(Some).collect());
        let (sealed_out, sealed) = mpsc::channel();
        let sealed_out = Mutex::new(sealed_out);
        let (done_out, done) = mpsc::channel();
        let (workers, slow) = (setup.workers, setup.slow);
        thread::spawn(move || {
            let sums = Arc::new(Mutex::new(Sums::new()));
            let (all, failure) = (Arc::clone(&sums), options.failure().clone());
            let guards = timely::execute(timely::Config::process(workers), move |worker| {
                let me = worker.index();
                let exchange = match Exchange::new(&options, worker) {
                    Ok(exchange) => exchange,
                    Err(error) => return options.failure().set(error),
                };
                let gate = exchange.gate();
                let intake = intakes.lock().unwrap()[me].take().unwrap();
                let (sums, sealed) = (Arc::clone(&all), sealed_out.lock().unwrap().clone());
                let failure = options.failure().clone();
                let index = worker.next_dataflow_index();
                worker.dataflow::<u64, _, _>(|scope| {
                    let slow = slow.filter(|(worker, _)| *worker == me);
                    let convert = move |rows: Rows, out: &mut Changes<u64>| {
                        if let Some((_, time)) = slow {
                            thread::sleep(time);
                        }
                        out.extend(rows);
                    };
                    source(scope, &exchange, &gate, intake, convert).shard_accumulate(&exchange, &gate).sink(
                        Pipeline,
                        "collect",
                        move |(input, _)| {
                            input.for_each(|_, batches: &mut Vec<_>| {
                                for batch in batches.drain(..) {
                                    let batch: forebay_exchange::Sealed<Changes<u64>> = batch;
                                    let mut cursor = batch.cursor().unwrap();
                                    let mut sums = sums.lock().unwrap();
                                    let sums = sums.entry(batch.commit()).or_default();
                                    let mut last = None;
                                    while let Some(block) = cursor.next_block().unwrap() {
                                        for (key, (), weight) in block.iter() {
                                            assert!(sums.insert(*key, *weight).is_none(), "a key has one row");
                                            let hash = forebay_exchange::Field::hash64(key);
                                            assert!(last.replace(hash).is_none_or(|last| last <= hash));
                                        }
                                    }
                                    let _ = sealed.send((me, batch.commit()));
                                }
                            });
                        },
                    );
                });
                while failure.get().is_none() && worker.has_dataflows() {
                    worker.step_or_park(None);
                }
                if failure.get().is_some() {
                    worker.drop_dataflow(index);
                }
            });
            drop(guards);
            drop(taken);
            let mut sums = std::mem::take(&mut *sums.lock().unwrap());
            sums.retain(|_, sums| !sums.is_empty());
            let _ = done_out.send(failure.get().map_or(Ok(sums), Err));
        });
        let senders = senders.into_iter().map(Some).collect();
        Run { senders, monitor, done, sealed }
    }

    pub(crate) fn send(&self, worker: usize, commit: u64, rows: Rows) {
        self.senders[worker].as_ref().unwrap().send(commit, rows, None).unwrap();
    }

    pub(crate) fn advance(&self, worker: usize, commit: u64) {
        self.senders[worker].as_ref().unwrap().advance(commit).unwrap();
    }

    pub(crate) fn finish(mut self) -> (Result<Sums, ExchangeError>, ExchangeSnapshot) {
        self.senders.iter_mut().for_each(|sender| *sender = None);
        let sums = self.done.recv_timeout(Duration::from_secs(120)).expect("the run ends");
        (sums, self.monitor.snapshot())
    }
}

/// Numbers that look random and are the same every time.
pub(crate) fn noise(seed: u64) -> impl Iterator<Item = u64> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}
