//! rsync's command line: bundled letters, `--no-OPTION`, options after paths, rules in the order given.
//!
//! Every option is a row of a table: [`report`], [`connection`], [`select`], [`attrs`] or [`write`]. Rows are applied in
//! the order of the command line, so that what is repeated or taken back means what it means to rsync. Names are not
//! abbreviated: rsync does not do that either.

mod attrs;
mod connection;
mod report;
mod row;
mod select;
mod state;
mod value;
mod write;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use forebay_sync::{Escape, Options};

use crate::spill;
use row::{Effect, Row};
use state::State;
pub(crate) use value::Refusal;
use value::{Value, not_yet};

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Parsed {
    Help,
    Run(Box<Command>),
}

/// A mirror, and what the program around it is to say.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) options: Options,
    pub(crate) sources: Vec<OsString>,
    pub(crate) destination: OsString,
    /// `--stats`
    pub(crate) stats: bool,
    /// `--info=progress2`
    pub(crate) progress: bool,
}

/// Reads the command line.
///
/// # Errors
/// The text to print when it makes no sense, or asks for what is not there.
pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Parsed, Refusal> {
    let args: Vec<OsString> = args.collect();
    if let [only] = &args[..]
        && only == "-h"
    {
        return Ok(Parsed::Help);
    }
    let mut state = State::default();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        match arg.as_bytes() {
            b"--" => state.paths.extend(args.by_ref()),
            [b'-', b'-', ..] => long(&mut state, &arg, &mut args)?,
            [b'-', _, ..] => letters(&mut state, &arg, &mut args)?,
            _ => state.paths.push(arg),
        }
        if state.help {
            return Ok(Parsed::Help);
        }
    }
    finish(state)
}

fn rows() -> impl Iterator<Item = &'static Row> {
    [report::ROWS, connection::ROWS, select::ROWS, attrs::ROWS, write::ROWS].into_iter().flatten()
}

/// Applies `--NAME` or `--NAME=VALUE`.
fn long(state: &mut State, arg: &OsStr, args: &mut impl Iterator<Item = OsString>) -> Result<(), Refusal> {
    let typed = arg.to_string_lossy();
    let (name, attached) = match arg.as_bytes().iter().position(|&b| b == b'=') {
        Some(at) => (&arg.as_bytes()[..at], Some(&arg.as_bytes()[at + 1..])),
        None => (arg.as_bytes(), None),
    };
    let name = std::str::from_utf8(name).unwrap_or_default().trim_start_matches('-');
    let found = rows().find_map(|row| row.has_name(name).map(|on| (row, on)));
    let (row, on) = found.ok_or_else(|| Refusal::from(format!("rsync: {typed}: unknown option")))?;
    apply(state, row, on, &format!("--{name}"), &typed, attached, args)
}

/// Applies `-abc`, the last of which may have a value behind it: `-T/tmp`, `-T=/tmp`, `-T /tmp`.
fn letters(state: &mut State, arg: &OsStr, args: &mut impl Iterator<Item = OsString>) -> Result<(), Refusal> {
    let typed = arg.to_string_lossy();
    let mut rest = &arg.as_bytes()[1..];
    while let [letter, behind @ ..] = rest {
        let letter = char::from(*letter);
        let row = rows().find(|row| row.has_letter(letter));
        let row = row.ok_or_else(|| Refusal::from(format!("rsync: -{letter}: unknown option")))?;
        let takes_value = matches!(row.effect, Effect::Value(_));
        let attached = match behind {
            [b'=', value @ ..] => Some(value),
            [] => None,
            value => takes_value.then_some(value),
        };
        apply(state, row, true, &format!("-{letter}"), &typed, attached, args)?;
        rest = if takes_value { &[] } else { behind };
    }
    Ok(())
}

/// Applies `row`, which is called `name` here in the argument `typed`, with the value that is `attached` or follows.
fn apply(
    state: &mut State,
    row: &Row,
    on: bool,
    name: &str,
    typed: &str,
    attached: Option<&[u8]>,
    args: &mut impl Iterator<Item = OsString>,
) -> Result<(), Refusal> {
    match row.effect {
        Effect::Value(_) if !on => {}
        Effect::Value(set) => {
            let (text, typed) = match attached {
                Some(value) => (OsString::from_vec(value.to_vec()), typed.to_owned()),
                None => {
                    let next = args.next();
                    let next = next.ok_or_else(|| Refusal::from(format!("rsync: {typed}: missing argument")))?;
                    let typed = next.to_string_lossy().into_owned();
                    (next, typed)
                }
            };
            return set(state, &Value { text, typed });
        }
        Effect::Later if on => return Err(not_yet(name)),
        _ => {}
    }
    if attached.is_some() {
        return Err(format!("rsync: {typed}: option does not take an argument").into());
    }
    match row.effect {
        Effect::Flag(set) => set(state, on),
        Effect::Check(set) => set(state, on)?,
        Effect::Value(_) | Effect::Later => {}
    }
    Ok(())
}

