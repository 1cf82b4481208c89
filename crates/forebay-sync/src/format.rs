//! `--out-format` and `--log-file-format`: a line with escapes.

use crate::above::Named;
use crate::clock;
use crate::itemize::{CODE_DELETED, Change};
use crate::number::human;
use crate::shared::Shared;

/// A format that has been read.
///
/// Escapes: `%B` permission bits, `%b` bytes copied, or over a connection those that have passed for the file, `%C` the sum of a
/// file that is transferred, with `-c` of any file, `%c` bytes of block sums that came to be sent by, `%f` name with the source's path,
/// `%G` and `%U` owners (`DEFAULT` where a group is not preserved), `%i` codes, `%L` what a link leads to, `%l` length
/// in bytes, `%M` time of modification, `%m` nothing, `%n` name, `%o` operation, `%p` process, `%t` now. A number behind the
/// `%` is a width, negative for the left; `'` before it groups digits. What is none of these stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Format {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    Escape { letter: u8, width: usize, left: bool, groups: u8 },
}

/// No column is wider: a line costs memory.
const MAX_WIDTH: usize = 1024;

/// The entry that a line is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'l> {
    /// What happens to it; `None`: it is deleted.
    pub(crate) change: Option<&'l Change>,
    pub(crate) named: Named<'l>,
    pub(crate) is_dir: bool,
    /// What is behind the name: ` -> ` and where a link leads, or nothing.
    pub(crate) tail: &'l [u8],
    /// The side that receives tells it.
    pub(crate) receives: bool,
}

impl Line<'_> {
    /// What is shown before the name.
    pub(crate) fn slash(&self) -> &'static [u8] {
        if self.change.is_some() { self.named.above.slash() } else { b"" }
    }
}

impl Format {
    /// Reads a format. There is none that is wrong.
    pub fn new(text: &[u8]) -> Self {
        let mut parts = Vec::new();
        let mut plain = Vec::new();
        let mut rest = text;
        while let Some((&first, behind)) = rest.split_first() {
            match (first == b'%').then(|| escape(behind)).flatten() {
                Some((part, behind)) => {
                    if !plain.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut plain)));
                    }
                    parts.push(part);
                    rest = behind;
                }
                None => {
                    // Two percent signs are one.
                    rest = behind.strip_prefix(b"%").filter(|_| first == b'%').unwrap_or(behind);
                    plain.push(first);
                }
            }
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Format { parts }
    }

    /// Whether one of these escapes is in it.
    pub(crate) fn has(&self, letters: &[u8]) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Escape { letter, .. } if letters.contains(letter)))
    }

    /// Whether it tells the sums of files (`%C`).
    pub fn has_sums(&self) -> bool {
        self.has(b"C")
    }

    /// Whether it tells what is known only behind the content of a file.
    pub(crate) fn is_late(&self) -> bool {
        self.has(b"bcC")
    }

    /// Whether every line is empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Appends the line for `line`, without its end. As with rsync, columns are measured before anything is escaped.
    pub(crate) fn push(&self, shared: &Shared<'_>, out: &mut Vec<u8>, line: &Line<'_>) {
        let mut raw = Vec::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => raw.extend_from_slice(text),
                Part::Escape { letter, width, left, groups } => {
                    let start = raw.len();
                    value_of(shared, &mut raw, *letter, *groups, line);
                    // As with rsync, what stands for no sum is as wide as a sum, and no wider.
                    let blank = *letter == b'C' && line.change.is_none_or(|change| change.sum.is_none());
                    let space = if blank { 0 } else { width.saturating_sub(raw.len() - start) };
                    let at = if *left { raw.len() } else { start };
                    raw.splice(at..at, std::iter::repeat_n(b' ', space));
                }
            }
        }
        shared.options.escape.push(out, &raw);
    }
}

