//! The words of a filter.

use std::fmt;

use crate::table::TableError;

/// A word, and where it begins: the first character is 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) at: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A bare word: a keyword or a column.
    Word(String),
    /// A column in double quotes.
    Column(String),
    /// In single quotes.
    Text(String),
    Number(String),
    Compare(Compare),
    Open,
    Close,
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) | Self::Number(word) => f.write_str(word),
            Self::Column(name) => write!(f, "\"{name}\""),
            Self::Text(text) => write!(f, "'{text}'"),
            Self::Compare(_) => f.write_str("a comparison"),
            Self::Open => f.write_str("("),
            Self::Close => f.write_str(")"),
            Self::End => f.write_str("the end"),
        }
    }
}

/// Splits `text` into words; the last is the end.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, TableError> {
    let mut lexer = Lexer { rest: text, at: 1 };
    let mut tokens = Vec::new();
    loop {
        let token = lexer.next_token()?;
        let ended = token.kind == Kind::End;
        tokens.push(token);
        if ended {
            return Ok(tokens);
        }
    }
}

struct Lexer<'t> {
    rest: &'t str,
    at: usize,
}

impl Lexer<'_> {
    fn next_token(&mut self) -> Result<Token, TableError> {
        self.take_while(char::is_whitespace);
        let at = self.at;
        let Some(first) = self.rest.chars().next() else { return Ok(Token { kind: Kind::End, at }) };
        let kind = match first {
            '(' => self.symbol(1, Kind::Open),
            ')' => self.symbol(1, Kind::Close),
            '"' => Kind::Column(self.quoted(first)?),
            '\'' => Kind::Text(self.quoted(first)?),
            '=' | '<' | '>' | '!' => self.compare()?,
            '+' | '-' | '.' | '0'..='9' => self.number(),
            _ if is_word(first) => Kind::Word(self.take_while(is_word)),
            _ => return Err(error(at, format!("{} is not expected here", first.escape_debug()))),
        };
        Ok(Token { kind, at })
    }

    fn symbol(&mut self, chars: usize, kind: Kind) -> Kind {
        self.skip(chars);
        kind
    }

    fn compare(&mut self) -> Result<Kind, TableError> {
        const ALL: [(&str, Compare); 8] = [
            ("==", Compare::Equal),
            ("=", Compare::Equal),
            ("!=", Compare::NotEqual),
            ("<>", Compare::NotEqual),
            ("<=", Compare::LessOrEqual),
            ("<", Compare::Less),
            (">=", Compare::GreaterOrEqual),
            (">", Compare::Greater),
        ];
        match ALL.iter().find(|(symbol, _)| self.rest.starts_with(symbol)) {
            Some((symbol, compare)) => Ok(self.symbol(symbol.len(), Kind::Compare(*compare))),
            None => Err(error(self.at, "! is followed by = or not used: NOT negates".to_owned())),
        }
    }

    /// A number, or a sign and a word: `-inf`. Whether it is one is seen when it is compared.
    fn number(&mut self) -> Kind {
        let mut before = None;
        Kind::Number(self.take_while(|c| {
            let sign = matches!(c, '+' | '-') && matches!(before, None | Some('e' | 'E'));
            before = Some(c);
            sign || is_word(c)
        }))
    }

    /// What stands between two `quote`s; two of them within are one.
    fn quoted(&mut self, quote: char) -> Result<String, TableError> {
        let begin = self.at;
        self.skip(1);
        let mut text = String::new();
        loop {
            text += &self.take_while(|c| c != quote);
            if self.rest.is_empty() {
                return Err(error(begin, format!("{quote} is not closed")));
            }
            self.skip(1);
            if !self.rest.starts_with(quote) {
                return Ok(text);
            }
            self.skip(1);
            text.push(quote);
        }
    }

    fn take_while(&mut self, mut wanted: impl FnMut(char) -> bool) -> String {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.at += taken.chars().count();
        self.rest = rest;
        taken.to_owned()
    }

    fn skip(&mut self, chars: usize) {
        self.at += chars;
        let end = self.rest.char_indices().nth(chars).map_or(self.rest.len(), |(at, _)| at);
        self.rest = &self.rest[end..];
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '.'
}

/// The filter is wrong at character `at`.
pub(super) fn error(at: usize, reason: String) -> TableError {
    TableError::Filter { at, reason, unknown: None }
}
