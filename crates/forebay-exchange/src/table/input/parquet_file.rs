//! Parquet: the footer, the parts that are decoded at a time, and decoding one.
//!
//! A part is a row group or, of one whose wanted columns decode to more than a part may have, a stretch of its rows. A
//! later stretch passes over the pages before it by their headers; of flat columns nothing is decompressed twice but
//! the page in which a stretch begins, and the dictionary. Workers read with `pread`, each its own part: the library's
//! reader for files has one position for all.
//!
//! How many rows fit is guessed from what the footer says, and from the dictionaries of columns of strings: of a million
//! rows that are one string of 10 KB each, nothing but the dictionary is large. Where the guess was too low (most rows have the
//! longest of many strings), a worker stops early and says what it left.
//!
//! A page is decompressed whole, and some writers make pages of 100 MB: a stretch is no shorter than such a page, or the page would
//! be decompressed for each. Workers leave all of it, so that there is one such page at a time.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::error::ArrowError;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::basic::Type;
use parquet::column::page::{Page, PageReader};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;

use super::BATCH;
use super::decoded::{Decoded, weight};
use super::layout::guarded;
use crate::table::TableError;

/// The most that a part decodes to for the sake of its dictionaries.
const LARGEST: usize = 1 << 20;

/// How often a page may be decompressed, side by side: a page that decodes to more stretches than that is one stretch.
const REPEATED: usize = 4;

/// A file that is read at any place by any thread.
#[derive(Clone, Debug)]
pub(super) struct Positioned {
    file: Arc<File>,
    len: u64,
}

impl Positioned {
    /// Opens `path`.
    pub(super) fn open(path: &Path) -> Result<Self, TableError> {
        let failed = |operation| move |error| TableError::io(path, operation, error);
        let file = File::open(path).map_err(failed("open"))?;
        let len = file.metadata().map_err(failed("stat"))?.len();
        Ok(Positioned { file: Arc::new(file), len })
    }
}

impl Length for Positioned {
    fn len(&self) -> u64 {
        self.len
    }
}

impl ChunkReader for Positioned {
    type T = BufReader<From>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(BufReader::new(From { file: Arc::clone(&self.file), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        // Looked at before so much is allocated: the length is what the file says.
        if start.checked_add(length as u64).is_none_or(|end| end > self.len) {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} are not in the file")));
        }
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, start)?;
        Ok(bytes.into())
    }
}

/// The file from a place on.
#[derive(Debug)]
pub(super) struct From {
    file: Arc<File>,
    at: u64,
}

impl Read for From {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// Reads the footer of `path`.
pub(super) fn footer(path: &Path) -> Result<ArrowReaderMetadata, TableError> {
    let file = Positioned::open(path)?;
    let load = || ArrowReaderMetadata::load(&file, ArrowReaderOptions::new());
    let footer = guarded(path, load)?.map_err(|error| TableError::corrupt(path, error))?;
    let rows = |rows: i64| u64::try_from(rows).map_err(|_| TableError::corrupt(path, "a negative number of rows"));
    let mut total = 0_u64;
    for group in footer.metadata().row_groups() {
        total = total.saturating_add(rows(group.num_rows())?);
    }
    if total != rows(footer.metadata().file_metadata().num_rows())? {
        return Err(TableError::corrupt(path, "the rows of its row groups are not those of the file"));
    }
    Ok(footer)
}

/// How one file's parts are decoded.
#[derive(Clone, Debug)]
pub(super) struct ParquetLayout {
    pub(super) path: Arc<Path>,
    pub(super) footer: ArrowReaderMetadata,
    /// The wanted columns of the file, in the order in which they are wanted.
    pub(super) columns: Vec<usize>,
}

/// A stretch of a row group.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) file: Positioned,
    group: usize,
    first: usize,
    pub(super) rows: usize,
    /// Rows that are decoded at a time.
    batch: usize,
    /// Bytes that it should decode to, and that a batch of it should have at most.
    target: usize,
    most: usize,
    /// What it takes of the file.
    pub(super) bytes: u64,
    /// What it takes in memory beside its rows: pages that are too large for stretches of them. Nothing of such a part is
    /// decoded by workers.
    pub(super) pages: usize,
}

