//! What every operator gives out is what its model gives, commit by commit.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::rc::Rc;

use forebay_exchange::{Aggregates, Changes, Exchange, ExchangeOptions, Field, Sealed, ShardAccumulate, seal};
use proptest::prelude::*;
use timely::dataflow::InputHandle;
use timely::dataflow::Stream;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::Operator;
use timely::dataflow::operators::{Input, Probe};

use crate::engine::within;
use crate::support::{Spilling, model_of, runs_of};

type Row = (u8, i16, i64);

/// Records with their weights, by commit. Records that come and go within a commit are not there.
type Given<T> = BTreeMap<u64, BTreeMap<(u8, T), i64>>;

/// What there is of each key after each commit: values with the times that they are there, debts included.
fn collections(commits: &[Vec<Row>]) -> Vec<BTreeMap<u8, Vec<(i16, i64)>>> {
    (0..=commits.len())
        .map(|count| {
            let mut keys: BTreeMap<u8, Vec<(i16, i64)>> = BTreeMap::new();
            for ((key, value), weight) in model_of(commits[..count].iter().flatten().copied()) {
                keys.entry(key).or_default().push((value, weight));
            }
            keys
        })
        .collect()
}

/// What changes from commit to commit, if `records` says what each key's records are.
fn model<T: Ord + Clone>(commits: &[Vec<Row>], records: impl Fn(&[(i16, i64)]) -> Vec<T>) -> Given<T> {
    let mut given = Given::new();
    let all = collections(commits);
    for (commit, states) in all.windows(2).enumerate() {
        let changes: &mut BTreeMap<(u8, T), i64> = given.entry(commit as u64).or_default();
        for (state, weight) in [(&states[0], -1), (&states[1], 1)] {
            for (key, rows) in state {
                records(rows).into_iter().for_each(|record| *changes.entry((*key, record)).or_default() += weight);
            }
        }
        changes.retain(|_, weight| *weight != 0);
    }
    given.retain(|_, changes| !changes.is_empty());
    given
}

fn count(rows: &[(i16, i64)]) -> Vec<i64> {
    Some(rows.iter().map(|row| row.1).sum::<i64>()).filter(|count| *count > 0).into_iter().collect()
}

fn sum(rows: &[(i16, i64)]) -> Vec<i128> {
    let sum = rows.iter().map(|row| i128::from(row.0) * i128::from(row.1)).sum();
    count(rows).into_iter().map(|_| sum).collect()
}

fn avg(rows: &[(i16, i64)]) -> Vec<(i128, i64)> {
    let lowest = |sum: i128, count: i64| {
        let divisor = (1..=count).rev().find(|by| sum % i128::from(*by) == 0 && count % by == 0).unwrap();
        (sum / i128::from(divisor), count / divisor)
    };
    sum(rows).into_iter().zip(count(rows)).map(|(sum, count)| lowest(sum, count)).collect()
}

fn distinct(rows: &[(i16, i64)]) -> Vec<i16> {
    rows.iter().filter(|row| row.1 > 0).map(|row| row.0).collect()
}

fn min(rows: &[(i16, i64)]) -> Vec<i16> {
    distinct(rows).into_iter().min().into_iter().collect()
}

fn max(rows: &[(i16, i64)]) -> Vec<i16> {
    distinct(rows).into_iter().max().into_iter().collect()
}

/// Collects what a stream gives.
pub(crate) fn collect<T: Field + Debug>(stream: Stream<'_, u64, Changes<u8, T>>) -> Rc<RefCell<Given<T>>> {
    let given = Rc::new(RefCell::new(Given::new()));
    let out = Rc::clone(&given);
    stream.sink(Pipeline, "collect", move |(input, _)| {
        input.for_each(|commit, rows: &mut Changes<u8, T>| {
            let mut given = out.borrow_mut();
            let changes: &mut BTreeMap<(u8, T), i64> = given.entry(*commit.time()).or_default();
            for (key, value, weight) in rows.iter() {
                assert!(changes.insert((*key, value.clone()), *weight).is_none(), "no record is given twice");
            }
        });
    });
    given
}

