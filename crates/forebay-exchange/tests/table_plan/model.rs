//! The model: a list of values for each group and column.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int64Type,
    TimestampMicrosecondType, UInt64Type,
};
use forebay_exchange::table::{Aggregate, Function, Query};

/// A value, comparable as SQL groups and orders values.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    Null,
    Number(i128),
    Float(f64),
    Text(String),
}

impl Cell {
    fn rank(&self) -> u8 {
        match self {
            Cell::Null => 0,
            Cell::Number(_) => 1,
            Cell::Float(_) => 2,
            Cell::Text(_) => 3,
        }
    }
}

impl Ord for Cell {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Cell::Number(a), Cell::Number(b)) => a.cmp(b),
            (Cell::Text(a), Cell::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
            // NaN is the largest, and equal to itself; the zeros are equal.
            (Cell::Float(a), Cell::Float(b)) => a.partial_cmp(b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan())),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Cell {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Cell {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Cell {}

pub(crate) fn cell(array: &dyn Array, row: usize) -> Cell {
    if array.is_null(row) {
        return Cell::Null;
    }
    match array.data_type() {
        DataType::Int8 => Cell::Number(array.as_primitive::<Int8Type>().value(row).into()),
        DataType::Int16 => Cell::Number(array.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int64 => Cell::Number(array.as_primitive::<Int64Type>().value(row).into()),
        DataType::UInt64 => Cell::Number(array.as_primitive::<UInt64Type>().value(row).into()),
        DataType::Date32 => Cell::Number(array.as_primitive::<Date32Type>().value(row).into()),
        DataType::Timestamp(..) => Cell::Number(array.as_primitive::<TimestampMicrosecondType>().value(row).into()),
        DataType::Decimal128(..) => Cell::Number(array.as_primitive::<Decimal128Type>().value(row)),
        DataType::Boolean => Cell::Number(array.as_boolean().value(row).into()),
        DataType::Float32 => Cell::Float(array.as_primitive::<Float32Type>().value(row).into()),
        DataType::Float64 => Cell::Float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => Cell::Text(array.as_string::<i32>().value(row).to_owned()),
        DataType::Utf8View => Cell::Text(array.as_string_view().value(row).to_owned()),
        other => panic!("the model knows no {other}"),
    }
}

pub(crate) type Result = BTreeMap<Vec<Cell>, Vec<Cell>>;

/// The result of `query`, of a table whose rows are there `times(row)` times: once, or taken back later.
pub(crate) fn expected(query: &Query, table: &RecordBatch, diff: Option<&str>) -> Result {
    // A group has, for each aggregate, the values of its column; with how often they are there.
    let mut groups: BTreeMap<Vec<Cell>, Vec<(usize, i64)>> = BTreeMap::new();
    for row in 0..table.num_rows() {
        let key = query.by.iter().map(|name| cell(table.column_by_name(name).unwrap(), row)).collect();
        let sign = diff.map_or(1, |name| match cell(table.column_by_name(name).unwrap(), row) {
            Cell::Number(sign) => sign as i64,
            other => panic!("{other:?} is no change"),
        });
        groups.entry(key).or_default().push((row, sign));
    }
    groups
        .into_iter()
        .filter(|(_, rows)| rows.iter().map(|(_, sign)| sign).sum::<i64>() > 0)
        .map(|(key, rows)| {
            let results = query.aggregates.iter().map(|aggregate| one(aggregate, table, &rows)).collect();
            (key, results)
        })
        .collect()
}

fn one(aggregate: &Aggregate, table: &RecordBatch, rows: &[(usize, i64)]) -> Cell {
    let Some(name) = &aggregate.column else {
        return Cell::Number(rows.iter().map(|(_, sign)| i128::from(*sign)).sum());
    };
    let column = table.column_by_name(name).unwrap();
    let scale = match column.data_type() {
        DataType::Decimal128(_, scale) => 10_f64.powi((*scale).into()),
        _ => 1.0,
    };
    let mut values: BTreeMap<Cell, i64> = BTreeMap::new();
    for (row, sign) in rows {
        *values.entry(cell(column, *row)).or_default() += sign;
    }
    values.retain(|value, times| *value != Cell::Null && *times != 0);
    let count: i64 = values.values().sum();
    let floats = || {
        let values = values.iter().map(|(value, times)| match value {
            Cell::Float(float) => (*float, *times),
            other => panic!("{other:?} is no float"),
        });
        neumaier(&values.flat_map(|(float, times)| (0..times).map(move |_| float)).collect::<Vec<_>>())
    };
    let whole = || -> i128 {
        let numbers = values.iter().map(|(value, times)| match value {
            Cell::Number(number) => number * i128::from(*times),
            other => panic!("{other:?} is no number"),
        });
        numbers.sum()
    };
    let is_float = matches!(column.data_type(), DataType::Float32 | DataType::Float64);
    match aggregate.function {
        Function::Count => Cell::Number(count.into()),
        Function::Distinct => Cell::Number(values.len() as i128),
        _ if values.is_empty() => Cell::Null,
        Function::Min => values.keys().collect::<BTreeSet<_>>().first().copied().unwrap().clone(),
        Function::Max => values.keys().collect::<BTreeSet<_>>().last().copied().unwrap().clone(),
        Function::Sum if is_float => Cell::Float(floats()),
        Function::Sum => Cell::Number(whole()),
        Function::Avg if is_float => Cell::Float(floats() / count as f64),
        Function::Avg => Cell::Float(whole() as f64 / (count as f64 * scale)),
    }
}

/// Neumaier's sum: another way than that of the code under test.
fn neumaier(values: &[f64]) -> f64 {
    let (mut sum, mut lost) = (0.0, 0.0);
    for value in values {
        let next: f64 = sum + value;
        lost += if f64::abs(sum) >= value.abs() { (sum - next) + value } else { (value - next) + sum };
        sum = next;
    }
    if sum.is_finite() { sum + lost } else { sum }
}

/// Rows of batches: the first `keys` columns, the others. A group that is there twice is an error.
pub(crate) fn gathered(keys: usize, batches: &[RecordBatch]) -> Result {
    let mut result = Result::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let cells: Vec<Cell> = batch.columns().iter().map(|column| cell(column, row)).collect();
            let (key, values) = cells.split_at(keys);
            for value in key {
                assert!(!matches!(value, Cell::Float(float) if *float == 0.0 && float.is_sign_negative()), "-0.0");
            }
            let before = result.insert(key.to_vec(), values.to_vec());
            assert!(before.is_none(), "the group {key:?} is there twice");
        }
    }
    result
}

/// That both are the same, floats within 1e-12.
pub(crate) fn assert_same(got: &Result, expected: &Result, what: &str) {
    let keys = |result: &Result| result.keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(got), keys(expected), "{what}: the groups");
    for (key, expected) in expected {
        for (at, (got, expected)) in got[key].iter().zip(expected).enumerate() {
            let close = match (got, expected) {
                (Cell::Float(a), Cell::Float(b)) => got == expected || (a - b).abs() <= 1e-12 * b.abs(),
                _ => got == expected,
            };
            assert!(close, "{what}: aggregate {at} of {key:?} is {got:?}, expected {expected:?}");
        }
        assert_eq!(got[key].len(), expected.len());
    }
}
