//! Changes, commit by commit.

use std::fs;

use arrow::array::{Int64Array, RecordBatch};
use forebay_exchange::table::{OutputError, OutputOptions, Part};
use tempfile::tempdir;

use crate::harness::{MIB, create, publish, rows, to};

fn change(part: &mut Part, commit: u64, rows: &RecordBatch, change: i64) {
    let change = Int64Array::from_value(change, rows.num_rows());
    part.write_changes(commit, rows, change).unwrap();
}

#[test]
fn rows_of_a_commit_come_before_those_of_the_next_whoever_is_ahead() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("out.csv");
    let options = OutputOptions { changes: true, ..to(&path) };
    let (output, mut parts) = create(&options, 2, 64 * MIB).unwrap();
    let (mut second, mut first) = (parts.remove(1), parts.remove(0));
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for commit in 0..3 {
                change(&mut first, commit, &rows(1, 3), 1);
                first.commit().unwrap();
            }
            first.finish().unwrap();
        });
        scope.spawn(move || {
            second.commit().unwrap();
            change(&mut second, 1, &rows(1, 2), -1);
            second.commit().unwrap();
            second.commit().unwrap();
            second.finish().unwrap();
        });
    });
    assert_eq!(publish(output).unwrap().rows, 7);
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().map(|line| (&line[..1], line.rsplit(',').next().unwrap())).collect();
    assert_eq!(text.lines().next(), Some("commit,city,count,avg,change"));
    let expected = [("0", "1"), ("0", "1"), ("1", "1"), ("1", "1"), ("1", "-1"), ("2", "1"), ("2", "1")];
    assert_eq!(lines[1..], expected);
}

#[test]
fn a_column_that_changes_need_is_refused_by_name() {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema};
    use forebay::{Budget, CancelToken};
    use forebay_exchange::table::Output;

    let dir = tempdir().unwrap();
    for column in ["commit", "change"] {
        let schema = Arc::new(Schema::new(vec![Field::new(column, DataType::Int64, true)]));
        let options = OutputOptions { changes: true, ..to(&dir.path().join("out.csv")) };
        let error = Output::create(&options, &schema, 1, &Budget::new(MIB), &CancelToken::new()).unwrap_err();
        assert!(matches!(error, OutputError::Reserved { column: named } if named == column));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
