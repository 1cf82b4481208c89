//! A piece of NDJSON to batches.
//!
//! A line is one object; empty lines are no rows. A field that is missing is null, a field that was not asked for may
//! hold anything. Numbers and booleans in a column of strings are the text they are written as.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, PrimitiveBuilder, RecordBatch, StringArray};
use arrow::datatypes::{DataType, FieldRef, Int64Type, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::ReaderBuilder;
use arrow::json::reader::{ArrayDecoder, Decoder, DecoderContext, DecoderFactory, Tape, TapeElement};

use super::cut::{Record, Records, Scanner};
use super::decoded::Decoded;
use super::row::{Flaw, excerpt};
use super::salvage::salvage;
use super::text::TextPiece;
use super::times::times;
use super::{BATCH, type_name};
use crate::table::TableError;

/// A line no longer than this is not looked at for its depth.
const SHALLOW: usize = 4096;

/// The deepest nesting in a longer one: the decoder shows what it found by recursion.
const DEEPEST: usize = 1000;

/// How one file's pieces are decoded.
#[derive(Clone, Debug)]
pub(super) struct NdjsonLayout {
    pub(super) path: Arc<Path>,
    /// The columns that are wanted.
    pub(super) schema: SchemaRef,
    pub(super) strict: bool,
}

impl NdjsonLayout {
    /// The rows of `piece`.
    ///
    /// # Errors
    /// [`TableError::Malformed`] for the first row that does not decode, if that is to end the run.
    pub(super) fn decode(&self, piece: &TextPiece) -> Result<Decoded, TableError> {
        let mut decoded = Decoded::default();
        let text = piece.bytes.as_slice();
        let mut lines = Records::new(text, 0, piece.line, Scanner::lines()).filter(|line| !is_blank(text, line));
        let mut decoder = None;
        loop {
            let records: Vec<_> = lines.by_ref().take(BATCH).collect();
            if records.is_empty() {
                return Ok(decoded);
            }
            let batch = self.decoder(&mut decoder).and_then(|decoder| decode_lines(decoder, text, &records));
            match batch {
                Ok(batch) => decoded.push(batch),
                Err(_) => {
                    decoder = None;
                    self.salvage(text, &records, &mut decoded)?;
                }
            }
        }
    }

    fn decoder<'d>(&self, decoder: &'d mut Option<Decoder>) -> Result<&'d mut Decoder, ArrowError> {
        let made = match decoder.take() {
            Some(made) => made,
            None => new_decoder(&self.schema)?,
        };
        Ok(decoder.insert(made))
    }

    fn salvage(&self, text: &[u8], records: &[Record], decoded: &mut Decoded) -> Result<(), TableError> {
        let decode = |records: &[Record]| decode_lines(&mut new_decoder(&self.schema)?, text, records);
        let diagnose = |record: &Record, error: &ArrowError| self.diagnose(text, record, error);
        salvage(records, (&self.path, self.strict), &decode, &diagnose, decoded)
    }

    /// What is wrong with the one record that gave `error`.
    fn diagnose(&self, text: &[u8], record: &Record, error: &ArrowError) -> Flaw {
        if std::str::from_utf8(&text[record.range.clone()]).is_err() {
            return "not UTF-8".to_owned().into();
        }
        let decodes = |schema: Schema| {
            let mut decoder = new_decoder(&Arc::new(schema))?;
            decode_lines(&mut decoder, text, std::slice::from_ref(record))
        };
        if decodes(Schema::empty()).is_ok() {
            for field in self.schema.fields() {
                if let Err(error) = decodes(Schema::new(vec![Arc::clone(field)])) {
                    let (name, kind) = (field.name(), type_name(field.data_type()));
                    let message = message(&error);
                    let place = format!("whilst decoding field '{name}': ");
                    let message = message.strip_prefix(&place).unwrap_or(&message);
                    let reason = format!("column {name}, {kind}: {}", excerpt(message));
                    return Flaw { reason, column: Some(name.clone()) };
                }
            }
        }
        excerpt(&message(error)).into()
    }
}

