//! `--where`: what is parsed, what is refused, and that it says what a row-by-row model says.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array, Int64Array,
    RecordBatch, StringArray, StringViewArray, TimestampMillisecondArray, TimestampNanosecondArray, UInt64Array,
};
use arrow::datatypes::Int64Type;
use forebay_exchange::table::{Filter, TableError};
use proptest::prelude::*;

use crate::support::batch;

/// Rows 0, 1, 2, ... and their other columns.
fn sample() -> RecordBatch {
    let row: Int64Array = (0..5).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("row", Arc::new(row)),
        ("tiny", Arc::new(Int8Array::from(vec![Some(-128), Some(-1), Some(0), Some(127), None]))),
        ("big", Arc::new(UInt64Array::from(vec![Some(0), Some(1), Some(1 << 63), Some(u64::MAX), None]))),
        ("x", Arc::new(Float64Array::from(vec![Some(-0.0), Some(0.0), Some(-f64::NAN), Some(1.5), None]))),
        ("f", Arc::new(Float32Array::from(vec![Some(0.1), Some(0.2), Some(f32::INFINITY), Some(-1.0), None]))),
        ("price", Arc::new(decimals())),
        ("City Name", Arc::new(StringArray::from(vec![Some("Rome"), Some("O'Hare"), Some(""), Some("Ålesund"), None]))),
        ("view", Arc::new(StringViewArray::from(vec![Some("a"), Some("b"), Some("c"), Some("d"), None]))),
        ("flag", Arc::new(BooleanArray::from(vec![Some(true), Some(false), Some(true), Some(false), None]))),
        ("day", Arc::new(Date32Array::from(vec![Some(19_753), Some(19_754), Some(-1), Some(0), None]))),
        (
            "ms",
            Arc::new(TimestampMillisecondArray::from(vec![Some(0), Some(1), Some(-1), Some(1_706_702_400_000), None])),
        ),
        (
            "ns",
            Arc::new(
                TimestampNanosecondArray::from(vec![Some(0), Some(1), Some(-1), Some(5), None])
                    .with_timezone("Asia/Tokyo"),
            ),
        ),
    ];
    batch(columns)
}

fn decimals() -> Decimal128Array {
    let values = vec![Some(150), Some(-150), Some(0), Some(99_999), None];
    Decimal128Array::from(values).with_precision_and_scale(10, 2).unwrap()
}

/// The rows for which `filter` is true.
fn rows(filter: &str) -> Vec<i64> {
    let sample = sample();
    let filter = Filter::parse(filter, &sample.schema()).unwrap();
    let kept = filter.apply(sample).unwrap();
    kept.column(0).as_primitive::<Int64Type>().values().to_vec()
}

