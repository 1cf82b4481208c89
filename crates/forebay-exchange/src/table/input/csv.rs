//! A piece of CSV to batches.
//!
//! Whole batches are decoded at once; a batch that does not decode is decoded in parts (see [`salvage`]). An empty
//! field is null, quoted or not; empty lines are no rows.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, RecordBatchOptions};
use arrow::csv::ReaderBuilder;
use arrow::csv::reader::Decoder;
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;

use super::cut::{Record, Records, Scanner, fields, newlines};
use super::decoded::Decoded;
use super::row::{Flaw, excerpt};
use super::salvage::salvage;
use super::text::TextPiece;
use super::times::times;
use super::{BATCH, type_name};
use crate::table::TableError;

/// How one file's pieces are decoded.
#[derive(Clone, Debug)]
pub(super) struct CsvLayout {
    pub(super) path: Arc<Path>,
    /// All columns of the file, in its order.
    pub(super) schema: SchemaRef,
    /// Which are wanted, in the order in which they are.
    pub(super) projection: Vec<usize>,
    pub(super) delimiter: u8,
    pub(super) strict: bool,
}

impl CsvLayout {
    /// The rows of `piece`.
    ///
    /// # Errors
    /// [`TableError::Malformed`] for the first row that does not decode, if that is to end the run.
    pub(super) fn decode(&self, piece: &TextPiece) -> Result<Decoded, TableError> {
        let mut decoded = Decoded::default();
        let text = piece.bytes.as_slice();
        let rows = at_a_time(self.schema.fields().len());
        let mut decoder = self.decoder(rows);
        let mut at = 0;
        while at < text.len() {
            let begin = at;
            let batch = if piece.stray {
                // The decoder takes them as they are: they have to be looked at one by one.
                Err(stray())
            } else {
                next_batch(&mut decoder, text, &mut at).and_then(|batch| typed(batch, &self.schema, &self.projection))
            };
            match batch {
                Ok(batch) => decoded.push(batch),
                Err(_) => {
                    let line = piece.line + newlines(&text[..begin]);
                    let records = Records::new(text, begin, line, Scanner::csv(self.delimiter));
                    let records: Vec<_> = records.take(rows).collect();
                    at = records.last().map_or(text.len(), |last| last.range.end);
                    self.salvage(text, &records, &mut decoded)?;
                    decoder = self.decoder(rows);
                }
            }
        }
        Ok(decoded)
    }

    fn salvage(&self, text: &[u8], records: &[Record], decoded: &mut Decoded) -> Result<(), TableError> {
        let decode = |records: &[Record]| self.decode_records(text, records, &self.schema, &self.projection);
        let diagnose = |record: &Record, error: &ArrowError| self.diagnose(text, record, error);
        salvage(records, (&self.path, self.strict), &decode, &diagnose, decoded)
    }

    fn decoder(&self, rows: usize) -> Decoder {
        decoder(&self.schema, &self.projection, self.delimiter, rows)
    }

    fn decode_records(
        &self,
        text: &[u8],
        records: &[Record],
        schema: &SchemaRef,
        projection: &[usize],
    ) -> Result<Option<RecordBatch>, ArrowError> {
        let (Some(first), Some(last)) = (records.first(), records.last()) else { return Ok(None) };
        if records.iter().any(|record| record.stray) {
            return Err(stray());
        }
        let text = &text[first.range.start..last.range.end];
        // One more than there will be: a full decoder leaves an empty line at the end unread.
        let mut decoder = decoder(schema, projection, self.delimiter, records.len() + 1);
        let batch = typed(next_batch(&mut decoder, text, &mut 0)?, schema, projection)?;
        let rows = batch.as_ref().map_or(0, RecordBatch::num_rows);
        if rows != records.len() {
            return Err(ArrowError::CsvError(format!("{rows} rows in {} records", records.len())));
        }
        Ok(batch)
    }

