//! `OutputFormat`: how results are written.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutputFormat {
    /// Parquet: see [`Output`](super::Output) for row groups and compression.
    Parquet,
    /// Comma-separated values with a header. A null is an empty field, as an empty string is.
    Csv,
    /// The same with tabs.
    Tsv,
    /// A JSON object a line. Nulls are written; decimals are numbers, and what is no finite number is null.
    Ndjson,
    /// For people to read: the first rows, and how many more there are.
    Table,
}

impl OutputFormat {
    /// The formats that have a name.
    pub const ALL: [OutputFormat; 5] = [Self::Parquet, Self::Csv, Self::Tsv, Self::Ndjson, Self::Table];

    /// The format that the ending of `path` stands for: `.parquet`, `.pq`, `.csv`, `.tsv`, `.ndjson`, `.jsonl`,
    /// `.json`: as they are read.
    pub fn of_name(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        match ending.as_str() {
            "parquet" | "pq" => Some(Self::Parquet),
            "csv" => Some(Self::Csv),
            "tsv" => Some(Self::Tsv),
            "ndjson" | "jsonl" | "json" => Some(Self::Ndjson),
            _ => None,
        }
    }

    /// Its name, which is the ending of its files too.
    pub fn name(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Ndjson => "ndjson",
            Self::Table => "table",
        }
    }
}

impl fmt::Display for OutputFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for OutputFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|format| format.name() == text);
        found.or((text == "jsonl").then_some(Self::Ndjson)).ok_or_else(|| {
            let names = Self::ALL.map(Self::name);
            format!("it must be one of {}", names.join(", "))
        })
    }
}