impl Part {
    /// What is left of it behind the first `rows` rows, which took `bytes` bytes: of each batch as many rows as fit if
    /// those that follow are like them.
    fn behind(&self, rows: usize, bytes: usize) -> Part {
        let fitting = (self.most * rows / bytes.max(1)).max(1);
        Part {
            first: self.first + rows,
            rows: self.rows - rows,
            batch: self.batch.min(fitting),
            bytes: 0,
            ..self.clone()
        }
    }
}

/// The rows of a part, batch by batch.
pub(super) struct Batches {
    reader: ParquetRecordBatchReader,
    /// Where each wanted column is among those of the reader.
    order: Vec<usize>,
    /// Rows that are still to come.
    left: usize,
}

impl Iterator for Batches {
    type Item = ParquetResult<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let Some(batch) = self.reader.next() else {
            let left = std::mem::take(&mut self.left);
            return (left > 0).then(|| Err(ParquetError::General(format!("{left} rows too few"))));
        };
        Some(self.take(batch))
    }
}

impl Batches {
    fn take(&mut self, batch: Result<RecordBatch, ArrowError>) -> ParquetResult<RecordBatch> {
        let batch = batch?;
        let left = self.left.checked_sub(batch.num_rows());
        self.left = left.ok_or_else(|| ParquetError::General("more rows than there should be".to_owned()))?;
        compact(&batch.project(&self.order)?)
    }
}

impl ParquetLayout {
    /// The parts of the file, each of about `target` bytes when it is decoded, in batches of no more.
    pub(super) fn parts(&self, file: &Positioned, target: usize) -> impl Iterator<Item = Part> + Send + use<> {
        let footer = Arc::clone(self.footer.metadata());
        let (mask, fixed) = (self.mask(), self.fixed_width());
        let (file, path) = (file.clone(), Arc::clone(&self.path));
        (0..footer.num_row_groups()).flat_map(move |group| {
            let meta = footer.row_group(group);
            let rows = usize::try_from(meta.num_rows()).unwrap_or(0);
            let (mut encoded, mut stored) = (0_u64, 0_u64);
            // Of a row, on average and of the longest; and of all dictionaries.
            let (mut mean, mut longest, mut dictionaries) = (fixed, fixed, 0_usize);
            for (_, column) in meta.columns().iter().enumerate().filter(|(leaf, _)| mask.leaf_included(*leaf)) {
                encoded = encoded.saturating_add(u64::try_from(column.uncompressed_size()).unwrap_or(0));
                stored = stored.saturating_add(u64::try_from(column.compressed_size()).unwrap_or(0));
                let strings = strings(&path, &file, column, rows);
                mean = mean.saturating_add(strings.mean);
                longest = longest.saturating_add(strings.longest);
                dictionaries = dictionaries.saturating_add(strings.dictionary);
            }
            // Who reads a part reads the dictionaries first.
            let (most, target) = (target, target.max(dictionaries.min(LARGEST)));
            let width = usize::try_from(encoded / rows.max(1) as u64).unwrap_or(usize::MAX).max(mean).max(1);
            let columns = meta.columns().iter().enumerate().filter(|(leaf, _)| mask.leaf_included(*leaf));
            let (mut large, mut pages) = (0, 0);
            for (longest, bytes) in columns.filter_map(|(_, column)| large_page(&path, &file, column, rows, target)) {
                (large, pages) = (longest.max(large), bytes.saturating_add(pages));
            }
            let part = stretch(rows, (target / width).max(1)).max(large.min(rows));
            let batch = (most / longest.max(width)).clamp(1, BATCH);
            let file = file.clone();
            (0..rows).step_by(part).map(move |first| {
                let here = part.min(rows - first);
                let bytes = (u128::from(stored) * here as u128 / rows as u128) as u64;
                Part {
                    file: file.clone(),
                    group,
                    first,
                    rows: here,
                    batch: here.min(batch),
                    target,
                    most,
                    bytes,
                    pages,
                }
            })
        })
    }

