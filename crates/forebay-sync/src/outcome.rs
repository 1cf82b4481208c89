//! What a worker reports of one item: text, errors, numbers. Plain data, so that it can spill.

use forebay::{DecodeError, Parts, Spill, Weigh};

use crate::totals::Totals;

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
}

impl Outcome {
    /// Adds `other` behind what is there.
    pub(crate) fn append(&mut self, other: Outcome) {
        if self.text.is_empty() {
            self.text = other.text;
        } else {
            self.text.extend_from_slice(&other.text);
        }
        self.errors.extend_from_slice(&other.errors);
        self.log.extend_from_slice(&other.log);
        self.totals += &other.totals;
    }
}

impl Weigh for Outcome {
    fn weight(&self) -> usize {
        size_of::<Self>() + self.text.capacity() + self.errors.capacity() + self.log.capacity()
    }
}

/// Encoded: the lengths of the text and of the errors (8 bytes each, little-endian), the totals (8 bytes each), the text,
/// the errors, the log.
impl Spill for Outcome {
    fn encode(self, out: &mut Parts) {
        let mut head = Vec::with_capacity(HEAD);
        head.extend_from_slice(&(self.text.len() as u64).to_le_bytes());
        head.extend_from_slice(&(self.errors.len() as u64).to_le_bytes());
        for value in self.totals.each() {
            head.extend_from_slice(&value.to_le_bytes());
        }
        out.write(&head);
        out.write(&self.text);
        out.write(&self.errors);
        out.write(&self.log);
    }

    fn decode(bytes: bytes::Bytes) -> Result<Self, DecodeError> {
        let (head, rest) = bytes.split_at_checked(HEAD).ok_or(DecodeError("report of a worker: too short"))?;
        let mut values = head.as_chunks::<8>().0.iter().map(|&chunk| u64::from_le_bytes(chunk));
        let mut length = || values.next().and_then(|len| usize::try_from(len).ok()).unwrap_or(usize::MAX);
        let (text_len, errors_len) = (length(), length());
        let mut each = [0; Totals::FIELDS];
        each.iter_mut().zip(values).for_each(|(slot, value)| *slot = value);
        let (text, rest) =
            rest.split_at_checked(text_len).ok_or(DecodeError("report of a worker: text longer than the record"))?;
        let (errors, log) = rest
            .split_at_checked(errors_len)
            .ok_or(DecodeError("report of a worker: errors longer than the record"))?;
        let totals = Totals::from_each(each);
        Ok(Outcome { text: text.to_vec(), errors: errors.to_vec(), log: log.to_vec(), totals })
    }
}

/// Bytes before the text.
const HEAD: usize = 16 + 8 * Totals::FIELDS;

#[cfg(test)]
mod tests {
    use super::*;

    /// An outcome as bytes: totals of 1, 2, 3, ..., `text`, `errors`, then `log`.
    fn record(text: &[u8], errors: &[u8]) -> Vec<u8> {
        let mut bytes = [text, errors].map(|part| (part.len() as u64).to_le_bytes()).concat();
        (1..=Totals::FIELDS as u64).for_each(|i| bytes.extend_from_slice(&i.to_le_bytes()));
        bytes.extend_from_slice(text);
        bytes.extend_from_slice(errors);
        bytes.extend_from_slice(b"log");
        bytes
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
