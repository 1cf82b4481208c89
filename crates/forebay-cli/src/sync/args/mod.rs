//! rsync's command line: bundled letters, `--no-OPTION`, options after paths, rules in the order given.
//!
//! Every option is a row of a table: [`report`], [`connection`], [`select`], [`attrs`] or [`write`]. Rows are applied in
//! the order of the command line, so that what is repeated or taken back means what it means to rsync. Names are not
//! abbreviated: rsync does not do that either.

mod attrs;
mod connection;
mod levels;
mod report;
mod row;
mod select;
mod state;
mod stop_at;
mod value;
mod wire;
mod write;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::Duration;

use forebay_sync::{Connection, Format, Options};

use super::{help, version};
use crate::spill;
use row::{Effect, Row};
use state::State;
pub(crate) use value::Refusal;
use value::{Value, not_yet};
pub(crate) use wire::Place;

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// A text.
    Print(String),
    Run(Box<Command>),
}

/// A mirror, and what the program around it is to say.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) options: Options,
    pub(crate) sources: Vec<OsString>,
    pub(crate) destination: OsString,
    pub(crate) report: Report,
    pub(crate) place: Place,
    pub(crate) connection: Connection,
}

/// What is said around the lines of the transfer.
#[derive(Debug)]
pub(crate) struct Report {
    /// Level of `-h`: how numbers are written.
    pub(crate) human: u8,
    pub(crate) log_file: Option<OsString>,
    /// `--stop-after`: how long it may take.
    pub(crate) limit: Option<Duration>,
    /// `--no-inc-recursive`: the list is complete before anything else happens.
    pub(crate) at_once: bool,
    /// `--stderr=all`: everything goes to standard error.
    pub(crate) all_to_stderr: bool,
}

impl Default for Report {
    fn default() -> Self {
        Report { human: 1, log_file: None, limit: None, at_once: false, all_to_stderr: false }
    }
}

/// Reads the command line.
///
/// # Errors
/// The text to print when it makes no sense, or asks for what is not there.
pub(crate) fn parse(args: Vec<OsString>) -> Result<Parsed, Refusal> {
    if let [only] = &args[..]
        && only == "-h"
    {
        return Ok(Parsed::Print(help::text()));
    }
    let mut state = State::default();
    let taken = take_all(&mut state, args);
    let log_file = state.report.log_file.clone();
    String::from_utf8_lossy(&state.options.filters.take_notes()).lines().for_each(super::complain);
    let parsed = taken.and_then(|()| match state.print.take() {
        Some(text) => Ok(Parsed::Print(text)),
        None => finish(state),
    });
    parsed.map_err(|refusal| Refusal { log_file, ..refusal })
}

/// Applies `args`, and those that a client hands over otherwise.
fn take_all(state: &mut State, args: Vec<OsString>) -> Result<(), Refusal> {
    take(state, args)?;
    if state.wire.server && state.secluded_args == Some(true) {
        let failed = |error| Refusal::with(12, format!("rsync: {error}"));
        take(state, forebay_sync::secluded_args().map_err(failed)?)?;
    }
    Ok(())
}

/// Applies `args`, up to one that asks for a text.
fn take(state: &mut State, args: Vec<OsString>) -> Result<(), Refusal> {
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        match arg.as_bytes() {
            b"--" => state.paths.extend(args.by_ref()),
            [b'-', b'-', ..] => long(state, &arg, &mut args)?,
            [b'-', _, ..] => letters(state, &arg, &mut args)?,
            _ => state.paths.push(arg),
        }
        if state.print.is_some() {
            break;
        }
    }
    Ok(())
}

fn rows() -> impl Iterator<Item = &'static Row> {
    [report::ROWS, connection::ROWS, select::ROWS, attrs::ROWS, write::ROWS].into_iter().flatten()
}

/// Whether the option that is written `name` is there, and not refused.
pub(crate) fn is_there(name: &str) -> bool {
    let found = match name.strip_prefix("--") {
        Some(long) => rows().find(|row| row.has_name(long).is_some()),
        None => rows().find(|row| name.chars().nth(1).is_some_and(|letter| row.has_letter(letter))),
    };
    found.is_some_and(|row| !matches!(row.effect, Effect::Later))
}