    /// The rows of `part`; and what is left of it, if they are far larger than was thought.
    pub(super) fn decode(&self, part: &Part) -> Result<(Decoded, Option<Part>), TableError> {
        self.decode_part(part).map_err(|error| TableError::corrupt(&self.path, error))
    }

    fn decode_part(&self, part: &Part) -> ParquetResult<(Decoded, Option<Part>)> {
        let mut decoded = Decoded::default();
        if part.pages > 0 {
            return Ok((decoded, Some(Part { bytes: 0, ..part.clone() })));
        }
        // Batches that are less than one should be, and what they take.
        let mut few = Few::default();
        let mut bytes = 0;
        for batch in self.batches(part)? {
            let batch = batch?;
            let taken = weight(&batch);
            bytes += taken;
            if few.rows + batch.num_rows() > BATCH || few.bytes + taken > part.most {
                decoded.push(few.take()?);
            }
            few.add(batch, taken);
            let rows = decoded.rows as usize + few.rows;
            if bytes >= 2 * part.target && rows < part.rows {
                decoded.push(few.take()?);
                return Ok((decoded, Some(part.behind(rows, bytes))));
            }
        }
        decoded.push(few.take()?);
        Ok((decoded, None))
    }

    /// The rows of `part`, one batch at a time.
    pub(super) fn batches(&self, part: &Part) -> ParquetResult<Batches> {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(part.file.clone(), self.footer.clone())
            .with_row_groups(vec![part.group])
            .with_projection(self.mask())
            .with_batch_size(part.batch)
            .with_offset(part.first)
            .with_limit(part.rows);
        let mut in_file: Vec<_> = self.columns.clone();
        in_file.sort_unstable();
        let order = self.columns.iter().filter_map(|column| in_file.binary_search(column).ok()).collect();
        Ok(Batches { reader: builder.build()?, order, left: part.rows })
    }

    fn mask(&self) -> ProjectionMask {
        ProjectionMask::roots(self.footer.parquet_schema(), self.columns.iter().copied())
    }

    /// What a row takes at least, whatever its encoding.
    fn fixed_width(&self) -> usize {
        let fields = self.footer.schema().fields();
        self.columns.iter().filter_map(|column| fields.get(*column)).map(|field| width(field.data_type())).sum()
    }
}

/// The same rows without what they share with others: a few views, or numbers of a dictionary, keep all of its strings.
fn compact(batch: &RecordBatch) -> ParquetResult<RecordBatch> {
    let columns = batch.columns().iter().map(|column| match (column.as_string_view_opt(), column.data_type()) {
        (Some(views), _)
            if views.get_buffer_memory_size() > 2 * (views.total_buffer_bytes_used() + 16 * views.len()) =>
        {
            Ok(Arc::new(views.gc()) as ArrayRef)
        }
        (None, DataType::Dictionary(_, values)) => cast(column, values),
        _ => Ok(Arc::clone(column)),
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let schema = batch.schema();
    let fields = schema.fields().iter().zip(&columns);
    let fields: Vec<_> =
        fields.map(|(field, column)| field.as_ref().clone().with_data_type(column.data_type().clone())).collect();
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &rows)?)
}

/// Batches that become one.
#[derive(Default)]
struct Few {
    batches: Vec<RecordBatch>,
    rows: usize,
    bytes: usize,
}

impl Few {
    fn add(&mut self, batch: RecordBatch, bytes: usize) {
        self.rows += batch.num_rows();
        self.bytes += bytes;
        self.batches.push(batch);
    }

    fn take(&mut self) -> ParquetResult<Option<RecordBatch>> {
        let Few { mut batches, .. } = std::mem::take(self);
        Ok(match &batches[..] {
            [] | [_] => batches.pop(),
            [first, ..] => Some(concat_batches(&first.schema(), &batches)?),
        })
    }
}

