//! From the words of a filter to a condition. By recursive descent, of bounded depth.

use std::collections::BTreeSet;

use arrow::datatypes::{Field, Schema};

use super::Condition;
use super::compare::{Literal, Test};
use super::lex::{Kind, Token, error, tokens};
use crate::table::TableError;

/// The deepest nesting of parentheses.
const DEEPEST: usize = 100;

/// Most columns that an error names.
const NAMED: usize = 10;

/// The condition that `text` is, and the columns in it.
pub(super) fn parse(text: &str, schema: &Schema) -> Result<(Condition, Vec<usize>), TableError> {
    let mut tokens = tokens(text)?.into_iter();
    // There is always the end.
    let next = tokens.next().unwrap_or(Token { kind: Kind::End, at: 1 });
    let mut parser = Parser { next, rest: tokens, schema, columns: BTreeSet::new(), depth: 0 };
    let condition = parser.any()?;
    if parser.next.kind != Kind::End {
        return Err(parser.expected("AND, OR or the end"));
    }
    Ok((condition, parser.columns.into_iter().collect()))
}

struct Parser<'s> {
    next: Token,
    rest: std::vec::IntoIter<Token>,
    schema: &'s Schema,
    columns: BTreeSet<usize>,
    /// Open parentheses.
    depth: usize,
}

impl Parser<'_> {
    fn any(&mut self) -> Result<Condition, TableError> {
        let mut parts = vec![self.all()?];
        while self.keyword("or") {
            parts.push(self.all()?);
        }
        Ok(one_or(parts, Condition::Any))
    }

    fn all(&mut self) -> Result<Condition, TableError> {
        let mut parts = vec![self.not()?];
        while self.keyword("and") {
            parts.push(self.not()?);
        }
        Ok(one_or(parts, Condition::All))
    }

    fn not(&mut self) -> Result<Condition, TableError> {
        let mut negated = false;
        while self.keyword("not") {
            negated = !negated;
        }
        let part = if self.next.kind == Kind::Open { self.parentheses()? } else { self.test()? };
        Ok(if negated { Condition::Not(Box::new(part)) } else { part })
    }

    fn parentheses(&mut self) -> Result<Condition, TableError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(error(self.next.at, format!("nested deeper than {DEEPEST} levels")));
        }
        self.advance();
        let condition = self.any()?;
        if self.next.kind != Kind::Close {
            return Err(self.expected("AND, OR or )"));
        }
        self.advance();
        self.depth -= 1;
        Ok(condition)
    }

    fn test(&mut self) -> Result<Condition, TableError> {
        let field = self.column()?;
        let name = field.name().clone();
        if self.keyword("is") {
            let negated = self.keyword("not");
            if !self.keyword("null") {
                return Err(self.expected("NULL"));
            }
            return Ok(if negated { Condition::IsNotNull(name) } else { Condition::IsNull(name) });
        }
        let Kind::Compare(compare) = self.next.kind else {
            return Err(self.expected("a comparison or IS"));
        };
        self.advance();
        let Token { kind, at } = self.advance();
        let literal = match kind {
            Kind::Number(number) => Literal::Number(number),
            Kind::Text(text) => Literal::Text(text),
            Kind::Word(word) => match word.to_ascii_lowercase().as_str() {
                "true" => Literal::Boolean(true),
                "false" => Literal::Boolean(false),
                "nan" | "inf" | "infinity" => Literal::Number(word),
                "null" => return Err(error(at, "compare with null by IS NULL".to_owned())),
                _ => return Err(error(at, format!("{word} is no value; strings are in single quotes: '{word}'"))),
            },
            Kind::Column(name) => {
                return Err(error(at, format!("\"{name}\" is no value; strings are in single quotes: '{name}'")));
            }
            kind => return Err(error(at, format!("a value is expected here, not {kind}"))),
        };
        let test = Test::new(&field, compare, &literal).map_err(|reason| error(at, reason))?;
        Ok(Condition::Compare(name, test))
    }

    fn column(&mut self) -> Result<Field, TableError> {
        const KEYWORDS: [&str; 5] = ["and", "or", "not", "is", "null"];
        let name = match &self.next.kind {
            Kind::Word(word) if !KEYWORDS.iter().any(|keyword| word.eq_ignore_ascii_case(keyword)) => word.clone(),
            Kind::Column(name) => name.clone(),
            _ => return Err(self.expected("a column")),
        };
        let Ok(place) = self.schema.index_of(&name) else {
            let names: Vec<_> = self.schema.fields().iter().take(NAMED).map(|field| field.name().as_str()).collect();
            let more = if self.schema.fields().len() > NAMED { ", ..." } else { "" };
            let reason = format!("there is no column {name}; there are {}{more}", names.join(", "));
            return Err(TableError::Filter { at: self.next.at, reason, unknown: Some(name) });
        };
        self.columns.insert(place);
        self.advance();
        Ok(self.schema.field(place).clone())
    }

    /// Takes the next word if it is `keyword`.
    fn keyword(&mut self, keyword: &str) -> bool {
        let is_next = matches!(&self.next.kind, Kind::Word(word) if word.eq_ignore_ascii_case(keyword));
        if is_next {
            self.advance();
        }
        is_next
    }

    fn advance(&mut self) -> Token {
        let end = Token { kind: Kind::End, at: self.next.at };
        std::mem::replace(&mut self.next, self.rest.next().unwrap_or(end))
    }

    fn expected(&self, what: &str) -> TableError {
        error(self.next.at, format!("{what} is expected here, not {}", self.next.kind))
    }
}

fn one_or(mut parts: Vec<Condition>, join: fn(Vec<Condition>) -> Condition) -> Condition {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        last => {
            parts.extend(last);
            join(parts)
        }
    }
}