/// Applies `--NAME` or `--NAME=VALUE`.
fn long(state: &mut State, arg: &OsStr, args: &mut impl Iterator<Item = OsString>) -> Result<(), Refusal> {
    let typed = format!("{}{}", state.wire.origin(), arg.to_string_lossy());
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
    let typed = format!("{}{}", state.wire.origin(), arg.to_string_lossy());
    let mut rest = &arg.as_bytes()[1..];
    while let [letter, behind @ ..] = rest {
        let letter = char::from(*letter);
        let row = rows().find(|row| row.has_letter(letter));
        let row = row.ok_or_else(|| Refusal::from(format!("rsync: {typed}: unknown option")))?;
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
        // As with rsync, `--no-timeout` means a timeout of 0.
        Effect::Value(set) if !on && attached.is_none() => {
            return set(state, &Value { text: "0".into(), typed: typed.to_owned() });
        }
        Effect::Value(_) if !on => {}
        Effect::Value(set) => {
            let (text, typed) = match attached {
                Some(value) => (OsString::from_vec(value.to_vec()), typed.to_owned()),
                None => {
                    let next = args.next();
                    let next = next.ok_or_else(|| Refusal::from(format!("rsync: {typed}: missing argument")))?;
                    let typed = format!("{}{}", state.wire.origin(), next.to_string_lossy());
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

/// Applies what `-M` says on one machine, where the other side is the one that receives.
fn receivers(state: &mut State, option: OsString) -> Result<(), Refusal> {
    let bytes = option.as_bytes();
    if let Some(file) = bytes.strip_prefix(b"--log-file=") {
        state.receivers_log.0 = Some(OsStr::from_bytes(file).to_owned());
        return Ok(());
    }
    if let Some(format) = bytes.strip_prefix(b"--log-file-format=") {
        state.receivers_log.1 = Some(Format::new(format));
        return Ok(());
    }
    let known = match bytes.strip_prefix(b"--") {
        Some(long) => {
            let name = long.split(|&b| b == b'=').next().and_then(|name| std::str::from_utf8(name).ok());
            name.and_then(|name| rows().find(|row| row.has_name(name).is_some())).is_some_and(|row| row.receivers)
        }
        None => {
            let mut letters = bytes.get(1..).unwrap_or_default().iter().map(|&letter| char::from(letter));
            let row = |letter| rows().find(|row| row.has_letter(letter));
            // Behind a letter that takes a value, the rest is that.
            let takes_value = |row: &Row| matches!(row.effect, Effect::Value(_));
            loop {
                match letters.next().map(row) {
                    None => break true,
                    Some(Some(row)) if row.receivers && takes_value(row) => break true,
                    Some(Some(row)) if row.receivers => {}
                    Some(_) => break false,
                }
            }
        }
    };
    if !known {
        return Err(not_yet(&format!("--remote-option={} on one machine", option.to_string_lossy())));
    }
    // What the sending side does stays as it is.
    let fake = state.options.fake_source;
    take(state, vec![option])?;
    state.options.fake_source = fake;
    Ok(())
}

fn finish(mut state: State) -> Result<Parsed, Refusal> {
    match state.version {
        0 => {}
        1 => return Ok(Parsed::Print(version::text())),
        _ => return Ok(Parsed::Print(version::json())),
    }
    if !state.wire.server && !state.wire.is_remote(&state.paths) {
        for option in std::mem::take(&mut state.wire.connection.remote_options) {
            receivers(&mut state, option)?;
        }
        let (file, format) = std::mem::take(&mut state.receivers_log);
        if let Some(file) = file.filter(|file| !file.is_empty()) {
            if state.report.log_file.replace(file).is_some() {
                return Err(not_yet("--log-file with --remote-option=--log-file on one machine"));
            }
            (state.log_file_format, state.options.log_receives) = (format, true);
        }
    }
    if let Some(most) = std::env::var_os("RSYNC_MAX_ALLOC").filter(|most| !most.is_empty())
        && state.wire.connection.max_alloc.is_none()
    {
        let mut option = OsString::from("--max-alloc=");
        option.push(most);
        take(&mut state, vec![option])?;
    }
    report::settle(&mut state);
    select::agree(&mut state)?;
    connection::agree(&state)?;
    write::agree(&mut state)?;
    attrs::agree(&state)?;
    attrs::owners(&mut state)?.iter().for_each(|line| super::complain(line));
    if state.paths.is_empty() {
        return Err(help::text().trim_end().into());
    }
    // A source alone is listed.
    let last = if state.paths.len() > 1 { state.paths.pop() } else { None };
    let nowhere = last.as_ref().is_some_and(|last| last.is_empty());
    let mut destination = last.unwrap_or_default();
    let State {
        mut options,
        paths: mut sources,
        report,
        spill_dir,
        spill_limit,
        mut wire,
        checksums,
        secluded_args,
        old_args,
        ..
    } = state;
    // What was said outweighs the environment; of that, the old way comes first.
    let set = |variable: &str| std::env::var_os(variable).is_some_and(|value| value != "0");
    let old = old_args.unwrap_or_else(|| secluded_args != Some(true) && set("RSYNC_OLD_ARGS"));
    wire.connection.shell.old_args = old;
    wire.connection.shell.secluded = secluded_args.unwrap_or_else(|| !old && set("RSYNC_PROTECT_ARGS"));
    wire.served.secluded = secluded_args == Some(true);
    if wire.server {
        // A dot separates the options from the paths.
        sources.push(std::mem::take(&mut destination));
        wire.served.paths = sources.split_off(1);
    }
    let (place, mut connection) = wire.settle(&mut sources, &mut destination, checksums.as_ref())?;
    // A variable that is not set, say, is not meant to be the working directory.
    let is_written = match place {
        Place::Here => true,
        Place::Pull(_) => options.list_only.is_none(),
        Place::Push(_) | Place::Serve(_) => false,
    };
    if nowhere && is_written && !old {
        return Err("Empty destination arg specified (use \".\" or see --old-args).".into());
    }
    let offer = &connection.offer;
    let best = offer.checksum_list.first().map(|&best| (best, best));
    options.sums = offer.checksums.or(best).unwrap_or(options.sums);
    connection.names_there = wire::names_there(&mut options.files_from, &place)?;
    // Without a directory that can be used, and none asked for, what waits does so in memory, and a reader of the
    // output that is slow makes the copy slow.
    options.spill = match spill_dir {
        Some(dir) => Some(spill::open(dir, spill_limit).map_err(|error| format!("rsync: --spill-dir: {error}"))?),
        None => spill::open(std::env::temp_dir(), spill_limit).ok(),
    };
    Ok(Parsed::Run(Box::new(Command { options, sources, destination, report, place, connection })))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn run(args: &[&str]) -> Result<Command, String> {
        match parse(args.iter().map(OsString::from).collect()).map_err(|refusal| refusal.text)? {
            Parsed::Run(command) => Ok(*command),
            Parsed::Print(text) => Err(text),
        }
    }

    #[test]
    fn addresses_in_brackets_are_hosts() {
        for (path, host) in [("[::1]:/p", "::1"), ("u@[fe80::1]:", "u@fe80::1"), ("host:a::b", "host")] {
            let Place::Pull(pulled) = run(&[path, "b"]).unwrap().place else { panic!("{path} is here") };
            assert_eq!(pulled, host);
        }
        assert!(run(&["[::1]::module", "b"]).is_err());
    }

    #[test]
    fn bundles_negations_values_and_options_after_paths() {
        let command = run(&["-avvn", "src", "--no-o", "--exclude=a", "--include", "b", "dst", "-i", "--", "-x"]);
        let Command { options, sources, destination, .. } = command.unwrap();
        assert!(options.recursive && options.links && options.devices && !options.owner && options.dry_run);
        assert_eq!((options.levels.name, options.itemize), (2, true));
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
            (&["-aQ", "a", "b"], "rsync: -aQ: unknown option"),
            (&["-Qa=3", "a", "b"], "rsync: -Qa=3: unknown option"),
            (&["--daemon", "a", "b"], "rsync: --daemon: not supported by forebay sync yet"),
            (&["-a", "host::a", "b"], "rsync: the path of a daemon host::a: not supported by forebay sync yet"),
            (&["-a", "a", "rsync://h/b"], "rsync: the path of a daemon rsync://h/b: not supported by forebay sync yet"),
            (&["-a", "h:a", "h:b"], "The source and destination cannot both be remote."),
            (&["-a", "h:a", "i:b", "c"], "All source args must come from the same machine."),
            (&["-a", "a", "h:b", "c"], "Unexpected remote arg: h:b"),
            (&["-a", "a", "h:b", "h:c"], "Unexpected remote arg: h:b"),
            (&["-a", "a", "", "c"], "Empty source arg specified."),
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
