//! Files to read, and everything that reading them gives.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use forebay::{Budget, CancelToken};
use forebay_exchange::table::{InputOptions, Inputs, Piece, ReadReport, Reading, TableError};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use tempfile::TempDir;

/// A directory of files that is removed at the end.
pub(crate) struct Files(TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Files(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, contents).unwrap();
        path
    }

    /// `batches` in row groups of `group` rows.
    pub(crate) fn parquet(&self, name: &str, batches: &[RecordBatch], group: usize) -> PathBuf {
        let path = self.path(name);
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group)).build();
        let file = File::create(&path).unwrap();
        let mut writer = ArrowWriter::try_new(file, batches[0].schema(), Some(properties)).unwrap();
        for batch in batches {
            writer.write(batch).unwrap();
        }
        writer.close().unwrap();
        path
    }
}

pub(crate) fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

/// Numbers `from..to` as the column `n`.
pub(crate) fn numbers(from: i64, to: i64) -> RecordBatch {
    let values: arrow::array::Int64Array = (from..to).collect();
    batch(vec![("n", Arc::new(values))])
}

/// What was delivered.
#[derive(Debug)]
pub(crate) struct Delivered {
    pub(crate) schema: SchemaRef,
    pub(crate) pieces: Vec<Piece>,
    pub(crate) report: ReadReport,
    /// The most bytes that were leased for it at one time.
    pub(crate) peak: usize,
}

/// How inputs are read in a test.
#[derive(Clone)]
pub(crate) struct How {
    pub(crate) options: InputOptions,
    /// Names of the wanted columns; none: all.
    pub(crate) columns: Option<Vec<&'static str>>,
    pub(crate) workers: usize,
    pub(crate) budget: usize,
}

impl Default for How {
    fn default() -> Self {
        let options = InputOptions::default();
        How { options, columns: None, workers: 2, budget: 64 << 20 }
    }
}

pub(crate) fn read(paths: &[impl AsRef<Path>], how: How) -> Result<Delivered, TableError> {
    let paths: Vec<_> = paths.iter().map(|path| path.as_ref().to_owned()).collect();
    let inputs = Inputs::open(&paths, how.options)?;
    let all = Arc::clone(inputs.schema());
    let columns: Vec<usize> = match how.columns {
        Some(names) => names.iter().map(|name| inputs.column(name)).collect::<Result<_, _>>()?,
        None => (0..all.fields().len()).collect(),
    };
    let schema = Arc::new(all.project(&columns).unwrap());
    let budget = Budget::new(how.budget);
    let reading = Reading { workers: how.workers, budget: budget.clone(), cancel: CancelToken::new() };
    let mut pieces = Vec::new();
    let report = inputs.read(&columns, reading, |piece| {
        if let Piece::Rows { batch, .. } = &piece {
            assert!((1..=8192).contains(&batch.num_rows()), "{} rows", batch.num_rows());
        }
        pieces.push(piece);
        Ok(())
    })?;
    Ok(Delivered { schema, pieces, report, peak: budget.peak() })
}

/// Reads until both workers have taken part. Which thread gets a unit is the system's choice, so one run says nothing.
pub(crate) fn read_in_parallel(paths: &[impl AsRef<Path>], how: &How) -> Delivered {
    for _ in 0..200 {
        let delivered = read(paths, how.clone()).unwrap();
        assert_eq!(delivered.report.snapshot.workers, 2);
        if delivered.report.snapshot.workers_used == 2 {
            return delivered;
        }
    }
    panic!("one worker does everything");
}

impl Delivered {
    /// The commits' marks, in order.
    pub(crate) fn marks(&self) -> Vec<u64> {
        self.pieces
            .iter()
            .filter_map(|piece| if let Piece::Commit(commit) = piece { Some(*commit) } else { None })
            .collect()
    }

    /// All rows.
    pub(crate) fn all(&self) -> RecordBatch {
        self.of(None)
    }

    /// The rows of one commit, in the order in which they came.
    pub(crate) fn commit(&self, wanted: u64) -> RecordBatch {
        self.of(Some(wanted))
    }

    fn of(&self, wanted: Option<u64>) -> RecordBatch {
        let batches = self.pieces.iter().filter_map(|piece| match piece {
            Piece::Rows { commit, batch } if wanted.is_none_or(|wanted| wanted == *commit) => Some(batch),
            _ => None,
        });
        concat_batches(&self.schema, batches).unwrap()
    }

    /// All rows as text, null as `-`.
    pub(crate) fn text(&self) -> Vec<String> {
        text(&self.all())
    }

    /// Lines and reasons of the malformed rows.
    pub(crate) fn malformed(&self) -> Vec<(u64, &str)> {
        self.report.malformed.iter().map(|row| (row.line, row.reason.as_str())).collect()
    }

    /// The kinds of the columns.
    pub(crate) fn kinds(&self) -> Vec<String> {
        self.schema.fields().iter().map(|field| field.data_type().to_string()).collect()
    }
}

/// The rows of a batch as text, with `|` between the columns.
pub(crate) fn text(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::new().with_null("-");
    let columns: Vec<_> =
        batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
    let row = |row: usize| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|");
    (0..batch.num_rows()).map(row).collect()
}

/// What goes wrong.
pub(crate) fn error(paths: &[impl AsRef<Path>], how: How) -> String {
    match read(paths, how) {
        Ok(delivered) => panic!("{:?}", delivered.text()),
        Err(error) => error.to_string(),
    }
}
