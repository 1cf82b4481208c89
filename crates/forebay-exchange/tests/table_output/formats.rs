//! Each format, read back by another reader.

use std::fs::{self, File};
use std::io::BufReader;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Date64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, TimestampMillisecondType};
use arrow::{csv, json};
use forebay::{Budget, CancelToken};
use forebay_exchange::table::{Output, OutputError, OutputFormat, OutputOptions};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::LogicalType;
use tempfile::tempdir;

use crate::harness::{MIB, create, names, rows, schema, to, write};

fn batches(part: usize) -> Vec<RecordBatch> {
    let from = part as i64 * 10_000;
    (0..10).map(|n| rows(from + n * 1000, from + (n + 1) * 1000)).collect()
}

fn expected() -> RecordBatch {
    rows(0, 10_000)
}

fn joined(read: impl IntoIterator<Item = RecordBatch>) -> RecordBatch {
    let read: Vec<_> = read.into_iter().collect();
    concat_batches(&schema(), read.iter()).unwrap()
}

#[test]
fn parquet_is_read_back_with_its_types_nulls_and_statistics() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("out.parquet");
    let written = write(&to(&path), 1, 64 * MIB, batches).unwrap();
    assert_eq!((written.rows, written.bytes), (10_000, fs::metadata(&path).unwrap().len()));
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
    assert_eq!(*reader.schema(), schema());
    let column = reader.metadata().row_group(0).column(1);
    assert_eq!(column.statistics().unwrap().max_bytes_opt(), Some(&9_999i64.to_le_bytes()[..]));
    assert_eq!(joined(reader.build().unwrap().map(Result::unwrap)), expected());
    assert_eq!(names(dir.path()), [std::path::Path::new("out.parquet")]);
}

#[test]
fn csv_and_tsv_are_read_back_with_a_header() {
    for (name, delimiter) in [("out.csv", b','), ("out.tsv", b'\t')] {
        let dir = tempdir().unwrap();
        let path = dir.path().join(name);
        write(&to(&path), 1, 64 * MIB, batches).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let header = ["city", "count", "avg"].join(char::from(delimiter).to_string().as_str());
        assert_eq!(text.lines().next(), Some(header.as_str()));
        let builder = csv::ReaderBuilder::new(schema()).with_header(true).with_delimiter(delimiter);
        let read = joined(builder.build(text.as_bytes()).unwrap().map(Result::unwrap));
        assert_eq!(read, expected(), "{name}");
    }
}

#[test]
fn ndjson_is_read_back_and_says_nulls() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("out.ndjson");
    write(&to(&path), 1, 64 * MIB, batches).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().next(), Some(r#"{"city":null,"count":0,"avg":null}"#));
    let reader = json::ReaderBuilder::new(schema()).build(BufReader::new(text.as_bytes())).unwrap();
    assert_eq!(joined(reader.map(Result::unwrap)), expected());
}

#[test]
fn no_rows_make_a_file_with_columns() {
    for (name, text) in [("out.csv", Some("city,count,avg\n")), ("out.ndjson", Some("")), ("out.parquet", None)] {
        let dir = tempdir().unwrap();
        let path = dir.path().join(name);
        assert_eq!(write(&to(&path), 3, 64 * MIB, |_| Vec::new()).unwrap().rows, 0);
        match text {
            Some(text) => assert_eq!(fs::read_to_string(&path).unwrap(), text),
            None => {
                let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
                assert_eq!(*reader.schema(), schema());
                assert_eq!(reader.build().unwrap().count(), 0);
            }
        }
    }
}

#[test]
fn several_threads_encode() {
    let dir = tempdir().unwrap();
    for name in ["out.parquet", "out.csv"] {
        let written = write(&to(&dir.path().join(name)), 2, 64 * MIB, |part| {
            let from = part as i64 * 600_000;
            (0..60).map(|n| rows(from + n * 10_000, from + (n + 1) * 10_000)).collect()
        });
        let written = written.unwrap();
        assert_eq!(written.rows, 1_200_000);
        assert_eq!(written.engine.workers_used, 2, "{name}");
    }
}