    /// What is wrong with the one record that gave `error`.
    fn diagnose(&self, text: &[u8], record: &Record, error: &ArrowError) -> Flaw {
        if record.stray {
            return STRAY.to_owned().into();
        }
        let bytes = &text[record.range.clone()];
        let (found, expected) = (fields(bytes, self.delimiter), self.schema.fields().len());
        if found != expected {
            return format!("{found} fields instead of {expected}").into();
        }
        if std::str::from_utf8(bytes).is_err() {
            return "not UTF-8".to_owned().into();
        }
        let plain = as_text(self.schema.fields().iter().map(|field| field.name().as_str()));
        for &column in &self.projection {
            let one = std::slice::from_ref(record);
            if self.decode_records(text, one, &self.schema, &[column]).is_ok() {
                continue;
            }
            let field = self.schema.field(column);
            let found = self.decode_records(text, one, &plain, &[column]).ok().flatten();
            let found = found.map_or_else(String::new, |batch| batch.column(0).as_string::<i32>().value(0).to_owned());
            let reason =
                format!("column {}: '{}' is no {}", field.name(), excerpt(&found), type_name(field.data_type()));
            return Flaw { reason, column: Some(field.name().clone()) };
        }
        excerpt(&error.to_string()).into()
    }
}

const STRAY: &str = "text behind the closing quote of a field of several lines";

fn stray() -> ArrowError {
    ArrowError::CsvError(STRAY.to_owned())
}

/// Fields whose places a decoder keeps at a time, those of columns that nobody wants among them: 8 bytes each.
const FIELDS: usize = 16 * BATCH;

/// How many rows of so many columns are decoded at a time.
pub(super) fn at_a_time(columns: usize) -> usize {
    (FIELDS / columns.max(1)).clamp(1, BATCH)
}

/// Columns of strings.
fn as_text<'n>(names: impl Iterator<Item = &'n str>) -> SchemaRef {
    Arc::new(Schema::new(names.map(|name| Field::new(name, DataType::Utf8, true)).collect::<Vec<_>>()))
}

/// The field of the column at `column` of a record of `width` columns. None for an empty one.
pub(super) fn field_of(record: &[u8], delimiter: u8, width: usize, column: usize) -> Option<String> {
    let schema = as_text(std::iter::repeat_n("", width));
    let batch = next_batch(&mut decoder(&schema, &[column], delimiter, 2), record, &mut 0).ok().flatten()?;
    let texts = batch.column(0).as_string::<i32>();
    texts.iter().next().flatten().map(str::to_owned)
}

/// Days and times come as strings: see [`typed`].
fn decoder(schema: &SchemaRef, projection: &[usize], delimiter: u8, rows: usize) -> Decoder {
    let fields = schema.fields().iter().map(|field| match field.data_type().is_temporal() {
        true => Arc::new(Field::new(field.name(), DataType::Utf8, true)),
        false => Arc::clone(field),
    });
    ReaderBuilder::new(Arc::new(Schema::new(fields.collect::<Fields>())))
        .with_header(false)
        .with_delimiter(delimiter)
        .with_batch_size(rows)
        .with_projection(projection.to_vec())
        .build_decoder()
}

/// What [`decoder`] gave for these columns of `schema`, with days and times as what they are.
fn typed(
    batch: Option<RecordBatch>,
    schema: &SchemaRef,
    projection: &[usize],
) -> Result<Option<RecordBatch>, ArrowError> {
    let Some(batch) = batch else { return Ok(None) };
    let schema = Arc::new(schema.project(projection)?);
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| match field.data_type() {
        kind if kind.is_temporal() => times(column.as_string(), kind),
        _ => Ok(Arc::clone(column)),
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema, columns, &options).map(Some)
}

/// Decodes `text` from `at` on, until a batch is full or the text ends; then the record that has not ended does.
fn next_batch(decoder: &mut Decoder, text: &[u8], at: &mut usize) -> Result<Option<RecordBatch>, ArrowError> {
    while decoder.capacity() > 0 {
        let read = decoder.decode(&text[*at..])?;
        *at += read;
        if read == 0 {
            break;
        }
    }
    decoder.flush()
}
