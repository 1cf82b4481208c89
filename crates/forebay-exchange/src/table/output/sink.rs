//! `Sink`: what has been encoded goes to its place, in order, on one thread.

use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::util::pretty::pretty_format_batches_with_schema;
use parquet::file::writer::SerializedFileWriter;

use super::OutputError;
use super::block::{Block, Encoded};
use super::place::Stream;
use super::spool::Spool;

/// See the module.
#[derive(Debug)]
pub(crate) struct Sink {
    way: Way,
    rows: u64,
}

/// How a format is written.
enum Way {
    Parquet(Box<SerializedFileWriter<Stream>>),
    Lines(Lines),
    Table(Table),
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Way")
    }
}

/// Lines, and what is written before the first.
#[derive(Debug)]
struct Lines {
    stream: Stream,
    header: Vec<u8>,
    /// Lines of a commit that is not complete, where a reader must not see them.
    pending: Option<Spool>,
}

/// The rows that are shown.
#[derive(Debug)]
struct Table {
    stream: Stream,
    schema: SchemaRef,
    most: usize,
    shown: Vec<RecordBatch>,
}

impl Sink {
    pub(crate) fn parquet(writer: SerializedFileWriter<Stream>) -> Self {
        Sink { way: Way::Parquet(Box::new(writer)), rows: 0 }
    }

    /// Lines after `header`. With `spool`, those of a commit appear when it is complete.
    pub(crate) fn lines(stream: Stream, header: Vec<u8>, spool: Option<&Path>) -> Self {
        Sink { way: Way::Lines(Lines { stream, header, pending: spool.map(Spool::new) }), rows: 0 }
    }

    /// A table of at most `most` rows.
    pub(crate) fn table(stream: Stream, schema: SchemaRef, most: usize) -> Self {
        Sink { way: Way::Table(Table { stream, schema, most, shown: Vec::new() }), rows: 0 }
    }

    /// Takes what comes next.
    pub(crate) fn take(&mut self, rows: usize, encoded: Encoded) -> Result<(), OutputError> {
        self.rows += rows as u64;
        match (&mut self.way, encoded) {
            (Way::Parquet(writer), Encoded::Columns(columns)) => {
                let append = || {
                    let mut group = writer.next_row_group()?;
                    for column in columns {
                        column.append_to_row_group(&mut group)?;
                    }
                    group.close()
                };
                let appended = append();
                let error = appended.err().map(OutputError::parquet);
                error.map_or(Ok(()), |error| Err(writer.inner_mut().take_failure().unwrap_or(error)))
            }
            (Way::Lines(lines), Encoded::Text(text)) => lines.take(&text),
            (Way::Lines(lines), Encoded::Commit) => lines.commit(),
            (Way::Table(table), Encoded::Rows(block)) => {
                table.take(block);
                Ok(())
            }
            // The other formats are whole at the end only.
            _ => Ok(()),
        }
    }

    /// Writes what is still to be written; says how many rows and bytes there are.
    pub(crate) fn finish(self) -> Result<(u64, u64), OutputError> {
        let stream = match self.way {
            Way::Parquet(mut writer) => {
                let finished = writer.finish().map_err(OutputError::parquet);
                let failure = writer.inner_mut().take_failure();
                let bytes = finished.map(|_| writer.inner().bytes());
                return bytes.map(|bytes| (self.rows, bytes)).map_err(|error| failure.unwrap_or(error));
            }
            Way::Lines(mut lines) => {
                lines.commit()?;
                lines.stream
            }
            Way::Table(table) => table.finish(self.rows)?,
        };
        Ok((self.rows, stream.bytes()))
    }
}

impl Lines {
    fn take(&mut self, text: &[u8]) -> Result<(), OutputError> {
        match &mut self.pending {
            Some(spool) => spool.add(text),
            None => {
                self.begin()?;
                self.stream.put(text)
            }
        }
    }

    /// The header, once.
    fn begin(&mut self) -> Result<(), OutputError> {
        self.stream.put(&std::mem::take(&mut self.header))
    }

    fn commit(&mut self) -> Result<(), OutputError> {
        self.begin()?;
        match &mut self.pending {
            Some(spool) => spool.drain(|bytes| self.stream.put(bytes)),
            None => Ok(()),
        }
    }
}

impl Table {
    fn take(&mut self, block: Block) {
        for batch in block.batches {
            let shown: usize = self.shown.iter().map(RecordBatch::num_rows).sum();
            let more = batch.num_rows().min(self.most - shown);
            if more == 0 {
                return;
            }
            self.shown.push(batch.slice(0, more));
        }
    }

    fn finish(mut self, rows: u64) -> Result<Stream, OutputError> {
        let text = pretty_format_batches_with_schema(self.schema, &self.shown)
            .map_err(|error| OutputError::encode("a table", error))?;
        self.stream.put(format!("{text}\n").as_bytes())?;
        let shown: usize = self.shown.iter().map(RecordBatch::num_rows).sum();
        let more = rows - shown as u64;
        if more > 0 {
            self.stream.put(format!("{more} more rows, {rows} in all; -o FILE takes them all\n").as_bytes())?;
        }
        Ok(self.stream)
    }
}
