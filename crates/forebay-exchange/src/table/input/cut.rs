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
        Scanner { delimiter: Some(delimiter), state: State::Open, before: b'\n' }
    }

    /// For lines.
    pub(super) fn lines() -> Self {
        Scanner { delimiter: None, state: State::Open, before: b'\n' }
    }

    /// Whether the text ends within quotes.
    pub(super) fn is_quoted(&self) -> bool {
        self.state == State::Quoted
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
                        self.state = State::Quoted;
                    }
                    at = stop + 1;
                }
                State::Quoted => match memchr(b'"', &bytes[at..]) {
                    Some(quote) => {
                        self.state = State::QuoteSeen;
                        at += quote + 1;
                    }
                    None => break,
                },
                State::QuoteSeen => {
                    if bytes[at] == b'"' {
                        self.state = State::Quoted;
                        at += 1;
                    } else {
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
            let record = Record { range: self.at..self.at + len, line: self.line };
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
