//! `Format`: what an input is, by option, name or first bytes.

use std::path::Path;

use crate::table::TableError;

/// What a file of rows is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Apache Parquet.
    Parquet,
    /// Fields with a delimiter between them and a header line; quotes as in RFC 4180.
    Csv,
    /// A JSON object a line.
    Ndjson,
}

/// A compressed file's first bytes, and what decompresses it.
const COMPRESSED: [(&[u8], &str, &str); 7] = [
    (b"\x1f\x8b", "gzip", "gzip -dc"),
    (b"\x28\xb5\x2f\xfd", "zstd", "zstd -dc"),
    (b"BZh", "bzip2", "bzip2 -dc"),
    (b"\xfd7zXZ\0", "xz", "xz -dc"),
    (b"\x04\x22\x4d\x18", "lz4", "lz4 -dc"),
    (b"PK\x03\x04", "zip", "unzip -p"),
    (b"7z\xbc\xaf\x27\x1c", "7z", "7z x -so"),
];

impl Format {
    /// The format that the ending of `path` names.
    pub fn of_name(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        match ending.as_str() {
            "parquet" | "pq" => Some(Self::Parquet),
            "csv" | "tsv" => Some(Self::Csv),
            "ndjson" | "jsonl" | "json" => Some(Self::Ndjson),
            _ => None,
        }
    }

    /// The format of `path`, which begins with `start`: what was `asked` for, else what the first bytes or the name say.
    pub(super) fn of(path: &Path, start: &[u8], asked: Option<Self>) -> Result<Self, TableError> {
        if let Some((_, name, tool)) = COMPRESSED.iter().find(|(magic, ..)| start.starts_with(magic)) {
            return Err(TableError::refused(path, format!("compressed with {name}; pipe it through `{tool}`")));
        }
        if start.starts_with(b"PAR1") {
            return match asked {
                None | Some(Self::Parquet) => Ok(Self::Parquet),
                Some(_) => Err(TableError::refused(path, "this is Parquet, and another format was asked for")),
            };
        }
        let text = start.strip_prefix(BOM).unwrap_or(start);
        let first = text.iter().find(|b| !b.is_ascii_whitespace());
        let format = match asked.or_else(|| Self::of_name(path)) {
            Some(Self::Parquet) => {
                return Err(TableError::refused(path, "not Parquet: it does not begin with PAR1"));
            }
            Some(format) => format,
            None if first.is_none() => return Err(TableError::refused(path, "empty")),
            None if first == Some(&b'{') => Self::Ndjson,
            None => Self::Csv,
        };
        if format == Self::Ndjson && first == Some(&b'[') {
            return Err(TableError::refused(path, "a JSON array; what is read is an object a line (`jq -c '.[]'`)"));
        }
        Ok(format)
    }
}

/// The byte order mark of UTF-8, which some programs write.
pub(super) const BOM: &[u8] = b"\xef\xbb\xbf";
