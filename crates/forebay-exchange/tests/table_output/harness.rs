//! Rows to write, and a place for them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use arrow::array::{Array, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use forebay::{Budget, CancelToken};
use forebay_exchange::table::{Output, OutputError, OutputOptions, Part, Written};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

pub(crate) const MIB: usize = 1 << 20;

pub(crate) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("city", DataType::Utf8, true),
        Field::new("count", DataType::Int64, false),
        Field::new("avg", DataType::Float64, true),
    ]))
}

/// Rows whose counts are `from..to`; every seventh has no city and no mean.
pub(crate) fn rows(from: i64, to: i64) -> RecordBatch {
    let there = |n: &i64| n % 7 != 0;
    let city: StringArray = (from..to).map(|n| there(&n).then(|| format!("city, \"{n}\""))).collect();
    let count: Int64Array = (from..to).map(Some).collect();
    let avg: Float64Array = (from..to).map(|n| there(&n).then_some(n as f64 / 3.0)).collect();
    RecordBatch::try_new(schema(), vec![Arc::new(city), Arc::new(count), Arc::new(avg)]).unwrap()
}

pub(crate) fn to(path: &Path) -> OutputOptions {
    OutputOptions { target: Some(path.to_owned()), workers: 2, ..OutputOptions::default() }
}

pub(crate) fn create(options: &OutputOptions, parts: usize, memory: usize) -> Result<(Output, Vec<Part>), OutputError> {
    Output::create(options, &schema(), parts, &Budget::new(memory), &CancelToken::new())
}

/// Part `p` of `parts` writes the batches that `batches` gives for it, each on a thread of its own.
pub(crate) fn write(
    options: &OutputOptions,
    parts: usize,
    memory: usize,
    batches: impl Fn(usize) -> Vec<RecordBatch> + Sync,
) -> Result<Written, OutputError> {
    let (output, parts) = create(options, parts, memory)?;
    thread::scope(|scope| {
        let batches = &batches;
        let write = |(number, mut part): (usize, Part)| {
            scope.spawn(move || {
                batches(number).iter().try_for_each(|batch| part.write(batch))?;
                part.finish()
            })
        };
        let threads: Vec<_> = parts.into_iter().enumerate().map(write).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap())
    })?;
    publish(output)
}

/// Completes the output and gives it its name.
pub(crate) fn publish(mut output: Output) -> Result<Written, OutputError> {
    let written = output.complete()?;
    output.publish()?;
    Ok(written)
}

/// The counts in a Parquet file, row group by row group.
pub(crate) fn parquet_counts(path: &Path) -> Vec<Vec<i64>> {
    let groups = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(path).unwrap()).unwrap();
    (0..groups.metadata().num_row_groups())
        .map(|group| {
            let file = fs::File::open(path).unwrap();
            let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().with_row_groups(vec![group]);
            let batches = reader.build().unwrap().map(Result::unwrap);
            batches.flat_map(|batch| counts(&batch)).collect()
        })
        .collect()
}

pub(crate) fn counts(batch: &RecordBatch) -> Vec<i64> {
    let column = batch.column_by_name("count").unwrap();
    let column = column.as_any().downcast_ref::<Int64Array>().unwrap();
    column.iter().map(Option::unwrap).collect()
}

/// The names in a directory, sorted.
pub(crate) fn names(path: &Path) -> Vec<PathBuf> {
    let mut names: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into()).collect();
    names.sort();
    names
}
