//! `Scanner`: where the records of a text end, without decoding them.
//!
//! A record of CSV ends at a newline outside quotes, or at a carriage return, as the decoder has it; a newline behind that
//! is an empty record, which is none. A quote opens a quoted field only where a field begins; within
//! one, two quotes are one, and whatever follows the closing quote belongs to an unquoted field. That is what the decoder
//! does too: a text that is cut here decodes to the same rows as in one piece. A record of NDJSON ends at a newline.
//!
//! Without quotes the scan is two searches a buffer, whatever the number of its records.

use std::ops::Range;

use memchr::{memchr, memchr3, memrchr, memrchr2};

/// Scans a text that comes in buffers.
#[derive(Clone, Debug)]
pub(super) struct Scanner {
    /// `None`: there are no quotes.
    delimiter: Option<u8>,
    state: State,
    /// The byte before the next one, if that is outside quotes.
    before: u8,
    /// Whether the quoted field has more than one line so far.
    several: bool,
    /// Whether there was such a field with text behind the closing quote.
    stray: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Quoted,
    /// Behind a quote in a quoted field: the end of the field, or the first of two.
    QuoteSeen,
}

impl Scanner {
    /// For CSV with this delimiter.
    pub(super) fn csv(delimiter: u8) -> Self {
        Scanner { delimiter: Some(delimiter), state: State::Open, before: b'\n', several: false, stray: false }
    }

    /// For the same kind of text, from the beginning of a record on.
    pub(super) fn anew(&self) -> Self {
        Scanner { state: State::Open, before: b'\n', several: false, stray: false, ..*self }
    }

    /// For lines.
    pub(super) fn lines() -> Self {
        Scanner { delimiter: None, state: State::Open, before: b'\n', several: false, stray: false }
    }

    /// Whether the text ends within quotes.
    pub(super) fn is_quoted(&self) -> bool {
        self.state == State::Quoted
    }

    /// Whether any quoted field so far had several lines and text behind the closing quote: the quote may open another field,
    /// and the one that opened this be one too many.
    pub(super) fn is_stray(&self) -> bool {
        self.stray
    }

    /// Scans up to the end of the first record that ends in `bytes`: the place behind it. The next call goes on there.
    pub(super) fn first_end(&mut self, bytes: &[u8]) -> Option<usize> {
        self.scan(bytes, true)
    }

    /// Scans all of `bytes`: the place behind the last record that ends there.
    pub(super) fn last_end(&mut self, bytes: &[u8]) -> Option<usize> {
        self.scan(bytes, false)
    }

    fn scan(&mut self, bytes: &[u8], first: bool) -> Option<usize> {
        let Some(delimiter) = self.delimiter else {
            return if first { memchr(b'\n', bytes) } else { memrchr(b'\n', bytes) }.map(|at| at + 1);
        };
        let (mut at, mut end) = (0, None);
        while at < bytes.len() {
            match self.state {
                State::Open => {
                    let stop = self.open_stretch(bytes, at, delimiter, first);
                    let stretch = &bytes[at..stop];
                    if first && matches!(bytes.get(stop), Some(b'\n' | b'\r')) {
                        self.before = b'\n';
                        return Some(stop + 1);
                    }
                    if let Some(last) = memrchr2(b'\n', b'\r', stretch) {
                        end = Some(at + last + 1);
                    }
                    if let Some(last) = stretch.last() {
                        self.before = *last;
                    }
                    if stop < bytes.len() {
                        (self.state, self.several) = (State::Quoted, false);
                    }
                    at = stop + 1;
                }
                State::Quoted => {
                    let quote = memchr(b'"', &bytes[at..]);
                    let within = &bytes[at..quote.map_or(bytes.len(), |quote| at + quote)];
                    self.several = self.several || memchr(b'\n', within).is_some();
                    let Some(quote) = quote else { break };
                    self.state = State::QuoteSeen;
                    at += quote + 1;
                }
                State::QuoteSeen => {
                    if bytes[at] == b'"' {
                        self.state = State::Quoted;
                        at += 1;
                    } else {
                        self.stray |= self.several && !matches!(bytes[at], b'\n' | b'\r') && bytes[at] != delimiter;
                        self.state = State::Open;
                        self.before = b'"';
                    }
                }
            }
        }
        end
    }

    /// From `from`, outside quotes: the place of the next quote that opens a field, or, with `ends`, of the next end of a
    /// record, if that comes first; else the end.
    fn open_stretch(&self, bytes: &[u8], from: usize, delimiter: u8, ends: bool) -> usize {
        let mut at = from;
        loop {
            let rest = &bytes[at..];
            let found = if ends { memchr3(b'"', b'\n', b'\r', rest) } else { memchr(b'"', rest) };
            let Some(found) = found else { return bytes.len() };
            let place = at + found;
            let before = if place == from { self.before } else { bytes[place - 1] };
            let opens = before == delimiter || before == b'\n' || before == b'\r';
            if bytes[place] != b'"' || opens {
                return place;
            }
            at = place + 1;
        }
    }
}

/// One record of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Where it is, its newline included.
    pub(super) range: Range<usize>,
    /// The number of its first line.
    pub(super) line: u64,
    /// How many it has.
    pub(super) lines: u64,
    /// Whether it has a quoted field of several lines with text behind the closing quote.
    pub(super) stray: bool,
}

/// The records of a text that begins where a record begins. Empty lines are none.
#[derive(Debug)]
pub(super) struct Records<'t> {
    text: &'t [u8],
    scanner: Scanner,
    at: usize,
    line: u64,
}

impl<'t> Records<'t> {
    /// The records of `text` from `at` on, where line `line` begins.
    pub(super) fn new(text: &'t [u8], at: usize, line: u64, scanner: Scanner) -> Self {
        Records { text, scanner, at, line }
    }
}

impl Iterator for Records<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        loop {
            let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
            let len = self.scanner.first_end(rest).unwrap_or(rest.len());
            let stray = std::mem::take(&mut self.scanner.stray);
            let (range, lines) = (self.at..self.at + len, lines(&rest[..len]));
            let record = Record { range, line: self.line, lines, stray };
            self.at += len;
            self.line += newlines(&rest[..len]);
            if rest[..len].iter().any(|b| !matches!(b, b'\r' | b'\n')) {
                return Some(record);
            }
        }
    }
}

/// How many newlines there are in `text`.
pub(super) fn newlines(text: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', text).count() as u64
}

/// How many lines `text` has: the last may have no newline.
pub(super) fn lines(text: &[u8]) -> u64 {
    newlines(text) + u64::from(text.last().is_some_and(|last| *last != b'\n'))
}

/// In which line of `text`, from 0, the quoted field begins in which it ends.
pub(super) fn open_quote(text: &[u8], mut scanner: Scanner) -> Option<u64> {
    let (mut line, mut opened) = (0, None);
    for byte in text {
        let before = scanner.state;
        scanner.last_end(std::slice::from_ref(byte));
        if before == State::Open && scanner.state == State::Quoted {
            opened = Some(line);
        }
        line += u64::from(*byte == b'\n');
    }
    opened.filter(|_| scanner.is_quoted())
}

/// How many fields the CSV record `record` has.
pub(super) fn fields(record: &[u8], delimiter: u8) -> usize {
    let mut scanner = Scanner::csv(delimiter);
    let mut count = 1;
    for (at, byte) in record.iter().enumerate() {
        scanner.last_end(&record[at..at + 1]);
        if *byte == delimiter && scanner.state == State::Open {
            count += 1;
        }
    }
    count
}
