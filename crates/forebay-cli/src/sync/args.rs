//! rsync's grammar: bundled short options, `--no-OPTION`, options after paths, rules in the order given.

use std::ffi::{OsStr, OsString};
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;

use forebay::Budget;
use forebay_sync::{Escape, Options};
use lexopt::{Arg, Parser};

use super::known;
use crate::{size, spill};

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
pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Parsed, String> {
    let args: Vec<OsString> = args.collect();
    if let [only] = &args[..]
        && only == "-h"
    {
        return Ok(Parsed::Help);
    }
    let mut state = State::default();
    let mut parser = Parser::from_args(args);
    while let Some(arg) = parser.next().map_err(|error| describe(&error))? {
        let name = match arg {
            Arg::Value(path) => {
                state.paths.push(path);
                continue;
            }
            Arg::Long("help") => return Ok(Parsed::Help),
            Arg::Long(name) => name.to_owned(),
            Arg::Short(letter) => long_name(letter)?.to_owned(),
        };
        state.apply(&name, &mut parser)?;
    }
    state.finish()
}

#[derive(Debug, Default)]
struct State {
    options: Options,
    paths: Vec<OsString>,
    stats: bool,
    progress: bool,
    spill_dir: Option<OsString>,
    spill_limit: Option<u64>,
}

impl State {
    fn apply(&mut self, name: &str, parser: &mut Parser) -> Result<(), String> {
        let options = &mut self.options;
        let on = !name.starts_with("no-");
        match name {
            "archive" => {
                for each in ["recursive", "links", "perms", "times", "group", "owner", "D"] {
                    self.apply(each, parser)?;
                }
            }
            "recursive" | "no-recursive" | "no-r" => options.recursive = on,
            "links" | "no-links" | "no-l" => options.links = on,
            "perms" | "no-perms" | "no-p" => options.perms = on,
            "times" | "no-times" | "no-t" => options.times = on,
            "group" | "no-group" | "no-g" => options.group = on,
            "owner" | "no-owner" | "no-o" => options.owner = on,
            "devices" | "no-devices" => options.devices = on,
            "specials" | "no-specials" => options.specials = on,
            "D" | "no-D" => (options.devices, options.specials) = (on, on),
            "verbose" => options.verbose = options.verbose.saturating_add(1),
            "no-verbose" | "no-v" => options.verbose = 0,
            "quiet" => options.quiet = true,
            "dry-run" => options.dry_run = true,
            "itemize-changes" | "no-itemize-changes" | "no-i" => options.itemize = on,
            "update" => options.update = true,
            "checksum" | "no-checksum" | "no-c" => options.checksum = on,
            // Files are always copied whole.
            "whole-file" => {}
            "delete" => options.delete = true,
            "stats" => self.stats = true,
            "exclude" | "include" => {
                let rule = value(name, parser)?;
                let pushed = options.filters.push(name == "include", rule.as_bytes());
                pushed.map_err(|error| format!("{error}: {}", rule.to_string_lossy()))?;
            }
            "info" => match value(name, parser)?.to_string_lossy().as_ref() {
                "progress2" => self.progress = true,
                other => return Err(not_yet(&format!("--info={other}"))),
            },
            "workers" => {
                let text = value(name, parser)?;
                options.workers = text.to_str().and_then(|text| text.parse().ok());
                if options.workers.is_none_or(|workers| workers > MAX_WORKERS) {
                    return Err(format!("rsync: --workers value is invalid: {}", text.to_string_lossy()));
                }
            }
            "memory" => {
                let bytes = size(name, parser)?;
                options.budget = Budget::new(usize::try_from(bytes).unwrap_or(usize::MAX));
            }
            "spill-dir" => self.spill_dir = Some(value(name, parser)?),
            "spill-limit" => self.spill_limit = Some(size(name, parser)?),
            _ if known::LONG.contains(&name.strip_prefix("no-").unwrap_or(name)) || known::LONG.contains(&name) => {
                return Err(not_yet(&format!("--{name}")));
            }
            _ => return Err(format!("rsync: --{name}: unknown option")),
        }
        Ok(())
    }

