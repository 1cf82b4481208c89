//! `Input`: one file, as it was found when the inputs were opened.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;

use super::cut::{Scanner, newlines};
use super::format::{BOM, Format};
use super::infer::{self, Columns};
use super::row::{MalformedRow, excerpt};
use super::text::Text;
use super::{InputOptions, delimiter, parquet_file};
use crate::table::TableError;

/// Most bytes of a sample of so many rows; less if there are many inputs.
const SAMPLE_BYTES: usize = 1 << 20;
const SAMPLE_ROWS: usize = 1000;
/// Most bytes of a sample, however many rows are asked for.
const MOST_SAMPLE: usize = 64 << 20;
/// All samples together, unless each is at its least.
const ALL_SAMPLES: usize = 16 << 20;
/// How much is read at a time, and the least of a sample.
const STEP: usize = 64 << 10;

/// One file.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) path: Arc<Path>,
    /// It is of the share, and will be read.
    pub(super) own: bool,
    pub(super) content: Content,
    /// The columns it has, with the types to which they are decoded.
    pub(super) schema: SchemaRef,
    /// For each column of all inputs, where it is in this one. JSON has all.
    pub(super) places: Vec<usize>,
}

/// What is in a file.
#[derive(Debug)]
pub(super) enum Content {
    Parquet(ArrowReaderMetadata),
    Csv(Start),
    Ndjson(Start),
}

/// A file that was looked at, before the types of its columns are settled.
#[derive(Debug)]
pub(super) struct Looked {
    pub(super) path: Arc<Path>,
    pub(super) own: bool,
    pub(super) content: Content,
    pub(super) columns: Columns,
}

/// Where the rows of a text begin.
pub(super) struct Start {
    /// What was read already, and the rest. None: a file that can be opened again.
    pipe: Option<(Vec<u8>, Box<dyn Read + Send>)>,
    /// Bytes before the first row.
    skip: usize,
    /// The number of the line with which the first row begins.
    line: u64,
}

impl Start {
    /// Reads the text in pieces.
    pub(super) fn text(
        self,
        path: Arc<Path>,
        scanner: Scanner,
        piece: usize,
        longest: usize,
    ) -> Result<Text, TableError> {
        let reader: Box<dyn Read + Send> = match self.pipe {
            Some((mut sample, rest)) => {
                sample.drain(..self.skip);
                Box::new(io::Cursor::new(sample).chain(rest))
            }
            None => {
                let mut file = File::open(&path).map_err(|error| TableError::io(&path, "open", error))?;
                let skip = SeekFrom::Start(self.skip as u64);
                file.seek(skip).map_err(|error| TableError::io(&path, "seek in", error))?;
                Box::new(file)
            }
        };
        Ok(Text::new(path, reader, scanner, self.line, piece, longest))
    }
}

impl fmt::Debug for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Start").field("skip", &self.skip).field("line", &self.line).finish_non_exhaustive()
    }
}

/// Whether `path` is one that gives what others write into it, and gives it once.
pub(super) fn is_pipe(path: &Path) -> bool {
    path == Path::new("-") || path.metadata().is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
}

/// Looks at each of `paths`, but for those that others read and that are pipes or not there.
pub(super) fn look(paths: &[PathBuf], options: &InputOptions) -> Result<Vec<Looked>, TableError> {
    let most = sample_bytes(paths.len(), options);
    let is_standard = |path: &&PathBuf| path.as_path() == Path::new("-");
    if paths.iter().filter(is_standard).count() > 1 {
        return Err(TableError::refused(Path::new("-"), "named more than once"));
    }
    let mut looked = Vec::new();
    for (number, path) in paths.iter().enumerate() {
        let own = options.share.takes(number);
        // What is taken from a pipe is gone for who reads it.
        if own || path.exists() && !is_pipe(path) {
            looked.push(look_at(path, own, options, most)?);
        }
    }
    if looked.is_empty() {
        let reason =
            "this process reads none of the inputs, and sees no file among them that says what the columns are";
        return Err(TableError::Option { option: "processes", reason: reason.into() });
    }
    Ok(looked)
}

/// Most bytes of the sample of each of `inputs`.
fn sample_bytes(inputs: usize, options: &InputOptions) -> usize {
    let usual = (ALL_SAMPLES / inputs.max(1)).clamp(STEP, SAMPLE_BYTES);
    usual.saturating_mul(options.sample_rows.div_ceil(SAMPLE_ROWS)).min(MOST_SAMPLE)
}

