//! What a worker reports of one item: text, errors, numbers. Plain data, so that it can spill.

use forebay::{DecodeError, Parts, Spill, Weigh};

use crate::hardlinks::{Inode, Lines};
use crate::member::Hole;
use crate::totals::Totals;
use crate::wire::Notices;

/// One item's report.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Whole lines for standard output.
    pub(crate) text: Vec<u8>,
    /// Whole lines for standard error.
    pub(crate) errors: Vec<u8>,
    /// Whole lines for the log file.
    pub(crate) log: Vec<u8>,
    pub(crate) totals: Totals,
    /// Where lines of hard links belong that another worker may still have to write.
    pub(crate) holes: Vec<Hole>,
    /// What the other side is to be told.
    pub(crate) notices: Notices,
    /// There was text before there was any error. Of a note of the walk alone; it does not spill.
    pub(crate) text_first: bool,
}

impl Outcome {
    /// Leaves room here for what belongs to the place of `path`.
    pub(crate) fn leave_hole(&mut self, inode: Inode, path: Vec<u8>) {
        self.holes.push(Hole { at: self.text.len(), log_at: self.log.len(), inode, path });
    }

    /// Puts into each hole what `lines` has for it.
    pub(crate) fn fill(&mut self, mut lines: impl FnMut(&Hole) -> Lines) {
        for hole in std::mem::take(&mut self.holes).into_iter().rev() {
            let Lines { text, log } = lines(&hole);
            self.text.splice(hole.at..hole.at, text);
            self.log.splice(hole.log_at..hole.log_at, log);
        }
    }

    /// Whether there are numbers only.
    pub(crate) fn is_silent(&self) -> bool {
        self.text.is_empty()
            && self.errors.is_empty()
            && self.log.is_empty()
            && self.holes.is_empty()
            && self.notices.is_empty()
    }

    /// Adds `other` behind what is there.
    pub(crate) fn append(&mut self, other: Outcome) {
        let (text, log) = (self.text.len(), self.log.len());
        let moved = |hole: Hole| Hole { at: hole.at + text, log_at: hole.log_at + log, ..hole };
        self.holes.extend(other.holes.into_iter().map(moved));
        if self.text.is_empty() {
            self.text = other.text;
        } else {
            self.text.extend_from_slice(&other.text);
        }
        self.errors.extend_from_slice(&other.errors);
        self.log.extend_from_slice(&other.log);
        self.notices.append(&other.notices);
        self.totals += &other.totals;
    }
}

impl Weigh for Outcome {
    fn weight(&self) -> usize {
        size_of::<Self>()
            + self.text.capacity()
            + self.errors.capacity()
            + self.log.capacity()
            + self.notices.capacity()
            + self.holes.iter().map(|hole| size_of::<Hole>() + hole.path.capacity()).sum::<usize>()
    }
}

/// Encoded: the lengths of the text, the holes, the errors and the notices, the totals (8 bytes each, little-endian), the
/// text, the holes, the errors, the notices, the log. A hole is its places in the text and in the
/// log, its two numbers and the length of its path (8 bytes each), and the path.
impl Spill for Outcome {
    fn encode(self, out: &mut Parts) {
        let holes = encode_holes(&self.holes);
        let mut head = Vec::with_capacity(HEAD);
        for len in [self.text.len(), holes.len(), self.errors.len(), self.notices.as_bytes().len()] {
            head.extend_from_slice(&(len as u64).to_le_bytes());
        }
        for value in self.totals.each() {
            head.extend_from_slice(&value.to_le_bytes());
        }
        out.write(&head);
        out.write(&self.text);
        out.write(&holes);
        out.write(&self.errors);
        out.write(self.notices.as_bytes());
        out.write(&self.log);
    }

    fn decode(bytes: bytes::Bytes) -> Result<Self, DecodeError> {
        let (head, rest) = bytes.split_at_checked(HEAD).ok_or(DecodeError("report of a worker: too short"))?;
        let mut values = head.as_chunks::<8>().0.iter().map(|&chunk| u64::from_le_bytes(chunk));
        let mut length = || values.next().and_then(|len| usize::try_from(len).ok()).unwrap_or(usize::MAX);
        let (text_len, holes_len, errors_len, notices_len) = (length(), length(), length(), length());
        let mut each = [0; Totals::FIELDS];
        each.iter_mut().zip(values).for_each(|(slot, value)| *slot = value);
        let (text, rest) =
            rest.split_at_checked(text_len).ok_or(DecodeError("report of a worker: text longer than the record"))?;
        let (holes, rest) =
            rest.split_at_checked(holes_len).ok_or(DecodeError("report of a worker: holes longer than the record"))?;
        let (errors, rest) = rest
            .split_at_checked(errors_len)
            .ok_or(DecodeError("report of a worker: errors longer than the record"))?;
        let (notices, log) = rest
            .split_at_checked(notices_len)
            .ok_or(DecodeError("report of a worker: notices longer than the record"))?;
        let holes =
            decode_holes(holes, text.len(), log.len()).ok_or(DecodeError("report of a worker: a hole that is none"))?;
        let totals = Totals::from_each(each);
        let notices = Notices::decode(notices)?;
        Ok(Outcome {
            text: text.to_vec(),
            errors: errors.to_vec(),
            log: log.to_vec(),
            totals,
            holes,
            notices,
            text_first: false,
        })
    }
}

