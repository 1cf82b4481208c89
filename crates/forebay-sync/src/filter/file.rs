//! Files of filter rules: how they are read and split.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

use super::FilterError;
use super::parse::{Modifiers, Style};
use crate::given;

/// Longest file of rules in bytes.
const MAX_FILE: u64 = 16 << 20;

/// Opens and reads a file of rules; `-` is standard input. Within another file (`nested`) messages tell less.
pub(super) fn open(
    path: &[u8],
    shown: &[u8],
    nested: bool,
    includes: bool,
    insecure_links: bool,
) -> Result<Vec<u8>, FilterError> {
    if path == b"-" && !nested {
        return take(io::stdin().lock(), b"-");
    }
    match given::open(CWD, path, OFlags::RDONLY | OFlags::NOCTTY, Mode::empty(), insecure_links) {
        Ok(fd) => read(fd, shown),
        Err(errno) if nested => {
            let (warning, shown) = (given::warning(errno), String::from_utf8_lossy(shown));
            Err(FilterError::Read(format!("{warning}failed to open exclude file {shown}")))
        }
        Err(errno) => Err(unopened(shown, includes, errno)),
    }
}

/// As [`open`], the file of an option. As with rsync, a slash at the end makes a directory something that cannot be read.
pub(super) fn named(path: &[u8], includes: bool, insecure_links: bool) -> Result<Vec<u8>, FilterError> {
    let text = open(path, path, false, includes, insecure_links)?;
    match path.ends_with(b"/") {
        true => Err(unopened(path, includes, Errno::ISDIR)),
        false => Ok(text),
    }
}

fn unopened(shown: &[u8], includes: bool, errno: Errno) -> FilterError {
    let kind = if includes { "include" } else { "exclude" };
    let (shown, error) = (String::from_utf8_lossy(shown), crate::fs::describe(errno));
    let warning = given::warning(errno);
    FilterError::Read(format!("{warning}rsync: [client] failed to open {kind} file {shown}: {error}"))
}

/// Reads an open file of rules. A directory has none, as with rsync.
pub(super) fn read(fd: OwnedFd, shown: &[u8]) -> Result<Vec<u8>, FilterError> {
    let file = File::from(fd);
    match file.metadata() {
        Ok(meta) if meta.is_dir() => Ok(Vec::new()),
        Ok(_) => take(file, shown),
        Err(error) => Err(unreadable(shown, &error)),
    }
}

/// Reads rules from `from`, up to the limit. A directory has none.
pub(super) fn take(from: impl Read, shown: &[u8]) -> Result<Vec<u8>, FilterError> {
    let mut text = Vec::new();
    let read = from.take(MAX_FILE + 1).read_to_end(&mut text).and_then(|len| match len as u64 > MAX_FILE {
        true => Err(io::Error::new(io::ErrorKind::FileTooLarge, "more than 16 MiB of rules")),
        false => Ok(()),
    });
    match read {
        Err(error) if error.kind() != io::ErrorKind::IsADirectory => Err(unreadable(shown, &error)),
        _ => Ok(text),
    }
}

fn unreadable(shown: &[u8], error: &io::Error) -> FilterError {
    FilterError::Read(format!("rsync: failed to read exclude file {}: {error}", String::from_utf8_lossy(shown)))
}

fn before_nul(text: &[u8]) -> &[u8] {
    text.split(|&b| b == 0).next().unwrap_or_default()
}

/// The rules in `text`, with the lines that they are on if it has lines. `nul`: they end with that instead. As with rsync, a
/// rule ends at a NUL, and the rest of its line is nothing.
pub(super) fn split(text: &[u8], within: Modifiers, style: Style, nul: bool) -> Vec<(&[u8], Option<usize>)> {
    if within.words {
        let words = text.split(u8::is_ascii_whitespace).map(before_nul).filter(|word| !word.is_empty());
        return words.map(|word| (word, None)).collect();
    }
    let mut rules = Vec::new();
    let mut line = 0;
    let mut rest = text;
    while !rest.is_empty() {
        line += 1;
        let end = rest.iter().position(|&b| if nul { b == 0 } else { b == b'\n' || b == b'\r' });
        let (rule, after) = match end {
            Some(end) if rest[end..].starts_with(b"\r\n") => (&rest[..end], &rest[end + 2..]),
            Some(end) => (&rest[..end], &rest[end + 1..]),
            None => (rest, &rest[..0]),
        };
        rest = after;
        let rule = before_nul(rule);
        // Where nothing marks the beginning of a rule, these two could begin a name; they are comments there, too.
        let comment = matches!(rule.first(), Some(b'#' | b';')) && !matches!(style, Style::Plain { clears: true, .. });
        if !rule.is_empty() && !comment {
            rules.push((rule, Some(line)));
        }
    }
    rules
}
