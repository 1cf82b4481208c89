//! Parquet.

use std::cell::Cell;
use std::fs;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Date32Array, Date64Array, Decimal128Array, Decimal256Array,
    DictionaryArray, Float16Array, Float32Array, Float64Array, Int8Array, Int16Array, Int32Array, Int64Array,
    LargeStringArray, ListArray, RecordBatch, StringArray, StringViewArray, TimestampMicrosecondArray,
    TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray, UInt8Array, UInt16Array, UInt32Array,
    UInt64Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Float32Type, Float64Type, Int8Type, Int32Type, Int64Type, i256};
use forebay_exchange::table::{Piece, TableError};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};

use crate::support::{Delivered, Files, How, batch, error, numbers, read, read_in_parallel};

fn every_type() -> RecordBatch {
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("i8", Arc::new(Int8Array::from(vec![Some(i8::MIN), None, Some(i8::MAX)]))),
        ("i16", Arc::new(Int16Array::from(vec![Some(i16::MIN), None, Some(i16::MAX)]))),
        ("i32", Arc::new(Int32Array::from(vec![Some(i32::MIN), None, Some(i32::MAX)]))),
        ("i64", Arc::new(Int64Array::from(vec![Some(i64::MIN), None, Some(i64::MAX)]))),
        ("u8", Arc::new(UInt8Array::from(vec![Some(0), None, Some(u8::MAX)]))),
        ("u16", Arc::new(UInt16Array::from(vec![Some(0), None, Some(u16::MAX)]))),
        ("u32", Arc::new(UInt32Array::from(vec![Some(0), None, Some(u32::MAX)]))),
        ("u64", Arc::new(UInt64Array::from(vec![Some(0), None, Some(u64::MAX)]))),
        ("f32", Arc::new(Float32Array::from(vec![Some(-0.0), None, Some(f32::INFINITY)]))),
        ("f64", Arc::new(Float64Array::from(vec![Some(f64::NEG_INFINITY), None, Some(0.1)]))),
        ("d128", Arc::new(decimals(38, 2))),
        ("d256", Arc::new(wide_decimals())),
        ("utf8", Arc::new(StringArray::from(vec![Some(""), None, Some("héllo")]))),
        ("large", Arc::new(LargeStringArray::from(vec![Some("a"), None, Some("b")]))),
        ("view", Arc::new(StringViewArray::from(vec![Some("a"), None, Some("longer than twelve bytes")]))),
        ("date32", Arc::new(Date32Array::from(vec![Some(-1), None, Some(19_753)]))),
        ("date64", Arc::new(Date64Array::from(vec![Some(86_400_000), None, Some(0)]))),
        ("s", Arc::new(TimestampSecondArray::from(vec![Some(-1), None, Some(1)]))),
        ("ms", Arc::new(TimestampMillisecondArray::from(vec![Some(-1), None, Some(1)]))),
        ("us", Arc::new(TimestampMicrosecondArray::from(vec![Some(-1), None, Some(1)]).with_timezone("Europe/Rome"))),
        ("ns", Arc::new(TimestampNanosecondArray::from(vec![Some(-1), None, Some(1)]).with_timezone("+02:00"))),
        ("flag", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
    ];
    batch(columns)
}

fn decimals(precision: u8, scale: i8) -> Decimal128Array {
    Decimal128Array::from(vec![Some(-12_345), None, Some(10_i128.pow(37))])
        .with_precision_and_scale(precision, scale)
        .unwrap()
}

fn wide_decimals() -> Decimal256Array {
    let large = i256::from_string(&"9".repeat(70)).unwrap();
    Decimal256Array::from(vec![Some(large), None, Some(i256::MINUS_ONE)]).with_precision_and_scale(76, 10).unwrap()
}

