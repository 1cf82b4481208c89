//! `forebay aggregate`: a group-by over files or a stream.

mod args;
mod job;
mod message;
mod progress;
mod signals;
mod stats;

use std::io::{self, Write};
use std::process::ExitCode;

use forebay::CancelToken;
use forebay_exchange::table::{Observer, run};

pub(crate) use args::Options;

use crate::usage::Usage;
use crate::{limits, signals as names};

/// What ends the program early: a line for standard error, and an exit code.
#[derive(Debug)]
struct Failure {
    text: String,
    code: u8,
}

impl Failure {
    /// The command line makes no sense.
    fn usage(text: impl Into<String>) -> Self {
        Failure { text: text.into(), code: 2 }
    }

    /// Something is not as it should be.
    fn other(text: impl Into<String>) -> Self {
        Failure { text: text.into(), code: 1 }
    }
}

/// Runs `forebay aggregate`.
pub(crate) fn main(options: &Options) -> ExitCode {
    limits::raise_file_limit();
    match aggregate(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure.text);
            ExitCode::from(failure.code)
        }
    }
}

fn aggregate(options: &Options) -> Result<(), Failure> {
    let usage = Usage::begin();
    let (cancel, observer) = (CancelToken::new(), Observer::new());
    let signal = signals::watch(cancel.clone(), observer.clone())
        .map_err(|error| Failure::other(format!("cannot watch for signals: {error}")))?;
    let job = job::job(options, &cancel)?;
    let progress = progress::start(&observer, options);
    let outcome = run(job, &observer);
    progress.finish();
    let report = match outcome {
        Ok(report) => report,
        Err(error) => {
            if let Some(signal) = signal.get() {
                let rest = if options.output.is_some() { "; nothing was published" } else { "" };
                let text = format!("ended by {}{rest}", names::name(signal));
                return Err(Failure { text, code: names::exit_code(signal) });
            }
            return message::failure(&error).map_or(Ok(()), Err);
        }
    };
    if !options.quiet {
        message::malformed(&report).iter().for_each(|line| complain(line));
    }
    if options.stats {
        // There is nowhere left to complain about a failure of that.
        let _ = io::stderr().write_all(stats::summary(&report, &usage).as_bytes());
    }
    Ok(())
}

/// Writes a line to standard error. There is nowhere left to complain about a failure of that.
fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "forebay: {text}");
}