#[test]
fn what_waits_stays_inside_the_memory() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("out.parquet");
    let written = write(&to(&path), 2, 8 * MIB, |part| {
        let from = part as i64 * 400_000;
        (0..40).map(|n| rows(from + n * 10_000, from + (n + 1) * 10_000)).collect()
    });
    let written = written.unwrap();
    assert!(written.engine.peak_resident < 6 * MIB as u64, "{}", written.engine.peak_resident);
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
    // A row group is no larger than its share.
    let sizes: Vec<_> = reader.metadata().row_groups().iter().map(|group| group.total_byte_size()).collect();
    assert!(sizes.len() > 20 && sizes.iter().all(|size| *size < 512 << 10), "{sizes:?}");
}

#[test]
fn a_name_without_a_known_ending_needs_a_format() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("out.txt");
    assert!(matches!(create(&to(&path), 1, 64 * MIB), Err(OutputError::UnknownFormat(named)) if named == path));
    let table = OutputOptions { format: Some(OutputFormat::Table), ..to(&path) };
    assert!(matches!(create(&table, 1, 64 * MIB), Err(OutputError::Table)));
    let csv = OutputOptions { format: Some(OutputFormat::Csv), ..to(&path) };
    assert_eq!(write(&csv, 1, 64 * MIB, batches).unwrap().rows, 10_000);
}

#[test]
fn a_block_is_cut_out_of_a_larger_batch() {
    let dir = tempdir().unwrap();
    let path = dir.path().join("out.parquet");
    write(&to(&path), 1, 64 * MIB, |_| vec![rows(0, 300_000)]).unwrap();
    let groups = crate::harness::parquet_counts(&path);
    assert!(groups.len() > 1 && groups.iter().all(|group| group.len() <= 128 << 10));
    assert_eq!(groups.concat(), (0..300_000).collect::<Vec<_>>());
    assert!(Arc::new(rows(0, 1)).column(0).is_null(0));
}

/// As of a file that another program has written: with the names of zones, and dates in milliseconds.
#[test]
fn times_of_zones_and_dates_are_written_in_every_format() {
    let instants = || TimestampMicrosecondArray::from(vec![Some(1_700_000_000_000_000), None]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("utc", Arc::new(instants().with_timezone("UTC"))),
        ("berlin", Arc::new(instants().with_timezone("Europe/Berlin"))),
        ("date", Arc::new(Date64Array::from(vec![Some(172_800_000), None]))),
    ];
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, array)| (n, array, true))).unwrap();
    let write = |name: &str| {
        let dir = tempdir().unwrap();
        let path = dir.path().join(name);
        let (mut output, parts) =
            Output::create(&to(&path), &batch.schema(), 1, &Budget::new(64 * MIB), &CancelToken::new()).unwrap();
        for mut part in parts {
            part.write(&batch).unwrap();
            part.finish().unwrap();
        }
        output.complete().unwrap();
        output.publish().unwrap();
        fs::read(path).unwrap()
    };
    let csv = String::from_utf8(write("out.csv")).unwrap();
    let times = "2023-11-14T22:13:20Z,2023-11-14T23:13:20+01:00,1970-01-03T00:00:00";
    assert_eq!(csv, format!("utc,berlin,date\n{times}\n,,\n"));
    let json = String::from_utf8(write("out.ndjson")).unwrap();
    let first: Vec<_> = times.split(',').collect();
    let (utc, berlin, date) = (first[0], first[1], first[2]);
    let row = format!("{{\"utc\":\"{utc}\",\"berlin\":\"{berlin}\",\"date\":\"{date}\"}}");
    assert_eq!(json.lines().next(), Some(row.as_str()));
    let parquet = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(write("out.parquet"))).unwrap();
    for (place, zone) in ["UTC", "Europe/Berlin", ""].into_iter().enumerate() {
        let DataType::Timestamp(_, found) = parquet.schema().field(place).data_type() else { panic!("{place}") };
        assert_eq!(found.as_deref().unwrap_or_default(), zone);
        let logical = parquet.parquet_schema().column(place).logical_type_ref().cloned();
        assert!(matches!(logical, Some(LogicalType::Timestamp(_))), "{logical:?}");
    }
    let read = parquet.build().unwrap().next().unwrap().unwrap();
    assert_eq!(read.column(2).as_primitive::<TimestampMillisecondType>().value(0), 172_800_000);
}
