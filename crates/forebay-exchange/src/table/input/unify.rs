//! One schema for all inputs.
//!
//! A column is one that all inputs have, by name; lines of JSON may lack any. Types of Parquet columns are equal, with the
//! values of a dictionary for the dictionary, and any two types of strings taken for equal; text has the type that fits
//! the samples of all texts. Columns of which that is not so are left out, and why is kept: a query that names none of
//! them needs no more.

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
    /// That two files say different things.
    differs: Option<TableError>,
}

/// A column that is not one of all inputs, and why not.
pub(super) type Apart = (String, TableError);

/// Settles the types, and which columns all inputs have.
pub(super) fn unify(looked: Vec<Looked>) -> (Vec<Input>, SchemaRef, Vec<Apart>) {
    let there: Vec<_> = looked.iter().map(places).collect();
    let (mut schema, mut apart) = (Vec::new(), Vec::new());
    for column in gather(&looked) {
        let kind = settle(&column).and_then(|kind| everywhere(&column, &looked, &there).map(|()| kind));
        match kind {
            Ok(kind) => schema.push(Field::new(column.name, kind, true)),
            Err(why) => apart.push((column.name, why)),
        }
    }
    let schema = Arc::new(Schema::new(schema));
    let inputs = looked.into_iter().zip(&there).map(|(looked, there)| place(looked, there, &schema)).collect();
    (inputs, schema, apart)
}

/// Where the columns of an input are, by name. Of lines of JSON that is not asked.
fn places(looked: &Looked) -> HashMap<String, usize> {
    let columns = if is_json(looked) { &[][..] } else { &looked.columns[..] };
    columns.iter().enumerate().map(|(at, (name, _))| (name.clone(), at)).collect()
}

fn is_json(looked: &Looked) -> bool {
    matches!(looked.content, Content::Ndjson(_))
}

/// That no input lacks the column.
fn everywhere(column: &Column, looked: &[Looked], there: &[HashMap<String, usize>]) -> Result<(), TableError> {
    let lacks =
        |(looked, there): &(&Looked, &HashMap<String, usize>)| !is_json(looked) && !there.contains_key(&column.name);
    match looked.iter().zip(there).find(lacks) {
        None => Ok(()),
        Some((Looked { path, .. }, _)) => {
            let (column, other) = (column.name.clone(), column.path.to_path_buf());
            Err(TableError::MissingColumn { path: path.to_path_buf(), column, other })
        }
    }
}

fn gather(looked: &[Looked]) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for Looked { path, columns: found, .. } in looked {
        for (name, guess) in found {
            let place = *places.entry(name).or_insert_with(|| {
                let (name, path) = (name.clone(), Arc::clone(path));
                columns.push(Column { name, known: None, sampled: None, path, differs: None });
                columns.len() - 1
            });
            let column = &mut columns[place];
            match guess {
                Guess::Known(kind) => {
                    let kind = plain(kind);
                    match &column.known {
                        Some((known, other)) if !alike(known, &kind) => {
                            column.differs =
                                column.differs.take().or(Some(mismatch(&column.name, (&kind, path), (known, other))));
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
    columns
}

/// The type of a column.
fn settle(column: &Column) -> Result<DataType, TableError> {
    if let Some(error) = &column.differs {
        return Err(error.clone());
    }
    match (&column.known, &column.sampled) {
        (Some((known, other)), Some((sampled, path))) if !sampled.is_null() && !alike(known, sampled) => {
            Err(mismatch(&column.name, (sampled, path), (known, other)))
        }
        (Some((known, _)), _) => Ok(known.clone()),
        (None, Some((sampled, _))) if !sampled.is_null() => Ok(sampled.clone()),
        _ => Ok(DataType::Utf8),
    }
}

/// Where one input has the columns of `schema`. Nothing else that it has is decoded.
fn place(looked: Looked, there: &HashMap<String, usize>, schema: &SchemaRef) -> Input {
    let is_json = is_json(&looked);
    let Looked { path, own, content, columns: found } = looked;
    if is_json {
        let fields: Vec<_> = schema.fields().iter().map(|field| decoded_as(field)).collect();
        let places = (0..fields.len()).collect();
        return Input { path, own, content, schema: Arc::new(Schema::new(fields)), places };
    }
    let places: Vec<_> = schema.fields().iter().filter_map(|field| there.get(field.name()).copied()).collect();
    let mut fields = vec![Field::new("", DataType::Null, true); found.len()];
    for (&at, field) in places.iter().zip(schema.fields()) {
        fields[at] = match &found[at] {
            (name, Guess::Known(kind)) => Field::new(name, kind.clone(), true),
            _ => decoded_as(field),
        };
    }
    Input { path, own, content, schema: Arc::new(Schema::new(fields)), places }
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
