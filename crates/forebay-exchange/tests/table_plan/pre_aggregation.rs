//! One row of many before they travel, while it pays.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use forebay_exchange::Rows;
use forebay_exchange::table::{IntakeCounters, KeyedRows};

use crate::model::{Cell, gathered};
use crate::table::{Dice, plan, query, schema_of};

const BATCH: usize = 8192;

/// The counters after `batches` batches of keys, and what is counted.
fn taken_in(aggregates: &[&str], batches: usize, mut key: impl FnMut(usize) -> i64) -> (IntakeCounters, i128) {
    let batch = |keys: Vec<i64>| -> RecordBatch {
        let values: ArrayRef = Arc::new(Int64Array::from_iter_values(keys.iter().map(|key| key % 3)));
        schema_of(vec![("k", Arc::new(Int64Array::from(keys))), ("v", values)]).1
    };
    let plan = plan(&query(&["k"], aggregates), &batch(vec![0]).schema());
    let (mut intake, mut out) = (plan.intake(), KeyedRows::default());
    for at in 0..batches {
        let batch = batch((0..BATCH).map(|row| key(at * BATCH + row)).collect());
        intake.push(&batch.project(plan.columns()).unwrap(), &mut out).unwrap();
    }
    intake.flush(&mut out);
    let counters = intake.counters();
    assert_eq!((counters.rows_in, counters.rows_out), ((batches * BATCH) as u64, out.len() as u64));
    out.consolidate();
    let (mut finisher, mut results) = (plan.finisher(), Vec::new());
    finisher.push(&out, &mut results).unwrap();
    finisher.finish(&mut results).unwrap();
    let counted = gathered(1, &results).into_values().map(|values| match &values[0] {
        Cell::Number(count) => *count,
        other => panic!("{other:?} is no count"),
    });
    (counters, counted.sum())
}

#[test]
fn few_groups_travel_as_one_row_each() {
    let (counters, counted) = taken_in(&["count"], 64, |row| (row % 1000) as i64);
    assert_eq!(counters.rows_out, 1000);
    assert_eq!((counters.stretches_grouped, counters.stretches_passed), (8, 0));
    assert_eq!(counted, 64 * BATCH as i128);
}

#[test]
fn many_groups_pass_by_and_are_tried_again() {
    // Every row is a group for 10 stretches; then there are few groups, which is found out.
    let unique = 10 * 8 * BATCH;
    let (counters, counted) =
        taken_in(&["count"], 24 * 8, |row| if row < unique { row as i64 } else { (row % 100) as i64 });
    // One is tried, 16 pass by, all others are taken in.
    assert_eq!((counters.stretches_grouped, counters.stretches_passed), (8, 16));
    assert!(counters.rows_out > unique as u64);
    assert_eq!(counted, 24 * 8 * BATCH as i128);
}

#[test]
fn a_skewed_key_is_taken_in() {
    let dice = &mut Dice::new(9);
    let (counters, counted) = taken_in(&["count"], 64, |row| if dice.below(2) == 0 { -1 } else { row as i64 });
    assert_eq!((counters.stretches_grouped, counters.stretches_passed), (8, 0));
    assert!(counters.rows_out < (64 * BATCH as u64) * 6 / 10, "{counters:?}");
    assert_eq!(counted, 64 * BATCH as i128);
}

#[test]
fn values_are_counted_before_they_travel() {
    let (counters, counted) = taken_in(&["count", "distinct:v"], 16, |row| (row % 300) as i64);
    // 300 groups, each with one value.
    assert_eq!(counters.rows_out, 600);
    assert_eq!(counted, 16 * BATCH as i128);
}
