//! Nobody waits for a consumer but the job that makes the records.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use forebay_exchange::{
    BLOCK, Changes, Exchange, ExchangeError, ExchangeOptions, Group, Outlet, Reduce, ReduceSealed, Sealed, seal,
};
use timely::dataflow::operators::{Input, Probe};
use timely::dataflow::{InputHandle, Stream};

use crate::engine::{Gate, until, within};
use crate::support::{Spilling, runs_of};

/// Gives every key, and says how many it has seen, once the gate is open.
struct Echo {
    seen: Arc<AtomicUsize>,
    gate: Gate,
}

impl Reduce<Changes<u64>> for Echo {
    type State = Changes<u64>;
    type Out = Changes<u64>;

    fn keep(&self, row: &(u64, (), i64), state: &mut Changes<u64>) {
        forebay_exchange::Rows::push(state, row);
    }

    fn group(
        &mut self,
        group: &mut Group<'_, '_, Changes<u64>>,
        out: &mut Outlet<'_, Changes<u64>>,
    ) -> Result<(), ExchangeError> {
        self.gate.pass();
        self.seen.fetch_add(1, Ordering::Relaxed);
        out.rows().add(group.key().0, (), 1);
        Ok(())
    }
}

const KEYS: u64 = 100_000;
const PER_BLOCK: usize = BLOCK / 16;

/// Has a job make four blocks and wait, then calls `then` with the worker and a look at whether the commit is over.
fn withheld(
    then: impl Fn(&mut timely::worker::Worker, &dyn Fn() -> bool, usize, &AtomicUsize) + Send + Sync + 'static,
) {
    within(60, move || {
        let store = Spilling::new(64 << 20);
        let (pager, budget) = (store.pager.clone(), store.budget.clone());
        timely::execute_directly(move |worker| {
            let options = ExchangeOptions::new(&budget, Some(pager));
            let exchange = Exchange::new(&options, worker).unwrap();
            let seen = Arc::new(AtomicUsize::new(0));
            let gate = Gate::default();
            let echo = Echo { seen: Arc::clone(&seen), gate: gate.clone() };
            let mut input = InputHandle::<u64, _>::new();
            let index = worker.next_dataflow_index();
            let probe = worker.dataflow::<u64, _, _>(|scope| {
                let batches: Stream<'_, u64, Vec<Sealed<Changes<u64>>>> = scope.input_from(&mut input);
                batches.reduce(&exchange, "echo", echo).probe().0
            });
            let runs = runs_of(vec![(0..KEYS).map(|key| (key, (), 1)).collect()], 1000, exchange.memory());
            input.send(seal(0, runs, exchange.memory()).unwrap());
            input.close();
            // The operator submits its job, and then what the job makes stays where it is.
            for _ in 0..10 {
                worker.step();
            }
            gate.await_waiters(1);
            gate.open();
            let (mut last, mut still) = (0, 0);
            until("the job makes no more", || {
                let now = seen.load(Ordering::Relaxed);
                still = if now == last { still + 1 } else { 0 };
                last = now;
                still > 100
            });
            then(worker, &|| probe.done(), index, &seen);
        });
    });
}

#[test]
fn a_job_makes_no_more_than_a_few_blocks_ahead_and_the_rest_when_asked() {
    withheld(|worker, done, _, seen| {
        let most = 5 * PER_BLOCK;
        assert!(seen.load(Ordering::Relaxed) <= most, "{} keys", seen.load(Ordering::Relaxed));
        assert!(!done());
        while worker.has_dataflows() {
            worker.step_or_park(None);
        }
        assert!(done());
        assert_eq!(seen.load(Ordering::Relaxed) as u64, KEYS);
    });
}

#[test]
fn a_dataflow_that_is_dropped_lets_its_job_end() {
    withheld(|worker, done, index, _| {
        assert!(!done());
        worker.drop_dataflow(index);
    });
}
