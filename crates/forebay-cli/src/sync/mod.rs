//! `forebay sync`: rsync's command line, text and exit codes over [`forebay_sync`].

mod args;
mod help;
mod output;
mod stats;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use forebay::CancelToken;
use forebay_sync::{DeleteWhen, Error};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::limits;
use args::{Command, Parsed};
use output::Output;

/// Runs `forebay sync` with what follows its name on the command line.
pub(crate) fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let command = match args::parse(args) {
        Ok(Parsed::Run(command)) => *command,
        Ok(Parsed::Help) => {
            // A reader that has seen enough is no failure.
            let _ = io::stdout().write_all(help::TEXT.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(refusal) => {
            complain(&refusal.text);
            return end(refusal.code);
        }
    };
    limits::raise_file_limit();
    if let Err(error) = watch_signals(command.options.cancel.clone()) {
        complain(&format!("forebay: cannot watch for signals: {error}"));
        return end(11);
    }
    run(command)
}

fn run(command: Command) -> ExitCode {
    let Command { options, sources, destination, stats, progress } = command;
    let said = stats::Said { verbose: options.verbose, stats, dry_run: options.dry_run };
    let quiet = options.quiet;
    let mut output = Output::new(&options, progress);
    let mut head = String::new();
    if options.verbose > 0 && !quiet {
        // As with rsync, whose list is complete before anything else happens in these cases.
        let at_once = matches!(options.deletion.when, DeleteWhen::Before | DeleteWhen::After)
            || options.select.prune_empty_dirs
            || options.delay_updates
            || !options.recursive;
        head.push_str(if at_once { "building file list ... done\n" } else { "sending incremental file list\n" });
        if options.verbose > 1 {
            head.push_str(match options.whole_file && options.append.is_none() {
                true => "delta-transmission disabled for local transfer or --whole-file\n",
                false => "delta-transmission enabled\n",
            });
        }
    }
    output.write(head.as_bytes());
    match forebay_sync::mirror(options, &sources, &destination, &mut output) {
        Ok(report) => {
            output.finish();
            if let Some(place) = report.spill.as_ref().filter(|place| place.in_memory)
                && report.engine.spilled_items > 0
                && !called_as_rsync()
            {
                complain(&format!(
                    "forebay: warning: {place} is memory (tmpfs), so what was spilled freed none; --spill-dir names another directory"
                ));
            }
            if !quiet {
                output.write(stats::summary(&report, said, !called_as_rsync()).as_bytes());
            }
            end(report.exit_code())
        }
        Err(error) => {
            output.abandon();
            if !matches!(error, Error::Cancelled) {
                complain(&error.to_string());
            }
            end(error.exit_code())
        }
    }
}

/// Writes a line to standard error. There is nowhere left to complain about a failure of that.
fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Says how it ended, in rsync's words, and gives its exit code.
fn end(code: u8) -> ExitCode {
    let (kind, text) = match code {
        0 => return ExitCode::SUCCESS,
        1 => ("error", "syntax or usage error"),
        3 => ("error", "errors selecting input/output files, dirs"),
        11 => ("error", "error in file IO"),
        13 => ("error", "errors with program diagnostics"),
        20 => ("error", "received SIGINT, SIGTERM, or SIGHUP"),
        23 => ("error", "some files/attrs were not transferred (see previous errors)"),
        25 => ("error", "the --max-delete limit stopped deletions"),
        24 => ("warning", "some files vanished before they could be transferred"),
        _ => ("error", "error in IPC code"),
    };
    let role = if code == 1 { "client" } else { "sender" };
    complain(&format!("rsync {kind}: {text} (code {code}) at forebay sync [{role}={}]", env!("CARGO_PKG_VERSION")));
    ExitCode::from(code)
}

fn called_as_rsync() -> bool {
    let program = std::env::args_os().next().unwrap_or_default();
    std::path::Path::new(&program).file_name().is_some_and(|name| name == "rsync")
}

/// How long workers have, after a signal, to remove what is half written if standard output blocks the orderly end.
const GRACE: Duration = Duration::from_secs(3);

/// The first signal ends the mirror in good order; it dies at a second one, or if it is stuck.
fn watch_signals(cancel: CancelToken) -> io::Result<()> {
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    std::thread::Builder::new().name("sync-signals".into()).spawn(move || {
        let mut arrived = 0;
        for _ in signals.forever() {
            arrived += 1;
            cancel.cancel();
            if arrived > 1 {
                leave();
            }
            let guard = std::thread::Builder::new().name("sync-grace".into()).spawn(|| {
                std::thread::sleep(GRACE);
                leave();
            });
            if guard.is_err() {
                leave();
            }
        }
    })?;
    Ok(())
}

fn leave() -> ! {
    let _ = end(20);
    std::process::exit(20)
}