#[test]
fn every_type_comes_as_it_is() {
    let files = Files::new();
    let written = every_type();
    let path = files.parquet("all.parquet", std::slice::from_ref(&written), 1000);
    let delivered = read(&[path], How::default()).unwrap();
    let found = delivered.all();
    assert_eq!(found.columns(), written.columns());
    let half = cast(written.column_by_name("f32").unwrap(), &DataType::Float16).unwrap();
    let path = files.parquet("half.parquet", &[batch(vec![("half", Arc::clone(&half))])], 1000);
    assert_eq!(read(&[path], How::default()).unwrap().all().column(0), &half);
    let _: &Float16Array = half.as_primitive();
}

#[test]
fn dictionaries_come_as_their_values() {
    let files = Files::new();
    let cities: DictionaryArray<Int32Type> = vec![Some("Rome"), None, Some("Oslo"), Some("Rome")].into_iter().collect();
    let keys = Int8Array::from(vec![Some(1), Some(0), None, Some(1)]);
    let counts = DictionaryArray::<Int8Type>::new(keys, Arc::new(Int64Array::from(vec![7, 8])));
    let written = batch(vec![("city", Arc::new(cities)), ("count", Arc::new(counts))]);
    let path = files.parquet("dictionary.parquet", &[written], 1000);
    let delivered = read(&[path], How::default()).unwrap();
    assert_eq!(delivered.kinds(), ["Utf8", "Int64"]);
    assert_eq!(delivered.text(), ["Rome|8", "-|7", "Oslo|-", "Rome|8"]);
}

#[test]
fn several_files_of_many_row_groups_come_in_order_and_in_parallel() {
    let files = Files::new();
    let first = files.parquet("1.parquet", &[numbers(0, 50_000)], 1_000);
    let second = files.parquet("2.parquet", &[numbers(50_000, 90_001)], 777);
    let delivered = read_in_parallel(&[first, second], &How::default());
    assert_eq!(delivered.all(), numbers(0, 90_001));
    assert_eq!(delivered.marks(), [0]);
    assert_eq!(delivered.report.rows, 90_001);
    assert!(delivered.report.bytes > 0);
    let snapshot = &delivered.report.snapshot;
    // Each row group, and the ends of two files.
    assert_eq!(snapshot.delivered, 50 + 52 + 2);
}

#[test]
fn a_large_row_group_is_decoded_in_parts() {
    let files = Files::new();
    let path = files.parquet("1.parquet", &[numbers(0, 300_000)], 1 << 20);
    let how = How { budget: 1 << 20, ..How::default() };
    let delivered = read(&[path], how).unwrap();
    assert_eq!(delivered.all(), numbers(0, 300_000));
    // 2.4 MB in parts of at most 256 KiB.
    assert!(delivered.report.snapshot.delivered >= 10, "{:?}", delivered.report.snapshot);
    assert!(delivered.report.snapshot.peak_resident < 3 << 20, "{:?}", delivered.report.snapshot);
}

/// Strings of so many bytes, one of a hundred each.
fn repeated(lengths: impl Iterator<Item = usize>) -> RecordBatch {
    let texts = lengths.enumerate().map(|(row, len)| format!("{:02}{}", row % 100, "x".repeat(len)));
    batch(vec![("k", Arc::new(StringArray::from_iter_values(texts)))])
}

/// Bytes of the largest batch.
fn largest(delivered: &Delivered) -> usize {
    let batches = delivered.pieces.iter().map(|piece| match piece {
        Piece::Rows { batch, .. } => batch.get_array_memory_size(),
        Piece::Commit(_) => 0,
    });
    batches.max().unwrap()
}