fn finish(mut state: State) -> Result<Parsed, Refusal> {
    select::agree(&mut state)?;
    write::agree(&mut state)?;
    for path in &state.paths {
        if is_remote(path) {
            return Err(not_yet(&format!("the remote path {}", path.to_string_lossy())));
        }
    }
    let Some(destination) = state.paths.pop() else {
        return Err(super::help::TEXT.trim_end().into());
    };
    if state.paths.is_empty() {
        return Err(not_yet("listing a source without a destination"));
    }
    let State { mut options, paths: sources, stats, progress, spill_dir, spill_limit, .. } = state;
    options.escape = escape();
    // Without a directory that can be used, and none asked for, what waits does so in memory, and a reader of the
    // output that is slow makes the copy slow.
    options.spill = match spill_dir {
        Some(dir) => Some(spill::open(dir, spill_limit).map_err(|error| format!("rsync: --spill-dir: {error}"))?),
        None => spill::open(std::env::temp_dir(), spill_limit).ok(),
    };
    Ok(Parsed::Run(Box::new(Command { options, sources, destination, stats, progress })))
}

/// Whether rsync would take it for a path on another machine: a colon before any slash.
fn is_remote(path: &OsStr) -> bool {
    let bytes = path.as_bytes();
    bytes.starts_with(b"rsync://") || bytes.iter().find(|&&b| b == b'/' || b == b':') == Some(&b':')
}

/// Which bytes the locale prints.
fn escape() -> Escape {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .filter_map(std::env::var_os)
        .find(|value| !value.is_empty())
        .unwrap_or_default()
        .to_string_lossy()
        .to_ascii_lowercase();
    if locale.contains("utf-8") || locale.contains("utf8") { Escape::Utf8 } else { Escape::Ascii }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn run(args: &[&str]) -> Result<Command, String> {
        match parse(args.iter().map(OsString::from)).map_err(|refusal| refusal.text)? {
            Parsed::Run(command) => Ok(*command),
            Parsed::Help => Err("help".into()),
        }
    }

    #[test]
    fn bundles_negations_values_and_options_after_paths() {
        let command = run(&["-avvn", "src", "--no-o", "--exclude=a", "--include", "b", "dst", "-i", "--", "-x"]);
        let Command { options, sources, destination, .. } = command.unwrap();
        assert!(options.recursive && options.links && options.devices && !options.owner && options.dry_run);
        assert_eq!((options.verbose, options.itemize), (2, true));
        assert_eq!(sources, ["src", "dst"]);
        assert_eq!(destination, "-x");
    }

    #[test]
    fn what_is_not_there_is_refused_by_name() {
        for (args, text) in [
            (&["--foo", "a", "b"][..], "rsync: --foo: unknown option"),
            (&["--archiv", "a", "b"], "rsync: --archiv: unknown option"),
            (&["--no-archive", "a", "b"], "rsync: --no-archive: unknown option"),
            (&["--D", "a", "b"], "rsync: --D: unknown option"),
            (&["-aQ", "a", "b"], "rsync: -Q: unknown option"),
            (&["--daemon", "a", "b"], "rsync: --daemon: not supported by forebay sync yet"),
            (&["-a", "host:a", "b"], "rsync: the remote path host:a: not supported by forebay sync yet"),
            (&["-a", "a", "rsync://h/b"], "rsync: the remote path rsync://h/b: not supported by forebay sync yet"),
            (&["-a", "--exclude"], "rsync: --exclude: missing argument"),
            (&["-a", "--exclude=- ", "a", "b"], "unexpected end of filter rule: - "),
            (&["--verbose=3", "a", "b"], "rsync: --verbose=3: option does not take an argument"),
            (&["-rn=3", "a", "b"], "rsync: -rn=3: option does not take an argument"),
            (&["--workers=0", "a", "b"], "rsync: --workers=0 is invalid"),
            (&["--memory=lots", "a", "b"], "rsync: --memory=lots is invalid"),
            (&["--delete", "a", "b"], "rsync: --delete does not work without --recursive (-r) or --dirs (-d)."),
        ] {
            assert_eq!(run(args).unwrap_err(), text);
        }
        assert!(run(&["-a", "./host:a", "b"]).is_ok());
    }

    #[test]
    fn no_two_rows_have_a_name_in_common() {
        let (mut letters, mut names) = (HashSet::new(), HashSet::new());
        for row in rows() {
            for letter in (b'!'..=b'~').map(char::from).filter(|&letter| row.has_letter(letter)) {
                assert!(letters.insert(letter), "-{letter}");
            }
            for name in row.names() {
                assert!(names.insert(name), "--{name}");
            }
        }
    }
}
