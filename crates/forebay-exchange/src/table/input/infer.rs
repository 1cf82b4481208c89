//! Which columns a file has, and which types: from Parquet's footer, or from a sample of a text.
//!
//! A malformed row in a sample says nothing about types, and is reported when it is read.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::csv::ReaderBuilder;
use arrow::csv::reader::Format as CsvFormat;
use arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit};
use arrow::error::ArrowError;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use serde_json::Value;

use super::cut::{Record, Records, Scanner, fields, newlines};
use super::{csv, parquet_file};
use crate::table::TableError;

/// The type of a column, as one file has it.
#[derive(Clone, Debug)]
pub(super) enum Guess {
    /// The file says so.
    Known(DataType),
    /// The sample fits it. `Null`: there was no value.
    Sampled(DataType),
}

/// The columns of a file, in its order.
pub(super) type Columns = Vec<(String, Guess)>;

/// What is known of CSV from its beginning.
pub(super) struct Header {
    pub(super) columns: Columns,
    /// Its length.
    pub(super) len: usize,
    /// The number of the line behind it.
    pub(super) behind: u64,
}

/// A string longer than this is not taken for a date or a timestamp.
const LONGEST_TIME: usize = 40;

/// The columns of a Parquet file.
pub(super) fn parquet_columns(path: &Path, footer: &ArrowReaderMetadata) -> Result<Columns, TableError> {
    let mut seen = HashSet::new();
    let columns = parquet_file::schema(footer).fields().iter().enumerate().map(|(place, field)| {
        if !seen.insert(field.name()) {
            return Err(TableError::refused(path, format!("it has two columns {}", field.name())));
        }
        // Of whole days, as the file has them; the writer's own type for these is of milliseconds.
        let kind = match field.data_type() {
            DataType::Date64 if parquet_file::in_days(footer, place) => DataType::Date32,
            kind => kind.clone(),
        };
        Ok((field.name().clone(), Guess::Known(kind)))
    });
    columns.collect()
}

/// The columns of CSV that begins with `text`.
pub(super) fn csv_columns(
    path: &Path,
    text: &[u8],
    complete: bool,
    delimiter: u8,
    rows: usize,
) -> Result<Header, TableError> {
    let text = whole(text, complete, Scanner::csv(delimiter));
    let mut records = Records::new(text, 0, 1, Scanner::csv(delimiter));
    let Some(header) = records.next() else {
        let reason = if complete { "empty: CSV begins with a header" } else { "its header has no end" };
        return Err(TableError::refused(path, reason));
    };
    let header_text = &text[header.range.clone()];
    if std::str::from_utf8(header_text).is_err() {
        return Err(TableError::refused(path, "its header is not UTF-8"));
    }
    let width = fields(header_text, delimiter);
    let mut good = header_text.to_vec();
    for record in records.take(rows) {
        let bytes = &text[record.range];
        if !record.stray && fields(bytes, delimiter) == width && std::str::from_utf8(bytes).is_ok() {
            good.extend_from_slice(bytes);
        }
    }
    let format = CsvFormat::default().with_header(true).with_delimiter(delimiter);
    let schema = inferred(&format, &good).map_err(|error| TableError::corrupt(path, error))?;
    let names = unique(schema.fields().iter().map(|field| field.name().as_str()));
    let guesses = schema.fields().iter().map(|field| Guess::Sampled(rounded(field.data_type())));
    let behind = newlines(&text[..header.range.end]) + 1;
    Ok(Header { columns: names.into_iter().zip(guesses).collect(), len: header.range.end, behind })
}

/// Names that differ: an empty one becomes `column` and its number, one that was there gets a number behind it.
fn unique<'n>(names: impl Iterator<Item = &'n str>) -> Vec<String> {
    let names: Vec<_> = names.collect();
    let mut taken: HashSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut given = HashSet::new();
    let mut unique = Vec::new();
    for (place, name) in names.into_iter().enumerate() {
        let base = if name.is_empty() { format!("column{place}") } else { name.to_owned() };
        let is_new = given.insert(base.clone());
        let name = if is_new {
            base
        } else {
            let free = (1_u64..).map(|n| format!("{base}_{n}")).find(|name| !taken.contains(name));
            free.unwrap_or(base)
        };
        taken.insert(name.clone());
        unique.push(name);
    }
    unique
}

/// The first of `rows` rows of CSV that begins with `text` whose field in the column at `column` is no number, and the field.
pub(super) fn csv_word(
    text: &[u8],
    complete: bool,
    delimiter: u8,
    rows: usize,
    column: usize,
) -> Option<(u64, String)> {
    let text = whole(text, complete, Scanner::csv(delimiter));
    let mut records = Records::new(text, 0, 1, Scanner::csv(delimiter));
    let width = fields(&text[records.next()?.range], delimiter);
    for Record { range, line, .. } in records.take(rows) {
        let bytes = &text[range];
        if fields(bytes, delimiter) == width
            && let Some(field) = csv::field_of(bytes, delimiter, width, column)
            && field.parse::<f64>().is_err()
        {
            return Some((line, field));
        }
    }
    None
}

