//! What holds for filter rules, whatever the rules and the name.

#[path = "busy.rs"]
mod busy;

use std::time::Duration;

use forebay_sync::{Filters, Side};

use self::busy::busy;

/// How long a processor may be busy with one name, with the fuzzer's instrumentation. The product of two lengths of some
/// thousand bytes takes milliseconds; what is worse takes longer.
const LIMIT: Duration = Duration::from_secs(2);

/// `data` is text: excluding rules, one a line, then a name, with a slash at its end if it is a directory's.
pub(crate) fn check(data: &[u8]) {
    let mut lines: Vec<&[u8]> = data.split(|&b| b == b'\n').collect();
    let name = lines.pop().unwrap_or_default();
    let (path, is_dir) = name.strip_suffix(b"/").map_or((name, false), |path| (path, true));

    let mut filters = Filters::default();
    for &line in &lines {
        // What is refused adds nothing, as for the reference.
        assert_eq!(filters.push(false, line).is_err(), matches!(line, b"+ " | b"- "));
    }
    let begun = busy();
    let decision = filters.first(Side::Sender, path, is_dir).map(|rule| rule.includes());
    let took = busy() - begun;
    assert!(took < LIMIT, "{took:?}");

    // The same patterns in full rules that hide: for the sender as above, for the receiver nothing.
    let plain = |line: &[u8]| line != b"!" && !line.starts_with(b"+ ") && !line.starts_with(b"- ");
    if lines.iter().all(|line| plain(line)) {
        let mut hiding = Filters::default();
        for line in lines.iter().filter(|line| !line.is_empty()) {
            assert!(hiding.push_rule(&[b"H ", *line].concat()).is_ok());
        }
        assert_eq!(hiding.first(Side::Sender, path, is_dir).map(|rule| rule.includes()), decision);
        assert!(hiding.first(Side::Receiver, path, is_dir).is_none());
    }
    // Any line as a full rule: refused, or a rule. Those that read files are left out.
    let mut any = Filters::default();
    for line in
        lines.iter().filter(|line| !line.starts_with(b".") && !line.starts_with(b"merge") && !line.contains(&b'C'))
    {
        let _ = any.push_rule(line);
    }
    let begun = busy();
    let _ = (any.first(Side::Sender, path, is_dir), any.first(Side::Receiver, path, is_dir));
    let took = busy() - begun;
    assert!(took < LIMIT, "{took:?}");

    // Others are no paths beneath the root, and the reference takes time and room in proportion to both lengths.
    let is_path = path.split(|&b| b == b'/').all(|part| !part.is_empty());
    if is_path && data.len() <= 1000 {
        assert_eq!(decision, reference(&lines, path, is_dir), "{}", data.escape_ascii());
    }
}

/// The manual page of rsync, word by word: whether the first rule that matches includes.
fn reference(rules: &[&[u8]], path: &[u8], is_dir: bool) -> Option<bool> {
    let since = rules.iter().rposition(|rule| rule == b"!").map_or(0, |at| at + 1);
    rules[since..].iter().find_map(|rule| {
        let (include, pattern) = match rule {
            [sign @ (b'+' | b'-'), b' ', pattern @ ..] => (*sign == b'+', pattern),
            pattern => (false, *pattern),
        };
        (!pattern.is_empty() && rule_matches(pattern, path, is_dir)).then_some(include)
    })
}

fn rule_matches(pattern: &[u8], path: &[u8], is_dir: bool) -> bool {
    // "If the pattern ends with a / then it will only match a directory"
    let (pattern, dirs_only) = match pattern {
        [head @ .., b'/'] if !head.is_empty() => (head, true),
        all => (all, false),
    };
    if dirs_only && !is_dir {
        return false;
    }
    // "a trailing "dir_name/***" will match both the directory and everything in the directory"; stock rsync looks
    // for the three stars only
    let path = [path, if is_dir && pattern.ends_with(b"***") { b"/" } else { b"" }].concat();
    // "a backslash can be used to escape a wildcard character, but it is matched literally when no wildcards are present"
    let matches = |pattern: &[u8], text: &[u8]| {
        if pattern.iter().any(|b| b"*?[".contains(b)) {
            let known = vec![None; (pattern.len() + 1) * (text.len() + 1)];
            Wild { pattern, text, known }.rest_matches(0, 0)
        } else {
            pattern == text
        }
    };
    // "If the pattern starts with a / then it is anchored to a particular spot in the hierarchy of files"
    if let [b'/', anchored @ ..] = pattern {
        return matches(anchored, &path);
    }
    let has_double_star = pattern.windows(2).any(|pair| pair == b"**");
    let slashes = pattern.iter().filter(|&&b| b == b'/').count();
    let starts = || (0..path.len() + 1).filter(|&at| at == 0 || path[at - 1] == b'/');
    if pattern.starts_with(b"**") {
        // It takes a slash before the first component, too.
        return matches(pattern, &[b"/", &path[..]].concat());
    }
    // "then it is matched against the full pathname, including any leading directories" (at its end), "otherwise it is
    // matched only against the final component of the filename"
    if has_double_star {
        return starts().any(|at| matches(pattern, &path[at..]));
    }
    let tail = starts().rev().nth(slashes);
    tail.is_some_and(|at| matches(pattern, &path[at..]))
}

