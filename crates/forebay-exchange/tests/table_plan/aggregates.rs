//! All aggregates of all types, by all types.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Decimal128Array, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray,
    new_null_array,
};
use arrow::compute::{cast, concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Int64Type};
use forebay_exchange::Rows;
use forebay_exchange::table::{KeyedRows, Plan};

use crate::model::{assert_same, expected, gathered};
use crate::table::{COLUMNS, Dice, plan, query, random_table, results, schema_of, with_diff};

const NUMBERS: [&str; 8] = ["int", "short", "unsigned", "float", "float32", "money", "long", "tiny"];

fn all_aggregates() -> Vec<String> {
    let mut all = vec!["count".to_owned()];
    for column in COLUMNS {
        for function in ["count", "min", "max", "distinct"] {
            all.push(format!("{function}:{column}"));
        }
    }
    for column in NUMBERS {
        all.push(format!("sum:{column}"));
        all.push(format!("avg:{column}"));
    }
    all
}

fn keys(dice: &mut Dice, most: u64) -> Vec<&'static str> {
    let mut keys: Vec<&str> = Vec::new();
    for _ in 0..=dice.below(most) {
        let column = COLUMNS[dice.below(COLUMNS.len() as u64) as usize];
        if !keys.contains(&column) {
            keys.push(column);
        }
    }
    keys
}

/// The rows of `table`, some of them taken back later.
fn with_retractions(dice: &mut Dice, table: &RecordBatch) -> RecordBatch {
    let come = with_diff(table, vec![1; table.num_rows()]);
    let mut parts = vec![come.clone()];
    for row in 0..table.num_rows() {
        if dice.below(2) == 0 {
            parts.push(with_diff(&table.slice(row, 1), vec![-1]));
        }
    }
    concat_batches(&come.schema(), &parts).unwrap()
}

#[test]
fn results_are_those_of_the_model() {
    let all = all_aggregates();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    for seed in 0..40 {
        let dice = &mut Dice::new(seed);
        let rows = 1 + dice.below(300) as usize;
        let table = random_table(dice, rows);
        let keys = keys(dice, 3);
        let mut query = query(&keys, &all);
        query.wide_sums = seed % 2 == 0;
        let plan = plan(&query, &table.schema());
        let got = gathered(keys.len(), &results(dice, &plan, &table));
        assert_same(&got, &expected(&query, &table, None), &format!("seed {seed}, by {keys:?}"));
    }
}

#[test]
fn each_type_alone_is_a_key() {
    for (seed, column) in COLUMNS.into_iter().enumerate() {
        let dice = &mut Dice::new(seed as u64);
        let table = random_table(dice, 200);
        let query = query(&[column], &["count", "sum:int", "sum:float"]);
        let plan = plan(&query, &table.schema());
        let results = results(dice, &plan, &table);
        assert_same(&gathered(1, &results), &expected(&query, &table, None), column);
        assert_eq!(results[0].column(0).data_type(), table.column_by_name(column).unwrap().data_type());
    }
}

#[test]
fn what_is_taken_back_is_not_there() {
    let all = all_aggregates();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    for seed in 0..40 {
        let dice = &mut Dice::new(1000 + seed);
        let rows = 1 + dice.below(200) as usize;
        let table = random_table(dice, rows);
        let table = with_retractions(dice, &table);
        let keys = keys(dice, 2);
        let mut query = query(&keys, &all);
        query.diff = Some("diff".to_owned());
        let plan = plan(&query, &table.schema());
        let got = gathered(keys.len(), &results(dice, &plan, &table));
        assert_same(&got, &expected(&query, &table, Some("diff")), &format!("seed {seed}, by {keys:?}"));
    }
}

