//! Which names take part: include and exclude rules, the first that matches decides, and what no rule matches is in.

use crate::wildmatch::Pattern;

/// Rules in the order in which they were given.
#[derive(Clone, Debug, Default)]
pub struct Filters {
    rules: Vec<Rule>,
}

/// One include or exclude rule.
#[derive(Clone, Debug)]
pub struct Rule {
    include: bool,
    /// As given, for messages.
    text: Vec<u8>,
    only_dirs: bool,
    /// Matches the directory itself, too, as if its path ended in a slash: ends in three stars, as `dir/***` does.
    with_dir: bool,
    scope: Scope,
    matcher: Matcher,
}

/// Which part of a path the pattern is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// The whole path: the pattern began with a slash, or contains `**`.
    Whole,
    /// The last so many components.
    Tail(usize),
    /// The whole path with a slash before it: the pattern begins with `**`.
    Slashed,
}

#[derive(Clone, Debug)]
enum Matcher {
    Literal(Vec<u8>),
    Wild(Pattern),
    /// Contains `**` and is no anchored one: matches from any component on.
    Tail(Pattern),
}

/// A rule has a sign and no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmptyRule;

impl std::fmt::Display for EmptyRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("unexpected end of filter rule")
    }
}

impl std::error::Error for EmptyRule {}

impl Filters {
    /// Adds the argument of `--include` or `--exclude`. A leading `+ ` or `- ` overrides `include`; `!` alone drops the
    /// rules before it; an empty pattern adds nothing.
    ///
    /// # Errors
    /// [`EmptyRule`] for a sign without a pattern behind it.
    pub fn push(&mut self, include: bool, argument: &[u8]) -> Result<(), EmptyRule> {
        let (include, pattern) = match argument {
            b"!" => {
                self.rules.clear();
                return Ok(());
            }
            b"+ " | b"- " => return Err(EmptyRule),
            [b'+', b' ', pattern @ ..] => (true, pattern),
            [b'-', b' ', pattern @ ..] => (false, pattern),
            pattern => (include, pattern),
        };
        if !pattern.is_empty() {
            self.rules.push(Rule::new(include, pattern));
        }
        Ok(())
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The first rule that matches `path` (relative to the root of the transfer, without slashes at its ends), if any.
    pub fn first(&self, path: &[u8], is_dir: bool) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.matches(path, is_dir))
    }
}

impl Rule {
    /// Reads a pattern.
    pub fn new(include: bool, pattern: &[u8]) -> Self {
        let text = pattern.to_vec();
        let (only_dirs, pattern) = match pattern {
            [head @ .., b'/'] if !head.is_empty() => (true, head),
            _ => (false, pattern),
        };
        let wild = pattern.iter().any(|b| b"*?[".contains(b));
        let crosses = pattern.windows(2).any(|pair| pair == b"**");
        let with_dir = pattern.ends_with(b"***");
        let floats = crosses && !pattern.starts_with(b"/") && !pattern.starts_with(b"**");
        let (scope, pattern) = match pattern {
            [b'/', tail @ ..] => (Scope::Whole, tail),
            _ if pattern.starts_with(b"**") => (Scope::Slashed, pattern),
            _ if crosses => (Scope::Whole, pattern),
            _ => (Scope::Tail(1 + pattern.iter().filter(|&&b| b == b'/').count()), pattern),
        };
        let matcher = if floats {
            Matcher::Tail(Pattern::new(pattern))
        } else if wild {
            Matcher::Wild(Pattern::new(pattern))
        } else {
            Matcher::Literal(pattern.to_vec())
        };
        Rule { include, text, only_dirs, with_dir, scope, matcher }
    }

    /// Whether it lets in what it matches.
    pub fn includes(&self) -> bool {
        self.include
    }

    /// The rule as it was given.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    fn matches(&self, path: &[u8], is_dir: bool) -> bool {
        if self.only_dirs && !is_dir {
            return false;
        }
        let slashed;
        let path = match (self.scope, self.with_dir && is_dir) {
            (Scope::Slashed, dir) => {
                slashed = [&b"/"[..], path, if dir { b"/" } else { b"" }].concat();
                &slashed
            }
            (_, true) => {
                slashed = [path, b"/"].concat();
                &slashed
            }
            (_, false) => path,
        };
        match self.scope {
            Scope::Whole | Scope::Slashed => self.matcher.matches(path),
            Scope::Tail(components) => {
                let mut starts = (0..=path.len()).rev().filter(|&at| at == 0 || path[at - 1] == b'/');
                // What has fewer components than the pattern does not match, although a class with a slash in it could.
                let tail = starts.nth(components - 1);
                tail.is_some_and(|at| self.matcher.matches(&path[at..]))
            }
        }
    }
}

impl Matcher {
    fn matches(&self, text: &[u8]) -> bool {
        match self {
            Matcher::Literal(literal) => literal == text,
            Matcher::Wild(pattern) => pattern.matches(text),
            Matcher::Tail(pattern) => pattern.matches_a_tail(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Filters;

    fn excluded(rules: &[&str], path: &str, is_dir: bool) -> bool {
        let mut filters = Filters::default();
        rules.iter().for_each(|rule| filters.push(false, rule.as_bytes()).unwrap());
        filters.first(path.as_bytes(), is_dir).is_some_and(|rule| !rule.includes())
    }

    #[test]
    fn anchors_tails_directories_and_first_match() {
        assert!(excluded(&["*.o"], "a/b.o", false));
        assert!(excluded(&["/a"], "a", true) && !excluded(&["/a"], "b/a", true));
        assert!(excluded(&["a/b"], "x/a/b", false) && !excluded(&["a/b"], "xa/b", false));
        assert!(excluded(&["a/"], "a", true) && !excluded(&["a/"], "a", false));
        assert!(excluded(&["+ a", "*"], "b", false) && !excluded(&["+ a", "*"], "a", false));
        assert!(excluded(&["a/***"], "a", true) && excluded(&["a/***"], "x/a/b/c", false));
        assert!(!excluded(&["a/***"], "a", false));
        assert!(excluded(&["a/*****"], "a", true) && excluded(&["a/*****/"], "x/a", true));
        assert!(excluded(&["**/a"], "a", false) && excluded(&["**/a"], "b/c/a", false));
        assert!(excluded(&["a**b"], "x/a/c/b", false) && !excluded(&["a**b"], "xa/c/b", false));
        assert!(!excluded(&["a", "!"], "a", false));
        // As stock rsync counts components: also the slashes in a class.
        assert!(!excluded(&["[a/b]"], "a", false) && excluded(&["/[a/b]"], "a", false));
    }

    #[test]
    fn one_pass_tries_every_tail_of_a_path() {
        let rule = format!("a{}b", "**/a".repeat(500));
        assert!(!excluded(&[&rule], &"a/".repeat(2048), false));
    }
}
