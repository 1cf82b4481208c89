//! `--chmod`: changes to the modes of the source, as chmod(1) writes them.

/// Changes in the order in which they were given.
#[derive(Clone, Debug, Default)]
pub struct ModeRules(Vec<ModeRule>);

/// A rule that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadMode;

#[derive(Clone, Copy, Debug)]
struct ModeRule {
    /// For directories only (`D`), for everything else only (`F`), or for all.
    only_dirs: Option<bool>,
    change: Change,
}

#[derive(Clone, Copy, Debug)]
enum Change {
    /// All twelve bits, as a number.
    Octal(u32),
    /// `ugo`, an operator, and what it adds, removes or sets.
    Symbolic { who: u32, masked: bool, operator: u8, bits: Bits },
}

#[derive(Clone, Copy, Debug)]
enum Bits {
    /// Permissions of each (three bits), the set-ID and sticky bits, and `X`.
    Given { each: u32, special: u32, some_x: bool },
    /// Those of the user (6), group (3) or others (0): how far they are shifted.
    Of(u32),
}

impl ModeRules {
    /// Adds the argument of one `--chmod`: rules separated by commas.
    ///
    /// # Errors
    /// [`BadMode`] if one of them makes no sense; then none is added.
    pub fn push(&mut self, argument: &[u8]) -> Result<(), BadMode> {
        let rules = argument.split(|&b| b == b',').map(rule).collect::<Option<Vec<_>>>().ok_or(BadMode)?;
        self.0.extend(rules);
        Ok(())
    }

    /// The mode that `mode` becomes, where `umask` limits rules that name nobody.
    pub(crate) fn apply(&self, mode: u32, is_dir: bool, umask: u32) -> u32 {
        let rules = self.0.iter().filter(|rule| rule.only_dirs.is_none_or(|dirs| dirs == is_dir));
        rules.fold(mode, |mode, rule| rule.change.apply(mode, is_dir, umask))
    }
}

impl Change {
    fn apply(self, mode: u32, is_dir: bool, umask: u32) -> u32 {
        let (who, masked, operator, bits) = match self {
            Change::Octal(mode) => return mode,
            Change::Symbolic { who, masked, operator, bits } => (who, masked, operator, bits),
        };
        let (each, special) = match bits {
            Bits::Given { each, special, some_x } => {
                (each | u32::from(some_x && (is_dir || mode & 0o111 != 0)), special)
            }
            Bits::Of(shift) => ((mode >> shift) & 7, 0),
        };
        let mut changed = (each * 0o111) & who;
        if masked {
            changed &= !umask;
        }
        match operator {
            b'+' => mode | changed | special,
            b'-' => mode & !changed & !special,
            _ => {
                // As stock rsync does: only copied bits take the set-ID and sticky bits of those concerned away.
                let cleared = match bits {
                    Bits::Of(_) => [(0o700, 0o4000), (0o070, 0o2000), (0o007, 0o1000)]
                        .into_iter()
                        .filter_map(|(one, special)| (who & one != 0).then_some(special))
                        .sum(),
                    Bits::Given { .. } => 0,
                };
                (mode & !who & !cleared) | changed | special
            }
        }
    }
}

fn rule(text: &[u8]) -> Option<ModeRule> {
    let (only_dirs, text) = match text {
        [b'D', rest @ ..] => (Some(true), rest),
        [b'F', rest @ ..] => (Some(false), rest),
        _ => (None, text),
    };
    let first = *text.first()?;
    let change = if first.is_ascii_digit() {
        let octal = text.iter().try_fold(0, |sum: u32, &b| {
            (b'0'..=b'7').contains(&b).then(|| sum * 8 + u32::from(b - b'0')).filter(|&sum| sum <= 0o7777)
        });
        Change::Octal(octal?)
    } else {
        symbolic(text)?
    };
    Some(ModeRule { only_dirs, change })
}

fn symbolic(text: &[u8]) -> Option<Change> {
    let at = text.iter().position(|b| b"+-=".contains(b))?;
    let mut who = 0;
    for letter in &text[..at] {
        who |= match letter {
            b'u' => 0o700,
            b'g' => 0o070,
            b'o' => 0o007,
            b'a' => 0o777,
            b'D' | b'F' if at > 1 => 0,
            _ => return None,
        };
    }
    let (operator, given) = (text[at], &text[at + 1..]);
    let bits = match given {
        b"u" => Bits::Of(6),
        b"g" => Bits::Of(3),
        b"o" => Bits::Of(0),
        _ => {
            let (mut each, mut special, mut some_x) = (0, 0, false);
            for letter in given {
                match letter {
                    b'r' => each |= 4,
                    b'w' => each |= 2,
                    b'x' => each |= 1,
                    b'X' => some_x = true,
                    b't' => special |= 0o1000,
                    // For the group if it is among those named; for the user if nobody else is.
                    b's' => {
                        special |= if who & 0o070 != 0 { 0o2000 } else { 0o4000 };
                        special |= if who & 0o700 != 0 { 0o4000 } else { 0 };
                    }
                    _ => return None,
                }
            }
            Bits::Given { each, special, some_x }
        }
    };
    let masked = who == 0;
    Some(Change::Symbolic { who: if masked { 0o777 } else { who }, masked, operator, bits })
}

#[cfg(test)]
mod tests {
    use super::ModeRules;

    fn becomes(rules: &str, mode: u32, is_dir: bool) -> u32 {
        let mut parsed = ModeRules::default();
        parsed.push(rules.as_bytes()).unwrap();
        parsed.apply(mode, is_dir, 0o022)
    }

    #[test]
    fn rules_change_modes_as_with_stock_rsync() {
        for (rules, dir, file) in [
            ("D+s", 0o4755, 0o640),
            ("a+s", 0o6755, 0o6640),
            ("o+s", 0o4755, 0o4640),
            ("g=s", 0o2705, 0o2600),
            ("=r", 0o444, 0o444),
            ("u=X", 0o155, 0o040),
            ("g=u", 0o775, 0o660),
            ("ug=o", 0o555, 0),
            ("+w", 0o755, 0o640),
            ("=rw", 0o644, 0o644),
            ("Du+x,Fg+x", 0o755, 0o650),
            ("+X,-x", 0o644, 0o640),
            ("D2755,F=", 0o2755, 0),
            ("o=t", 0o1750, 0o1640),
        ] {
            assert_eq!((becomes(rules, 0o755, true), becomes(rules, 0o640, false)), (dir, file), "{rules}");
        }
        for (rules, file) in [("u=rwx", 0o7740), ("u=g", 0o3440), ("g=u", 0o5660), ("=u", 0o644), ("-s", 0o3640)] {
            assert_eq!(becomes(rules, 0o7640, false), file, "{rules}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for rules in ["", ",u+x", "u+x,", "u+x-w", "99", "10000", "zz", "DF+x", "u=gx", "D", "U+x"] {
            assert!(ModeRules::default().push(rules.as_bytes()).is_err(), "{rules}");
        }
    }
}
