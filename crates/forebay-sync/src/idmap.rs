//! `--usermap`, `--groupmap` and `--chown`: which owner at the destination stands for one of the source.

use std::collections::HashMap;

use crate::wildmatch::Pattern;

/// The mapping of one kind of id. The first rule that matches decides; what none matches stays as it is.
#[derive(Clone, Debug, Default)]
pub struct IdMap {
    rules: Vec<(From, u32)>,
    /// Names of this machine, read if a rule asks for the name of an id.
    names: HashMap<u32, Vec<u8>>,
}

#[derive(Clone, Debug)]
enum From {
    Range(u32, u32),
    /// Also those without a name.
    All,
    Nameless,
    Name(Pattern),
}

/// Whose ids are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids {
    /// `--usermap`
    Users,
    /// `--groupmap`
    Groups,
}

impl Ids {
    fn option(self) -> &'static str {
        match self {
            Ids::Users => "usermap",
            Ids::Groups => "groupmap",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Ids::Users => "/etc/passwd",
            Ids::Groups => "/etc/group",
        }
    }
}

impl IdMap {
    /// Reads `FROM:TO` pairs separated by commas. Unless `numeric`, ids have names that `FROM` can match. Targets that
    /// do not exist are left out, and a line about each is given.
    ///
    /// # Errors
    /// A line that says what cannot be read.
    pub fn parse(ids: Ids, argument: &str, numeric: bool) -> Result<(Self, Vec<String>), String> {
        let option = ids.option();
        let mut map = IdMap::default();
        let mut unknown = Vec::new();
        let entries = entries(ids);
        for pair in argument.split(',') {
            let (from, to) = pair.split_once(':').ok_or_else(|| format!("No colon found in --{option}: {pair}"))?;
            if to.is_empty() {
                return Err(format!("No name found after colon --{option}: {pair}"));
            }
            let number = |text: &str| text.parse().map_err(|_| format!("Invalid number in --{option}: {from}"));
            let from = match from.split_once('-') {
                Some((low, high)) if low.starts_with(|c: char| c.is_ascii_digit()) => {
                    From::Range(number(low)?, number(high)?)
                }
                _ if from.starts_with(|c: char| c.is_ascii_digit()) => From::Range(number(from)?, number(from)?),
                _ if from == "*" => From::All,
                _ if from.is_empty() => From::Nameless,
                _ => From::Name(Pattern::new(from.as_bytes())),
            };
            let to = match to.parse() {
                Ok(id) => Some(id),
                Err(_) => named(&entries, to).or_else(|| ask(ids, to)),
            };
            match to {
                Some(id) => map.rules.push((from, id)),
                None => unknown
                    .push(format!("Unknown --{option} name on receiver: {}", pair.split_once(':').map_or("", |p| p.1))),
            }
        }
        if !numeric && map.rules.iter().any(|(from, _)| matches!(from, From::Name(_) | From::Nameless)) {
            // The first name of an id is the one that counts.
            map.names = names(ids);
        }
        Ok((map, unknown))
    }

    /// The id at the destination that stands for `id`.
    pub(crate) fn map(&self, id: u32) -> u32 {
        self.find(id, self.names.get(&id).map(Vec::as_slice)).unwrap_or(id)
    }

    /// The id at the destination that a rule gives for `id`, which is called `name` where it comes from.
    pub(crate) fn find(&self, id: u32, name: Option<&[u8]>) -> Option<u32> {
        let rule = self.rules.iter().find(|(from, _)| match from {
            From::Range(low, high) => (*low..=*high).contains(&id),
            From::All => true,
            From::Nameless => name.is_none(),
            From::Name(pattern) => name.is_some_and(|name| pattern.matches(name)),
        });
        rule.map(|(_, to)| *to)
    }
}

/// The names of this machine's ids; of several, the first.
pub(crate) fn names(ids: Ids) -> HashMap<u32, Vec<u8>> {
    entries(ids).into_iter().rev().collect()
}

/// The id that this machine has for `name`, where the file does not know it.
pub(crate) fn find(ids: Ids, name: &[u8]) -> Option<u32> {
    std::str::from_utf8(name).ok().and_then(|name| ask(ids, name))
}

/// The id that this machine has for `name`.
pub(crate) fn id(ids: Ids, name: &str) -> Option<u32> {
    named(&entries(ids), name).or_else(|| ask(ids, name))
}

fn named(entries: &[(u32, Vec<u8>)], name: &str) -> Option<u32> {
    entries.iter().find(|(_, known)| known == name.as_bytes()).map(|(id, _)| *id)
}

/// Ids and names of the system's file, in its order; empty if it cannot be read.
fn entries(ids: Ids) -> Vec<(u32, Vec<u8>)> {
    let content = std::fs::read(ids.file()).unwrap_or_default();
    content.split(|&b| b == b'\n').filter_map(entry).collect()
}

/// `name:password:id:...`
fn entry(line: &[u8]) -> Option<(u32, Vec<u8>)> {
    let mut fields = line.split(|&b| b == b':');
    let name = fields.next()?;
    let id = std::str::from_utf8(fields.nth(1)?).ok()?.parse().ok()?;
    Some((id, name.to_vec()))
}

/// Asks the system's name service, which knows more than the file, for the id of `name`. Within the process: there may be many.
fn ask(ids: Ids, name: &str) -> Option<u32> {
    match ids {
        Ids::Users => uzers::get_user_by_name(name).map(|user| user.uid()),
        Ids::Groups => uzers::get_group_by_name(name).map(|group| group.gid()),
    }
}

#[cfg(test)]
mod tests {
    use super::{IdMap, Ids, find};

    #[test]
    fn the_first_rule_that_matches_decides() {
        let (map, unknown) =
            IdMap::parse(Ids::Users, "root:7,5-9:1,daem*:3,:12,no-such-user:5,77:no such user", false).unwrap();
        assert_eq!([0, 6, 1, 2, 4_000_000_000, 77].map(|id| map.map(id)), [7, 1, 3, 2, 12, 12]);
        assert_eq!(unknown, ["Unknown --usermap name on receiver: no such user"]);
        let (map, _) = IdMap::parse(Ids::Groups, "root:7,:9", true).unwrap();
        assert_eq!(map.map(0), 9);
        for text in ["1", "1:", "1-x:4"] {
            assert!(IdMap::parse(Ids::Users, text, false).is_err(), "{text}");
        }
    }

    #[test]
    fn a_number_is_nobodys_name() {
        for ids in [Ids::Users, Ids::Groups] {
            assert_eq!(find(ids, b"root"), Some(0));
            for name in [&b"0"[..], b"+0", b" 0", b"-0", b"", b"00"] {
                assert_eq!(find(ids, name), None, "{ids:?} {:?}", name.escape_ascii().to_string());
            }
        }
    }
}
