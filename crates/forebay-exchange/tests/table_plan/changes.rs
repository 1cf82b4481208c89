//! Each commit's changes, as a worker's operator gives them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use forebay::Budget;
use forebay_exchange::table::{ChangeFinisher, KeyedRows, Plan, Query, QueryError, TableError};
use forebay_exchange::{Exchange, ExchangeOptions, IntakeSender, ReduceSealed, Rows, ShardAccumulate, intake, source};
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Operator;

use crate::model::{Cell, Result, assert_same, cell, expected};
use crate::table::{Dice, plan, query, random_table, schema_of, with_diff};

/// The batches of changes of each commit, of tables that are one commit each.
fn changes(plan: &Plan, commits: Vec<RecordBatch>) -> BTreeMap<u64, Vec<RecordBatch>> {
    let options = ExchangeOptions::new(&Budget::new(64 << 20), None);
    let failure = options.failure().clone();
    let (sender, rows): (IntakeSender<RecordBatch>, _) = intake();
    let feeder = std::thread::spawn(move || {
        for (commit, table) in commits.into_iter().enumerate() {
            sender.send(commit as u64, table, None).unwrap();
            sender.advance(commit as u64 + 1).unwrap();
        }
    });
    let (plan, rows) = (plan.clone(), Mutex::new(Some(rows)));
    let done: Arc<Mutex<BTreeMap<u64, ChangeFinisher>>> = Arc::default();
    let finishers = Arc::clone(&done);
    let batches: Arc<Mutex<BTreeMap<u64, Vec<RecordBatch>>>> = Arc::default();
    let out = Arc::clone(&batches);
    let guards = timely::execute(timely::Config::thread(), move |worker| {
        let exchange = Exchange::new(&options, worker).unwrap();
        let (gate, rows) = (exchange.gate(), rows.lock().unwrap().take().unwrap());
        let (plan, finishers, out) = (plan.clone(), Arc::clone(&finishers), Arc::clone(&out));
        worker.dataflow::<u64, _, _>(|scope| {
            let mut intake = plan.intake();
            let convert = move |table: RecordBatch, out: &mut KeyedRows| {
                intake.push(&table, out).unwrap();
                intake.flush(out);
            };
            source(scope, &exchange, &gate, rows, convert)
                .shard_accumulate(&exchange, &gate)
                .reduce(&exchange, "changes", plan.changes().unwrap())
                .sink(Pipeline, "collect", move |(input, _)| {
                    input.for_each(|time, rows: &mut KeyedRows| {
                        let mut finishers = finishers.lock().unwrap();
                        let finisher = finishers.entry(*time.time()).or_insert_with(|| plan.change_finisher());
                        finisher.push(rows, out.lock().unwrap().entry(*time.time()).or_default()).unwrap();
                    });
                });
        });
        while worker.has_dataflows() && options.failure().get().is_none() {
            worker.step_or_park(None);
        }
    });
    guards.unwrap().join().into_iter().for_each(|worker| worker.unwrap());
    feeder.join().unwrap();
    assert!(failure.get().is_none(), "{:?}", failure.get());
    let mut all = std::mem::take(&mut *batches.lock().unwrap());
    for (commit, finisher) in std::mem::take(&mut *done.lock().unwrap()) {
        finisher.finish(all.entry(commit).or_default()).unwrap();
    }
    all
}

/// Takes what went out of `result` and puts what came in.
fn apply(result: &mut Result, keys: usize, batches: &[RecordBatch]) {
    for batch in batches {
        for row in 0..batch.num_rows() {
            let mut cells: Vec<Cell> = batch.columns().iter().map(|column| cell(column, row)).collect();
            let change = cells.pop().unwrap();
            let values = cells.split_off(keys);
            if change == Cell::Number(-1) {
                assert_eq!(result.remove(&cells), Some(values), "what goes was there");
            } else {
                assert_eq!(result.insert(cells, values), None, "a group is there once");
            }
        }
    }
}

