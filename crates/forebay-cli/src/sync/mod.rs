//! `forebay sync`: rsync's command line, text and exit codes over [`forebay_sync`].

mod args;
mod help;
mod log_file;
mod output;
mod signals;
mod stats;
mod version;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use forebay::CancelToken;
use forebay_sync::{DeleteWhen, Error, Log, ending};

use crate::limits;
use args::{Command, Parsed, Place, Report};
use log_file::LogFile;
use output::Output;
use signals::Signals;

/// Runs `forebay sync` with what follows its name on the command line.
pub(crate) fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let args: Vec<_> = args.collect();
    let role = if args.first().is_some_and(|first| first == "--server") { "server" } else { "client" };
    let command = match args::parse(args) {
        Ok(Parsed::Run(command)) => *command,
        Ok(Parsed::Print(text)) => {
            // A reader that has seen enough is no failure.
            let _ = io::stdout().write_all(text.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(refusal) => {
            let end = ending(refusal.code, refusal.role.unwrap_or(role));
            let told: Vec<_> = std::iter::once(refusal.text).chain(end).collect();
            told.iter().for_each(|text| complain(text));
            // As with rsync, a log that cannot be opened is no matter here.
            if let Some(Ok(mut log)) = refusal.log_file.map(|path| LogFile::open(&path, false)) {
                log.write(told.join("\n").as_bytes());
            }
            return ExitCode::from(refusal.code);
        }
    };
    limits::raise_file_limit();
    let role = match &command.place {
        Place::Serve(served) => served.role(),
        Place::Pull(_) => "Receiver",
        Place::Push(_) | Place::Here => "sender",
    };
    let signals = match Signals::watch(command.options.cancel.clone(), role, matches!(command.place, Place::Serve(_))) {
        Ok(signals) => signals,
        Err(error) => {
            complain(&format!("forebay: cannot watch for signals: {error}"));
            return end(11, "client");
        }
    };
    run(command, &signals)
}

fn run(command: Command, signals: &Signals) -> ExitCode {
    let Command { mut options, sources, destination, report, place, connection } = command;
    let Report { human, limit, .. } = report;
    let pulls = matches!(place, Place::Pull(_));
    let protocol = connection.offer.protocol;
    let mut said = stats::Said { levels: options.levels, dry_run: connection.dry_run, human, protocol };
    if pulls {
        // The side that sends says what it has found.
        said.levels.debug_deltasum = 0;
    }
    let (quiet, json) = (options.quiet, options.json);
    let log = report.log_file.as_ref().and_then(|path| {
        let opened = LogFile::open(path, options.insecure_links);
        opened
            .inspect_err(|error| {
                let (path, reason) = (path.to_string_lossy(), describe(error));
                let role = match (&place, options.log_receives) {
                    (Place::Serve(_), _) => "server",
                    (_, true) => "Receiver",
                    (_, false) => "client",
                };
                complain(&format!("rsync: [{role}] failed to open log-file {path}: {reason}"));
                // There may be nobody to read it. What reads objects is not to find a line that is none.
                let _ = match quiet {
                    true => Ok(()),
                    false if json || options.log_receives || matches!(place, Place::Serve(_)) => {
                        io::stderr().write_all(IGNORING_LOG)
                    }
                    false => io::stdout().write_all(IGNORING_LOG),
                };
            })
            .ok()
    });
    if let Place::Serve(served) = &place {
        let code = forebay_sync::serve(options, &connection, served, &|| signals.exit_code(), &mut log_file::Only(log));
        signals.die();
        return ExitCode::from(code);
    }
    let stopped = match limit.map(|limit| stop_after(limit, options.cancel.clone())).transpose() {
        Ok(stopped) => stopped,
        Err(error) => {
            complain(&format!("forebay: cannot watch the time: {error}"));
            return end(11, "client");
        }
    };
    // As with rsync, whose list is complete before anything else happens in these cases.
    let at_once = matches!(options.deletion.when, DeleteWhen::Before | DeleteWhen::After)
        || options.select.prune_empty_dirs
        || options.delay_updates
        || !options.recursive
        || report.at_once;
    let lists = options.recursive || options.select.dirs || options.list_only.is_some();
    let levels = &options.levels;
    // There is something to say of the list before it is complete.
    let told = levels.flist > 1 || (levels.flist > 0 && levels.debug_filter > 0);
    options.one_list = report.at_once;
    options.list_first = at_once && lists && told && !quiet && !json;
    let mut output = Output::new(&options, log, &report, !at_once, pulls);
    let receives = options.log_receives;
    output.note(if receives || pulls { b"receiving file list\n" } else { b"building file list\n" });
    let mut head = String::new();
    if options.levels.flist > 0 && lists {
        head.push_str(match (&place, at_once) {
            (Place::Pull(_), _) if options.list_first => "receiving file list ... ",
            _ if options.list_first => "building file list ... ",
            (Place::Pull(_), true) => "receiving file list ... done\n",
            (Place::Pull(_), false) => "receiving incremental file list\n",
            (_, true) => "building file list ... done\n",
            (_, false) => "sending incremental file list\n",
        });
        // Where it is told of while it is made, that is said when it is.
        if at_once && !options.list_first && !receives {
            output.note(b"done\n");
        }
    }
    if !quiet && !json {
        output.head(head, matches!(place, Place::Here));
    }
    let mirrored = match &place {
        Place::Pull(host) => forebay_sync::pull(options, &connection, host, &sources, &destination, &mut output),
        Place::Push(host) => forebay_sync::push(options, &connection, host, &sources, &destination, &mut output),
        Place::Here | Place::Serve(_) => forebay_sync::mirror(options, &sources, &destination, &mut output),
    };
    let (mut role, mut told) = (if pulls { "Receiver" } else { "sender" }, false);
    let code = match mirrored {
        Ok(report) => {
            // As with rsync, whose sides have parted by then.
            if pulls && report.totals.listed() > 0 {
                role = "generator";
            }
            output.finish();
            if let Some(place) = report.spill.as_ref().filter(|place| place.in_memory)
                && report.engine.spilled_items > 0
                && !called_as_rsync()
            {
                output.complain(&format!(
                    "forebay: warning: {place} is memory (tmpfs), so what was spilled freed none; --spill-dir names another directory"
                ));
            }
            if json && !quiet {
                output.write(stats::json(&report).as_bytes());
            } else if !quiet {
                output.write(stats::summary(&report, said, !called_as_rsync()).as_bytes());
            }
            output.note(stats::logged(&report, said, receives, pulls).as_bytes());
            report.exit_code()
        }
        Err(error) => {
            output.abandon();
            let stopped = stopped.is_some_and(|stopped| stopped.load(Ordering::Acquire));
            match &error {
                Error::Cancelled if stopped => output.complain("stopping at requested limit"),
                Error::Cancelled => signals.die(),
                // The other side has said everything.
                Error::Remote { text, .. } if text.is_empty() => told = true,
                Error::Usage(_) | Error::Select(_) | Error::Io(_) if matches!(place, Place::Here) => {
                    role = "Receiver";
                    output.complain(&error.to_string());
                }
                _ => output.complain(&error.to_string()),
            }
            match &error {
                _ if stopped => 30,
                Error::Cancelled => signals.exit_code(),
                _ => error.exit_code(),
            }
        }
    };
    // What has failed for some files, the side that sends sums up.
    match ending(code, role).filter(|_| !told) {
        Some(text) if receives && (23..=25).contains(&code) => output.errors(format!("{text}\n").as_bytes()),
        Some(text) => output.complain(&text),
        None => {}
    }
    ExitCode::from(code)
}

/// What follows the error of a log file that cannot be opened.
const IGNORING_LOG: &[u8] = b"Ignoring \"log file\" setting.\n";

/// The system's words for an error, with its number, as rsync prints them.
fn describe(error: &io::Error) -> String {
    let text = error.to_string();
    match error.raw_os_error() {
        Some(number) => {
            let end = format!(" (os error {number})");
            format!("{} ({number})", text.strip_suffix(&end).unwrap_or(&text))
        }
        None => text,
    }
}

/// Writes a line to standard error. There is nowhere left to complain about a failure of that.
fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Says how it ended, as the side that is called `role`, and gives its exit code.
fn end(code: u8, role: &str) -> ExitCode {
    if let Some(text) = ending(code, role) {
        complain(&text);
    }
    ExitCode::from(code)
}

fn called_as_rsync() -> bool {
    let program = std::env::args_os().next().unwrap_or_default();
    std::path::Path::new(&program).file_name().is_some_and(|name| name == "rsync")
}

/// Ends the mirror in good order after `limit`, and says so.
fn stop_after(limit: Duration, cancel: CancelToken) -> io::Result<Arc<AtomicBool>> {
    let stopped = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stopped);
    std::thread::Builder::new().name("sync-limit".into()).spawn(move || {
        std::thread::sleep(limit);
        told.store(true, Ordering::Release);
        cancel.cancel();
    })?;
    Ok(stopped)
}
