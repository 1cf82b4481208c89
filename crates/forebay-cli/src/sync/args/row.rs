//! One row of the table of options: its names, whether it takes a value, what it sets.

use super::state::State;
use super::value::{Refusal, Value};

/// An option.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// The name behind `--`; a letter alone is its own name.
    long: &'static str,
    short: Option<char>,
    /// More names behind `--`.
    aliases: &'static [&'static str],
    negation: Negation,
    /// Only the receiving side acts on it, so that `-M` may say it on one machine.
    pub(super) receivers: bool,
    pub(super) effect: Effect,
}

/// Which of `--no-LONG` and `--no-SHORT` there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Negation {
    None,
    /// Of the long names alone.
    Long,
    Both,
}

/// What an option does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Effect {
    /// Takes no value; `false` is for its negation.
    Flag(fn(&mut State, bool)),
    /// The same, where it may be refused.
    Check(fn(&mut State, bool) -> Result<(), Refusal>),
    /// Takes a value.
    Value(fn(&mut State, &Value) -> Result<(), Refusal>),
    /// Is rsync's and not here yet: refused by its name. Its negation, which asks for nothing, is accepted.
    Later,
}

/// An option without a value.
pub(super) const fn flag(long: &'static str, set: fn(&mut State, bool)) -> Row {
    Row::new(long, Effect::Flag(set))
}

/// An option without a value that may be refused.
pub(super) const fn check(long: &'static str, set: fn(&mut State, bool) -> Result<(), Refusal>) -> Row {
    Row::new(long, Effect::Check(set))
}

/// An option with a value.
pub(super) const fn value(long: &'static str, set: fn(&mut State, &Value) -> Result<(), Refusal>) -> Row {
    Row::new(long, Effect::Value(set))
}

/// An option without a value that says something of a connection: a copy on one machine has nothing for it to act on,
/// and neither has stock rsync's.
pub(super) const fn remote(long: &'static str) -> Row {
    Row::new(long, Effect::Flag(|_, _| {}))
}

/// The same, with a value that may be anything.
pub(super) const fn remote_value(long: &'static str) -> Row {
    Row::new(long, Effect::Value(|_, _| Ok(())))
}

/// The same, with a number.
pub(super) const fn remote_number(long: &'static str) -> Row {
    Row::new(long, Effect::Value(|_, value| value.number().map(|_| ())))
}

/// An option of rsync's that is not here yet.
pub(super) const fn later(long: &'static str) -> Row {
    Row::new(long, Effect::Later)
}

impl Row {
    const fn new(long: &'static str, effect: Effect) -> Self {
        Row { long, short: None, aliases: &[], negation: Negation::None, receivers: false, effect }
    }

    /// It also has a letter.
    pub(super) const fn short(mut self, letter: char) -> Self {
        self.short = Some(letter);
        self
    }

    /// It also has other long names.
    pub(super) const fn alias(mut self, names: &'static [&'static str]) -> Self {
        self.aliases = names;
        self
    }

    /// There are `--no-LONG` and, if it has a letter, `--no-SHORT`.
    pub(super) const fn no(mut self) -> Self {
        self.negation = Negation::Both;
        self
    }

    /// There is `--no-LONG`, and no `--no-SHORT`.
    pub(super) const fn no_long(mut self) -> Self {
        self.negation = Negation::Long;
        self
    }

    /// It is for the receiving side.
    pub(super) const fn receivers(mut self) -> Self {
        self.receivers = true;
        self
    }

    pub(super) fn has_letter(&self, letter: char) -> bool {
        self.short == Some(letter)
    }

    /// Whether `--name` means this, and if so, whether it is not the negation.
    pub(super) fn has_name(&self, name: &str) -> Option<bool> {
        if self.is_long(name) {
            return Some(true);
        }
        let name = name.strip_prefix("no-")?;
        let mut letters = name.chars();
        let letter = letters.next().filter(|_| letters.next().is_none());
        let negated = match self.negation {
            Negation::None => false,
            Negation::Long => self.is_long(name),
            Negation::Both => self.is_long(name) || letter.is_some_and(|letter| self.has_letter(letter)),
        };
        negated.then_some(false)
    }

    /// Its long names.
    #[cfg(test)]
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.long).chain(self.aliases.iter().copied())
    }

    fn is_long(&self, name: &str) -> bool {
        // A letter alone, as `-D`, has no long name.
        (self.long == name && name.len() > 1) || self.aliases.contains(&name)
    }
}