/// Bytes of the strings of a column.
#[derive(Clone, Copy, Debug, Default)]
struct Strings {
    mean: usize,
    longest: usize,
    /// The dictionary that they are in.
    dictionary: usize,
}

/// What is known of the strings of `column`; nothing if there are none, or if they are not in a dictionary and the footer
/// does not say. What is wrong with a dictionary is said when it is decoded.
fn strings(path: &Path, file: &Positioned, column: &ColumnChunkMetaData, rows: usize) -> Strings {
    if column.column_type() != Type::BYTE_ARRAY {
        return Strings::default();
    }
    let mut strings = match column.dictionary_page_offset() {
        Some(_) => guarded(path, || dictionary(file, column, rows)).ok().and_then(Result::ok).flatten(),
        None => None,
    }
    .unwrap_or_default();
    if let Some(all) = column.unencoded_byte_array_data_bytes() {
        strings.mean = usize::try_from(all).unwrap_or(0) / rows.max(1);
    }
    strings
}

/// The strings of the dictionary of `column`, each as if it were as frequent as the others.
fn dictionary(file: &Positioned, column: &ColumnChunkMetaData, rows: usize) -> ParquetResult<Option<Strings>> {
    let mut pages = SerializedPageReader::new(Arc::new(file.clone()), column, rows, None)?;
    let Some(Page::DictionaryPage { buf, .. }) = pages.get_next_page()? else { return Ok(None) };
    let (mut rest, mut count, mut longest) = (&buf[..], 0, 0);
    // Each string behind its length.
    while let Some((len, behind)) = rest.split_first_chunk() {
        let len = u32::from_le_bytes(*len) as usize;
        let Some(behind) = behind.get(len..) else { break };
        (rest, count, longest) = (behind, count + 1, longest.max(len));
    }
    Ok(Some(Strings { mean: buf.len() / count.max(1), longest, dictionary: buf.len() }))
}

/// Rows and bytes of the largest page of `column`, if stretches of `target` bytes would have it decompressed too often. What is
/// wrong with a page is said when it is decoded.
fn large_page(
    path: &Path,
    file: &Positioned,
    column: &ColumnChunkMetaData,
    rows: usize,
    target: usize,
) -> Option<(usize, usize)> {
    let encoded = usize::try_from(column.uncompressed_size()).unwrap_or(0);
    if encoded / REPEATED <= target {
        return None;
    }
    let longest = || -> ParquetResult<usize> {
        let mut pages = SerializedPageReader::new(Arc::new(file.clone()), column, rows, None)?;
        let mut longest = 0;
        while let Some(page) = pages.peek_next_page()? {
            if !page.is_dict {
                longest = longest.max(page.num_rows.or(page.num_levels).unwrap_or(0));
            }
            pages.skip_next_page()?;
        }
        Ok(longest)
    };
    let longest = guarded(path, longest).ok()?.ok()?.min(rows);
    let bytes = (encoded as u128 * longest as u128 / rows.max(1) as u128) as usize;
    (bytes / REPEATED > target).then_some((longest, bytes))
}

/// Rows a part: those that fit, in whole batches if that is more than one, and the parts of a group about equal.
fn stretch(rows: usize, fitting: usize) -> usize {
    let parts = rows.div_ceil(fitting).max(1);
    let even = rows.div_ceil(parts).max(1);
    if even > BATCH { even.next_multiple_of(BATCH) } else { even }
}

/// What a value takes, without what it refers to.
fn width(kind: &DataType) -> usize {
    kind.primitive_width().unwrap_or(match kind {
        DataType::Boolean => 1,
        _ => 16,
    })
}

/// Whether the file has the dates of the column at `place` as days.
pub(super) fn in_days(footer: &ArrowReaderMetadata, place: usize) -> bool {
    let field = footer.parquet_schema().root_schema().get_fields().get(place);
    field.is_some_and(|field| field.is_primitive() && field.get_physical_type() == Type::INT32)
}

/// The types of the columns, as the file has them.
pub(super) fn schema(footer: &ArrowReaderMetadata) -> &SchemaRef {
    footer.schema()
}