/// A row takes a byte of the file and 10 KB in memory.
#[test]
fn long_strings_of_a_dictionary_are_decoded_a_few_at_a_time() {
    let files = Files::new();
    let texts = repeated((0..4_000).map(|_| 10_000));
    let views = batch(vec![("k", cast(texts.column(0), &DataType::Utf8View).unwrap())]);
    for written in [texts, views] {
        let path = files.parquet("1.parquet", std::slice::from_ref(&written), 1 << 20);
        assert!(fs::metadata(&path).unwrap().len() < 2 << 20);
        let delivered = read(&[path], How { budget: 4 << 20, ..How::default() }).unwrap();
        assert_eq!(delivered.all().columns(), written.columns());
        // 40 MB, in parts as large as the dictionary; one may overdraw the budget.
        assert!(delivered.peak < 6 << 20, "{} bytes at one time", delivered.peak);
        assert!(delivered.report.snapshot.delivered >= 40, "{:?}", delivered.report.snapshot);
        assert!(largest(&delivered) < 512 << 10, "a batch of {} bytes", largest(&delivered));
    }
}

/// The last rows are far longer than is thought of all of them.
#[test]
fn rows_that_are_longer_than_was_thought_are_delivered_a_few_at_a_time() {
    let files = Files::new();
    let written = repeated((0..100_000).map(|row| if row < 98_000 { 1 } else { 10_000 }));
    let path = files.parquet("1.parquet", std::slice::from_ref(&written), 1 << 20);
    for workers in [1, 3] {
        let how = How { budget: 4 << 20, workers, ..How::default() };
        let delivered = read(std::slice::from_ref(&path), how.clone()).unwrap();
        assert_eq!(delivered.report.rows, 100_000);
        assert_eq!(delivered.all().columns(), written.columns());
        assert!(largest(&delivered) < 1 << 20, "a batch of {} bytes", largest(&delivered));
        assert!(delivered.peak < 7 << 20, "{} bytes at one time", delivered.peak);

        let mut options = how.options.clone();
        options.commit_every = Some(30_000);
        let delivered = read(std::slice::from_ref(&path), How { options, ..how }).unwrap();
        assert_eq!(delivered.all().columns(), written.columns());
        assert_eq!(delivered.marks(), [0, 1, 2, 3]);
    }
}

/// DuckDB writes pages of up to 100 MB. In stretches of 128 KiB this one would be decompressed 160 times, in those of 2 MiB that
/// more memory allows 10 times.
#[test]
fn a_page_of_many_megabytes_is_not_decompressed_for_every_batch() {
    let files = Files::new();
    let texts = (0..20_000).map(|row| format!("{row:05}{}", "x".repeat(1000)));
    let written = batch(vec![("k", Arc::new(StringArray::from_iter_values(texts)))]);
    for (page, budget, parts) in [(1 << 30, 4 << 20, 1..=1), (1 << 30, 64 << 20, 1..=1), (64 << 10, 4 << 20, 100..=200)]
    {
        let path = files.path("1.parquet");
        let properties = WriterProperties::builder()
            .set_dictionary_enabled(false)
            .set_data_page_size_limit(page)
            .set_data_page_row_count_limit(1 << 20)
            .set_write_batch_size(if page > 1 << 20 { 1 << 20 } else { 16 })
            .build();
        let mut writer =
            ArrowWriter::try_new(fs::File::create(&path).unwrap(), written.schema(), Some(properties)).unwrap();
        writer.write(&written).unwrap();
        writer.close().unwrap();
        let delivered = read(&[path], How { budget, ..How::default() }).unwrap();
        assert_eq!(delivered.all().columns(), written.columns());
        // And the end of the file.
        let found = delivered.report.snapshot.delivered - 1;
        assert!(parts.contains(&found), "{found} parts of pages of {page} bytes");
        assert!(largest(&delivered) <= budget / 8, "a batch of {} bytes", largest(&delivered));
        // The page of 20 MB is paid for, once, although two workers read.
        let least = if parts.contains(&1) { 20_000_000 } else { 0 };
        assert!((least..least + (6 << 20)).contains(&delivered.peak), "{} bytes at one time", delivered.peak);
    }
}