/// The result of rows that pass by, because so many other groups came before that aggregating them did not pay.
fn results_passed_by(plan: &Plan, table: &RecordBatch) -> Vec<RecordBatch> {
    const OTHER: i64 = 1 << 52;
    let (mut intake, mut rows) = (plan.intake(), KeyedRows::default());
    let table = table.project(plan.columns()).unwrap();
    let schema = table.schema();
    for batch in 0..9 {
        let columns = schema.fields().iter().map(|field| -> ArrayRef {
            match field.name().as_str() {
                "int" => Arc::new(Int64Array::from_iter_values((0..8192).map(|row| OTHER + batch * 8192 + row))),
                "diff" => Arc::new(Int64Array::from(vec![1; 8192])),
                _ => new_null_array(field.data_type(), 8192),
            }
        });
        intake.push(&RecordBatch::try_new(schema.clone(), columns.collect()).unwrap(), &mut rows).unwrap();
    }
    let before = intake.counters();
    intake.push(&table, &mut rows).unwrap();
    assert_eq!(before.stretches_grouped, 1);
    assert!(intake.counters().rows_out - before.rows_out >= table.num_rows() as u64, "every row went out");
    intake.flush(&mut rows);
    rows.consolidate();
    let (mut finisher, mut results) = (plan.finisher(), Vec::new());
    finisher.push(&rows, &mut results).unwrap();
    finisher.finish(&mut results).unwrap();
    let of_table = results.iter().map(|batch| {
        let keys = batch.column(0).as_primitive::<Int64Type>();
        let mask = keys.iter().map(|key| key.is_none_or(|key| key < OTHER)).collect::<Vec<_>>();
        filter_record_batch(batch, &mask.into()).unwrap()
    });
    of_table.collect()
}

#[test]
fn rows_that_pass_by_are_the_same_rows() {
    let all = all_aggregates();
    let all: Vec<&str> = all.iter().map(String::as_str).filter(|text| !text.contains("distinct")).collect();
    let dice = &mut Dice::new(77);
    let table = random_table(dice, 300);
    let query = query(&["int"], &all);
    let plan = plan(&query, &table.schema());
    let got = gathered(1, &results_passed_by(&plan, &table));
    assert_same(&got, &expected(&query, &table, None), "rows that pass by");
}

#[test]
fn changes_that_pass_by_are_the_same_changes() {
    let all = ["count", "count:text", "sum:short", "sum:float", "avg:long", "min:view", "max:float", "distinct:money"];
    let dice = &mut Dice::new(78);
    let table = random_table(dice, 300);
    let table = with_retractions(dice, &table);
    let mut query = query(&["int"], &all);
    query.diff = Some("diff".to_owned());
    let plan = plan(&query, &table.schema());
    let got = gathered(1, &results_passed_by(&plan, &table));
    assert_same(&got, &expected(&query, &table, Some("diff")), "changes that pass by");
}

#[test]
fn what_is_taken_back_altogether_leaves_no_row() {
    let dice = &mut Dice::new(5);
    let table = random_table(dice, 100);
    let gone = concat_batches(
        &with_diff(&table, vec![1; 100]).schema(),
        &[with_diff(&table, vec![1; 100]), with_diff(&table, vec![-1; 100])],
    )
    .unwrap();
    let mut query = query(&["text"], &["count", "sum:float", "sum:long", "min:text", "distinct:float"]);
    query.diff = Some("diff".to_owned());
    let plan = plan(&query, &gone.schema());
    let batches = crate::table::batches(dice, &plan, &gone);
    let runs = crate::table::runs(dice, &plan, &batches);
    assert!(runs.iter().map(Rows::len).sum::<usize>() > 0);
    assert!(crate::table::blocks(dice, &runs).is_empty());
}

/// What is in memory of results is a batch, whether keys are long or strings that are their extremes.
#[test]
fn groups_of_long_strings_come_in_batches_of_few() {
    let long = |row: usize| format!("{row:05}{}", "x".repeat(20_000));
    let (rows, dice) = (200, &mut Dice::new(11));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("k", Arc::new(Int64Array::from_iter_values(0..rows as i64))),
        ("s", Arc::new(StringArray::from_iter_values((0..rows).map(long)))),
    ];
    let (schema, table) = schema_of(columns);
    for (key, aggregate) in [("s", "count"), ("k", "min:s")] {
        let plan = plan(&query(&[key], &[aggregate]), &schema);
        let results = results(dice, &plan, &table);
        assert_eq!(results.iter().map(RecordBatch::num_rows).sum::<usize>(), rows);
        // Of 4 MB: what fits into 256 KiB, and the group that exceeds it.
        let most = results.iter().map(RecordBatch::num_rows).max();
        assert!(most <= Some(14), "{key}: {most:?} groups in a batch");
        let got = gathered(1, &results);
        assert_same(&got, &expected(&query(&[key], &[aggregate]), &table, None), key);
    }
}

