//! Malformed rows: left out, counted, and described with their line.

use forebay_exchange::table::{InputOptions, TableError};

use crate::support::{Delivered, Files, How, read};

fn read_as(name: &str, contents: &[u8], options: InputOptions) -> Delivered {
    let files = Files::new();
    let path = files.write(name, contents);
    read(&[path], How { options, ..How::default() }).unwrap()
}

/// A thousand good rows, so that the types are settled, then `tail`, which begins with line 1002 of CSV.
fn csv(tail: &[u8], piece: usize) -> Delivered {
    let mut contents = b"n,s\n".to_vec();
    (0..1000).for_each(|i| contents.extend_from_slice(format!("{i},s{i}\n").as_bytes()));
    contents.extend_from_slice(tail);
    read_as("1.csv", &contents, InputOptions { piece: Some(piece), ..InputOptions::default() })
}

#[test]
fn each_kind_of_bad_csv_row_is_named_with_its_line() {
    let tail: &[u8] =
        b"x,a\n1,\"two\nlines\"\n1\n1,2,3\n1.5,a\n99999999999999999999,a\n2,\"\nb\xff\"\n\n3,good\n4,\"open";
    for piece in [1, 7, 64, 1 << 20] {
        let delivered = csv(tail, piece);
        let expected = [
            (1002, "column n: 'x' is no integer (Int64)"),
            (1005, "1 fields instead of 2"),
            (1006, "3 fields instead of 2"),
            (1007, "column n: '1.5' is no integer (Int64)"),
            (1008, "column n: '99999999999999999999' is no integer (Int64)"),
            (1009, "not UTF-8"),
            (1013, "a quoted field does not end before the file does"),
        ];
        assert_eq!(delivered.malformed(), expected, "pieces of {piece}");
        assert_eq!((delivered.report.malformed_rows, delivered.report.malformed_lines), (7, 8));
        assert_eq!(delivered.report.malformed.iter().map(|row| row.lines).collect::<Vec<_>>(), [1, 1, 1, 1, 1, 2, 1]);
        assert_eq!(delivered.text()[1000..], ["1|two\nlines", "3|good"], "pieces of {piece}");
    }
}

#[test]
fn each_kind_of_bad_line_of_json_is_named() {
    let mut contents = Vec::new();
    (0..1000).for_each(|i| contents.extend_from_slice(format!("{{\"n\":{i},\"s\":\"s\",\"f\":1.5}}\n").as_bytes()));
    contents.extend_from_slice(
        b"{\"n\":1\n{\"n\":1} {\"n\":2}\n{\"n\":\n1}\n[1]\n7\nnull\n{\"n\":1.5}\n{\"n\":\"1\"}\n{\"n\":9223372036854775808}\n\
        {\"n\":1,\"s\":\"\xff\"}\n{\"s\":[1]}\n{\"f\":\"x\"}\n{\"n\":5}\n{\"n\":",
    );
    for piece in [1, 50, 1 << 20] {
        let options = InputOptions { piece: Some(piece), ..InputOptions::default() };
        let delivered = read_as("1.ndjson", &contents, options);
        let lines: Vec<u64> = delivered.report.malformed.iter().map(|row| row.line).collect();
        assert_eq!(lines, [1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1015]);
        let reasons: Vec<_> = delivered.report.malformed.iter().map(|row| row.reason.as_str()).collect();
        let expected =
            ["the line ends within a value", "more than one value in the line", "the line ends within a value"];
        assert_eq!(reasons[..3], expected);
        assert_eq!(reasons[7], "column n, integer (Int64): 1.5 is none");
        assert_eq!(reasons[10], "not UTF-8");
        assert!(reasons[11].starts_with("column s, string (Utf8): "), "{}", reasons[11]);
        assert!(reasons[12].starts_with("column f, number (Float64): "), "{}", reasons[12]);
        assert_eq!(delivered.text()[1000..], ["5|-|-"]);
    }
}

#[test]
fn good_rows_around_bad_ones_are_kept_in_order() {
    let rows = 30_000;
    let is_bad = |i: usize| i > 1200 && (i.is_multiple_of(7) || (9_000..9_100).contains(&i));
    let body: String = (0..rows).map(|i| if is_bad(i) { format!("x{i}\n") } else { format!("{i}\n") }).collect();
    let delivered = read_as("1.csv", format!("n\n{body}").as_bytes(), InputOptions::default());
    let good: Vec<String> = (0..rows).filter(|i| !is_bad(*i)).map(|i| i.to_string()).collect();
    assert_eq!(delivered.text(), good);
    assert_eq!(delivered.report.malformed_rows, (rows - good.len()) as u64);
    assert_eq!(delivered.report.rows, good.len() as u64);
    let first: Vec<u64> = (0..rows).filter(|i| is_bad(*i)).map(|i| i as u64 + 2).take(20).collect();
    assert_eq!(delivered.report.malformed.iter().map(|row| row.line).collect::<Vec<_>>(), first);
}

