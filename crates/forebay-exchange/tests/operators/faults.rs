//! What cannot be read ends the run and not the process.

use std::sync::Arc;

use forebay::spill::faulty::{Errno, Fault, FaultyFs, Operation};
use forebay::{Budget, SegmentOptions};
use forebay_exchange::{
    Changes, Exchange, ExchangeError, ExchangeOptions, Group, Outlet, Reduce, ReduceSealed, Sealed, seal,
};
use timely::dataflow::operators::{Input, Probe};
use timely::dataflow::{InputHandle, Stream};

use crate::engine::within;
use crate::support::{Spilling, runs_of};

/// Counts, two ways to go wrong included.
struct Fragile {
    panics: bool,
}

impl Reduce<Changes<u64>> for Fragile {
    type State = Changes<u64>;
    type Out = Changes<u64>;

    fn keep(&self, row: &(u64, (), i64), state: &mut Changes<u64>) {
        forebay_exchange::Rows::push(state, row);
    }

    fn group(
        &mut self,
        group: &mut Group<'_, '_, Changes<u64>>,
        _: &mut Outlet<'_, Changes<u64>>,
    ) -> Result<(), ExchangeError> {
        assert!(!self.panics, "the aggregate is broken");
        group.next().map(|_| ())
    }
}

/// Two commits of 20,000 keys; `meanwhile` is called between them. How the run ends, and whether the second commit
/// seems to be complete.
fn run(store: &Spilling, panics: bool, meanwhile: impl FnOnce() + Send + Sync + 'static) -> (ExchangeError, bool) {
    let (pager, budget) = (store.pager.clone(), store.budget.clone());
    within(60, move || {
        timely::execute_directly(move |worker| {
            let options = ExchangeOptions::new(&budget, Some(pager));
            let exchange = Exchange::new(&options, worker).unwrap();
            let mut input = InputHandle::<u64, _>::new();
            let index = worker.next_dataflow_index();
            let probe = worker.dataflow::<u64, _, _>(|scope| {
                let batches: Stream<'_, u64, Vec<Sealed<Changes<u64>>>> = scope.input_from(&mut input);
                batches.reduce(&exchange, "fragile", Fragile { panics }).probe().0
            });
            let mut meanwhile = Some(meanwhile);
            for commit in 0..2 {
                let rows = (0..20_000_u64).map(|key| (key, (), 1)).collect();
                let runs = runs_of(vec![rows], 1000, exchange.memory());
                input.send(seal(commit, runs, exchange.memory()).unwrap());
                input.advance_to(commit + 1);
                options.failure().wake(worker.sync_activator_for(Vec::new()));
                while probe.less_than(input.time()) && options.failure().get().is_none() {
                    worker.step_or_park(Some(std::time::Duration::from_millis(20)));
                }
                if let Some(meanwhile) = meanwhile.take() {
                    meanwhile();
                }
            }
            let complete = !probe.less_than(&2);
            worker.drop_dataflow(index);
            (options.failure().get().unwrap(), complete)
        })
    })
}

#[test]
fn state_that_cannot_be_read_ends_the_run_with_its_place() {
    let fs = FaultyFs::new();
    let options = SegmentOptions::new().file_system(Arc::new(fs.clone()));
    let store = Spilling::with(Budget::new(4 << 10), options);
    let (error, complete) = run(&store, false, move || fs.inject(Operation::Read, 0.., Fault::Error(Errno::IO)));
    assert!(matches!(error, ExchangeError::Spill(_)), "{error}");
    assert!(error.to_string().contains(&store.path()), "{error}");
    assert!(!complete, "a commit that failed is never over");
}

#[test]
fn an_aggregate_that_panics_ends_the_run() {
    let store = Spilling::new(4 << 20);
    let (error, complete) = run(&store, true, || {});
    assert!(matches!(&error, ExchangeError::Panicked { message } if message.contains("broken")), "{error}");
    assert!(!complete);
}