/// What the error says, without the name of its kind.
fn message(error: &ArrowError) -> String {
    match error {
        ArrowError::JsonError(message) | ArrowError::ParseError(message) => message.clone(),
        error => error.to_string(),
    }
}

fn new_decoder(schema: &SchemaRef) -> Result<Decoder, ArrowError> {
    ReaderBuilder::new(Arc::clone(schema))
        // One more than there will be: a full decoder leaves the rest of a line unread, whatever it is.
        .with_batch_size(BATCH + 1)
        .with_coerce_primitive(true)
        .with_decoder_factory(Arc::new(Exact))
        .build_decoder()
}

/// One row a line, or an error.
fn decode_lines(decoder: &mut Decoder, text: &[u8], lines: &[Record]) -> Result<Option<RecordBatch>, ArrowError> {
    for (rows, line) in lines.iter().enumerate() {
        let line = &text[line.range.clone()];
        if line.len() > SHALLOW && depth(line) > DEEPEST {
            return Err(ArrowError::JsonError(format!("nested deeper than {DEEPEST} levels")));
        }
        let read = decoder.decode(line)?;
        if decoder.has_partial_record() {
            return Err(ArrowError::JsonError("the line ends within a value".to_owned()));
        }
        if read < line.len() || decoder.len() != rows + 1 {
            return Err(ArrowError::JsonError("more than one value in the line".to_owned()));
        }
    }
    decoder.flush()
}

fn is_blank(text: &[u8], line: &Record) -> bool {
    text[line.range.clone()].iter().all(u8::is_ascii_whitespace)
}

/// How deep brackets are nested at most, outside strings.
fn depth(line: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in line {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Decodes integers, days and times exactly.
#[derive(Debug)]
struct Exact;

impl DecoderFactory for Exact {
    fn make_default_decoder(
        &self,
        _: &DecoderContext,
        field: &FieldRef,
        _: bool,
    ) -> Result<Option<Box<dyn ArrayDecoder>>, ArrowError> {
        Ok(match field.data_type() {
            DataType::Int64 => Some(Box::new(ExactIntegers)),
            kind if kind.is_temporal() => Some(Box::new(ExactTimes(kind.clone()))),
            _ => None,
        })
    }
}

/// The library's decoder takes numbers for so many units since 1970, and leaves what the type has no place for.
#[derive(Debug)]
struct ExactTimes(DataType);

impl ArrayDecoder for ExactTimes {
    fn decode(&mut self, tape: &Tape<'_>, pos: &[u32]) -> Result<ArrayRef, ArrowError> {
        let texts = pos.iter().map(|&at| match tape.get(at) {
            TapeElement::Null => Ok(None),
            TapeElement::String(text) => Ok(Some(tape.get_string(text))),
            _ => Err(tape.error(at, "a string")),
        });
        times(&texts.collect::<Result<StringArray, _>>()?, &self.0)
    }
}

/// The library's decoder reads 1.5 as 1.
#[derive(Debug)]
struct ExactIntegers;

impl ArrayDecoder for ExactIntegers {
    fn decode(&mut self, tape: &Tape<'_>, pos: &[u32]) -> Result<ArrayRef, ArrowError> {
        let mut values = PrimitiveBuilder::<Int64Type>::with_capacity(pos.len());
        for &at in pos {
            match tape.get(at) {
                TapeElement::Null => values.append_null(),
                TapeElement::Number(number) => {
                    let text = tape.get_string(number);
                    let value = text.parse().map_err(|_| ArrowError::JsonError(format!("{text} is none")))?;
                    values.append_value(value);
                }
                _ => return Err(tape.error(at, "a number")),
            }
        }
        Ok(Arc::new(values.finish()))
    }
}
