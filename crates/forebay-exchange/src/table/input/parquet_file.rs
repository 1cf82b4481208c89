//! Parquet: the footer, the parts that are decoded at a time, and decoding one.
//!
//! A part is a row group or, of one whose wanted columns decode to more than a part may have, a stretch of its rows. A
//! later stretch passes over the pages before it by their headers; of flat columns nothing is decompressed twice but
//! the page in which a stretch begins, and the dictionary. Workers read with `pread`, each its own part: the library's
//! reader for files has one position for all.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{ChunkReader, Length};

use super::BATCH;
use super::decoded::Decoded;
use super::layout::guarded;
use crate::table::TableError;

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
    /// Rows a batch.
    batch: usize,
    /// What it takes of the file.
    pub(super) bytes: u64,
}

impl ParquetLayout {
    /// The parts of the file, each of about `target` bytes when it is decoded.
    pub(super) fn parts(&self, file: &Positioned, target: usize) -> impl Iterator<Item = Part> + Send + use<> {
        let footer = Arc::clone(self.footer.metadata());
        let (mask, fixed) = (self.mask(), self.fixed_width());
        let file = file.clone();
        (0..footer.num_row_groups()).flat_map(move |group| {
            let meta = footer.row_group(group);
            let rows = usize::try_from(meta.num_rows()).unwrap_or(0);
            let (mut encoded, mut stored) = (0_u64, 0_u64);
            for (_, column) in meta.columns().iter().enumerate().filter(|(leaf, _)| mask.leaf_included(*leaf)) {
                encoded = encoded.saturating_add(u64::try_from(column.uncompressed_size()).unwrap_or(0));
                stored = stored.saturating_add(u64::try_from(column.compressed_size()).unwrap_or(0));
            }
            let width = usize::try_from(encoded / rows.max(1) as u64).unwrap_or(usize::MAX).max(fixed).max(1);
            let part = stretch(rows, (target / width).max(1));
            let file = file.clone();
            (0..rows).step_by(part).map(move |first| {
                let here = part.min(rows - first);
                let bytes = (u128::from(stored) * here as u128 / rows as u128) as u64;
                Part { file: file.clone(), group, first, rows: here, batch: here.min(BATCH), bytes }
            })
        })
    }

    /// The rows of `part`.
    pub(super) fn decode(&self, part: &Part) -> Result<Decoded, TableError> {
        self.decode_part(part).map_err(|error| TableError::corrupt(&self.path, error))
    }

    fn decode_part(&self, part: &Part) -> ParquetResult<Decoded> {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(part.file.clone(), self.footer.clone())
            .with_row_groups(vec![part.group])
            .with_projection(self.mask())
            .with_batch_size(part.batch)
            .with_offset(part.first)
            .with_limit(part.rows);
        let mut in_file: Vec<_> = self.columns.clone();
        in_file.sort_unstable();
        let order: Vec<_> = self.columns.iter().filter_map(|column| in_file.binary_search(column).ok()).collect();
        let mut decoded = Decoded::default();
        for batch in builder.build()? {
            decoded.push(Some(batch?.project(&order)?));
        }
        if decoded.rows != part.rows as u64 {
            let (rows, found) = (part.rows, decoded.rows);
            return Err(ParquetError::General(format!("{found} rows where there should be {rows}")));
        }
        Ok(decoded)
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

/// The types of the columns, as the file has them.
pub(super) fn schema(footer: &ArrowReaderMetadata) -> &SchemaRef {
    footer.schema()
}