/// Tries everything, and remembers what it has tried.
struct Wild<'a> {
    pattern: &'a [u8],
    text: &'a [u8],
    /// For each place in the pattern and each in the text, whether the rest matches the rest.
    known: Vec<Option<bool>>,
}

impl Wild<'_> {
    fn rest_matches(&mut self, at: usize, place: usize) -> bool {
        let key = at * (self.text.len() + 1) + place;
        if let Some(known) = self.known[key] {
            return known;
        }
        let found = self.try_rest(at, place);
        self.known[key] = Some(found);
        found
    }

    fn try_rest(&mut self, at: usize, place: usize) -> bool {
        let Some(&first) = self.pattern.get(at) else {
            return place == self.text.len();
        };
        let byte = self.text.get(place).copied();
        if first == b'*' {
            let stars = self.pattern[at..].iter().take_while(|&&b| b == b'*').count();
            let takes = byte.is_some_and(|b| b != b'/' || stars > 1);
            return self.rest_matches(at + stars, place) || (takes && self.rest_matches(at, place + 1));
        }
        let Some(byte) = byte else {
            return false;
        };
        let (takes, next) = match first {
            b'?' => (byte != b'/', at + 1),
            b'[' => match class(self.pattern, at + 1, byte) {
                Some((takes, next)) => (takes && byte != b'/', next),
                None => return false,
            },
            b'\\' => (self.pattern.get(at + 1) == Some(&byte), at + 2),
            _ => (first == byte, at + 1),
        };
        takes && self.rest_matches(next, place + 1)
    }
}

/// Whether the class that begins at `at`, behind its bracket, takes `byte`, and where it ends. None if it does not end.
fn class(pattern: &[u8], mut at: usize, byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(pattern.get(at)?, b'!' | b'^');
    at += usize::from(negated);
    let begin = at;
    let (mut takes, mut low) = (false, None);
    while at == begin || *pattern.get(at)? != b']' {
        if pattern[at..].starts_with(b"[:") {
            let end = at + pattern[at..].iter().position(|&b| b == b']')?;
            if end - at >= 3 && pattern[end - 1] == b':' {
                takes |= is(&pattern[at + 2..end - 1], char::from(byte))?;
                (low, at) = (None, end + 1);
                continue;
            }
        }
        let range = low.filter(|_| pattern[at] == b'-' && pattern.get(at + 1).is_some_and(|&b| b != b']'));
        at += usize::from(range.is_some());
        at += usize::from(*pattern.get(at)? == b'\\');
        let high = *pattern.get(at)?;
        takes |= (range.unwrap_or(high)..=high).contains(&byte);
        low = if range.is_some() { None } else { Some(high) };
        at += 1;
    }
    Some((takes != negated, at + 1))
}

fn is(class: &[u8], c: char) -> Option<bool> {
    Some(match class {
        b"alnum" => c.is_ascii_alphanumeric(),
        b"alpha" => c.is_ascii_alphabetic(),
        b"blank" => matches!(c, ' ' | '\t'),
        b"cntrl" => c.is_ascii_control(),
        b"digit" => c.is_ascii_digit(),
        b"graph" => ('!'..='~').contains(&c),
        b"lower" => c.is_ascii_lowercase(),
        b"print" => (' '..='~').contains(&c),
        b"punct" => c.is_ascii_punctuation(),
        b"space" => matches!(c, ' ' | '\t'..='\r'),
        b"upper" => c.is_ascii_uppercase(),
        b"xdigit" => c.is_ascii_hexdigit(),
        _ => return None,
    })
}
