//! NDJSON: types, nulls, nested values.

use forebay_exchange::table::InputOptions;

use crate::support::{Files, How, error, read, read_in_parallel};

fn rows(contents: &str) -> Vec<String> {
    let files = Files::new();
    let path = files.write("1.ndjson", contents);
    read(&[path], How::default()).unwrap().text()
}

fn kinds(contents: &str) -> Vec<String> {
    let files = Files::new();
    let path = files.write("1.ndjson", contents);
    read(&[path], How::default()).unwrap().kinds()
}

#[test]
fn types_are_those_that_fit_the_sample() {
    let found = kinds(concat!(
        r#"{"int":1,"float":1,"flag":true,"date":"2024-01-31","time":"2024-01-31 12:00:00","text":"1","mix":1,"no":null}"#,
        "\n",
        r#"{"int":2,"float":2.5,"flag":null,"date":"2024-02-01","time":"2024-01-31","text":"2","mix":"x","big":18446744073709551615}"#,
        "\n",
    ));
    assert_eq!(found, ["Int64", "Float64", "Boolean", "Date32", "Timestamp(µs)", "Utf8", "Utf8", "Utf8", "Utf8"]);
}

#[test]
fn missing_fields_are_null_and_empty_lines_are_no_rows() {
    assert_eq!(rows("{\"a\":1}\n\n{\"b\":\"x\"}\r\n{}\n  \n{\"b\":null,\"a\":2}"), ["1|-", "-|x", "-|-", "2|-"]);
}

#[test]
fn numbers_and_booleans_in_a_column_of_strings_are_their_text() {
    assert_eq!(rows("{\"a\":\"x\"}\n{\"a\":1.50}\n{\"a\":true}\n"), ["x", "1.50", "true"]);
}

#[test]
fn dates_and_timestamps_are_decoded() {
    assert_eq!(rows("{\"t\":\"2024-01-31T12:00:00.5Z\"}\n{\"t\":null}\n"), ["2024-01-31T12:00:00.500", "-"]);
    assert_eq!(rows("{\"t\":\"2024-01-31\"}\n"), ["2024-01-31"]);
}

#[test]
fn what_only_looks_like_a_day_is_a_string() {
    assert_eq!(kinds("{\"t\":\"2024-01-31\"}\n{\"t\":\"2024-02-30\"}\n"), ["Utf8"]);
}

#[test]
fn a_number_is_no_time_and_a_time_is_no_day() {
    let files = Files::new();
    let path = files.write("1.ndjson", "{\"d\":\"2024-01-31\",\"t\":\"2024-01-31 12:00:00\"}\n{\"t\":5}\n{\"d\":\"2024-01-31T05:00:00\"}\n{\"t\":null}\n");
    let options = InputOptions { sample_rows: 1, ..InputOptions::default() };
    let delivered = read(&[path], How { options, ..How::default() }).unwrap();
    assert_eq!(delivered.text(), ["2024-01-31|2024-01-31T12:00:00", "-|-"]);
    let lines: Vec<u64> = delivered.report.malformed.iter().map(|row| row.line).collect();
    assert_eq!(lines, [2, 3]);
}

#[test]
fn nested_values_that_are_not_asked_for_are_ignored() {
    let files = Files::new();
    let path =
        files.write("1.ndjson", "{\"a\":1,\"deep\":{\"x\":[1,2]}}\n{\"a\":2,\"deep\":[{}]}\n{\"a\":3,\"deep\":4}\n");
    let how = How { columns: Some(vec!["a"]), ..How::default() };
    let delivered = read(&[path], how).unwrap();
    assert_eq!(delivered.text(), ["1", "2", "3"]);
    assert_eq!(delivered.report.malformed_rows, 0);
}

#[test]
fn no_columns_wanted_still_counts_rows() {
    let files = Files::new();
    let path = files.write("1.ndjson", "{\"a\":1}\n{\"a\":2}\n[]\n");
    let delivered = read(&[path], How { columns: Some(vec![]), ..How::default() }).unwrap();
    assert_eq!((delivered.report.rows, delivered.report.malformed_rows), (2, 1));
}

#[test]
fn an_array_of_objects_is_refused_with_what_to_do() {
    let files = Files::new();
    let said = error(&[files.write("1.json", "[{\"a\":1}]\n")], How::default());
    assert!(said.contains("a JSON array") && said.contains("jq"), "{said}");
}

#[test]
fn many_pieces_are_decoded_in_parallel_and_come_in_order() {
    let files = Files::new();
    let body: String = (0..50_000).map(|i| format!("{{\"n\":{i},\"s\":\"{{\\\"{i}\"}}\n")).collect();
    let path = files.write("1.ndjson", body);
    let mut how = How::default();
    how.options.piece = Some(50_000);
    let delivered = read_in_parallel(&[path], &how);
    let found = delivered.text();
    assert!(found.iter().enumerate().all(|(i, row)| *row == format!("{i}|{{\"{i}")), "{:?}", &found[..3]);
    assert_eq!(found.len(), 50_000);
    assert!(delivered.report.snapshot.delivered >= 20);
}
