//! The text of one filter rule: what it is, its modifiers, and what they apply to.

use super::FilterError;

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Include,
    Exclude,
    /// Reads a file once, where the rule stands.
    Merge,
    /// Names a file that is looked for in each directory.
    DirMerge,
    /// Drops the rules before it.
    Clear,
}

/// Which decisions a rule takes part in: what is sent, and what is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sides {
    pub(super) sender: bool,
    pub(super) receiver: bool,
}

impl Sides {
    /// Whether the rule says anything of sides. One that does not counts for both, but with `--delete-excluded`.
    pub(super) fn given(self) -> bool {
        self.sender || self.receiver
    }
}

/// The letters between a rule's sign and its pattern. Those of a merge rule are where the rules of its file begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Modifiers {
    /// `/`: held against the absolute path.
    pub(super) absolute: bool,
    /// `!`: takes effect where the pattern does not match.
    pub(super) negated: bool,
    /// `C`: CVS's own patterns, or a file that is read as CVS reads it.
    pub(super) cvs: bool,
    pub(super) sides: Sides,
    /// `p`: passed over in directories that are being deleted.
    pub(super) perishable: bool,
    /// `x`: for names of extended attributes, and none else.
    pub(super) xattr: bool,
    /// `+` and `-`: the file has only patterns, of this sign.
    pub(super) only: Option<bool>,
    /// `e`: the file itself is excluded.
    pub(super) hides_file: bool,
    /// `n`: not for the directories below.
    pub(super) not_inherited: bool,
    /// `w`: the file is split at white space.
    pub(super) words: bool,
}

impl Modifiers {
    /// The letters as they are told to another machine, which sends or receives; `None` if the rule is not for that side.
    pub(super) fn told(&self, to_sender: bool) -> Option<Vec<u8>> {
        let Sides { sender, receiver } = self.sides;
        if self.sides.given() && !(if to_sender { sender } else { receiver }) {
            return None;
        }
        let only = self.only.map(|include| if include { b'+' } else { b'-' });
        let letters = [
            (self.absolute, b'/'),
            (self.negated, b'!'),
            (self.cvs, b'C'),
            (self.not_inherited && !self.cvs, b'n'),
            (self.words && !self.cvs, b'w'),
            (only.is_some() && !self.cvs, only.unwrap_or_default()),
            (self.hides_file, b'e'),
            (self.xattr, b'x'),
            (sender, b's'),
            (receiver, b'r'),
            (self.perishable, b'p'),
        ];
        Some(letters.into_iter().filter(|(on, _)| *on).map(|(_, letter)| letter).collect())
    }
}

/// A rule's text, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parsed<'t> {
    pub(super) kind: Kind,
    pub(super) modifiers: Modifiers,
    /// The pattern or the name of a file.
    pub(super) argument: &'t [u8],
}

/// How the rules of a file, or of an option, are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// `--filter`: a rule begins with its name or letter.
    Full,
    /// `--include` and `--exclude`: a pattern, with `+ ` or `- ` before it at most; a lone `!` clears.
    Simple(bool),
    /// A merge file with `-` or `+`: a pattern and nothing else. In CVS's files a lone `!` clears.
    Plain { include: bool, clears: bool },
}

/// Takes one rule apart. `within` are the modifiers of the file that it is from; `origin` stands for the rule in errors.
/// `None`: it adds nothing.
pub(super) fn parse<'t>(
    text: &'t [u8],
    style: Style,
    within: Modifiers,
    origin: &Origin<'_>,
) -> Result<Option<Parsed<'t>>, FilterError> {
    let inherited = Modifiers {
        absolute: within.absolute,
        sides: within.sides,
        perishable: within.perishable,
        xattr: within.xattr,
        ..Modifiers::default()
    };
    let sign = |include| if include { Kind::Include } else { Kind::Exclude };
    let pattern = |include, argument| Parsed { kind: sign(include), modifiers: inherited, argument };
    let clear = Parsed { kind: Kind::Clear, modifiers: inherited, argument: &text[..0] };
    let unexpected_end = || origin.error("unexpected end of filter rule: ", text);
    let parsed = match style {
        _ if text.is_empty() => return Ok(None),
        Style::Plain { clears: true, .. } | Style::Simple(_) if text == b"!" => clear,
        Style::Plain { include, .. } => pattern(include, text),
        Style::Simple(include) => match text {
            b"+ " | b"- " => return Err(unexpected_end()),
            [b'+', b' ', rest @ ..] => pattern(true, rest),
            [b'-', b' ', rest @ ..] => pattern(false, rest),
            rest => pattern(include, rest),
        },
        Style::Full => {
            let Some((name, at)) = name(text) else {
                return Err(origin.error("Unknown filter rule: ", text));
            };
            if name == Name::Clear {
                if at < text.len() {
                    return Err(origin.error("'!' rule has trailing characters: ", text));
                }
                return Ok(Some(clear));
            }
            let (modifiers, end) = modifiers(text, at, name, inherited, origin)?;
            let argument = text.get(end + 1..).unwrap_or_default();
            let kind = match name {
                Name::Merge => Kind::Merge,
                Name::DirMerge => Kind::DirMerge,
                Name::Include | Name::Show | Name::Risk => Kind::Include,
                _ => Kind::Exclude,
            };
            let argument = match kind {
                Kind::Merge | Kind::DirMerge if argument.is_empty() && modifiers.cvs => b".cvsignore",
                _ if argument.is_empty() && !modifiers.cvs => return Err(unexpected_end()),
                _ => argument,
            };
            Parsed { kind, modifiers, argument }
        }
    };
    Ok(Some(parsed))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    Include,
    Exclude,
    Merge,
    DirMerge,
    Hide,
    Show,
    Protect,
    Risk,
    Clear,
}

