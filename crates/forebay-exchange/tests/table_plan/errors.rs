//! What cannot be answered says why, by name.

use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array, Decimal256Array, Int64Array, StringArray};
use arrow::datatypes::{DataType, i256};
use forebay_exchange::Rows;
use forebay_exchange::table::{Aggregate, KeyedRows, Plan, Query, QueryError, TableError};

use crate::model::{Cell, gathered};
use crate::table::{Dice, plan, query, random_table, results, schema_of};

fn refused(query: &Query) -> QueryError {
    let table = random_table(&mut Dice::new(1), 1);
    match Plan::new(query, &table.schema()) {
        Err(TableError::Query(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_unknown_column_is_named_with_those_that_there_are() {
    let error = refused(&query(&["text"], &["sum:amount"]));
    assert!(matches!(&error, QueryError::UnknownColumn { column, .. } if column == "amount"));
    assert!(error.to_string().contains("int, short"), "{error}");
    assert!(matches!(refused(&query(&["city"], &[])), QueryError::UnknownColumn { .. }));
    let diff = Query { diff: Some("sign".to_owned()), ..query(&["text"], &[]) };
    assert!(matches!(refused(&diff), QueryError::UnknownColumn { .. }));
}

#[test]
fn a_type_that_does_not_fit_is_named_with_those_that_do() {
    let error = refused(&query(&["int"], &["sum:text"]));
    assert_eq!(
        error.to_string(),
        "column text is Utf8, which cannot be used for sum: that takes integers, floats and decimals"
    );
    for aggregate in ["avg:date", "sum:bool", "avg:time"] {
        assert!(matches!(refused(&query(&["int"], &[aggregate])), QueryError::Type { .. }), "{aggregate}");
    }
    let diff = Query { diff: Some("float".to_owned()), ..query(&["text"], &[]) };
    assert!(matches!(refused(&diff), QueryError::Type { wanted: "changes", .. }));
}

#[test]
fn two_columns_of_one_name_are_refused() {
    assert_eq!(refused(&query(&["int"], &["count", "count"])), QueryError::SameName { name: "count".to_owned() });
    assert_eq!(refused(&query(&["int", "int"], &[])), QueryError::SameName { name: "int".to_owned() });
    assert_eq!(refused(&query(&[], &["count"])), QueryError::NoKeys);
}

#[test]
fn what_is_no_aggregate_is_refused() {
    for text in ["", "sum", "sum:", "median:x", ":x", "count:", "Count"] {
        let error = text.parse::<Aggregate>().unwrap_err();
        assert_eq!(error, QueryError::Aggregate { text: text.to_owned() });
    }
    let aggregate: Aggregate = "max:a:b".parse().unwrap();
    assert_eq!((aggregate.to_string(), aggregate.output_name()), ("max:a:b".to_owned(), "max_a:b".to_owned()));
}

/// The result of all rows of one batch.
fn finished(plan: &Plan, columns: Vec<(&str, ArrayRef)>) -> Result<usize, TableError> {
    let (_, table) = schema_of(columns);
    let (mut intake, mut rows) = (plan.intake(), KeyedRows::default());
    intake.push(&table, &mut rows)?;
    intake.flush(&mut rows);
    rows.consolidate();
    let (mut finisher, mut out) = (plan.finisher(), Vec::new());
    finisher.push(&rows, &mut out)?;
    finisher.finish(&mut out)?;
    Ok(out.iter().map(|batch| batch.num_rows()).sum())
}

fn amounts(values: &[i64]) -> Vec<(&'static str, ArrayRef)> {
    let cities: ArrayRef = Arc::new(StringArray::from(vec!["Ulm"; values.len()]));
    let years: ArrayRef = Arc::new(Int64Array::from(vec![2024; values.len()]));
    vec![("city", cities), ("year", years), ("amount", Arc::new(Int64Array::from(values.to_vec())))]
}

#[test]
fn a_sum_that_overflows_names_group_and_column() {
    let (schema, _) = schema_of(amounts(&[0]));
    let sums = query(&["city", "year"], &["sum:amount"]);
    let narrow = plan(&sums, &schema);
    let error = finished(&narrow, amounts(&[i64::MAX, 1])).unwrap_err();
    let TableError::Query(QueryError::Overflow { column, group, data_type }) = error else { panic!("{error}") };
    assert_eq!((&column[..], &group[..], data_type), ("amount", "city=Ulm, year=2024", DataType::Int64));
    // On the way there it may.
    assert_eq!(finished(&narrow, amounts(&[i64::MAX, i64::MAX, i64::MIN, i64::MIN, 2])).unwrap(), 1);

    let wide = plan(&Query { wide_sums: true, ..sums }, &schema);
    let (_, table) = schema_of(amounts(&[i64::MAX, i64::MAX]));
    let results = results(&mut Dice::new(2), &wide, &table);
    assert_eq!(results[0].column(2).data_type(), &DataType::Decimal128(38, 0));
    let sum = gathered(2, &results).into_values().next().unwrap();
    assert_eq!(sum, [Cell::Number(2 * i128::from(i64::MAX))]);
}

#[test]
fn a_sum_of_decimals_that_overflows_names_group_and_column() {
    let most = 10_i128.pow(38) - 1;
    let decimals = |values: Vec<i128>| -> Vec<(&str, ArrayRef)> {
        let keys: ArrayRef = Arc::new(Int64Array::from(vec![None; values.len()]));
        let array = Decimal128Array::from(values).with_precision_and_scale(38, 2).unwrap();
        vec![("k", keys), ("v", Arc::new(array))]
    };
    let (schema, _) = schema_of(decimals(vec![0]));
    let plan = plan(&query(&["k"], &["sum:v"]), &schema);
    for values in [vec![most, 1], vec![-most, -most, -most, -most], vec![most; 20]] {
        let error = finished(&plan, decimals(values)).unwrap_err();
        let TableError::Query(QueryError::Overflow { group, .. }) = error else { panic!("{error}") };
        assert_eq!(group, "k=null");
    }
    assert_eq!(finished(&plan, decimals(vec![most, most, most, -most, -most])).unwrap(), 1);
}

#[test]
fn a_change_that_is_none_is_refused() {
    let table = |diff: Vec<Option<i64>>| -> Vec<(&str, ArrayRef)> {
        vec![("k", Arc::new(Int64Array::from(vec![1; diff.len()]))), ("d", Arc::new(Int64Array::from(diff)))]
    };
    let (schema, _) = schema_of(table(vec![Some(1)]));
    let plan = plan(&Query { diff: Some("d".to_owned()), ..query(&["k"], &["count"]) }, &schema);
    assert_eq!(finished(&plan, table(vec![Some(1), Some(1), Some(-1)])).unwrap(), 1);
    for value in [Some(2), Some(0), None] {
        let error = finished(&plan, table(vec![Some(1), value])).unwrap_err();
        let TableError::Query(QueryError::Diff { value: named, .. }) = &error else { panic!("{error}") };
        assert_eq!(*named, value);
    }
}

#[test]
fn rows_of_another_query_are_refused() {
    let (schema, _) = schema_of(amounts(&[0]));
    let (one, other) = (plan(&query(&["city"], &["count"]), &schema), plan(&query(&["year"], &["count"]), &schema));
    let (mut intake, mut rows) = (one.intake(), KeyedRows::default());
    let (_, table) = schema_of(amounts(&[1, 2]));
    intake.push(&table.project(one.columns()).unwrap(), &mut rows).unwrap();
    intake.flush(&mut rows);
    let error = other.finisher().push(&rows, &mut Vec::new()).unwrap_err();
    assert!(matches!(error, TableError::Query(QueryError::Rows(_))), "{error}");
}

#[test]
fn a_decimal_of_too_many_digits_is_named() {
    let large = i256::from_string(&"9".repeat(39)).unwrap();
    let columns = |value: i256, scale: i8| -> Vec<(&'static str, ArrayRef)> {
        let keys: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let array = Decimal256Array::from(vec![value]).with_precision_and_scale(76, scale).unwrap();
        vec![("k", keys), ("v", Arc::new(array))]
    };
    let (schema, _) = schema_of(columns(large, 3));
    for aggregate in ["sum:v", "max:v", "distinct:v"] {
        let error = finished(&plan(&query(&["k"], &[aggregate]), &schema), columns(large, 3)).unwrap_err();
        let text = "column v is Decimal256(76, 3), and one of its values has more than 38 digits, which is the most";
        assert_eq!(error.to_string(), text);
        let small = columns(large / i256::from_i128(10), 3);
        assert_eq!(finished(&plan(&query(&["k"], &[aggregate]), &schema), small).unwrap(), 1);
    }
    // Whether there is a value is seen without computing with it.
    assert_eq!(finished(&plan(&query(&["k"], &["count:v"]), &schema), columns(large, 3)).unwrap(), 1);

    let (schema, _) = schema_of(columns(large, 39));
    for (query, wanted) in [(query(&["v"], &[]), "a key"), (query(&["k"], &["avg:v"]), "avg")] {
        let error = Plan::new(&query, &schema).unwrap_err();
        let allowed = "that takes decimals of at most 38 digits behind the point";
        assert_eq!(
            error.to_string(),
            format!("column v is Decimal256(76, 39), which cannot be used for {wanted}: {allowed}")
        );
    }
}
