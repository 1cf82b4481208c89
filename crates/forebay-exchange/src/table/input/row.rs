//! `MalformedRow`: a row that does not decode, and what is counted of such rows.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::table::error::shown;

/// How many malformed rows are kept; all are counted.
pub(super) const KEPT: usize = 20;

/// A row that was left out because it does not decode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MalformedRow {
    /// The file; `-` is standard input.
    pub path: Arc<Path>,
    /// The number of the line with which it begins. The first line of the file, a header's too, is 1; newlines within
    /// quotes count.
    pub line: u64,
    /// How many lines it has, those within quotes among them: what a quote that is not closed where it should be takes.
    pub lines: u64,
    /// What is wrong with it.
    pub reason: String,
    /// The column whose type it does not fit, if that is what is wrong. The type was that of the first rows.
    pub column: Option<String>,
}

/// What is wrong with a row: see [`MalformedRow`].
pub(super) struct Flaw {
    pub(super) reason: String,
    pub(super) column: Option<String>,
}

impl From<String> for Flaw {
    fn from(reason: String) -> Self {
        Flaw { reason, column: None }
    }
}

impl fmt::Display for MalformedRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", shown(&self.path), self.line, self.reason)?;
        if self.lines > 1 { write!(f, "; a quote makes it {} lines long", self.lines) } else { Ok(()) }
    }
}

/// The malformed rows of a part: the first ones, how many there are, and how many lines they have.
#[derive(Clone, Debug, Default)]
pub(super) struct Malformed {
    pub(super) first: Vec<MalformedRow>,
    pub(super) count: u64,
    pub(super) lines: u64,
}

impl Malformed {
    /// Counts one more row, of `lines` lines; makes `row` only if it is kept.
    pub(super) fn add(&mut self, lines: u64, row: impl FnOnce() -> MalformedRow) {
        self.count += 1;
        self.lines += lines;
        if self.first.len() < KEPT {
            self.first.push(row());
        }
    }

    /// Adds the rows of the next part.
    pub(super) fn append(&mut self, next: Malformed) {
        self.count += next.count;
        self.lines += next.lines;
        let room = KEPT - self.first.len();
        self.first.extend(next.first.into_iter().take(room));
    }
}

/// `text` as it is shown in a message: short, and on one line.
pub(super) fn excerpt(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut shown = String::new();
    for c in text.chars().take(LONGEST) {
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    if text.chars().nth(LONGEST).is_some() {
        shown.push_str("...");
    }
    shown
}