const NAMES: [(&[u8], u8, Name); 9] = [
    (b"include", b'+', Name::Include),
    (b"exclude", b'-', Name::Exclude),
    (b"merge", b'.', Name::Merge),
    (b"dir-merge", b':', Name::DirMerge),
    (b"hide", b'H', Name::Hide),
    (b"show", b'S', Name::Show),
    (b"protect", b'P', Name::Protect),
    (b"risk", b'R', Name::Risk),
    (b"clear", b'!', Name::Clear),
];

/// The rule's name and where its modifiers begin.
fn name(text: &[u8]) -> Option<(Name, usize)> {
    for (long, short, name) in NAMES {
        if text.first() == Some(&short) {
            let comma = name != Name::Clear && text.get(1) == Some(&b',');
            return Some((name, 1 + usize::from(comma)));
        }
        if let Some(rest) = text.strip_prefix(long) {
            match rest.first() {
                Some(b',') if name != Name::Clear => return Some((name, long.len() + 1)),
                None | Some(b' ' | b'_' | b',') => return Some((name, long.len())),
                Some(_) => {}
            }
        }
    }
    None
}

/// Reads the letters from `at` on; returns where they end.
fn modifiers(
    text: &[u8],
    at: usize,
    name: Name,
    inherited: Modifiers,
    origin: &Origin<'_>,
) -> Result<(Modifiers, usize), FilterError> {
    let merges = matches!(name, Name::Merge | Name::DirMerge);
    let own_side = match name {
        Name::Hide | Name::Show => Some(Sides { sender: true, receiver: false }),
        Name::Protect | Name::Risk => Some(Sides { sender: false, receiver: true }),
        _ => None,
    };
    let mut sides = own_side.unwrap_or_default();
    let mut all = inherited;
    let mut end = at;
    while let Some(&letter) = text.get(end).filter(|&&b| b != b' ' && b != b'_') {
        match letter {
            b'/' => all.absolute = true,
            b'!' if !merges => all.negated = true,
            b'p' => all.perishable = true,
            b'x' => all.xattr = true,
            b's' if own_side.is_none() => sides.sender = true,
            b'r' if own_side.is_none() => sides.receiver = true,
            b'C' if all.only.is_none() => {
                all.cvs = true;
                if merges {
                    (all.only, all.not_inherited, all.words) = (Some(false), true, true);
                }
            }
            b'+' | b'-' if merges && all.only.is_none() => all.only = Some(letter == b'+'),
            b'e' if merges => all.hides_file = true,
            b'n' if merges => all.not_inherited = true,
            b'w' if merges => all.words = true,
            _ => return Err(origin.invalid_modifier(text, end)),
        }
        end += 1;
    }
    if sides.given() {
        if inherited.sides.given() {
            return Err(origin.error("specified-side merge file contains specified-side filter: ", text));
        }
        all.sides = sides;
    }
    Ok((all, end))
}

/// Where a rule is from, for what is said of it. Of a file's content nothing is repeated.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin<'o> {
    Argument,
    /// The file as it was opened, and the line, where it has lines.
    File(&'o [u8], Option<usize>),
}

impl Origin<'_> {
    /// What stands for the rule `text`.
    pub(super) fn show(&self, text: &[u8]) -> Vec<u8> {
        match self {
            Origin::Argument => text.to_vec(),
            Origin::File(name, line) => {
                let line = line.map(|line| format!(" line {line}")).unwrap_or_default();
                [b"<rule from ", *name, line.as_bytes(), b">"].concat()
            }
        }
    }

    fn error(&self, what: &str, text: &[u8]) -> FilterError {
        FilterError::Syntax(format!("{what}{}", String::from_utf8_lossy(&self.show(text))))
    }

    fn invalid_modifier(&self, text: &[u8], at: usize) -> FilterError {
        match self {
            Origin::Argument => {
                let letter = char::from(text.get(at).copied().unwrap_or_default());
                self.error(&format!("invalid modifier '{letter}' at position {at} in filter rule: "), text)
            }
            Origin::File(..) => self.error("invalid modifier in filter rule: ", text),
        }
    }
}