fn look_at(path: &Path, own: bool, options: &InputOptions, most: usize) -> Result<Looked, TableError> {
    let (mut reader, is_file) = open(path)?;
    let path: Arc<Path> = Arc::from(path);
    let mut sample = Sample { bytes: Vec::new(), complete: false };
    sample.read(&path, &mut *reader, 4, usize::MAX)?;
    if sample.bytes.starts_with(b"PAR1") {
        Format::of(&path, &sample.bytes, options.format)?;
        if !is_file {
            let reason = "Parquet cannot be read from a pipe, its footer is at the end; write it to a file first";
            return Err(TableError::refused(&path, reason));
        }
        let footer = parquet_file::footer(&path)?;
        let columns = infer::parquet_columns(&path, &footer)?;
        return Ok(Looked { path, own, content: Content::Parquet(footer), columns });
    }
    // CSV begins with a header.
    let named = options.format.or_else(|| Format::of_name(&path));
    let json = named == Some(Format::Ndjson) || named.is_none() && sample.bytes.first() == Some(&b'{');
    sample.read(&path, &mut *reader, most, options.sample_rows.saturating_add(usize::from(!json)))?;
    let format = Format::of(&path, &sample.bytes, options.format)?;
    let bom = if sample.bytes.starts_with(BOM) { BOM.len() } else { 0 };
    let text = &sample.bytes[bom..];
    let (columns, header, line) = match format {
        Format::Csv => {
            let delimiter = delimiter(&path, options);
            let header = infer::csv_columns(&path, text, sample.complete, delimiter, options.sample_rows)?;
            (header.columns, header.len, header.behind)
        }
        _ => (infer::ndjson_columns(text, sample.complete, options.sample_rows), 0, 1),
    };
    let pipe = (!is_file).then_some((sample.bytes, reader));
    let start = Start { pipe, skip: bom + header, line };
    let content = if format == Format::Csv { Content::Csv(start) } else { Content::Ndjson(start) };
    Ok(Looked { path, own, content, columns })
}

/// The first row of the sample of `input` whose value of the column called `name` is no number.
pub(super) fn first_word(input: &Input, name: &str, options: &InputOptions) -> Option<MalformedRow> {
    let start = match &input.content {
        Content::Csv(start) | Content::Ndjson(start) => start,
        Content::Parquet(_) => return None,
    };
    let read;
    let (bytes, complete) = match &start.pipe {
        // Where it was cut off is not known any more.
        Some((bytes, _)) => (bytes.as_slice(), false),
        None => {
            let mut sample = Sample { bytes: Vec::new(), complete: false };
            let (mut reader, _) = open(&input.path).ok()?;
            sample
                .read(&input.path, &mut *reader, sample_bytes(1, options), options.sample_rows.saturating_add(1))
                .ok()?;
            read = sample;
            (read.bytes.as_slice(), read.complete)
        }
    };
    let text = bytes.strip_prefix(BOM).unwrap_or(bytes);
    let (line, value) = match &input.content {
        Content::Ndjson(_) => infer::ndjson_word(text, complete, options.sample_rows, name),
        _ => {
            let column = input.schema.index_of(name).ok()?;
            infer::csv_word(text, complete, delimiter(&input.path, options), options.sample_rows, column)
        }
    }?;
    let (path, reason) = (Arc::clone(&input.path), format!("'{}' is no number", excerpt(&value)));
    Some(MalformedRow { path, line, lines: 1, reason, column: Some(name.to_owned()) })
}

/// Opens `path`, and says whether it can be opened again.
fn open(path: &Path) -> Result<(Box<dyn Read + Send>, bool), TableError> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin()), false));
    }
    let meta = fs::metadata(path).map_err(|error| TableError::io(path, "open", error))?;
    if meta.is_dir() {
        return Err(TableError::refused(path, "a directory"));
    }
    let file = File::open(path).map_err(|error| TableError::io(path, "open", error))?;
    Ok((Box::new(file), meta.is_file()))
}

struct Sample {
    bytes: Vec<u8>,
    /// Nothing comes behind it.
    complete: bool,
}

impl Sample {
    /// Reads until there are `most` bytes, or `rows` lines.
    fn read(&mut self, path: &Path, reader: &mut dyn Read, most: usize, rows: usize) -> Result<(), TableError> {
        let mut lines = newlines(&self.bytes) as usize;
        while self.bytes.len() < most && lines < rows && !self.complete {
            let begin = self.bytes.len();
            self.bytes.resize(begin + STEP.min(most - begin), 0);
            let read = match reader.read(&mut self.bytes[begin..]) {
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {
                    self.bytes.truncate(begin);
                    continue;
                }
                Err(error) => return Err(TableError::io(path, "read", error)),
            };
            self.bytes.truncate(begin + read);
            self.complete = read == 0;
            lines += newlines(&self.bytes[begin..]) as usize;
        }
        Ok(())
    }
}