#[test]
fn only_the_wanted_columns_are_read_in_the_order_wanted() {
    let files = Files::new();
    let wide: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(1000); 1000]));
    let nested = ListArray::from_iter_primitive::<Int64Type, _, _>((0..1000).map(|i| Some(vec![Some(i)])));
    let (a, b): (Int64Array, Float64Array) = ((0..1000).collect(), (0..1000).map(f64::from).collect());
    let written = batch(vec![("a", Arc::new(a)), ("wide", wide), ("nested", Arc::new(nested)), ("b", Arc::new(b))]);
    let path = files.parquet("1.parquet", &[written], 100);
    let how = How { columns: Some(vec!["b", "a"]), ..How::default() };
    let delivered = read(&[&path], how).unwrap();
    let found = delivered.all();
    assert_eq!(found.schema().field(0).name(), "b");
    assert_eq!(found.column(0).as_primitive::<Float64Type>().value(999), 999.0);
    assert_eq!(found.column(1).as_primitive::<Int64Type>().value(999), 999);
    let all = fs::metadata(&path).unwrap().len();
    assert!(delivered.report.bytes < all, "{} of {all}", delivered.report.bytes);

    let delivered = read(&[&path], How { columns: Some(vec![]), ..How::default() }).unwrap();
    assert_eq!((delivered.report.rows, delivered.report.bytes), (1000, 0));
}

#[test]
fn columns_are_found_by_name_whatever_their_order() {
    let files = Files::new();
    let (a, b): (ArrayRef, ArrayRef) = (Arc::new(Int64Array::from(vec![1])), Arc::new(StringArray::from(vec!["b"])));
    let first = files.parquet("1.parquet", &[batch(vec![("a", Arc::clone(&a)), ("b", Arc::clone(&b))])], 10);
    let large: ArrayRef = Arc::new(LargeStringArray::from(vec!["B"]));
    let second = files.parquet("2.parquet", &[batch(vec![("b", large), ("a", a)])], 10);
    let delivered = read(&[first, second], How::default()).unwrap();
    assert_eq!(delivered.kinds(), ["Int64", "Utf8"]);
    assert_eq!(delivered.text(), ["1|b", "1|B"]);
}

#[test]
fn columns_that_differ_are_refused_with_file_column_and_types() {
    let files = Files::new();
    let n = files.parquet("n.parquet", &[numbers(0, 1)], 10);
    let other = files.parquet("other.parquet", &[batch(vec![("m", Arc::new(Int64Array::from(vec![1])))])], 10);
    let float = files.parquet("float.parquet", &[batch(vec![("n", Arc::new(Float64Array::from(vec![1.0])))])], 10);
    let asked = |column| How { columns: Some(vec![column]), ..How::default() };
    let said = error(&[&n, &other], asked("m"));
    assert!(said.contains("n.parquet has no column m, which") && said.ends_with("other.parquet has"), "{said}");
    let said = error(&[&n, &float], asked("n"));
    assert!(said.starts_with("column n is Float64 in ") && said.contains("float.parquet, but Int64 in "), "{said}");
}

#[test]
fn columns_that_nobody_asks_for_may_differ() {
    let files = Files::new();
    let column = |name| -> (&str, ArrayRef) { (name, Arc::new(Int64Array::from(vec![1]))) };
    let float: ArrayRef = Arc::new(Float64Array::from(vec![1.5]));
    let paths = [
        files.parquet("1.parquet", &[batch(vec![column("only"), column("n"), column("other")])], 10),
        files.parquet("2.parquet", &[batch(vec![("other", float), column("n")])], 10),
        files.write("3.csv", "other,more,n\n2024-01-31,x,2\n"),
        files.write("4.ndjson", "{\"n\":3,\"other\":[1]}\n"),
    ];
    let delivered = read(&paths, How::default()).unwrap();
    assert_eq!(delivered.text(), ["1", "1", "2", "3"]);
    assert_eq!(delivered.schema.field(0).name(), "n");
}

