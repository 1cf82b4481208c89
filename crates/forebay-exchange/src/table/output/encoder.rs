//! `Encoder`: rows into the bytes of a format, on many threads at once.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::csv;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::json;
use arrow::json::writer::LineDelimited;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;

use super::OutputError;
use super::block::{Block, Encoded, Item};
use super::place::Stream;

/// Distinct values are looked for until there are this many bytes of them: a dictionary that is given up costs time and
/// bytes, and a key has as many values as there are rows.
const DICTIONARY: usize = 64 << 10;

/// See the module. Cheap to share.
#[derive(Debug)]
pub(crate) enum Encoder {
    Parquet(ArrowRowGroupWriterFactory, SchemaRef),
    /// With what is between the fields.
    Csv(u8),
    Ndjson,
    /// Rows are left as they are.
    Table,
}

impl Encoder {
    /// How many rows and bytes at most make a block.
    pub(crate) fn bounds(&self) -> (usize, usize) {
        match self {
            // A row group of about the size that other writers give theirs.
            Encoder::Parquet(..) => (128 << 10, 4 << 20),
            _ => (32 << 10, 1 << 20),
        }
    }

    /// Does the work for one item.
    pub(crate) fn encode(&self, item: Item) -> Result<Encoded, OutputError> {
        match (item, self) {
            (Item::Commit, _) => Ok(Encoded::Commit),
            (Item::Block(block), Encoder::Table) => Ok(Encoded::Rows(block)),
            (Item::Block(block), Encoder::Parquet(factory, schema)) => {
                columns(&block, factory, schema).map(Encoded::Columns).map_err(OutputError::parquet)
            }
            (Item::Block(block), Encoder::Csv(delimiter)) => csv_lines(&block, *delimiter).map(Encoded::Text),
            (Item::Block(block), Encoder::Ndjson) => json_lines(&block).map(Encoded::Text),
        }
    }
}

fn columns(
    block: &Block,
    factory: &ArrowRowGroupWriterFactory,
    schema: &SchemaRef,
) -> parquet::errors::Result<Vec<parquet::arrow::arrow_writer::ArrowColumnChunk>> {
    // The number of the row group matters to encryption only.
    let mut writers = factory.create_column_writers(0)?;
    for batch in &block.batches {
        let mut column_writers = writers.iter_mut();
        for (field, column) in schema.fields().iter().zip(batch.columns()) {
            let same = column.data_type() == field.data_type();
            let column = if same { Arc::clone(column) } else { cast(column, field.data_type())? };
            for leaf in compute_leaves(field, &column)? {
                if let Some(writer) = column_writers.next() {
                    writer.write(&leaf)?;
                }
            }
        }
    }
    writers.into_iter().map(|writer| writer.close()).collect()
}

fn csv_lines(block: &Block, delimiter: u8) -> Result<Vec<u8>, OutputError> {
    let mut writer = csv_writer(delimiter, false, Vec::with_capacity(block.bytes));
    for batch in &block.batches {
        writer.write(batch).map_err(OutputError::csv)?;
    }
    Ok(writer.into_inner())
}

fn csv_writer(delimiter: u8, header: bool, out: Vec<u8>) -> csv::Writer<Vec<u8>> {
    csv::WriterBuilder::new().with_delimiter(delimiter).with_header(header).build(out)
}

/// The line with the columns' names.
pub(crate) fn csv_header(delimiter: u8, schema: &SchemaRef) -> Result<Vec<u8>, OutputError> {
    let mut writer = csv_writer(delimiter, true, Vec::new());
    writer.write(&RecordBatch::new_empty(Arc::clone(schema))).map_err(OutputError::csv)?;
    Ok(writer.into_inner())
}

fn json_lines(block: &Block) -> Result<Vec<u8>, OutputError> {
    let builder = json::WriterBuilder::new().with_explicit_nulls(true);
    let mut writer = builder.build::<_, LineDelimited>(Vec::with_capacity(2 * block.bytes));
    for batch in &block.batches {
        writer.write(batch).map_err(OutputError::ndjson)?;
    }
    writer.finish().map_err(OutputError::ndjson)?;
    Ok(writer.into_inner())
}

/// The writer of a Parquet file, and the encoder for it.
pub(crate) fn parquet(
    stream: Stream,
    schema: &SchemaRef,
) -> Result<(SerializedFileWriter<Stream>, Encoder), OutputError> {
    let properties = WriterProperties::builder()
        .set_created_by(concat!("forebay ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).map_err(OutputError::parquet)?))
        .set_dictionary_page_size_limit(DICTIONARY)
        // Rows are in the order of their keys' hashes: statistics of a page say nothing that those of the group do not.
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .build();
    let schema = for_parquet(schema);
    let writer = ArrowWriter::try_new(stream, Arc::clone(&schema), Some(properties)).map_err(OutputError::parquet)?;
    let (writer, factory) = writer.into_serialized_writer().map_err(OutputError::parquet)?;
    Ok((writer, Encoder::Parquet(factory, schema)))
}

/// `schema` with types that every reader of Parquet knows: dates in milliseconds would be plain integers there.
fn for_parquet(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Date64 => {
            Arc::new(Field::new(field.name(), DataType::Timestamp(TimeUnit::Millisecond, None), field.is_nullable()))
        }
        _ => Arc::clone(field),
    });
    let fields: Vec<_> = fields.collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}