#[test]
fn changes_added_up_are_the_result_at_each_commit() {
    let some = ["count", "sum:int", "sum:float", "avg:long", "min:text", "max:float", "distinct:view", "min:bool"];
    // Both ends of a column, how many values it has, and all three.
    let more = [
        "max:text",
        "distinct:text",
        "min:text",
        "max:long",
        "distinct:long",
        "min:float",
        "distinct:bool",
        "max:bool",
    ];
    for seed in 0..12 {
        let all = if seed % 4 < 2 { some } else { more };
        let dice = &mut Dice::new(seed);
        let mut query = query(&[["int", "text"][seed as usize % 2]], &all);
        query.diff = Some("diff".to_owned());
        let mut there: Vec<RecordBatch> = Vec::new();
        let commits: Vec<RecordBatch> = (0..5)
            .map(|_| {
                let table = random_table(dice, 40);
                let mut parts = vec![with_diff(&table, vec![1; 40])];
                there.extend((0..40).map(|row| table.slice(row, 1)));
                for _ in 0..30 {
                    let gone = there.swap_remove(dice.below(there.len() as u64) as usize);
                    parts.push(with_diff(&gone, vec![-1]));
                }
                concat_batches(&parts[0].schema(), &parts).unwrap()
            })
            .collect();
        let plan = plan(&query, &commits[0].schema());
        let projected = commits.iter().map(|table| table.project(plan.columns()).unwrap()).collect();
        let changes = changes(&plan, projected);
        assert!(changes.keys().copied().eq(0..5));
        let mut result = Result::new();
        for (commit, batches) in changes {
            assert!(batches.iter().all(|batch| batch.schema() == plan.change_schema()));
            apply(&mut result, 1, &batches);
            let so_far = concat_batches(&commits[0].schema(), &commits[..=commit as usize]).unwrap();
            let what = format!("seed {seed}, commit {commit}");
            assert_same(&result, &expected(&query, &so_far, Some("diff")), &what);
        }
    }
}

fn pairs(pairs: &[(i64, i64)]) -> RecordBatch {
    let (keys, values): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
    let columns: Vec<(&str, ArrayRef)> =
        vec![("k", Arc::new(Int64Array::from(keys))), ("v", Arc::new(Int64Array::from(values)))];
    schema_of(columns).1
}

#[test]
fn a_result_that_stays_as_it_is_gives_nothing() {
    // The means of 2 and of 2, 2 are the same, though sums and counts are not; so is the largest of both.
    let commits = vec![pairs(&[(1, 2), (2, 5)]), pairs(&[(1, 2), (2, 7)]), pairs(&[(1, 2)])];
    let plan = plan(&query(&["k"], &["avg:v", "max:v"]), &commits[0].schema());
    let changes = changes(&plan, commits);
    let rows: Vec<usize> = (0..3)
        .map(|commit| changes.get(&commit).map_or(0, |all| all.iter().map(RecordBatch::num_rows).sum()))
        .collect();
    assert_eq!(rows, [2, 2, 0]);
    let mut result = Result::new();
    changes.values().for_each(|batches| apply(&mut result, 1, batches));
    assert_eq!(result[&vec![Cell::Number(2)]], [Cell::Float(6.0), Cell::Number(7)]);
}

#[test]
fn changes_of_long_keys_come_in_batches_of_few() {
    let key = |row: usize| format!("{row:05}{}", "x".repeat(20_000));
    let keys: ArrayRef = Arc::new(StringArray::from_iter_values((0..200).map(key)));
    let table = schema_of(vec![("k", keys)]).1;
    let plan = plan(&query(&["k"], &["count"]), &table.schema());
    let changes = changes(&plan, vec![table.clone(), table]);
    let rows = |commit| changes[&commit].iter().map(RecordBatch::num_rows);
    assert_eq!((rows(0).sum::<usize>(), rows(1).sum::<usize>()), (200, 400));
    // 256 KiB, the group that exceeds it, and its other half.
    let most = rows(0).chain(rows(1)).max();
    assert!(most <= Some(15), "{most:?} rows in a batch");
}

#[test]
fn a_column_called_change_is_refused() {
    let table = schema_of(vec![("change", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).1;
    let plan = plan(&Query { ..query(&["change"], &["count"]) }, &table.schema());
    let error = plan.changes().unwrap_err();
    assert!(matches!(&error, TableError::Query(QueryError::SameName { name }) if name == "change"), "{error}");
}

#[test]
fn rows_of_a_group_are_not_changes() {
    let table = pairs(&[(1, 2)]);
    let plan = plan(&query(&["k"], &["avg:v"]), &table.schema());
    let (mut intake, mut rows) = (plan.intake(), KeyedRows::default());
    intake.push(&table, &mut rows).unwrap();
    intake.flush(&mut rows);
    assert_eq!(rows.len(), 1);
    let error = plan.change_finisher().push(&rows, &mut Vec::new()).unwrap_err();
    assert!(matches!(error, TableError::Query(QueryError::Rows(_))), "{error}");
}
