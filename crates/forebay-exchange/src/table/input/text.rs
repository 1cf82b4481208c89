//! `Text`: cuts a text into pieces at the ends of records, as it is read.
//!
//! What one read gives is handed on as soon as a record ends in it: a source that pauses holds back less than a record.
//! A record is bounded: of a longer one nothing is kept, and it counts as one malformed row, as does a last line of CSV
//! that ends within quotes: who wrote it was stopped. A quoted field that has further lines and does not end before the
//! file does ends the run: a quote was forgotten, most likely, and the lines are rows.

use std::fmt;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;

use super::cut::{Scanner, lines, newlines, open_quote};
use crate::table::TableError;

/// Whole records of a text.
#[derive(Debug)]
pub(super) struct TextPiece {
    pub(super) bytes: Vec<u8>,
    /// The number of its first line, from 1.
    pub(super) line: u64,
    /// Newlines in it: at most as many records end.
    pub(super) lines: u64,
    /// Whether there may be fields of several lines with text behind the closing quote.
    pub(super) stray: bool,
    /// What stands here is one record that was not kept. Then there are no bytes.
    pub(super) dropped: Option<Dropped>,
}

/// A record that was not kept.
#[derive(Clone, Debug)]
pub(super) struct Dropped {
    /// Why not.
    pub(super) reason: String,
    /// How many lines it has.
    pub(super) lines: u64,
}

/// A text that is read.
pub(super) struct Text {
    path: Arc<Path>,
    reader: Box<dyn Read + Send>,
    scanner: Scanner,
    /// What was read and not handed on is `buffer[..filled]`: one record that has not ended.
    buffer: Vec<u8>,
    filled: usize,
    /// Before this place everything is scanned.
    scanned: usize,
    line: u64,
    /// How much is read at a time.
    piece: usize,
    /// The longest record.
    longest: usize,
    ended: bool,
}

impl Text {
    /// Reads `reader`, which begins with line `line` of `path`.
    pub(super) fn new(
        path: Arc<Path>,
        reader: Box<dyn Read + Send>,
        scanner: Scanner,
        line: u64,
        piece: usize,
        longest: usize,
    ) -> Self {
        let (piece, longest) = (piece.max(1), longest.max(1));
        let buffer = vec![0; piece];
        Text { path, reader, scanner, buffer, filled: 0, scanned: 0, line, piece, longest, ended: false }
    }

    /// The next piece; none at the end.
    pub(super) fn next_piece(&mut self) -> Result<Option<TextPiece>, TableError> {
        loop {
            if let Some(end) = self.scan() {
                return Ok(Some(self.take(end)));
            }
            if self.filled > self.longest {
                return self.drop_record().map(Some);
            }
            if self.ended || self.read()? == 0 {
                return self.last();
            }
        }
    }

    /// The end of the last record among what was read and not scanned.
    fn scan(&mut self) -> Option<usize> {
        let from = self.scanned;
        self.scanned = self.filled;
        self.scanner.last_end(&self.buffer[from..self.filled]).map(|end| from + end)
    }

    fn read(&mut self) -> Result<usize, TableError> {
        let room = self.filled + self.piece;
        if self.buffer.len() < room {
            self.buffer.resize(room, 0);
        }
        loop {
            match self.reader.read(&mut self.buffer[self.filled..room]) {
                Ok(read) => {
                    self.filled += read;
                    self.ended = read == 0;
                    return Ok(read);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(TableError::io(&self.path, "read", error)),
            }
        }
    }

    fn take(&mut self, end: usize) -> TextPiece {
        let bytes = self.buffer[..end].to_vec();
        self.forget(end);
        let (line, lines) = (self.line, newlines(&bytes));
        self.line += lines;
        TextPiece { bytes, line, lines, stray: self.scanner.is_stray(), dropped: None }
    }

    fn forget(&mut self, end: usize) {
        self.buffer.copy_within(end..self.filled, 0);
        self.filled -= end;
        self.scanned = self.scanned.saturating_sub(end);
        if self.filled < self.piece && self.buffer.len() > 4 * self.piece {
            // A long record has passed.
            self.buffer.truncate(self.piece);
            self.buffer.shrink_to_fit();
        }
    }

    /// The record that has not ended when the text does.
    fn last(&mut self) -> Result<Option<TextPiece>, TableError> {
        if self.filled == 0 {
            return Ok(None);
        }
        let opened = self.opened();
        let mut piece = self.take(self.filled);
        if self.scanner.is_quoted() {
            self.check_end(opened, piece.line + lines(&piece.bytes))?;
            piece.bytes = Vec::new();
            let reason = "a quoted field does not end before the file does".to_owned();
            piece.dropped = Some(Dropped { reason, lines: 1 });
        }
        piece.lines = piece.lines.max(1);
        Ok(Some(piece))
    }

    /// The line in which the quoted field begins with which ends what was read.
    fn opened(&self) -> u64 {
        let quote =
            if self.scanner.is_quoted() { open_quote(&self.buffer[..self.filled], self.scanner.anew()) } else { None };
        self.line + quote.unwrap_or(0)
    }

    /// That the file, which ends within quotes before line `end`, has them in its last line only.
    fn check_end(&self, opened: u64, end: u64) -> Result<(), TableError> {
        let lines = end - opened;
        if lines <= 1 {
            return Ok(());
        }
        Err(TableError::OpenQuote { path: self.path.to_path_buf(), line: opened, lines })
    }

    /// Reads to the end of a record that is too long, and keeps nothing of it.
    fn drop_record(&mut self) -> Result<TextPiece, TableError> {
        let (line, opened) = (self.line, self.opened());
        let mut quoted = self.scanner.is_quoted();
        let mut ends_line = self.buffer[..self.filled].ends_with(b"\n");
        self.line += newlines(&self.buffer[..self.filled]);
        self.forget(self.filled);
        while self.read()? > 0 {
            if let Some(end) = self.scanner.first_end(&self.buffer[..self.filled]) {
                self.line += newlines(&self.buffer[..end]);
                self.forget(end);
                self.scanned = 0;
                (quoted, ends_line) = (false, true);
                break;
            }
            quoted = self.scanner.is_quoted();
            ends_line = self.buffer[..self.filled].ends_with(b"\n");
            self.line += newlines(&self.buffer[..self.filled]);
            self.forget(self.filled);
        }
        let end = self.line + u64::from(!ends_line);
        if quoted {
            self.check_end(opened, end)?;
        }
        let why = if quoted { ", in a quoted field that does not end" } else { "" };
        let dropped =
            Some(Dropped { reason: format!("longer than {} bytes{why}", self.longest), lines: (end - line).max(1) });
        Ok(TextPiece { bytes: Vec::new(), line, lines: 1, stray: false, dropped })
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Text").field("path", &self.path).field("line", &self.line).finish_non_exhaustive()
    }
}