#[test]
fn strict_ends_at_the_first_bad_row_and_names_it() {
    let files = Files::new();
    let body: String = (0..5_000).map(|i| if i % 1_500 == 1_499 { "x\n".into() } else { format!("{i}\n") }).collect();
    let csv = files.write("1.csv", format!("n\n{body}"));
    let json = files.write("1.ndjson", "{\"n\":1}\nx\n");
    let options = InputOptions { strict: true, piece: Some(100), ..InputOptions::default() };
    let how = How { options, ..How::default() };
    for (path, line) in [(csv, 1501), (json, 2)] {
        let error = read(&[&path], how.clone()).unwrap_err();
        let TableError::Malformed(row) = &error else { panic!("{error:?}") };
        assert_eq!((&*row.path, row.line), (path.as_path(), line));
        assert!(error.to_string().starts_with(&format!("{}:{line}: ", path.display())), "{error}");
    }
}

#[test]
fn a_row_that_is_too_long_is_dropped_without_being_kept() {
    let options = InputOptions { piece: Some(10), longest_row: 1_000, ..InputOptions::default() };
    let long = "y".repeat(5_000);
    let delivered = read_as("1.csv", format!("s\na\n{long}\nb\n\"{long}\n{long}\"\nc\n").as_bytes(), options.clone());
    assert_eq!(delivered.text(), ["a", "b", "c"]);
    let reason = "longer than 1000 bytes";
    assert_eq!(delivered.malformed(), [(3, reason), (5, reason)]);

    assert_eq!(delivered.report.malformed.iter().map(|row| row.lines).collect::<Vec<_>>(), [1, 2]);

    let delivered = read_as("1.csv", format!("s\na\n\"{long}{long}").as_bytes(), options.clone());
    assert_eq!(delivered.text(), ["a"]);
    assert_eq!(delivered.malformed(), [(3, "longer than 1000 bytes, in a quoted field that does not end")]);

    let json = format!("{{\"s\":\"a\"}}\n{{\"s\":\"{long}\"}}\n{{\"s\":\"b\"}}");
    let delivered = read_as("1.ndjson", json.as_bytes(), options);
    assert_eq!((delivered.text(), delivered.malformed()), (vec!["a".into(), "b".into()], vec![(2, reason)]));
}

/// The rest of the file would be one row, however little of it is kept.
#[test]
fn a_quote_that_is_not_closed_is_an_error_with_its_line() {
    let files = Files::new();
    let long = "y".repeat(5_000);
    for (contents, line, lines) in [
        ("a,b\n1,2\n\"3\n4\",\"5\n6,7\n8,9".to_owned(), 4, 3),
        ("a,b\n1,2\n3,\"4\n5,6\n".to_owned(), 3, 2),
        (format!("a,b\n1,2\n3,\"4\n{long},6\n7,{long}"), 3, 3),
        (format!("a,b\n1,2\n3,\"4\n{long},6\n7,{long}\n"), 3, 3),
    ] {
        let path = files.write("1.csv", contents);
        for piece in [1, 7, 1 << 20] {
            let options = InputOptions { piece: Some(piece), longest_row: 1_000, ..InputOptions::default() };
            let error = read(&[&path], How { options, ..How::default() }).unwrap_err();
            let TableError::OpenQuote { line: found, lines: lost, .. } = &error else { panic!("{error:?}") };
            assert_eq!((*found, *lost), (line, lines), "pieces of {piece}");
            assert!(error.to_string().starts_with(&format!("{}:{line}: a quote ", path.display())), "{error}");
        }
    }
}

/// The decoder shows values by recursion: this line would overflow its stack.
#[test]
fn deep_nesting_is_malformed() {
    let deep = format!("{{\"n\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let delivered =
        read_as("1.ndjson", format!("{{\"n\":1}}\n{deep}\n{{\"n\":2}}\n").as_bytes(), InputOptions::default());
    assert_eq!(delivered.text(), ["1", "2"]);
    assert_eq!(delivered.malformed(), [(2, "nested deeper than 1000 levels")]);
}

#[test]
fn bad_rows_in_the_sample_say_nothing_about_types() {
    let delivered = read_as("1.csv", b"n,m\n1,2,3\n\xff,1\n1,2\n", InputOptions::default());
    assert_eq!(delivered.kinds(), ["Int64", "Int64"]);
    assert_eq!(delivered.malformed(), [(2, "3 fields instead of 2"), (3, "not UTF-8")]);
    let delivered = read_as("1.ndjson", b"oops\n{\"n\":1}\n", InputOptions::default());
    assert_eq!((delivered.kinds(), delivered.text()), (vec!["Int64".to_owned()], vec!["1".to_owned()]));
}

#[test]
fn a_carriage_return_ends_a_row_and_no_line() {
    let delivered = csv(b"1,a\rb\n2,x\n", 1 << 20);
    assert_eq!(delivered.text()[1000..], ["1|a", "2|x"]);
    assert_eq!(delivered.malformed(), [(1002, "1 fields instead of 2")]);
}
