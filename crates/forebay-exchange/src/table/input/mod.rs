//! Reading rows: Parquet, CSV and NDJSON, decoded in parallel and delivered in order.
//!
//! ```text
//!   schedule: which input's turn is it?      workers             commits: cut at N rows of each input
//!   Parquet footer -> parts        ---->     decode     ---->    deliver(Piece)
//!   text -> pieces of whole records
//! ```
//!
//! A *unit* is a part of a Parquet row group, or a piece of text that ends where a record ends. The engine's pipeline
//! takes units from a source thread to workers and their batches, in order, to the caller's thread.
//!
//! # Invariants
//! * Rows of one input come in its order. Without commits, inputs come one after the other.
//! * With a commit every `n` rows, commit `c` holds the rows `c * n..(c + 1) * n` of every input, malformed ones not
//!   counted; all pieces of a commit come before those of the next.
//! * What is read ahead is bounded by the number of units in flight (four a worker) and by the budget; with several
//!   inputs and commits, about one unit of each waits besides, which the budget pays for.
//! * A malformed row costs that row only. It is counted, with its lines, and the first ones are described.
//!
//! # What it does not do
//! It does not decompress files or guess delimiters. A read of a pipe that waits for its writer is not interrupted by
//! cancelling: the run ends when the read does. Types of text come from a sample at its start.
//!
//! # Failure
//! [`TableError`] with the file's name. Rows before the failure may have been delivered.

mod commits;
mod csv;
mod cut;
mod decoded;
mod format;
mod infer;
mod layout;
mod ndjson;
mod open;
mod parquet_file;
mod read;
mod row;
mod salvage;
mod schedule;
mod text;
mod times;
mod unify;

use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use forebay::{Budget, CancelToken, Snapshot};

pub use format::Format;
pub use row::MalformedRow;

use super::{QueryError, TableError};

/// Most rows in a batch.
pub(crate) const BATCH: usize = 8192;

/// How inputs are read.
#[derive(Clone, Debug)]
pub struct InputOptions {
    /// Which inputs are read here. Default: all.
    pub share: Share,
    /// What the inputs are. Default: for each by its first bytes and its name.
    pub format: Option<Format>,
    /// What is between the fields of CSV. Default: a comma, and in files called `.tsv` a tab.
    pub delimiter: Option<u8>,
    /// How many rows of a text are looked at for the types of its columns, at least one. Default: 1,000. A pipe is waited for
    /// until there are so many.
    pub sample_rows: usize,
    /// Whether the first malformed row ends the run. Default: no, they are counted.
    pub strict: bool,
    /// Rows of each input in a commit. Default: everything is one commit.
    pub commit_every: Option<u64>,
    /// Bytes of text in a unit of work. Default: 1 MiB, less if the budget is small.
    pub piece: Option<usize>,
    /// The longest row of text, in bytes; a longer one is malformed. Default: 64 MiB.
    pub longest_row: usize,
}

impl Default for InputOptions {
    fn default() -> Self {
        let longest_row = 64 << 20;
        InputOptions {
            share: Share::ALL,
            format: None,
            delimiter: None,
            sample_rows: 1000,
            strict: false,
            commit_every: None,
            piece: None,
            longest_row,
        }
    }
}

/// Which inputs a process reads: number `index`, `index + count`, ...
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// This process, from 0.
    pub index: usize,
    /// How many there are.
    pub count: usize,
}

impl Share {
    /// All inputs.
    pub const ALL: Share = Share { index: 0, count: 1 };

    fn takes(self, input: usize) -> bool {
        input % self.count.max(1) == self.index
    }
}

/// What reading may use.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Threads that decode.
    pub workers: usize,
    /// Pays for what is read ahead.
    pub budget: Budget,
    /// Ends it.
    pub cancel: CancelToken,
}

/// What reading delivers.
#[derive(Clone, Debug)]
pub enum Piece {
    /// Rows.
    Rows {
        /// The commit that they belong to, from 0.
        commit: u64,
        /// 8,192 rows or fewer, with the columns that were asked for, in that order.
        batch: RecordBatch,
    },
    /// There are no more rows of this commit here.
    Commit(u64),
}

/// What was read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ReadReport {
    /// Rows delivered.
    pub rows: u64,
    /// Bytes of the files that were decoded: all of a text, the wanted columns of Parquet.
    pub bytes: u64,
    /// Rows left out because they do not decode.
    pub malformed_rows: u64,
    /// Lines that these have: more where a quote is not closed where it should be.
    pub malformed_lines: u64,
    /// The first of them, at most 20.
    pub malformed: Vec<MalformedRow>,
    /// What the engine did.
    pub snapshot: Snapshot,
}

/// Inputs of one schema.
#[derive(Debug)]
pub struct Inputs {
    inputs: Vec<open::Input>,
    schema: SchemaRef,
    /// Columns that only some of the inputs have, or with types that do not agree.
    apart: Vec<unify::Apart>,
    options: InputOptions,
}

