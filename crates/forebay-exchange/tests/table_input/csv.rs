//! CSV: types, nulls, quotes, headers.

use forebay_exchange::table::{Format, InputOptions, Piece};

use crate::support::{Files, How, error, read, read_in_parallel};

fn rows(contents: impl AsRef<[u8]>) -> Vec<String> {
    let files = Files::new();
    let path = files.write("1.csv", contents);
    read(&[path], How::default()).unwrap().text()
}

fn kinds(contents: &str) -> Vec<String> {
    let files = Files::new();
    let path = files.write("1.csv", contents);
    read(&[path], How::default()).unwrap().kinds()
}

#[test]
fn types_are_those_that_fit_the_sample() {
    let found = kinds(concat!(
        "int,float,mixed,flag,date,time,nanos,text,none,big\n",
        "1,1.5,1,true,2024-01-31,2024-01-31 12:00:00,2024-01-31T12:00:00.123456789,a,,99999999999999999999\n",
        "-2,1e3,2.5,FALSE,2024-02-01,2024-01-31,2024-01-31T12:00:00,1,,1\n",
    ));
    let expected =
        ["Int64", "Float64", "Float64", "Boolean", "Date32", "Timestamp(µs)", "Timestamp(ns)", "Utf8", "Utf8", "Utf8"];
    assert_eq!(found, expected);
}

#[test]
fn what_only_looks_like_a_day_or_a_number_is_a_string() {
    let days = "day,time,zip,sum\n2024-01-01,2024-01-01 10:00:00,00123,0\n2024-02-30,2024-01-01 25:00:00,123,-10\n";
    assert_eq!(kinds(days), ["Utf8", "Utf8", "Utf8", "Int64"]);
    assert_eq!(rows(days), ["2024-01-01|2024-01-01 10:00:00|00123|0", "2024-02-30|2024-01-01 25:00:00|123|-10"]);
    assert_eq!(kinds("a,b,c,d\n0,0.5,-00,1.5\n10,00.5,1,07\n"), ["Int64", "Float64", "Utf8", "Utf8"]);
}

/// What comes after the sample and has more than the type of its column holds would be another value.
#[test]
fn times_that_a_column_has_no_place_for_are_malformed() {
    let files = Files::new();
    let path = files.write("1.csv", "day,time\n2024-01-31,2024-01-31 12:00:00.25\n2024-01-31T05:00:00,\n2024-02-01T00:00:00,\n,2024-01-31 12:00:00.1234567\n");
    let options = InputOptions { sample_rows: 1, ..InputOptions::default() };
    let delivered = read(&[path], How { options, ..How::default() }).unwrap();
    assert_eq!(delivered.text(), ["2024-01-31|2024-01-31T12:00:00.250", "2024-02-01|-"]);
    let lines: Vec<u64> = delivered.report.malformed.iter().map(|row| row.line).collect();
    assert_eq!(lines, [3, 5]);
    assert_eq!(delivered.report.malformed[0].reason, "column day: '2024-01-31T05:00:00' is no date (Date32)");
}

#[test]
fn later_digits_of_a_second_are_not_lost() {
    let found = rows("t\n2024-01-31 12:00:00\n2024-01-31 12:00:00.25\n");
    assert_eq!(found, ["2024-01-31T12:00:00", "2024-01-31T12:00:00.250"]);
}

#[test]
fn empty_fields_are_null_and_empty_lines_are_no_rows() {
    assert_eq!(rows("a,b\n,x\n\n1,\n\r\n\"\",\"\"\n"), ["-|x", "1|-", "-|-"]);
}

#[test]
fn quotes_hide_delimiters_newlines_and_quotes() {
    let found = rows("a,b\n\"x,\"\"y\"\"\",1\n\"two\nlines\",2\nin \"the\" middle,3\n");
    assert_eq!(found, ["x,\"y\"|1", "two\nlines|2", "in \"the\" middle|3"]);
}

#[test]
fn line_ends_byte_order_marks_and_a_last_line_without_an_end() {
    assert_eq!(rows("\u{feff}a,b\r\n1,2\r\n3,4"), ["1|2", "3|4"]);
    assert_eq!(rows("\n\na\n1\n"), ["1"]);
    assert_eq!(rows("a\r1\r2\r"), ["1", "2"]);
}

#[test]
fn another_delimiter() {
    let files = Files::new();
    let path = files.write("1.csv", "a;b\n1,5;2\n");
    let options = InputOptions { delimiter: Some(b';'), ..InputOptions::default() };
    assert_eq!(read(&[path], How { options, ..How::default() }).unwrap().text(), ["1,5|2"]);
    let options = InputOptions { delimiter: Some(b'"'), ..InputOptions::default() };
    assert!(error(&["-"], How { options, ..How::default() }).starts_with("delimiter: "));
}

#[test]
fn each_file_has_the_delimiter_of_its_name() {
    let files = Files::new();
    let paths = [files.write("1.tsv", "a\tb\n1,5\t2\n"), files.write("2.csv", "a,b\nx,3\n")];
    assert_eq!(read(&paths, How::default()).unwrap().text(), ["1,5|2", "x|3"]);
    let options = InputOptions { delimiter: Some(b','), ..InputOptions::default() };
    let path = files.write("3.tsv", "a,b\n4,5\n");
    assert_eq!(read(&[path], How { options, ..How::default() }).unwrap().text(), ["4|5"]);
}

