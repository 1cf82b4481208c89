//! Wherever a text is cut, the same rows come out, and they are those of the library's reader on the whole text.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::csv::ReaderBuilder;
use proptest::prelude::*;

use crate::support::{Files, How, read, text};

/// A field as it may be written: bare, quoted, with quotes, delimiters and line ends within.
fn field() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{0,5}",
        "[a-z]{1,3}\"[a-z\"]{0,3}",
        "[a-z,\n\r]{0,6}".prop_map(|text| format!("\"{text}\"")),
        "[a-z]{0,3}".prop_map(|text| format!("\"{text}\"\"\n\"\"\"")),
        // Behind the closing quote.
        "[a-z]{1,3}".prop_map(|text| format!("\"x\"{text}")),
    ]
}

fn table() -> impl Strategy<Value = String> {
    let end = prop_oneof!["\n", "\r\n", "\n\n"];
    let row = (field(), field(), end).prop_map(|(a, b, end)| format!("{a},{b}{end}"));
    (prop::collection::vec(row, 0..40), prop::bool::ANY).prop_map(|(rows, cut)| {
        let mut text = format!("first,second\n{}", rows.concat());
        if cut && !rows.is_empty() {
            text.truncate(text.trim_end_matches(['\r', '\n']).len());
        }
        text
    })
}

fn library(contents: &str, like: &RecordBatch) -> RecordBatch {
    let reader = ReaderBuilder::new(like.schema()).with_header(true).build(contents.as_bytes()).unwrap();
    concat_batches(&like.schema(), &reader.map(Result::unwrap).collect::<Vec<_>>()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn csv_in_tiny_pieces_is_the_whole(contents in table(), piece in 1_usize..40) {
        let files = Files::new();
        let path = files.write("1.csv", &contents);
        let mut how = How::default();
        how.options.piece = Some(piece);
        let delivered = read(&[&path], how).unwrap();
        prop_assert_eq!(delivered.report.malformed_rows, 0);
        let found = delivered.all();
        prop_assert_eq!(text(&found), text(&library(&contents, &found)));
    }

    #[test]
    fn damaged_csv_in_tiny_pieces_gives_the_same_rows_and_lines(
        contents in table(),
        at in any::<prop::sample::Index>(),
        byte in prop_oneof![Just(b'"'), Just(b','), Just(b'\n'), Just(b'\r'), Just(0xff)],
        piece in 1_usize..40,
    ) {
        let files = Files::new();
        let mut contents = contents.into_bytes();
        let header = "first,second\n".len();
        let at = header + at.index(contents.len() - header + 1);
        contents.insert(at, byte);
        let path = files.write("1.csv", &contents);
        let mut how = How::default();
        let whole = read(&[&path], how.clone());
        how.options.piece = Some(piece);
        let cut = read(&[&path], how);
        let (cut, whole) = match (cut, whole) {
            (Ok(cut), Ok(whole)) => (cut, whole),
            (Err(cut), Err(whole)) => {
                prop_assert!(cut.to_string().contains("is not closed"), "{}", cut);
                prop_assert_eq!(cut.to_string(), whole.to_string());
                return Ok(());
            }
            (cut, whole) => panic!("{cut:?}, but of the whole {whole:?}"),
        };
        prop_assert_eq!(cut.text(), whole.text());
        prop_assert_eq!(cut.malformed(), whole.malformed());
        prop_assert_eq!(cut.report.malformed_lines, whole.report.malformed_lines);
        prop_assert_eq!(cut.report.malformed_rows, whole.report.malformed_rows);
    }

    #[test]
    fn json_in_tiny_pieces_is_the_whole(values in prop::collection::vec(any::<(i32, Option<String>)>(), 1..40), piece in 1_usize..60) {
        let line = |(n, s): &(i32, Option<String>)| {
            let escaped = s.as_ref().map(|s| s.escape_default().to_string().replace("\\'", "'").replace("\\u{", "{"));
            escaped.map_or(format!("{{\"n\":{n}}}\n"), |s| format!("{{\"n\":{n},\"s\":\"x{s}\"}}\n"))
        };
        let contents: String = values.iter().map(line).collect();
        let files = Files::new();
        let path = files.write("1.ndjson", &contents);
        let mut how = How::default();
        let whole = read(&[&path], how.clone()).unwrap();
        how.options.piece = Some(piece);
        let cut = read(&[&path], how).unwrap();
        prop_assert_eq!(cut.report.rows, values.len() as u64);
        prop_assert_eq!(cut.text(), whole.text());
        prop_assert!(Arc::ptr_eq(&cut.schema, &whole.schema) || cut.schema == whole.schema);
    }
}