fn refused(filter: &str) -> (usize, String) {
    match Filter::parse(filter, &sample().schema()) {
        Err(TableError::Filter { at, reason, .. }) => (at, reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn integers_are_compared_exactly_with_any_number() {
    assert_eq!(rows("tiny >= 0"), [2, 3]);
    assert_eq!(rows("tiny > -0.5"), [2, 3]);
    assert_eq!(rows("tiny < -0.5"), [0, 1]);
    assert_eq!(rows("tiny <= -1.0"), [0, 1]);
    assert_eq!(rows("tiny = 0.5"), Vec::<i64>::new());
    assert_eq!(rows("tiny <> 0.5"), [0, 1, 2, 3]);
    assert_eq!(rows("tiny < 1000"), [0, 1, 2, 3]);
    assert_eq!(rows("tiny > -1e400"), [0, 1, 2, 3]);
    assert_eq!(rows("tiny == 1.27e2"), [3]);
    assert_eq!(rows("big = 18446744073709551615"), [3]);
    assert_eq!(rows("big > 18446744073709551614.5"), [3]);
    assert_eq!(rows("big >= -1"), [0, 1, 2, 3]);
    assert_eq!(rows("big < 1e-400"), [0]);
    assert_eq!(rows("price = 1.5"), [0]);
    assert_eq!(rows("price > 1.499"), [0, 3]);
    assert_eq!(rows("price <= -1.495"), [1]);
    assert_eq!(rows("price != 0"), [0, 1, 3]);
}

#[test]
fn floats_are_compared_as_numbers() {
    assert_eq!(rows("x = 0"), [0, 1]);
    assert_eq!(rows("x >= 0.0"), [0, 1, 2, 3]);
    assert_eq!(rows("x < 0"), Vec::<i64>::new());
    assert_eq!(rows("x = nan"), [2]);
    assert_eq!(rows("x < NaN"), [0, 1, 3]);
    assert_eq!(rows("x > 1"), [2, 3]);
    assert_eq!(rows("f = 0.1"), [0]);
    assert_eq!(rows("f = inf"), [2]);
    assert_eq!(rows("f > -inf"), [0, 1, 2, 3]);
}

#[test]
fn strings_and_booleans() {
    assert_eq!(rows("\"City Name\" = 'O''Hare'"), [1]);
    assert_eq!(rows("\"City Name\" > 'S'"), [3]);
    assert_eq!(rows("\"City Name\" = ''"), [2]);
    assert_eq!(rows("view <> 'b'"), [0, 2, 3]);
    assert_eq!(rows("flag = TRUE"), [0, 2]);
    assert_eq!(rows("flag != true"), [1, 3]);
}

#[test]
fn dates_and_timestamps() {
    assert_eq!(rows("day = '2024-01-31'"), [0]);
    assert_eq!(rows("day > '2024-01-31 12:00:00'"), [1]);
    assert_eq!(rows("day <= '1970-01-01'"), [2, 3]);
    assert_eq!(rows("ms = '1970-01-01'"), [0]);
    assert_eq!(rows("ms >= '1970-01-01T00:00:00.0005'"), [1, 3]);
    assert_eq!(rows("ms < '1969-12-31T23:59:59.9995'"), [2]);
    assert_eq!(rows("ms = '2024-01-31 13:00:00+01:00'"), [3]);
    assert_eq!(rows("ns > '1970-01-01 00:00:00.000000001'"), [3]);
    assert_eq!(rows("ns < '9999-12-31'"), [0, 1, 2, 3]);
}

#[test]
fn null_and_logic() {
    assert_eq!(rows("tiny is null"), [4]);
    assert_eq!(rows("tiny IS NOT NULL"), [0, 1, 2, 3]);
    assert_eq!(rows("NOT tiny = 0"), [0, 1, 3]);
    assert_eq!(rows("not not tiny = 0"), [2]);
    // Unknown or true is true; unknown and true is unknown.
    assert_eq!(rows("tiny = 0 or row >= 3"), [2, 3, 4]);
    assert_eq!(rows("tiny <> 0 and row >= 3"), [3]);
    assert_eq!(rows("row = 0 or row = 1 and flag = true"), [0]);
    assert_eq!(rows("(row = 0 or row = 1) and flag = true"), [0]);
    assert_eq!(rows("(row = 0 or row = 1) and flag = false"), [1]);
}

#[test]
fn the_columns_that_are_looked_at() {
    let schema = sample().schema();
    let filter = Filter::parse("view = 'a' or (row > 1 and view = 'b') or \"City Name\" is null", &schema).unwrap();
    assert_eq!(filter.columns(), [0, 6, 7]);
    let projected = sample().project(&[7, 6, 0]).unwrap();
    assert_eq!(filter.apply(projected).unwrap().num_rows(), 2);
    let error = filter.apply(sample().project(&[0]).unwrap()).unwrap_err();
    assert!(error.to_string().contains("there is no column view"), "{error}");
}

#[test]
fn what_is_wrong_is_said_with_the_place() {
    let cases = [
        ("", 1, "a column is expected here, not the end"),
        ("row", 4, "a comparison or IS is expected here, not the end"),
        ("row = ", 7, "a value is expected here, not the end"),
        ("row = 1 row", 9, "AND, OR or the end is expected here, not row"),
        ("(row = 1", 9, "AND, OR or ) is expected here, not the end"),
        ("row = 1)", 8, "AND, OR or the end is expected here, not )"),
        ("row ! 1", 5, "! is followed by = or not used: NOT negates"),
        ("é = 1", 1, "there is no column é; there are row, tiny, big, x, f, price, City Name, view, flag, day, ..."),
        ("row = 1 and view = x", 20, "x is no value; strings are in single quotes: 'x'"),
        ("view = \"x\"", 8, "\"x\" is no value; strings are in single quotes: 'x'"),
        ("view = 'x", 8, "' is not closed"),
        ("view = 5", 8, "column view is Utf8View, it cannot be compared with 5, a number"),
        ("row = '5'", 7, "column row is Int64, it cannot be compared with '5', a string"),
        ("row = true", 7, "column row is Int64, it cannot be compared with true, a boolean"),
        ("row = 5x", 7, "5x is no number that can be compared with exact ones"),
        ("row = nan", 7, "nan is no number that can be compared with exact ones"),
        ("x = 1..2", 5, "1..2 is no number"),
        ("row = null", 7, "compare with null by IS NULL"),
        ("day = '2024-13-01'", 7, "'2024-13-01' is no date or timestamp"),
        ("row is not 5", 12, "NULL is expected here, not 5"),
        ("row = 1 # 2", 9, "# is not expected here"),
        ("and = 1", 1, "a column is expected here, not and"),
    ];
    for (filter, at, reason) in cases {
        assert_eq!(refused(filter), (at, reason.to_owned()), "{filter}");
    }
    let digits = "1".repeat(100);
    assert_eq!(refused(&format!("row = {digits}")).1, format!("{digits} has too many digits"));
}

#[test]
fn nesting_is_bounded() {
    let nested = |levels: usize| format!("{}row = 1{}", "(".repeat(levels), ")".repeat(levels));
    assert_eq!(rows(&nested(100)), [1]);
    assert_eq!(refused(&nested(100_000)), (101, "nested deeper than 100 levels".to_owned()));
    // These are not nested.
    assert_eq!(rows(&format!("{} row = 1", "not ".repeat(100_000))), [1]);
    assert_eq!(rows(&format!("row = 1{}", " or row = 1".repeat(2_000))), [1]);
}

/// One row of the property below.
type Row = (Option<i8>, Option<i16>, Option<u8>);

#[derive(Clone, Debug)]
enum Model {
    /// A column, a comparison, and a number in hundredths.
    Compare(usize, usize, i64),
    IsNull(usize, bool),
    Not(Box<Model>),
    And(Box<Model>, Box<Model>),
    Or(Box<Model>, Box<Model>),
}

const COLUMNS: [&str; 3] = ["int", "cents", "letter"];
const COMPARISONS: [&str; 6] = ["=", "<>", "<", "<=", ">", ">="];

impl Model {
    fn any() -> impl Strategy<Value = Model> {
        let number = prop_oneof![(-3_i64..3).prop_map(|n| n * 100), -300_i64..300, Just(100_000)];
        let leaf = prop_oneof![
            4 => (0_usize..3, 0_usize..6, number).prop_map(|(column, compare, n)| Model::Compare(column, compare, n)),
            1 => (0_usize..3, any::<bool>()).prop_map(|(column, negated)| Model::IsNull(column, negated)),
        ];
        leaf.prop_recursive(4, 24, 2, |part| {
            let pair = (part.clone(), part.clone());
            prop_oneof![
                part.prop_map(|a| Model::Not(Box::new(a))),
                pair.clone().prop_map(|(a, b)| Model::And(Box::new(a), Box::new(b))),
                pair.prop_map(|(a, b)| Model::Or(Box::new(a), Box::new(b))),
            ]
        })
    }

    fn letter(n: i64) -> u8 {
        u8::try_from(n.rem_euclid(4)).unwrap()
    }

    fn text(&self) -> String {
        match self {
            Self::Compare(2, compare, n) => {
                format!("letter {} '{}'", COMPARISONS[*compare], char::from(b'a' + Self::letter(*n)))
            }
            Self::Compare(column, compare, n) => {
                let sign = if *n < 0 { "-" } else { "" };
                let (whole, rest) = (n.abs() / 100, n.abs() % 100);
                format!("{} {} {sign}{whole}.{rest:02}", COLUMNS[*column], COMPARISONS[*compare])
            }
            Self::IsNull(column, negated) => {
                format!("{} is {}null", COLUMNS[*column], if *negated { "not " } else { "" })
            }
            Self::Not(a) => format!("not ({})", a.text()),
            Self::And(a, b) => format!("({}) and ({})", a.text(), b.text()),
            Self::Or(a, b) => format!("({}) or ({})", a.text(), b.text()),
        }
    }

    fn holds(&self, row: &Row) -> Option<bool> {
        // Everything in hundredths.
        let value = |column: usize| match column {
            0 => row.0.map(|n| i64::from(n) * 100),
            1 => row.1.map(i64::from),
            _ => row.2.map(i64::from),
        };
        match self {
            Self::Compare(column, compare, n) => {
                let n = if *column == 2 { i64::from(Self::letter(*n)) } else { *n };
                let x = value(*column)?;
                Some([x == n, x != n, x < n, x <= n, x > n, x >= n][*compare])
            }
            Self::IsNull(column, negated) => Some(value(*column).is_none() != *negated),
            Self::Not(a) => a.holds(row).map(|a| !a),
            Self::And(a, b) => match (a.holds(row), b.holds(row)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Self::Or(a, b) => match (a.holds(row), b.holds(row)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
        }
    }
}

proptest! {
    #[test]
    fn every_filter_says_what_its_rows_say(
        model in Model::any(),
        rows in prop::collection::vec(
            (prop::option::of(-4_i8..4), prop::option::of(-300_i16..300), prop::option::of(0_u8..4)),
            0..40,
        ),
    ) {
        let number: Int64Array = (0..rows.len() as i64).collect();
        let int: Int8Array = rows.iter().map(|row| row.0).collect();
        let cents: Decimal128Array = rows.iter().map(|row| row.1.map(i128::from)).collect();
        let cents = cents.with_precision_and_scale(9, 2).unwrap();
        let letter: StringArray = rows.iter().map(|row| row.2.map(|n| char::from(b'a' + n).to_string())).collect();
        let table = batch(vec![
            ("row", Arc::new(number)),
            ("int", Arc::new(int)),
            ("cents", Arc::new(cents)),
            ("letter", Arc::new(letter)),
        ]);
        let filter = Filter::parse(&model.text(), &table.schema()).unwrap();
        let kept = filter.apply(table).unwrap();
        let expected: Vec<i64> =
            (0..).zip(&rows).filter(|(_, row)| model.holds(row) == Some(true)).map(|(at, _)| at).collect();
        prop_assert_eq!(kept.column(0).as_primitive::<Int64Type>().values().to_vec(), expected, "{}", model.text());
    }
}