#[test]
fn types_are_those_of_as_many_rows_as_are_asked_for() {
    let files = Files::new();
    let body: String = (0..1500).map(|i| if i == 1400 { "1.5\n".to_owned() } else { format!("{i}\n") }).collect();
    let path = files.write("1.csv", format!("n\n{body}"));
    let delivered = read(&[&path], How::default()).unwrap();
    assert_eq!((delivered.kinds(), delivered.report.malformed_rows), (vec!["Int64".to_owned()], 1));
    let row = &delivered.report.malformed[0];
    assert_eq!((row.line, row.column.as_deref()), (1402, Some("n")));
    let sampled = |sample_rows| {
        let options = InputOptions { sample_rows, ..InputOptions::default() };
        read(&[&path], How { options, ..How::default() })
    };
    let delivered = sampled(1401).unwrap();
    assert_eq!((delivered.kinds(), delivered.report.malformed_rows), (vec!["Float64".to_owned()], 0));
    assert!(sampled(0).unwrap_err().to_string().starts_with("sample-rows: "));
}

#[test]
fn columns_without_a_name_or_with_that_of_another_get_their_own() {
    let files = Files::new();
    let path = files.write("1.csv", "a,,a,a_1,a\n1,2,3,4,5\n");
    let delivered = read(&[path], How::default()).unwrap();
    let names: Vec<_> = delivered.schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["a", "column1", "a_2", "a_1", "a_3"]);
}

#[test]
fn a_header_alone_is_a_table_without_rows_and_an_empty_file_is_none() {
    assert_eq!(rows("a,b\n"), Vec::<String>::new());
    assert_eq!(rows("a,b"), Vec::<String>::new());
    let files = Files::new();
    let said = error(&[files.write("empty.csv", "")], How::default());
    assert!(said.ends_with("empty.csv: empty: CSV begins with a header"), "{said}");
}

#[test]
fn only_the_wanted_columns_are_decoded() {
    let files = Files::new();
    let body: String = (0..3000).map(|i| format!("{i},{}\n", if i > 2000 { "x" } else { "1" })).collect();
    let path = files.write("1.csv", format!("a,b\n{body}"));
    let wanted = |columns| read(&[&path], How { columns: Some(columns), ..How::default() }).unwrap().report;
    let report = wanted(vec!["a"]);
    assert_eq!((report.rows, report.malformed_rows), (3000, 0));
    let report = wanted(vec!["b", "a"]);
    assert_eq!((report.rows, report.malformed_rows), (2001, 999));
    let report = wanted(vec![]);
    assert_eq!((report.rows, report.malformed_rows), (3000, 0));
}

/// Places of fields are kept for a batch; of thousands of columns those would be most of what is kept.
#[test]
fn rows_of_many_columns_are_decoded_a_few_at_a_time() {
    let names: Vec<String> = (0..3000).map(|column| format!("c{column}")).collect();
    let rows: String = (0..100).map(|row| format!("{row}{}\n", ",1".repeat(2999))).collect();
    let files = Files::new();
    let path = files.write("1.csv", format!("{}\n{rows}", names.join(",")));
    let delivered = read(&[path], How { columns: Some(vec!["c0"]), ..How::default() }).unwrap();
    assert_eq!(delivered.text(), (0..100).map(|row| row.to_string()).collect::<Vec<_>>());
    for piece in &delivered.pieces {
        assert!(!matches!(piece, Piece::Rows { batch, .. } if batch.num_rows() > 43), "131,072 fields at most");
    }
}

#[test]
fn types_fit_the_samples_of_all_files() {
    let files = Files::new();
    let paths = [
        files.write("1.csv", "a,b\n1,2024-01-31\n"),
        files.write("2.csv", "b,a\n2024-01-31 00:00:01,2.5\n"),
        files.write("3.ndjson", "{\"a\":3}\n"),
    ];
    let delivered = read(&paths, How::default()).unwrap();
    assert_eq!(delivered.kinds(), ["Float64", "Timestamp(µs)"]);
    assert_eq!(delivered.text(), ["1.0|2024-01-31T00:00:00", "2.5|2024-01-31T00:00:01", "3.0|-"]);
}

#[test]
fn a_file_without_a_column_of_the_others_is_refused() {
    let files = Files::new();
    let paths = [files.write("1.csv", "a,b\n1,2\n"), files.write("2.csv", "a\n1\n")];
    let said = error(&paths, How { columns: Some(vec!["b"]), ..How::default() });
    assert!(said.contains("2.csv has no column b"), "{said}");
    assert_eq!(read(&paths, How::default()).unwrap().text(), ["1", "1"]);
}

#[test]
fn the_format_asked_for_counts_more_than_the_name() {
    let files = Files::new();
    let path = files.write("1.data", "{a}\n1\n");
    let options = InputOptions { format: Some(Format::Csv), ..InputOptions::default() };
    assert_eq!(read(&[path], How { options, ..How::default() }).unwrap().text(), ["1"]);
}

#[test]
fn many_pieces_are_decoded_in_parallel_and_come_in_order() {
    let files = Files::new();
    let body: String = (0..200_000).map(|i| format!("{i},\"{i}\n\"\n")).collect();
    let path = files.write("1.csv", format!("n,s\n{body}"));
    let options = InputOptions { piece: Some(100_000), ..InputOptions::default() };
    let delivered = read_in_parallel(&[path], &How { options, ..How::default() });
    let found = delivered.text();
    assert!(found.iter().enumerate().all(|(i, row)| *row == format!("{i}|{i}\n")));
    assert_eq!(found.len(), 200_000);
    let snapshot = &delivered.report.snapshot;
    assert!(snapshot.delivered >= 30, "{snapshot:?}");
}
