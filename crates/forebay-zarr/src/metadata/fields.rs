//! `Fields`: a JSON object whose members are taken out one by one, so that none is overlooked.

use serde_json::{Map, Value};

use super::MetadataError;

/// The members of a JSON object that nobody has taken yet, and where in the document they are.
pub(super) struct Fields {
    path: String,
    members: Map<String, Value>,
}

impl Fields {
    /// The members of `value`, which is at `path` (empty: the whole document).
    pub(super) fn of(path: impl Into<String>, value: Value) -> Result<Self, MetadataError> {
        let path = path.into();
        match value {
            Value::Object(members) => Ok(Fields { path, members }),
            other => Err(invalid(if path.is_empty() { "the document" } else { &path }, &other, "an object")),
        }
    }

    /// Where member `name` is.
    pub(super) fn at(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.members.shift_remove(name)
    }

    pub(super) fn need(&mut self, name: &str) -> Result<Value, MetadataError> {
        self.take(name).ok_or_else(|| MetadataError::Invalid { field: self.at(name), why: "is missing".into() })
    }

    pub(super) fn need_str(&mut self, name: &str) -> Result<String, MetadataError> {
        match self.need(name)? {
            Value::String(text) => Ok(text),
            other => Err(invalid(&self.at(name), &other, "a string")),
        }
    }

    pub(super) fn need_int(&mut self, name: &str) -> Result<i64, MetadataError> {
        let value = self.need(name)?;
        value.as_i64().ok_or_else(|| invalid(&self.at(name), &value, "an integer"))
    }

    /// A list of extents.
    pub(super) fn need_shape(&mut self, name: &str) -> Result<Vec<u64>, MetadataError> {
        let value = self.need(name)?;
        let shape = value.as_array().map(|all| all.iter().map(Value::as_u64).collect::<Option<Vec<u64>>>());
        shape.flatten().ok_or_else(|| invalid(&self.at(name), &value, "a list of non-negative integers"))
    }

    /// Takes member `name`, which may be missing, but if it is there has to be `only`.
    pub(super) fn only(&mut self, name: &str, only: Value) -> Result<(), MetadataError> {
        match self.take(name) {
            Some(value) if value != only => Err(unsupported(&self.at(name), &value, format!("{only} there"))),
            _ => Ok(()),
        }
    }

    /// Everything has been taken: what is left nobody would keep.
    pub(super) fn end(self) -> Result<(), MetadataError> {
        match self.members.iter().next() {
            None => Ok(()),
            Some((name, value)) => {
                let needed = "no such field: it would be lost; remove it if nothing needs it";
                Err(unsupported(&self.at(name), value, needed))
            }
        }
    }
}

/// An extension: `{"name": .., "configuration": {..}}`, or only the name.
pub(super) struct Extension {
    pub(super) path: String,
    pub(super) name: String,
    pub(super) configuration: Fields,
}

impl Extension {
    pub(super) fn of(path: impl Into<String>, value: Value) -> Result<Self, MetadataError> {
        let path = path.into();
        let at = format!("{path}.configuration");
        let nothing = Value::Object(Map::new());
        if let Value::String(name) = value {
            return Ok(Extension { configuration: Fields::of(at, nothing)?, path, name });
        }
        let mut fields = Fields::of(&path, value)?;
        let name = fields.need_str("name")?;
        let configuration = Fields::of(at, fields.take("configuration").unwrap_or(nothing))?;
        fields.only("must_understand", Value::Bool(true))?;
        fields.end()?;
        Ok(Extension { path, name, configuration })
    }

    /// The extension at `path`, which has to be the one called `name`.
    pub(super) fn named(path: impl Into<String>, value: Value, name: &str) -> Result<Self, MetadataError> {
        let extension = Extension::of(path, value)?;
        if extension.name == name { Ok(extension) } else { Err(extension.refused(format!("'{name}' there"))) }
    }

    /// The extensions in the list at `path`.
    pub(super) fn list(path: &str, value: Value) -> Result<Vec<Self>, MetadataError> {
        match value {
            Value::Array(all) => {
                all.into_iter().enumerate().map(|(at, one)| Extension::of(format!("{path}[{at}]"), one)).collect()
            }
            other => Err(invalid(path, &other, "a list")),
        }
    }

    pub(super) fn refused(self, needed: impl Into<String>) -> MetadataError {
        unsupported(&self.path, &Value::String(self.name), needed)
    }
}

/// What is at `field` is not `expected`.
pub(super) fn invalid(field: &str, found: &Value, expected: &str) -> MetadataError {
    MetadataError::Invalid { field: field.to_owned(), why: format!("is {}, not {expected}", short(found)) }
}

/// What is at `field` is not what forebay continues.
pub(super) fn unsupported(field: &str, found: &Value, needed: impl Into<String>) -> MetadataError {
    MetadataError::Unsupported { field: field.to_owned(), found: short(found), needed: needed.into() }
}

/// The beginning of `value`.
fn short(value: &Value) -> String {
    const MOST: usize = 80;
    let text = value.to_string();
    match text.char_indices().nth(MOST) {
        None => text,
        Some((at, _)) => format!("{} ...", &text[..at]),
    }
}
