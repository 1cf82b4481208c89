//! Shell-like patterns as rsync's filter rules use them.
//!
//! `*` and `?` and `[..]` stay within a path component, `**` crosses slashes, a backslash takes the next byte
//! literally. Matching steps through the text once and keeps the set of pattern positions that are alive, so its time
//! is at most the product of both lengths, whatever the pattern.

/// A compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<Token>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// This byte.
    Byte(u8),
    /// Any byte but a slash.
    Any,
    /// One of these bytes; never a slash.
    Class(Box<[bool; 256]>),
    /// Any run of bytes but slashes.
    Star,
    /// Any run of bytes.
    Everything,
    /// No byte at all: what an unterminated class matches.
    Nothing,
}

impl Pattern {
    /// Compiles `text`; every byte string is a pattern.
    pub(crate) fn new(text: &[u8]) -> Self {
        let mut tokens = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some((&byte, mut tail)) = rest.split_first() {
            tokens.push(match byte {
                b'?' => Token::Any,
                b'*' => {
                    let stars = rest.iter().take_while(|&&b| b == b'*').count();
                    tail = &rest[stars..];
                    if stars > 1 { Token::Everything } else { Token::Star }
                }
                b'[' => match class(tail) {
                    Some((set, after)) => {
                        tail = after;
                        Token::Class(set)
                    }
                    None => Token::Nothing,
                },
                b'\\' => match tail.split_first() {
                    Some((&next, after)) => {
                        tail = after;
                        Token::Byte(next)
                    }
                    None => Token::Nothing,
                },
                _ => Token::Byte(byte),
            });
            rest = tail;
        }
        Pattern(tokens)
    }

    /// Whether the whole of `text` matches.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        self.run(text, false)
    }

    /// Whether the whole of `path`, or all that is behind one of its slashes, matches: in one pass over it.
    pub(crate) fn matches_a_tail(&self, path: &[u8]) -> bool {
        self.run(path, true)
    }

    fn run(&self, text: &[u8], any_tail: bool) -> bool {
        let end = self.0.len();
        let mut alive = vec![false; end + 1];
        let mut next = vec![false; end + 1];
        alive[0] = true;
        self.pass_empty_runs(&mut alive);
        for &byte in text {
            next.fill(false);
            let mut any = false;
            for (at, token) in self.0.iter().enumerate().filter(|&(at, _)| alive[at]) {
                let (stays, moves) = match token {
                    Token::Byte(b) => (false, *b == byte),
                    Token::Any => (false, byte != b'/'),
                    Token::Class(set) => (false, set[usize::from(byte)]),
                    Token::Star => (byte != b'/', false),
                    Token::Everything => (true, false),
                    Token::Nothing => (false, false),
                };
                next[at] |= stays;
                next[at + 1] |= moves;
                any |= stays || moves;
            }
            if any_tail && byte == b'/' {
                next[0] = true;
            } else if !any && !any_tail {
                return false;
            }
            self.pass_empty_runs(&mut next);
            std::mem::swap(&mut alive, &mut next);
        }
        alive[end]
    }

    /// A star may match nothing: what waits before it also waits behind it.
    fn pass_empty_runs(&self, alive: &mut [bool]) {
        for (at, token) in self.0.iter().enumerate() {
            if alive[at] && matches!(token, Token::Star | Token::Everything) {
                alive[at + 1] = true;
            }
        }
    }
}

/// Reads a class behind its opening bracket: the bytes it takes, and what follows the closing bracket.
fn class(text: &[u8]) -> Option<(Box<[bool; 256]>, &[u8])> {
    let mut set = Box::new([false; 256]);
    let (negated, mut rest) = match text.split_first() {
        Some((b'!' | b'^', tail)) => (true, tail),
        _ => (false, text),
    };
    let mut first = true;
    let mut before: Option<u8> = None;
    loop {
        let (&byte, tail) = rest.split_first()?;
        match byte {
            b']' if !first => {
                rest = tail;
                break;
            }
            b'[' if tail.first() == Some(&b':') => {
                let close = tail.iter().position(|&b| b == b']')?;
                if close >= 2 && tail[close - 1] == b':' {
                    let member = named_class(&tail[1..close - 1])?;
                    (0..=255u8).filter(member).for_each(|b| set[usize::from(b)] = true);
                    rest = &tail[close + 1..];
                    before = None;
                } else {
                    set[usize::from(b'[')] = true;
                    before = Some(b'[');
                    rest = tail;
                }
            }
            b'-' if before.is_some() && tail.first().is_some_and(|&b| b != b']') => {
                let (last, tail) = literal(tail)?;
                for b in before.unwrap_or(last)..=last {
                    set[usize::from(b)] = true;
                }
                before = None;
                rest = tail;
            }
            _ => {
                let (b, tail) = literal(rest)?;
                set[usize::from(b)] = true;
                before = Some(b);
                rest = tail;
            }
        }
        first = false;
    }
    if negated {
        set.iter_mut().for_each(|member| *member = !*member);
    }
    set[usize::from(b'/')] = false;
    Some((set, rest))
}

/// A byte, or the one that a backslash protects.
fn literal(text: &[u8]) -> Option<(u8, &[u8])> {
    match text.split_first()? {
        (b'\\', tail) => tail.split_first().map(|(&b, tail)| (b, tail)),
        (&b, tail) => Some((b, tail)),
    }
}

fn named_class(name: &[u8]) -> Option<fn(&u8) -> bool> {
    Some(match name {
        b"alnum" => u8::is_ascii_alphanumeric,
        b"alpha" => u8::is_ascii_alphabetic,
        b"blank" => |&b| b == b' ' || b == b'\t',
        b"cntrl" => u8::is_ascii_control,
        b"digit" => u8::is_ascii_digit,
        b"graph" => u8::is_ascii_graphic,
        b"lower" => u8::is_ascii_lowercase,
        b"print" => |&b| b == b' ' || b.is_ascii_graphic(),
        b"punct" => u8::is_ascii_punctuation,
        b"space" => |&b| b.is_ascii_whitespace() || b == 0x0b,
        b"upper" => u8::is_ascii_uppercase,
        b"xdigit" => u8::is_ascii_hexdigit,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn stars_classes_and_escapes() {
        for (pattern, text, expected) in [
            ("*.o", "a.o", true),
            ("*.o", "a/b.o", false),
            ("**.o", "a/b.o", true),
            ("a?c", "a/c", false),
            ("a[!b]c", "a/c", false),
            ("[]-]", "]", true),
            ("[]-]", "-", true),
            ("[a-c]x", "bx", true),
            ("[[:digit:][:upper:]]", "Q", true),
            ("[[:digit:]", "5", false),
            ("[\\]]", "]", true),
            ("[c-a]", "b", false),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("a**/b", "a/b", true),
            ("a**/b", "ab", false),
            ("*", "", true),
            ("[", "[", false),
            ("\\", "\\", false),
        ] {
            assert_eq!(Pattern::new(pattern.as_bytes()).matches(text.as_bytes()), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let pattern = Pattern::new("*a".repeat(500).as_bytes());
        assert!(!pattern.matches("a".repeat(499).as_bytes()));
        assert!(!pattern.matches(&[b"a".repeat(4000), b"b".to_vec()].concat()));
    }
}
