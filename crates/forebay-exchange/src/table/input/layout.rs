//! `Layout`: how the units of one input become batches of the wanted columns.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;

use super::csv::CsvLayout;
use super::decoded::Decoded;
use super::ndjson::NdjsonLayout;
use super::open::{Content, Input};
use super::parquet_file::{ParquetLayout, Part};
use super::row::MalformedRow;
use super::schedule::{Stream, Unit, UnitKind};
use super::text::{Dropped, TextPiece};
use super::{InputOptions, Inputs, delimiter};
use crate::table::TableError;

/// What the workers know about one input.
#[derive(Debug)]
pub(super) struct Layout {
    path: Arc<Path>,
    decoder: Decoder,
    strict: bool,
    /// The wanted columns.
    schema: SchemaRef,
}

#[derive(Debug)]
enum Decoder {
    Csv(CsvLayout),
    Ndjson(NdjsonLayout),
    Parquet(ParquetLayout),
}

impl Layout {
    /// Splits `input` into what the workers know and what the source reads.
    pub(super) fn new(input: Input, columns: &[usize], wanted: &SchemaRef, options: &InputOptions) -> (Self, Stream) {
        let Input { path, content, schema, places, own: _ } = input;
        let (delimiter, strict) = (delimiter(&path, options), options.strict);
        let places: Vec<usize> = columns.iter().map(|column| places[*column]).collect();
        let own = Arc::clone(&path);
        let (decoder, stream) = match content {
            Content::Parquet(footer) => {
                let layout = ParquetLayout { path: own, footer, columns: places };
                (Decoder::Parquet(layout.clone()), Stream::Parquet(layout))
            }
            Content::Csv(start) => {
                let layout = CsvLayout { path: own, schema, projection: places, delimiter, strict };
                (Decoder::Csv(layout), Stream::csv(Arc::clone(&path), start, delimiter))
            }
            Content::Ndjson(start) => {
                let fields: Vec<_> = places.iter().map(|place| Arc::clone(&schema.fields()[*place])).collect();
                let layout = NdjsonLayout { path: own, schema: Arc::new(Schema::new(fields)), strict };
                (Decoder::Ndjson(layout), Stream::lines(Arc::clone(&path), start))
            }
        };
        (Layout { path, decoder, strict, schema: Arc::clone(wanted) }, stream)
    }

    /// The rows of `unit`; and what is left of it, if they are far larger than was thought.
    pub(super) fn decode(&self, unit: &Unit) -> Result<(Decoded, Option<Part>), TableError> {
        let (mut decoded, rest) = guarded(&self.path, || self.decode_unit(unit))??;
        for batch in &mut decoded.batches {
            *batch = self.conform(batch)?;
        }
        Ok((decoded, rest))
    }

    /// Gives what is left of a unit to `deliver`, batch by batch.
    ///
    /// # Errors
    /// Those of `deliver` and of decoding.
    pub(super) fn decode_rest(
        &self,
        rest: &Part,
        mut deliver: impl FnMut(RecordBatch) -> Result<(), TableError>,
    ) -> Result<(), TableError> {
        let Decoder::Parquet(layout) = &self.decoder else { return Ok(()) };
        let corrupt = |error| TableError::corrupt(&self.path, error);
        let mut batches = guarded(&self.path, || layout.batches(rest))?.map_err(corrupt)?;
        while let Some(batch) = guarded(&self.path, || batches.next())? {
            deliver(self.conform(&batch.map_err(corrupt)?)?)?;
        }
        Ok(())
    }

    fn decode_unit(&self, unit: &Unit) -> Result<(Decoded, Option<Part>), TableError> {
        let whole = |decoded: Decoded| (decoded, None);
        match (&self.decoder, &unit.kind) {
            (Decoder::Parquet(layout), UnitKind::Part(part)) => layout.decode(part),
            (_, UnitKind::Text(TextPiece { line, dropped: Some(Dropped { reason, lines }), .. })) => {
                let (path, line, lines, reason) = (Arc::clone(&self.path), *line, *lines, reason.clone());
                let mut decoded = Decoded::default();
                let row = || MalformedRow { path, line, lines, reason, column: None };
                decoded.refuse(self.strict, lines, row)?;
                Ok(whole(decoded))
            }
            (Decoder::Csv(layout), UnitKind::Text(piece)) => layout.decode(piece).map(whole),
            (Decoder::Ndjson(layout), UnitKind::Text(piece)) => layout.decode(piece).map(whole),
            // The end of an input has no rows.
            _ => Ok(whole(Decoded::default())),
        }
    }

    /// The columns of `batch` with the types of the wanted ones.
    fn conform(&self, batch: &RecordBatch) -> Result<RecordBatch, TableError> {
        self.cast(batch).map_err(|error| TableError::corrupt(&self.path, error))
    }

    fn cast(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let columns = batch.columns().iter().zip(self.schema.fields()).map(|(column, field)| {
            let same = column.data_type() == field.data_type();
            if same { Ok(Arc::clone(column)) } else { cast(column, field.data_type()) }
        });
        let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns.collect::<Result<_, _>>()?, &rows)
    }
}

/// What the workers know about the inputs of the share, and what the source reads.
pub(super) fn layouts(inputs: Inputs, columns: &[usize]) -> (Vec<Layout>, Vec<Stream>) {
    let fields: Vec<_> = columns.iter().map(|column| Arc::clone(&inputs.schema.fields()[*column])).collect();
    let wanted = Arc::new(Schema::new(fields));
    let options = inputs.options;
    inputs
        .inputs
        .into_iter()
        .filter(|input| input.own)
        .map(|input| Layout::new(input, columns, &wanted, &options))
        .unzip()
}

/// Runs what reads bytes from outside: a panic of a library is an error.
pub(super) fn guarded<R>(path: &Path, run: impl FnOnce() -> R) -> Result<R, TableError> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let message = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let message = message.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        TableError::Panicked { path: path.to_owned(), message }
    })
}
