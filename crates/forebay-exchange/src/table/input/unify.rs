//! One schema for all inputs.
//!
//! All inputs have the same columns, by name; lines of JSON may lack any. Types of Parquet columns are equal, with the
//! values of a dictionary for the dictionary, and any two types of strings taken for equal; text has the type that fits
//! the samples of all texts.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::infer::{Guess, join};
use super::open::{Content, Input, Looked};
use crate::table::TableError;

/// A column of all inputs.
struct Column {
    name: String,
    /// Of the first file that says so.
    known: Option<(DataType, Arc<Path>)>,
    sampled: Option<(DataType, Arc<Path>)>,
    /// An input that has it.
    path: Arc<Path>,
}

/// Settles the types.
pub(super) fn unify(looked: Vec<Looked>) -> Result<(Vec<Input>, SchemaRef), TableError> {
    let columns = gather(&looked)?;
    let kinds = columns.iter().map(settle).collect::<Result<Vec<_>, _>>()?;
    let field = |column: &Column, kind: &DataType| Field::new(&column.name, kind.clone(), true);
    let schema: Vec<_> = columns.iter().zip(&kinds).map(|(column, kind)| field(column, kind)).collect();
    let schema = Arc::new(Schema::new(schema));
    let inputs = looked.into_iter().map(|looked| place(looked, &columns, &schema)).collect::<Result<Vec<_>, _>>()?;
    Ok((inputs, schema))
}

fn gather(looked: &[Looked]) -> Result<Vec<Column>, TableError> {
    let mut columns: Vec<Column> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for Looked { path, columns: found, .. } in looked {
        for (name, guess) in found {
            let place = *places.entry(name).or_insert_with(|| {
                columns.push(Column { name: name.clone(), known: None, sampled: None, path: Arc::clone(path) });
                columns.len() - 1
            });
            let column = &mut columns[place];
            match guess {
                Guess::Known(kind) => {
                    let kind = plain(kind);
                    match &column.known {
                        Some((known, other)) if !alike(known, &kind) => {
                            return Err(mismatch(&column.name, (&kind, path), (known, other)));
                        }
                        Some(_) => {}
                        None => column.known = Some((kind, Arc::clone(path))),
                    }
                }
                Guess::Sampled(kind) => {
                    let (kind, path) = match column.sampled.take() {
                        Some((sampled, first)) => (join(&sampled, kind), first),
                        None => (kind.clone(), Arc::clone(path)),
                    };
                    column.sampled = Some((kind, path));
                }
            }
        }
    }
    Ok(columns)
}

/// The type of a column.
fn settle(column: &Column) -> Result<DataType, TableError> {
    match (&column.known, &column.sampled) {
        (Some((known, other)), Some((sampled, path))) if !sampled.is_null() && !alike(known, sampled) => {
            Err(mismatch(&column.name, (sampled, path), (known, other)))
        }
        (Some((known, _)), _) => Ok(known.clone()),
        (None, Some((sampled, _))) if !sampled.is_null() => Ok(sampled.clone()),
        _ => Ok(DataType::Utf8),
    }
}

/// Where one input has the columns.
fn place(looked: Looked, columns: &[Column], schema: &SchemaRef) -> Result<Input, TableError> {
    let Looked { path, own, content, columns: found } = looked;
    if matches!(content, Content::Ndjson(_)) {
        let fields: Vec<_> = schema.fields().iter().map(|field| decoded_as(field)).collect();
        let places = (0..fields.len()).collect();
        return Ok(Input { path, own, content, schema: Arc::new(Schema::new(fields)), places });
    }
    let there: HashMap<&str, usize> = found.iter().enumerate().map(|(at, (name, _))| (name.as_str(), at)).collect();
    let mut places = Vec::new();
    for column in columns {
        let Some(&at) = there.get(column.name.as_str()) else {
            let (column, other) = (column.name.clone(), column.path.to_path_buf());
            return Err(TableError::MissingColumn { path: path.to_path_buf(), column, other });
        };
        places.push(at);
    }
    let mut fields = vec![Field::new("", DataType::Null, true); found.len()];
    for (&at, field) in places.iter().zip(schema.fields()) {
        fields[at] = match &found[at] {
            (name, Guess::Known(kind)) => Field::new(name, kind.clone(), true),
            _ => decoded_as(field),
        };
    }
    Ok(Input { path, own, content, schema: Arc::new(Schema::new(fields)), places })
}

/// The field to which text is decoded. The decoders do not know every type of strings.
fn decoded_as(field: &Field) -> Field {
    let kind = if field.data_type().is_string() { DataType::Utf8 } else { field.data_type().clone() };
    Field::new(field.name(), kind, true)
}

fn plain(kind: &DataType) -> DataType {
    match kind {
        DataType::Dictionary(_, values) => plain(values),
        kind => kind.clone(),
    }
}

fn alike(left: &DataType, right: &DataType) -> bool {
    left == right || (left.is_string() && right.is_string())
}

fn mismatch(column: &str, found: (&DataType, &Arc<Path>), expected: (&DataType, &Arc<Path>)) -> TableError {
    TableError::ColumnType {
        path: found.1.to_path_buf(),
        column: column.to_owned(),
        found: found.0.clone(),
        expected: expected.0.clone(),
        other: expected.1.to_path_buf(),
    }
}
