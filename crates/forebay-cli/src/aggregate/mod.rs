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
use forebay_exchange::table::{Left, Observer, TableError, run};

pub(crate) use args::Options;

use message::Circumstances;

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
    let signal = signals::watch(cancel.clone(), observer.clone(), options.target().is_some())
        .map_err(|error| Failure::other(format!("cannot watch for signals: {error}")))?;
    let (job, unspillable) = job::job(options, &cancel)?;
    let circumstances = Circumstances { workers: job.workers, memory: job.memory, unspillable };
    let progress = progress::start(&observer, options);
    let outcome = run(job, &observer);
    progress.finish();
    let report = match outcome {
        Ok(report) => report,
        Err(error) => {
            if let Some(signal) = signal.get() {
                // A part that was published and withdrawn is told of.
                let text = match error {
                    TableError::Withdrawn { .. } => format!("ended by {}: {error}", names::name(signal)),
                    _ => message::ended(signal, &Left::Nothing, options.target().is_some()),
                };
                return Err(Failure { text, code: names::exit_code(signal) });
            }
            return message::failure(&error, &circumstances).map_or(Ok(()), Err);
        }
    };
    message::malformed(&report, options).iter().for_each(|line| complain(line));
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