#[test]
fn an_empty_file_has_no_rows() {
    let files = Files::new();
    let path = files.parquet("1.parquet", &[numbers(0, 0)], 10);
    let delivered = read(&[path], How::default()).unwrap();
    assert_eq!((delivered.report.rows, delivered.marks()), (0, vec![0]));
}

/// Whatever is cut off or changed: an error with the file's name, or rows.
#[test]
fn damaged_files_are_errors_and_nothing_worse() {
    let files = Files::new();
    let whole = fs::read(files.parquet("whole.parquet", &[every_type()], 2)).unwrap();
    let refused = Cell::new(0);
    let check = |bytes: &[u8]| {
        let path = files.write("damaged.parquet", bytes);
        match read(&[&path], How { workers: 1, ..How::default() }) {
            Err(error) => {
                refused.set(refused.get() + 1);
                assert!(error.to_string().contains("damaged.parquet"), "{error}");
            }
            Ok(delivered) => assert_eq!(delivered.report.rows, 3),
        }
    };
    for len in (0..whole.len()).step_by(97) {
        check(&whole[..len]);
    }
    let cut = refused.get();
    assert!(cut > whole.len() / 97, "{cut}");
    for at in (0..whole.len()).step_by(31) {
        let mut changed = whole.clone();
        changed[at] ^= 0x55;
        check(&changed);
    }
    assert!(refused.get() > cut);
}

#[test]
fn a_damaged_page_is_an_error_after_the_rows_before_it() {
    let files = Files::new();
    let path = files.parquet("1.parquet", &[numbers(0, 10_000)], 1_000);
    let mut bytes = fs::read(&path).unwrap();
    let footer = SerializedFileReader::new(fs::File::open(&path).unwrap()).unwrap();
    let page = usize::try_from(footer.metadata().row_group(5).column(0).data_page_offset()).unwrap();
    bytes[page..page + 20].fill(0xff);
    fs::write(&path, &bytes).unwrap();
    let error = read(&[&path], How::default()).unwrap_err();
    assert!(matches!(&error, TableError::Corrupt { path: named, .. } if *named == path), "{error:?}");
}

#[test]
fn values_within_columns_are_not_mixed_up_between_batches() {
    let files = Files::new();
    let rows = 40_000_usize;
    let a: Float32Array = (0..rows).map(|i| (i % 7 != 0).then_some(i as f32)).collect();
    let b: StringArray = (0..rows).map(|i| (i % 5 != 0).then(|| format!("row {i}"))).collect();
    let written = batch(vec![("a", Arc::new(a)), ("b", Arc::new(b))]);
    let path = files.parquet("1.parquet", std::slice::from_ref(&written), 1 << 20);
    let found = read(&[path], How { budget: 1 << 20, ..How::default() }).unwrap().all();
    assert_eq!(found.columns(), written.columns());
    assert_eq!(found.column(0).as_primitive::<Float32Type>().null_count(), rows.div_ceil(7));
}

/// What pyarrow writes of its dates in milliseconds: days, and a note that they were milliseconds.
#[test]
fn dates_that_the_file_has_in_days_come_as_days() {
    let files = Files::new();
    let dates: ArrayRef = Arc::new(Date64Array::from(vec![Some(172_800_000), None, Some(-86_400_000)]));
    let written = batch(vec![("day", dates)]);
    let path = files.path("days.parquet");
    let properties = WriterProperties::builder().set_coerce_types(true).build();
    let mut writer =
        ArrowWriter::try_new(fs::File::create(&path).unwrap(), written.schema(), Some(properties)).unwrap();
    writer.write(&written).unwrap();
    writer.close().unwrap();
    let delivered = read(&[path], How::default()).unwrap();
    assert_eq!(delivered.kinds(), ["Date32"]);
    assert_eq!(
        delivered.all().column(0).as_primitive::<Date32Type>(),
        &Date32Array::from(vec![Some(2), None, Some(-1)])
    );
}