/// The escape at the start of what is behind a percent sign, and what follows it.
fn escape(text: &[u8]) -> Option<(Part, &[u8])> {
    let groups = text.iter().take_while(|&&b| b == b'\'').count();
    let (left, rest) = match &text[groups..] {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let width = rest[..digits].iter().fold(0, |width: usize, b| (width * 10 + usize::from(b - b'0')).min(MAX_WIDTH));
    let (&letter, rest) = rest[digits..].split_first()?;
    let groups = u8::try_from(groups).unwrap_or(u8::MAX);
    b"BbCcfGilLMmnoptU".contains(&letter).then_some((Part::Escape { letter, width, left, groups }, rest))
}

fn value_of(shared: &Shared<'_>, out: &mut Vec<u8>, letter: u8, groups: u8, line: &Line<'_>) {
    let options = shared.options;
    let src = line.change.map(|change| &change.src);
    let number = |out: &mut Vec<u8>, number: u64| out.extend_from_slice(human(number, groups).as_bytes());
    match letter {
        b'n' => {
            out.extend_from_slice(line.slash());
            out.extend_from_slice(line.named.rel);
            out.extend_from_slice(line.named.name);
            if line.is_dir {
                out.push(b'/');
            }
        }
        b'f' => {
            if line.change.is_some() {
                out.extend_from_slice(&line.named.above.path);
            }
            out.extend_from_slice(line.named.rel);
            out.extend_from_slice(line.named.name);
        }
        b'i' => match line.change {
            Some(change) => out.extend_from_slice(&change.code()),
            None => out.extend_from_slice(CODE_DELETED),
        },
        b'L' => out.extend_from_slice(line.tail),
        b'l' => number(out, src.map_or(0, |src| src.size)),
        b'b' => number(out, line.change.map_or(0, |change| passed(change, line.receives))),
        b'c' => number(out, line.change.and_then(|change| change.traffic).map_or(0, |traffic| traffic.sums)),
        b'C' => match line.change.and_then(|change| change.sum.as_deref()) {
            Some(sum) => out.extend_from_slice(shared.told_sum().hex(sum).as_bytes()),
            None => out.extend(std::iter::repeat_n(b' ', 2 * shared.told_sum().len())),
        },
        b'o' => out.extend_from_slice(match line.change {
            Some(_) if line.receives => b"recv",
            Some(_) => b"send",
            None => b"del.",
        }),
        b'U' => number(out, src.filter(|_| options.owner).map_or(0, |src| u64::from(src.uid))),
        b'G' if !options.group => out.extend_from_slice(b"DEFAULT"),
        b'G' => number(out, src.map_or(0, |src| u64::from(src.gid))),
        b'B' => match src {
            Some(src) => out.extend_from_slice(permissions(src.mode).as_bytes()),
            None => out.extend_from_slice(b"---------"),
        },
        b'M' => {
            let seconds = src.map_or(0, |src| src.mtime.tv_sec);
            out.extend_from_slice(clock::local_time(seconds, '-').as_bytes());
        }
        b't' => out.extend_from_slice(clock::local_now().as_bytes()),
        b'p' => number(out, u64::from(std::process::id())),
        // A module is a daemon's.
        _ => {}
    }
}

/// The bytes that were copied or, over a connection, that have passed.
fn passed(change: &Change, receives: bool) -> u64 {
    match change.traffic {
        Some(traffic) => traffic.content,
        None if receives || change.sent || !change.transfers() => 0,
        None => change.src.size,
    }
}

/// The twelve bits of a mode as `ls` shows them.
pub(crate) fn permissions(mode: u32) -> String {
    (0..3)
        .flat_map(|who| {
            let bits = mode >> (6 - 3 * who);
            let special = mode & (0o4000 >> who) != 0;
            let (with, without) = if who == 2 { ('t', 'T') } else { ('s', 'S') };
            let last = match (special, bits & 1 != 0) {
                (true, true) => with,
                (true, false) => without,
                (false, true) => 'x',
                (false, false) => '-',
            };
            [if bits & 4 != 0 { 'r' } else { '-' }, if bits & 2 != 0 { 'w' } else { '-' }, last]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_as_ls_shows_them() {
        for (mode, text) in [(0o755, "rwxr-xr-x"), (0o7777, "rwsrwsrwt"), (0o7000, "--S--S--T"), (0o640, "rw-r-----")] {
            assert_eq!(permissions(mode), text);
        }
    }

    #[test]
    fn what_is_no_escape_is_text() {
        let escape = |letter, width, left, groups| Part::Escape { letter, width, left, groups };
        for (text, parts) in [
            (&b"%n"[..], vec![escape(b'n', 0, false, 0)]),
            (b"a%%b%5|%z%", vec![Part::Text(b"a%b%5|%z%".to_vec())]),
            (b"%-10n%'l", vec![escape(b'n', 10, true, 0), escape(b'l', 0, false, 1)]),
            (b"%99999999999999999999n", vec![escape(b'n', MAX_WIDTH, false, 0)]),
            (b"", vec![]),
        ] {
            assert_eq!(Format::new(text), Format { parts });
        }
        assert!(Format::new(b"%o %n").has(b"io") && !Format::new(b"%%i").has(b"io"));
    }
}
