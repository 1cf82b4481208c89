//! How names are written for people: bytes that would confuse a terminal or a reader of lines become `\#ooo`.

/// Which bytes of a name are written as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Escape {
    /// Valid UTF-8 passes, for locales that use it.
    #[default]
    Utf8,
    /// Only ASCII passes.
    Ascii,
    /// Every byte above ASCII passes.
    Bytes,
    /// Everything passes: whoever prints it escapes it. So that a name stays in its line, the end of a line in it is a NUL, which
    /// no name has, until the lines are parted.
    Wire,
}

impl Escape {
    /// Appends `name` to `out`. Control bytes but the tab, bytes outside the character set, and a backslash that would
    /// itself read as an escape are written as a backslash, `#` and three octal digits.
    pub fn push(self, out: &mut Vec<u8>, name: &[u8]) {
        if name.iter().all(|&b| matches!(b, 0x20..0x80) && b != b'\\') {
            out.extend_from_slice(name);
            return;
        }
        match self {
            Escape::Ascii => push_run(out, name, false),
            Escape::Bytes => push_run(out, name, true),
            Escape::Wire => out.extend(name.iter().map(|&b| if b == b'\n' { 0 } else { b })),
            Escape::Utf8 => {
                for chunk in name.utf8_chunks() {
                    push_run(out, chunk.valid().as_bytes(), true);
                    push_run(out, chunk.invalid(), false);
                }
            }
        }
    }
}

/// The lines of a `text` that was made with [`Escape::Wire`], each as it was meant and with its end.
pub(crate) fn as_messages(text: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let meant = |line: &[u8]| -> Vec<u8> { line.iter().map(|&b| if b == 0 { b'\n' } else { b }).collect() };
    text.split_inclusive(|&b| b == b'\n').map(meant)
}

/// Such a text as a log file has it: only control bytes are escaped.
pub(crate) fn as_file(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for line in as_messages(text) {
        let (line, end) = line.strip_suffix(b"\n").map_or((&line[..], &b""[..]), |line| (line, b"\n"));
        Escape::Bytes.push(&mut out, line);
        out.extend_from_slice(end);
    }
    out
}

/// A line for a log file: as in rsync's, bytes above ASCII stand there as they are, whatever the locale. What is already an
/// escape in a name has been escaped itself, so that nothing else is taken for one.
pub fn as_logged(line: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some((&first, behind)) = rest.split_first() {
        match rest {
            [b'\\', b'#', a @ b'2'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', behind @ ..] => {
                out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = behind;
            }
            _ => {
                out.push(first);
                rest = behind;
            }
        }
    }
    out
}

fn push_run(out: &mut Vec<u8>, bytes: &[u8], valid: bool) {
    for (i, &b) in bytes.iter().enumerate() {
        let reads_as_escape = b == b'\\'
            && bytes.get(i + 1) == Some(&b'#')
            && bytes.get(i + 2..i + 5).is_some_and(|d| d.iter().all(u8::is_ascii_digit));
        if (b < 0x20 && b != b'\t') || (b >= 0x80 && !valid) || reads_as_escape {
            out.extend_from_slice(&[b'\\', b'#', b'0' + (b >> 6), b'0' + ((b >> 3) & 7), b'0' + (b & 7)]);
        } else {
            out.push(b);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Escape, as_file, as_logged, as_messages};

    fn escaped(escape: Escape, name: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        escape.push(&mut out, name);
        out
    }

    #[test]
    fn what_stock_rsync_prints_for_odd_names() {
        for (name, utf8) in [
            (&b"a b\t"[..], &b"a b\t"[..]),
            (b"new\nline", b"new\\#012line"),
            (b"\xff\xfe", b"\\#377\\#376"),
            (b"\\#012x", b"\\#134#012x"),
            (b"\\#01", b"\\#01"),
            (b"back\\slash", b"back\\slash"),
            ("äö".as_bytes(), "äö".as_bytes()),
            (b"\xed\xa0\x80", b"\\#355\\#240\\#200"),
            (b"\x7f", b"\x7f"),
        ] {
            assert_eq!(escaped(Escape::Utf8, name), utf8);
        }
        assert_eq!(escaped(Escape::Bytes, b"\xff\n"), b"\xff\\#012");
        assert_eq!(escaped(Escape::Ascii, "é".as_bytes()), b"\\#303\\#251");
    }

    #[test]
    fn names_travel_as_they_are() {
        let name = b"a\nb\\#012\xff\x01";
        let text = [&escaped(Escape::Wire, name)[..], b"\nrest\n"].concat();
        assert!(as_messages(&text).eq([[&name[..], b"\n"].concat(), b"rest\n".to_vec()]));
        assert_eq!(as_file(&text), [&escaped(Escape::Bytes, name)[..], b"\nrest\n"].concat());
    }

    #[test]
    fn a_log_has_what_other_locales_escape() {
        for name in [&b"a b"[..], "\u{e4}".as_bytes(), b"\xff\n\\#303", b"\\#2", b"\x80\\#377x"] {
            for escape in [Escape::Utf8, Escape::Ascii, Escape::Bytes] {
                assert_eq!(as_logged(&escaped(escape, name)), escaped(Escape::Bytes, name), "{escape:?} {name:?}");
            }
        }
    }
}