fn encode_holes(holes: &[Hole]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for Hole { at, log_at, inode, path } in holes {
        for number in [*at as u64, *log_at as u64, inode.0, inode.1, path.len() as u64] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(path);
    }
    bytes
}

fn decode_holes(mut bytes: &[u8], text: usize, log: usize) -> Option<Vec<Hole>> {
    let mut holes = Vec::new();
    while !bytes.is_empty() {
        let mut number = || {
            let (number, rest) = bytes.split_first_chunk::<8>()?;
            bytes = rest;
            Some(u64::from_le_bytes(*number))
        };
        let (at, log_at) = (usize::try_from(number()?).ok()?, usize::try_from(number()?).ok()?);
        let inode = (number()?, number()?);
        let len = usize::try_from(number()?).ok()?;
        let (path, rest) = bytes.split_at_checked(len)?;
        bytes = rest;
        if at > text || log_at > log {
            return None;
        }
        holes.push(Hole { at, log_at, inode, path: path.to_vec() });
    }
    Some(holes)
}

/// Bytes before the text.
const HEAD: usize = 32 + 8 * Totals::FIELDS;

#[cfg(test)]
mod tests {
    use super::*;

    /// An outcome as bytes: totals of 1, 2, 3, ..., `text`, `errors`, then `log`.
    fn record(text: &[u8], errors: &[u8]) -> Vec<u8> {
        let mut bytes = [text.len(), 0, errors.len(), 0].map(|len| (len as u64).to_le_bytes()).concat();
        (1..=Totals::FIELDS as u64).for_each(|i| bytes.extend_from_slice(&i.to_le_bytes()));
        bytes.extend_from_slice(text);
        bytes.extend_from_slice(errors);
        bytes.extend_from_slice(b"log");
        bytes
    }

    #[test]
    fn holes_survive_and_are_filled() {
        let mut outcome = Outcome { text: b"ab".to_vec(), ..Outcome::default() };
        outcome.leave_hole((1, 2), b"x".to_vec());
        outcome.text.extend_from_slice(b"c");
        outcome.log.extend_from_slice(b"d");
        outcome.leave_hole((1, 2), b"y/z".to_vec());
        let bytes = encode_holes(&outcome.holes);
        assert_eq!(decode_holes(&bytes, 3, 1).as_ref(), Some(&outcome.holes));
        assert_eq!(decode_holes(&bytes, 1, 1), None, "a place behind the text");
        assert_eq!(decode_holes(&bytes, 3, 0), None, "a place behind the log");
        assert_eq!(decode_holes(&bytes[..bytes.len() - 1], 3, 1), None);
        outcome.fill(|hole| Lines {
            text: [b"<", &hole.path[..], b">"].concat(),
            log: [b"(", &hole.path[..], b")"].concat(),
        });
        assert_eq!((&outcome.text[..], &outcome.log[..]), (&b"ab<x>c<y/z>"[..], &b"(x)d(y/z)"[..]));
    }

    #[test]
    fn a_record_decodes_and_a_damaged_one_is_an_error() {
        let outcome = Outcome::decode(record(b"text", b"errors").into()).unwrap();
        assert_eq!(
            (&outcome.text[..], &outcome.errors[..], &outcome.log[..]),
            (&b"text"[..], &b"errors"[..], &b"log"[..])
        );
        assert_eq!(outcome.totals.each()[Totals::FIELDS - 1], Totals::FIELDS as u64);
        for damaged in [
            &record(b"", b"")[..HEAD - 1],
            &record(b"text", b"")[..HEAD + 3],
            &record(b"", b"errors")[..HEAD + 3],
            &[255; HEAD + 9],
        ] {
            assert!(Outcome::decode(damaged.to_vec().into()).is_err());
        }
    }
}
