//! `forebay record`: frames from a pipe or from files into an array, while they arrive.
//!
//! ```text
//! thread record-read          this thread                           threads of the writer
//! Input::next_block  -------> ArrayWriter::append  ---------------> compress, write, land
//!               three blocks                      slabs; spills
//! ```

mod args;
mod array;
mod feed;
mod fill;
mod message;
mod pace;
mod progress;
mod signals;
mod stats;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, Sender};

use forebay_zarr::input::{Input, InputError, Known};
use forebay_zarr::{ArrayWriter, WriteError};

pub(crate) use args::Options;

use crate::progress::Progress;
use crate::usage::Usage;
use crate::{limits, signals as names};
use feed::{Event, Feed};
use pace::Pace;

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

/// Why no more frames are read.
#[derive(Debug)]
enum Ended {
    Input(Result<(), InputError>),
    Signal(i32),
}

/// Runs `forebay record`.
pub(crate) fn main(options: &Options) -> ExitCode {
    limits::raise_file_limit();
    match record(options) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            complain(&failure.text);
            ExitCode::from(failure.code)
        }
    }
}

fn record(options: &Options) -> Result<u8, Failure> {
    let usage = Usage::begin();
    let (sender, events) = mpsc::channel();
    signals::watch(sender.clone(), options.quiet)
        .map_err(|error| Failure::other(format!("cannot watch for signals: {error}")))?;
    let (array, mut writer, input) = array::open(options)?;
    if !options.quiet {
        complain(&array.announcement(&writer, options));
    }
    let begun = writer.next_frame();
    let monitor = writer.monitor();
    let progress = progress::start(&monitor, options.quiet);
    let ended = run(&mut writer, input, (sender, events), &progress);
    // What failed is said at once: the writer may have to wait for a disk before it is gone.
    let failed = |error: &WriteError| {
        let safe = message::safe(monitor.snapshot().frames_landed, &options.out);
        progress.suspend(|| complain(&format!("{}; {safe}", message::explain(error, &options.out))));
    };
    let recorded = match ended {
        Err(error) => {
            failed(&error);
            drop(writer);
            None
        }
        Ok(ended) => match writer.close() {
            // The rest of a frame is lost to a signal, or the input's own error tells of it.
            Ok(_) | Err(WriteError::Partial { .. }) => Some(ended),
            Err(error) => {
                failed(&error);
                None
            }
        },
    };
    progress.finish();
    let snapshot = monitor.snapshot();
    if options.stats {
        let summary = stats::summary(&stats::Facts {
            snapshot: &snapshot,
            begun,
            usage: &usage,
            estimate: array.estimate,
            spill: array.spill.as_ref(),
            written: &array.written(),
        });
        // A reader that has gone away wants no statistics.
        let _ = io::stdout().write_all(summary.as_bytes());
    }
    let safe = message::safe(snapshot.frames_landed, &options.out);
    match recorded {
        Some(Ended::Input(Ok(()))) => {
            if !options.quiet {
                complain(&stats::line(&snapshot, begun, &usage, &options.out));
            }
            Ok(0)
        }
        Some(Ended::Input(Err(error))) => Err(Failure::other(format!("{}; {safe}", message::input(error, begun)))),
        Some(Ended::Signal(signal)) => {
            complain(&format!("ended by {}; {safe}", names::name(signal)));
            Ok(names::exit_code(signal))
        }
        None => Ok(1),
    }
}

/// Appends what comes, until nothing comes or a signal does.
fn run(
    writer: &mut ArrayWriter,
    input: Input,
    (sender, events): (Sender<Event>, Receiver<Event>),
    progress: &Progress,
) -> Result<Ended, WriteError> {
    let feed = Feed::start(input, sender, events)?;
    let mut pace = Pace::new();
    loop {
        match feed.next(pace.decides_at()) {
            Event::Block(block) => {
                pace.came(block.len());
                writer.append(&block)?;
                feed.give_back(block);
            }
            Event::End(end) => return Ok(Ended::Input(end)),
            Event::Signal(signal) => return Ok(Ended::Signal(signal)),
            Event::Nothing => {}
            Event::Gone => return Err(WriteError::Ended),
        }
        if let Some(text) = pace.verdict(writer.spec()) {
            progress.suspend(|| complain(&format!("warning: {text}")));
        }
    }
}

/// The frames, as far as the command line and `known` say what they are.
fn open_input(options: &Options, known: &Known) -> Result<Input, Failure> {
    if !options.from.is_empty() {
        return Input::open(&options.from, known).map_err(|error| incomplete(&error));
    }
    // Before anybody waits for a stream that cannot be understood.
    let stdin = Path::new(feed::STDIN);
    Input::from_reader(io::empty(), stdin, known).map_err(|error| incomplete(&error))?;
    let file = feed::standard_input().map_err(|error| Failure::usage(format!("read {}: {error}", stdin.display())))?;
    Input::from_reader(file, stdin, known).map_err(|error| incomplete(&error))
}

/// What is wrong with the input, before anything was recorded.
fn incomplete(error: &InputError) -> Failure {
    match error {
        InputError::NotKnown { .. } => Failure::usage(format!("{error}: --shape t,Y,X and --dtype TYPE say it")),
        InputError::Pattern { .. } => Failure::usage(error.to_string()),
        _ => Failure::other(error.to_string()),
    }
}

/// Writes a line to standard error. There is nowhere left to complain about a failure of that.
fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "forebay: {text}");
}