#[test]
fn float_sums_are_exact_in_any_order() {
    let values = [1e300, 1.0, -1e300, 0.1, 0.2, -0.3, 1e-300, f64::MAX, f64::MAX, -f64::MAX, -f64::MAX];
    // What is left of all of them, as a calculation with fractions says.
    let exact = 1.0 + (0.1 + 0.2 - 0.3 - 2.7755575615628914e-17);
    for seed in 0..20 {
        let dice = &mut Dice::new(seed);
        let mut values = values.to_vec();
        for at in (1..values.len()).rev() {
            values.swap(at, dice.below(at as u64 + 1) as usize);
        }
        let rows = values.len();
        let columns: Vec<(&str, ArrayRef)> =
            vec![("k", Arc::new(Int64Array::from(vec![1; rows]))), ("v", Arc::new(Float64Array::from(values)))];
        let (schema, table) = schema_of(columns);
        let plan = plan(&query(&["k"], &["sum:v"]), &schema);
        let results = results(dice, &plan, &table);
        let sum = gathered(1, &results).into_values().next().unwrap();
        let crate::model::Cell::Float(sum) = sum[0] else { panic!("{sum:?}") };
        assert!((sum - exact).abs() <= 1e-15, "seed {seed}: {sum}, expected {exact}");
    }
}

#[test]
fn a_filter_leaves_rows_out() {
    let dice = &mut Dice::new(3);
    let table = random_table(dice, 200);
    let mut filtered = query(&["text"], &["count", "sum:int"]);
    filtered.filter = Some("int > 0 and short = 5".to_owned());
    let plan = plan(&filtered, &table.schema());
    assert!(plan.columns().len() == 3 && plan.columns().is_sorted());
    let got = gathered(1, &results(dice, &plan, &table));
    let mask = (0..table.num_rows()).map(|row| {
        let value = |name: &str| crate::model::cell(table.column_by_name(name).unwrap(), row);
        value("int") > crate::model::Cell::Number(0) && value("short") == crate::model::Cell::Number(5)
    });
    let mask: Vec<bool> = mask.collect();
    assert!(mask.contains(&true));
    let rest = filter_record_batch(&table, &mask.into()).unwrap();
    assert_same(&got, &expected(&filtered, &rest, None), "the filtered table");
}

/// The same values in columns of other widths.
#[test]
fn decimals_and_floats_of_every_width_are_keys_and_values() {
    let prices = Decimal128Array::from(vec![Some(125), Some(-50), None, Some(125), Some(7)]);
    let prices: ArrayRef = Arc::new(prices.with_precision_and_scale(9, 2).unwrap());
    let floats: ArrayRef = Arc::new(Float32Array::from(vec![Some(1.5), Some(-0.0), None, Some(f32::NAN), Some(0.0)]));
    for (column, usual, rare) in [
        (&prices, DataType::Decimal128(9, 2), DataType::Decimal32(9, 2)),
        (&prices, DataType::Decimal128(18, 2), DataType::Decimal64(18, 2)),
        (&prices, DataType::Decimal128(30, 2), DataType::Decimal256(30, 2)),
        (&prices, DataType::Decimal128(38, 2), DataType::Decimal256(76, 2)),
        (&floats, DataType::Float32, DataType::Float16),
    ] {
        let grouped = |data_type: &DataType| {
            let column = cast(column, data_type).unwrap();
            let (schema, table) = schema_of(vec![("k", Arc::clone(&column)), ("v", column)]);
            let mut query = query(&["k"], &["sum:v", "avg:v", "min:v", "max:v", "count:v", "distinct:v"]);
            query.filter = Some("v < 7 OR v IS NULL".to_owned());
            let plan = plan(&query, &schema);
            (plan.output_schema().clone(), gathered(1, &results(&mut Dice::new(1), &plan, &table)))
        };
        let ((expected_schema, expected), (schema, got)) = (grouped(&usual), grouped(&rare));
        assert_eq!(schema, expected_schema, "{rare}");
        assert_same(&got, &expected, &rare.to_string());
    }
}