/// Runs all operators over `commits`, with this budget; gives what was spilled.
fn check(commits: Vec<Vec<Row>>, limit: usize, block: usize) -> u64 {
    within(60, move || {
        let store = Spilling::new(limit);
        let (pager, budget) = (store.pager.clone(), store.budget.clone());
        let expected = commits.clone();
        timely::execute_directly(move |worker| {
            let options = ExchangeOptions::new(&budget, Some(pager));
            let exchange = Exchange::new(&options, worker).unwrap();
            let mut input = InputHandle::<u64, _>::new();
            let (counts, sums, avgs, mins, maxs, distincts) = worker.dataflow::<u64, _, _>(|scope| {
                let batches: Stream<'_, u64, Vec<Sealed<Changes<u8, i16>>>> = scope.input_from(&mut input);
                (
                    collect(batches.clone().count(&exchange)),
                    collect(batches.clone().sum(&exchange)),
                    collect(batches.clone().avg(&exchange)),
                    collect(batches.clone().min(&exchange)),
                    collect(batches.clone().max(&exchange)),
                    collect(batches.distinct(&exchange)),
                )
            });
            let batches = commits.len() as u64;
            for (commit, rows) in commits.into_iter().enumerate() {
                let runs = runs_of(vec![rows], block, exchange.memory());
                input.send(seal(commit as u64, runs, exchange.memory()).unwrap());
                input.advance_to(commit as u64 + 1);
                worker.step();
            }
            input.close();
            while worker.has_dataflows() && options.failure().get().is_none() {
                worker.step_or_park(None);
            }
            assert!(options.failure().get().is_none(), "{:?}", options.failure().get());
            let reduce = options.monitor().snapshot().reduce;
            assert_eq!(reduce.nanos.count(), 6 * batches, "each operator's time by batch");
            assert!(!reduce.total.is_zero());
            assert_eq!(*counts.borrow(), model(&expected, count), "count");
            assert_eq!(*sums.borrow(), model(&expected, sum), "sum");
            assert_eq!(*avgs.borrow(), model(&expected, avg), "avg");
            assert_eq!(*mins.borrow(), model(&expected, min), "min");
            assert_eq!(*maxs.borrow(), model(&expected, max), "max");
            assert_eq!(*distincts.borrow(), model(&expected, distinct), "distinct");
        });
        store.settled();
        assert_eq!(store.budget.used(), 0, "everything that was leased was given back");
        store.monitor.snapshot().spilled_items
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn changes_are_those_of_the_model(
        commits in proptest::collection::vec(
            proptest::collection::vec((0_u8..12, -4_i16..5, -2_i64..4), 0..60), 1..12),
        limit in 256_usize..1 << 20,
        block in 1_usize..40,
    ) {
        check(commits, limit, block);
    }
}

#[test]
fn state_that_does_not_fit_is_spilled_and_right() {
    let commits = (0..12_i64)
        .map(|commit| {
            let rows = 0..4000_i64;
            rows.map(|row| ((row % 200) as u8, (row * 7 % 9000) as i16, if (row + commit) % 5 == 0 { -1 } else { 1 }))
                .collect()
        })
        .collect();
    let spilled = check(commits, 128 << 10, 500);
    assert!(spilled > 10_000, "{spilled} rows were spilled");
}

#[test]
fn workers_exchange_rows_by_key_and_count_them() {
    let given = within(60, || {
        let store = Spilling::new(16 << 20);
        let options = ExchangeOptions::new(&store.budget, Some(store.pager.clone()));
        let guards = timely::execute(timely::Config::process(2), move |worker| {
            let me = worker.index() as i64;
            let exchange = Exchange::new(&options, worker).unwrap();
            let gate = exchange.gate();
            let (mut input, counts, probe) = worker.dataflow::<u64, _, _>(|scope| {
                let (input, rows) = scope.new_input::<Changes<u8, i16>>();
                let counts = rows.shard_accumulate(&exchange, &gate).count(&exchange);
                let (probe, counts) = counts.probe();
                (input, collect(counts), probe)
            });
            for commit in 0..3 {
                // Both workers have rows of all keys.
                let mut rows: Changes<u8, i16> = (0..100_u8).map(|key| (key, me as i16, 1 + me)).collect();
                input.send_batch(&mut rows);
                input.advance_to(commit + 1);
                while probe.less_than(input.time()) {
                    worker.step_or_park(None);
                }
            }
            drop(input);
            while worker.has_dataflows() {
                worker.step_or_park(None);
            }
            counts.take()
        })
        .unwrap();
        guards.join().into_iter().map(Result::unwrap).collect::<Vec<_>>()
    });
    assert!(given.iter().all(|given| !given[&0].is_empty()), "each worker has some of the keys");
    for commit in 0..3_u64 {
        let expected = (0..100).flat_map(|key| {
            let count = 3 * commit as i64;
            [((key, count), -1), ((key, count + 3), 1)].into_iter().filter(|((_, count), _)| *count > 0)
        });
        let all: BTreeMap<(u8, i64), i64> = given.iter().flat_map(|given| given[&commit].clone()).collect();
        assert_eq!(all, expected.collect());
    }
}