    fn finish(self) -> Result<Parsed, String> {
        let State { mut options, mut paths, stats, progress, spill_dir, spill_limit } = self;
        if options.delete && !options.recursive {
            return Err("rsync: --delete does not work without --recursive (-r) or --dirs (-d).".into());
        }
        for path in &paths {
            if is_remote(path) {
                return Err(not_yet(&format!("the remote path {}", path.to_string_lossy())));
            }
        }
        let Some(destination) = paths.pop() else {
            return Err(super::help::TEXT.trim_end().into());
        };
        if paths.is_empty() {
            return Err(not_yet("listing a source without a destination"));
        }
        options.escape = escape();
        // Without a directory that can be used, and none asked for, what waits does so in memory, and a reader of the
        // output that is slow makes the copy slow.
        options.spill = match spill_dir {
            Some(dir) => Some(spill::open(dir, spill_limit).map_err(|error| format!("rsync: --spill-dir: {error}"))?),
            None => spill::open(std::env::temp_dir(), spill_limit).ok(),
        };
        Ok(Parsed::Run(Box::new(Command { options, sources: paths, destination, stats, progress })))
    }
}

/// More threads than this are a slip of the finger.
const MAX_WORKERS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4095);

fn long_name(letter: char) -> Result<&'static str, String> {
    Ok(match letter {
        'a' => "archive",
        'r' => "recursive",
        'l' => "links",
        'p' => "perms",
        't' => "times",
        'g' => "group",
        'o' => "owner",
        'D' => "D",
        'v' => "verbose",
        'q' => "quiet",
        'n' => "dry-run",
        'i' => "itemize-changes",
        'u' => "update",
        'c' => "checksum",
        'W' => "whole-file",
        _ if known::SHORT.contains(letter) => return Err(not_yet(&format!("-{letter}"))),
        _ => return Err(format!("rsync: -{letter}: unknown option")),
    })
}

fn value(name: &str, parser: &mut Parser) -> Result<OsString, String> {
    parser.value().map_err(|_| format!("rsync: --{name}: missing argument"))
}

fn size(name: &str, parser: &mut Parser) -> Result<u64, String> {
    let text = value(name, parser)?;
    text.to_str()
        .and_then(size::parse)
        .ok_or_else(|| format!("rsync: --{name} value is invalid: {}", text.to_string_lossy()))
}

fn not_yet(what: &str) -> String {
    format!("rsync: {what}: not supported by forebay sync yet")
}

fn describe(error: &lexopt::Error) -> String {
    match error {
        lexopt::Error::UnexpectedValue { option, value } => {
            format!("rsync: {option}={}: option does not take an argument", value.to_string_lossy())
        }
        other => format!("rsync: {other}"),
    }
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
    use super::*;

    fn run(args: &[&str]) -> Result<Command, String> {
        match parse(args.iter().map(OsString::from))? {
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
            (&["-aH", "a", "b"], "rsync: -H: not supported by forebay sync yet"),
            (&["--inplace", "a", "b"], "rsync: --inplace: not supported by forebay sync yet"),
            (&["--no-whole-file", "a", "b"], "rsync: --no-whole-file: not supported by forebay sync yet"),
            (&["-a", "host:a", "b"], "rsync: the remote path host:a: not supported by forebay sync yet"),
            (&["-a", "a", "rsync://h/b"], "rsync: the remote path rsync://h/b: not supported by forebay sync yet"),
            (&["-a", "--exclude"], "rsync: --exclude: missing argument"),
            (&["-a", "--exclude=- ", "a", "b"], "unexpected end of filter rule: - "),
            (&["--verbose=3", "a", "b"], "rsync: --verbose=3: option does not take an argument"),
            (&["--workers=0", "a", "b"], "rsync: --workers value is invalid: 0"),
            (&["--memory=lots", "a", "b"], "rsync: --memory value is invalid: lots"),
            (&["--delete", "a", "b"], "rsync: --delete does not work without --recursive (-r) or --dirs (-d)."),
        ] {
            assert_eq!(run(args).unwrap_err(), text);
        }
        assert!(run(&["-a", "./host:a", "b"]).is_ok());
    }
}
