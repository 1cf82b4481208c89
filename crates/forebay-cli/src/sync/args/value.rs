//! An option's value, and how rsync refuses one.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use forebay_sync::FilterError;

use crate::size;

/// Why a command line is not followed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// What to print.
    pub(crate) text: String,
    /// rsync's exit code for it.
    pub(crate) code: u8,
    /// Which side says it, where that is not who reads the command line.
    pub(crate) role: Option<&'static str>,
    /// The log file that was named before.
    pub(crate) log_file: Option<OsString>,
}

impl Refusal {
    /// Prints `text`, and ends with `code`.
    pub(super) fn with(code: u8, text: impl Into<String>) -> Self {
        Refusal { text: text.into(), code, role: None, log_file: None }
    }
}

impl From<String> for Refusal {
    /// A mistake on the command line: code 1.
    fn from(text: String) -> Self {
        Refusal::with(1, text)
    }
}

impl From<&str> for Refusal {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<FilterError> for Refusal {
    fn from(error: FilterError) -> Self {
        Refusal::with(error.exit_code(), error.to_string())
    }
}

/// Refuses what rsync has and this program has not.
pub(super) fn not_yet(what: &str) -> Refusal {
    format!("rsync: {what}: not supported by forebay sync yet").into()
}

/// What was given to an option.
#[derive(Debug)]
pub(super) struct Value {
    /// The value itself.
    pub(super) text: OsString,
    /// The last argument as it was typed, as complaints show it.
    pub(super) typed: String,
}

impl Value {
    pub(super) fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// The text for messages and for what is ASCII.
    pub(super) fn lossy(&self) -> String {
        self.text.to_string_lossy().into_owned()
    }

    /// A whole number: decimal, octal behind `0`, hexadecimal behind `0x`.
    pub(super) fn number(&self) -> Result<i32, Refusal> {
        let text = self.lossy();
        let (sign, digits) = match text.trim_start().split_at_checked(1) {
            Some(("-", digits)) => (-1, digits),
            Some(("+", digits)) => (1, digits),
            _ => (1, text.trim_start()),
        };
        let (digits, radix) = match digits.as_bytes() {
            [b'0', b'x' | b'X', ..] => (&digits[2..], 16),
            [b'0', _, ..] => (&digits[1..], 8),
            _ => (digits, 10),
        };
        let digits = if text.is_empty() { "0" } else { digits };
        // A sign here would be a second one.
        let number = i64::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with(['-', '+']));
        let number = number.ok_or_else(|| Refusal::from(format!("rsync: {}: invalid numeric value", self.typed)))?;
        i32::try_from(sign * number).map_err(|_| format!("rsync: {}: number too large or too small", self.typed).into())
    }

    /// Bytes, as the option `long` takes them.
    pub(super) fn size(&self, long: &str) -> Result<u64, Refusal> {
        let text = self.lossy();
        size::parse(&text).ok_or_else(|| format!("rsync: --{long}={text} is invalid").into())
    }

    /// As [`size`](Value::size), of an option of rsync's, to which nothing is 0.
    pub(super) fn size_or_none(&self, long: &str) -> Result<u64, Refusal> {
        if self.bytes().is_empty() { Ok(0) } else { self.size(long) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_rsync_reads_them() {
        for (text, number) in [
            ("5", Ok(5)),
            ("-1", Ok(-1)),
            ("010", Ok(8)),
            ("0x10", Ok(16)),
            ("0", Ok(0)),
            ("x", Err("rsync: --n=x: invalid numeric value")),
            ("", Ok(0)),
            ("08", Err("rsync: --n=08: invalid numeric value")),
            ("--1", Err("rsync: --n=--1: invalid numeric value")),
            ("99999999999", Err("rsync: --n=99999999999: number too large or too small")),
        ] {
            let value = Value { text: text.into(), typed: format!("--n={text}") };
            assert_eq!(value.number(), number.map_err(Refusal::from), "{text:?}");
        }
    }
}