impl Inputs {
    /// Looks at each of `paths`, also at files that are not of the share, if they are there: the footer of Parquet, the first
    /// rows of text: [`sample_rows`](InputOptions::sample_rows) of them, or 1 MiB for a thousand, or less if there are more
    /// than 16 inputs. No path, or `-`, is standard input. Of a pipe, this waits for so many rows or the end; it is kept
    /// open, and what was looked at is read all the same.
    ///
    /// Columns of text have the types that fit the samples of all texts: Int64, Float64, Boolean, Date32, Timestamp in
    /// microseconds (in nanoseconds, if there are such) or else Utf8. Columns of CSV without a name are called `column`
    /// and their number, from 0; those with a name that an earlier one has get `_1`, `_2`, ... behind it.
    ///
    /// # Errors
    /// [`TableError`] if a file cannot be read, is compressed, or is not what it is called. That columns differ is said only
    /// of those that are asked for ([`column`](Self::column)).
    pub fn open(paths: &[PathBuf], options: InputOptions) -> Result<Self, TableError> {
        let standard_input = [PathBuf::from("-")];
        let paths = if paths.is_empty() { &standard_input[..] } else { paths };
        if options.commit_every == Some(0) {
            return Err(TableError::Option { option: "commit-every", reason: "a commit has at least one row".into() });
        }
        if options.sample_rows == 0 {
            return Err(TableError::Option {
                option: "sample-rows",
                reason: "types are those of at least one row".into(),
            });
        }
        let unfit = |delimiter: u8| matches!(delimiter, b'"' | b'\n' | b'\r') || !delimiter.is_ascii();
        if options.delimiter.is_some_and(unfit) {
            let reason = "it must be one ASCII character, and neither a quote nor the end of a line".into();
            return Err(TableError::Option { option: "delimiter", reason });
        }
        let samples = open::look(paths, &options)?;
        let (inputs, schema, apart) = unify::unify(samples);
        Ok(Inputs { inputs, schema, apart, options })
    }

    /// The place in the schema of the column called `name`.
    ///
    /// # Errors
    /// [`TableError::MissingColumn`] if some inputs have it and others do not, [`TableError::ColumnType`] if it has types that
    /// do not agree, [`QueryError::UnknownColumn`] if no input has it.
    pub fn column(&self, name: &str) -> Result<usize, TableError> {
        let unknown = |_| QueryError::UnknownColumn {
            column: name.to_owned(),
            known: self.schema.fields().iter().map(|field| field.name().clone()).collect(),
        };
        match self.apart(name) {
            Some(why) => Err(why.clone()),
            None => Ok(self.schema.index_of(name).map_err(unknown)?),
        }
    }

    /// Why the column called `name` is not one of all inputs, if it is one of some.
    fn apart(&self, name: &str) -> Option<&TableError> {
        self.apart.iter().find(|(apart, _)| apart == name).map(|(_, why)| why)
    }

    /// Says more of a query that these inputs cannot answer because of what is in them: where a column is missing or another,
    /// the first row that makes a column one of strings where numbers are wanted, or that nothing is in them at all.
    pub(super) fn explain(&self, error: TableError) -> TableError {
        let named = match &error {
            TableError::Query(QueryError::UnknownColumn { column, .. }) => Some(column),
            TableError::Filter { unknown, .. } => unknown.as_ref(),
            _ => None,
        };
        if let Some(why) = named.and_then(|column| self.apart(column)) {
            return why.clone();
        }
        match &error {
            TableError::Query(QueryError::UnknownColumn { known, .. }) if known.is_empty() => {
                let path = self.inputs.first().map_or(Path::new("-"), |input| &*input.path);
                TableError::refused(path, "no row in it says which columns there are")
            }
            TableError::Query(QueryError::Type { column, found: DataType::Utf8, wanted: "sum" | "avg", .. }) => {
                match self.inputs.iter().find_map(|input| open::first_word(input, column, &self.options)) {
                    Some(row) => TableError::NoNumbers { error: Box::new(error), row: Box::new(row) },
                    None => error,
                }
            }
            _ => error,
        }
    }

    /// The columns that every input has, with types that agree: in the order of the first one, and what only later lines of
    /// JSON have behind them.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Whether looking at `paths` may wait for who writes into a pipe.
    pub(super) fn may_wait(paths: &[PathBuf], options: &InputOptions) -> bool {
        let own = paths.iter().enumerate().filter(|(number, _)| options.share.takes(*number));
        paths.is_empty() || own.into_iter().any(|(_, path)| open::is_pipe(path))
    }

    /// Whether reading may wait for who writes into a pipe.
    pub(super) fn is_awaited(&self) -> bool {
        self.inputs.iter().any(|input| input.own && open::is_pipe(&input.path))
    }

    /// Reads the columns `columns` (places in the schema) of the inputs of the share, and delivers them on this thread.
    ///
    /// # Errors
    /// [`TableError`] of an input, of `deliver`, or [`TableError::Malformed`] with `strict`.
    ///
    /// # Panics
    /// If `deliver` panics or a place is not in the schema.
    pub fn read(
        self,
        columns: &[usize],
        reading: Reading,
        deliver: impl FnMut(Piece) -> Result<(), TableError>,
    ) -> Result<ReadReport, TableError> {
        read::read(self, columns, reading, deliver)
    }
}

/// What is between the fields of CSV in `path`.
fn delimiter(path: &Path, options: &InputOptions) -> u8 {
    let tabs = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("tsv"));
    options.delimiter.unwrap_or(if tabs { b'\t' } else { b',' })
}

/// A type as a sentence has it.
fn type_name(kind: &DataType) -> String {
    let name = match kind {
        DataType::Int64 => "integer",
        DataType::Float64 => "number",
        DataType::Boolean => "boolean",
        DataType::Date32 => "date",
        DataType::Timestamp(..) => "timestamp",
        DataType::Utf8 => "string",
        other => return other.to_string(),
    };
    format!("{name} ({kind})")
}