/// The first of `rows` rows of NDJSON that begins with `text` whose value of `column` is no number, and the value.
pub(super) fn ndjson_word(text: &[u8], complete: bool, rows: usize, column: &str) -> Option<(u64, String)> {
    let text = whole(text, complete, Scanner::lines());
    Records::new(text, 0, 1, Scanner::lines()).take(rows).find_map(|Record { range, line, .. }| {
        let row: Value = serde_json::from_slice(&text[range]).ok()?;
        let value = row.get(column).filter(|value| !value.is_null() && !value.is_number())?;
        Some((line, value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
    })
}

/// The columns of NDJSON that begins with `text`.
pub(super) fn ndjson_columns(text: &[u8], complete: bool, rows: usize) -> Columns {
    let text = whole(text, complete, Scanner::lines());
    let mut columns: Vec<(String, Seen)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for Record { range, .. } in Records::new(text, 0, 1, Scanner::lines()).take(rows) {
        let Ok(Value::Object(row)) = serde_json::from_slice(&text[range]) else { continue };
        for (name, value) in row {
            let place = *places.entry(name.clone()).or_insert_with(|| {
                columns.push((name, Seen::default()));
                columns.len() - 1
            });
            columns[place].1.value(&value);
        }
    }
    columns.into_iter().map(|(name, seen)| (name, Guess::Sampled(seen.kind()))).collect()
}

/// What was seen of a column of JSON.
struct Seen {
    kind: DataType,
    /// The strings, as CSV of one column, as long as each may be a date or a timestamp.
    times: Option<String>,
}

impl Default for Seen {
    fn default() -> Self {
        Seen { kind: DataType::Null, times: Some(String::new()) }
    }
}

impl Seen {
    fn value(&mut self, value: &Value) {
        let kind = match value {
            Value::Null => DataType::Null,
            Value::Bool(_) => DataType::Boolean,
            Value::Number(number) if number.is_i64() => DataType::Int64,
            // Larger than an Int64: kept as the text it is, as in CSV.
            Value::Number(number) if number.is_u64() => DataType::Utf8,
            Value::Number(_) => DataType::Float64,
            Value::String(string) => {
                self.string(string);
                DataType::Utf8
            }
            Value::Array(_) => DataType::List(Field::new_list_field(DataType::Utf8, true).into()),
            Value::Object(_) => DataType::Struct(Fields::empty()),
        };
        if kind == DataType::Utf8 && !value.is_string() {
            self.times = None;
        }
        self.kind = join(&self.kind, &kind);
    }

    fn string(&mut self, string: &str) {
        if string.len() > LONGEST_TIME || !string.starts_with(|c: char| c.is_ascii_digit()) || string.contains('"') {
            self.times = None;
        }
        if let Some(times) = &mut self.times {
            times.extend(["\"", string, "\"\n"]);
        }
    }

    fn kind(self) -> DataType {
        let times = self.times.filter(|times| !times.is_empty() && self.kind == DataType::Utf8);
        let schema = times.and_then(|times| inferred(&CsvFormat::default(), times.as_bytes()).ok());
        match schema.as_ref().map(|schema| schema.field(0).data_type()) {
            Some(kind) if kind.is_temporal() => rounded(kind),
            _ => self.kind,
        }
    }
}

/// The types of the columns of CSV, `text`. They are inferred from the look of its fields, and columns are strings after all where
/// a field does not fit (2024-02-30), or would not be the same again: numbers that begin with a zero are postal codes.
fn inferred(format: &CsvFormat, text: &[u8]) -> Result<Schema, ArrowError> {
    let (schema, _) = format.infer_schema(text, None)?;
    let fields = schema.fields();
    let strings: Fields = fields.iter().map(|field| Field::new(field.name(), DataType::Utf8, true)).collect();
    let strings = Arc::new(Schema::new(strings));
    let mut fits = vec![true; fields.len()];
    let rows = csv::at_a_time(fields.len());
    for batch in ReaderBuilder::new(strings).with_format(format.clone()).with_batch_size(rows).build(text)? {
        let batch = batch?;
        for ((fits, column), field) in fits.iter_mut().zip(batch.columns()).zip(fields) {
            *fits &= match field.data_type() {
                DataType::Int64 | DataType::Float64 => !column.as_string::<i32>().iter().flatten().any(is_code),
                kind if kind.is_temporal() => cast(column, kind)?.null_count() == column.null_count(),
                _ => true,
            };
        }
    }
    let fields = fields.iter().zip(fits).map(|(field, fits)| {
        if fits { Arc::clone(field) } else { Arc::new(Field::new(field.name(), DataType::Utf8, true)) }
    });
    Ok(Schema::new(fields.collect::<Fields>()))
}

/// Whether there are only digits, of which the first is one zero too many.
fn is_code(field: &str) -> bool {
    let digits = field.trim_start_matches(['-', '+']);
    digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|digit| digit.is_ascii_digit())
}

/// The part of a sample that ends where a record does.
fn whole(text: &[u8], complete: bool, mut scanner: Scanner) -> &[u8] {
    let end = scanner.last_end(text).unwrap_or(0);
    if complete && !scanner.is_quoted() { text } else { &text[..end] }
}

/// Timestamps in microseconds, or in nanoseconds if the sample has such: a later row may have more digits than the
/// sample.
fn rounded(kind: &DataType) -> DataType {
    match kind {
        DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond, zone) => {
            DataType::Timestamp(TimeUnit::Microsecond, zone.clone())
        }
        kind => kind.clone(),
    }
}

/// The type that values of both types fit.
pub(super) fn join(left: &DataType, right: &DataType) -> DataType {
    use DataType::{Date32, Float64, Int64, Null, Timestamp, Utf8};
    match (left, right) {
        (Null, other) | (other, Null) => other.clone(),
        (left, right) if left == right => left.clone(),
        (Int64 | Float64, Int64 | Float64) => Float64,
        (Date32, time @ Timestamp(..)) | (time @ Timestamp(..), Date32) => time.clone(),
        (Timestamp(left, _), Timestamp(right, _)) => Timestamp((*left).max(*right), None),
        _ => Utf8,
    }
}
