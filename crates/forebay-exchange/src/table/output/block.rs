//! `Block` and `Encoded`: rows on their way to the encoders, and what comes from there.

use arrow::array::{Array, RecordBatch};
use forebay::Weigh;
use parquet::arrow::arrow_writer::ArrowColumnChunk;

/// Rows that are encoded together: a row group, or some lines.
#[derive(Debug, Default)]
pub(crate) struct Block {
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
}

impl Block {
    /// Adds the rows of `batch`.
    pub(crate) fn add(&mut self, batch: RecordBatch, bytes: usize) {
        self.rows += batch.num_rows();
        self.bytes += bytes;
        self.batches.push(batch);
    }
}

/// Bytes that the values of `batch` take, of columns that are slices of something larger only the slice.
pub(crate) fn bytes_of(batch: &RecordBatch) -> usize {
    let slice = |column: &arrow::array::ArrayRef| {
        let whole = column.get_array_memory_size();
        column.to_data().get_slice_memory_size().unwrap_or(whole)
    };
    batch.columns().iter().map(slice).sum()
}

/// What goes through the pipeline.
#[derive(Debug)]
pub(crate) enum Item {
    Block(Block),
    /// Everything of a commit has gone before.
    Commit,
}

impl Weigh for Item {
    fn weight(&self) -> usize {
        match self {
            Item::Block(block) => size_of::<Self>() + block.bytes,
            Item::Commit => size_of::<Self>(),
        }
    }
}

/// What an encoder has made of an item.
#[derive(Debug)]
pub(crate) enum Encoded {
    /// A row group's columns.
    Columns(Vec<ArrowColumnChunk>),
    /// Lines.
    Text(Vec<u8>),
    /// Rows to be shown as they are.
    Rows(Block),
    /// As [`Item::Commit`].
    Commit,
}

impl Weigh for Encoded {
    fn weight(&self) -> usize {
        let inner = match self {
            Encoded::Columns(columns) => columns.iter().map(|column| column.close().bytes_written as usize).sum(),
            Encoded::Text(text) => text.capacity(),
            Encoded::Rows(block) => block.bytes,
            Encoded::Commit => 0,
        };
        size_of::<Self>() + inner
    }
}
