//! The job that a command line means.

use std::io::{self, IsTerminal};
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::Path;
use std::thread;
use std::time::Duration;

use forebay::{CancelToken, SegmentStore, SpillError, SpillStore};
use forebay_exchange::table::{Format, InputOptions, Job, OutputFormat, OutputOptions, Processes, Query};

use super::args::Options;
use super::{Failure, complain};
use crate::spill;

/// How long another process may be silent, if nobody says.
const DEADLINE: Duration = Duration::from_secs(10);

/// What `options` mean.
///
/// Besides, why nothing can be spilled, if that is so.
///
/// # Errors
/// What contradicts itself, or a spill directory that cannot be used.
pub(crate) fn job(options: &Options, cancel: &CancelToken) -> Result<(Job, Option<SpillError>), Failure> {
    check(options)?;
    let workers = options.workers.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let usual = InputOptions::default();
    let processes = options.processes.as_ref().zip(options.process).map(|(hosts, process)| Processes {
        hosts: hosts.clone(),
        process,
        secret: options.secret_file.clone(),
        deadline: options.deadline.unwrap_or(DEADLINE),
    });
    let in_directory = options.target().is_some_and(ends_with_slash);
    let scratch = options.spill_dir.clone().unwrap_or_else(std::env::temp_dir);
    let (spill, unspillable) = store(options, &scratch)?;
    let job = Job {
        query: Query {
            by: options.keys(),
            aggregates: options.aggregates(),
            filter: options.filter.clone(),
            wide_sums: options.wide_sums,
            diff: options.diff.clone(),
        },
        inputs: options.files.clone(),
        input: InputOptions {
            format: options.input_format,
            delimiter: options.delimiter,
            sample_rows: options.sample_rows.map_or(usual.sample_rows, NonZeroUsize::get),
            strict: options.strict,
            commit_every: options.commit_every.map(NonZeroU64::get),
            ..usual
        },
        output: OutputOptions {
            target: options.target().map(Path::to_owned),
            part: processes.as_ref().map(|processes| processes.process).or(in_directory.then_some(0)),
            format: options.format,
            changes: options.changes,
            workers,
            scratch: scratch.clone(),
            ..OutputOptions::default()
        },
        workers,
        memory: options.memory.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
        spill,
        processes,
        cancel: cancel.clone(),
    };
    Ok((job, unspillable))
}

/// Where is spilled to. Without a directory of its own, spilling is done where it can be; if it cannot, why not.
fn store(options: &Options, scratch: &Path) -> Result<(Option<SegmentStore>, Option<SpillError>), Failure> {
    let store = match spill::open(scratch, options.spill_limit) {
        Ok(store) => store,
        Err(error) if options.spill_dir.is_some() => return Err(Failure::other(format!("--spill-dir: {error}"))),
        Err(error) => return Ok((None, Some(error))),
    };
    let location = store.location();
    if location.in_memory && options.spill_dir.is_some() {
        complain(&format!(
            "warning: {location} is memory (tmpfs): what is spilled there frees none; --spill-dir names another directory"
        ));
    }
    Ok((Some(store), None))
}

fn ends_with_slash(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

/// What clap cannot see.
fn check(options: &Options) -> Result<(), Failure> {
    let standard_input = options.files.is_empty() || options.files.iter().any(|path| path == Path::new("-"));
    if standard_input && io::stdin().is_terminal() {
        return Err(Failure::usage("standard input is a terminal; rows come from files or through a pipe"));
    }
    if options.files.iter().filter(|path| *path == Path::new("-")).count() > 1 {
        return Err(Failure::usage("standard input (-) can be read once only"));
    }
    if standard_input && options.processes.is_some() {
        return Err(Failure::usage("several processes read files: standard input belongs to one of them"));
    }
    if options.target().is_none() && options.processes.is_some() {
        return Err(Failure::usage("several processes write into a directory, and - is standard output"));
    }
    if options.processes.is_some()
        && let Some(path) = options.target()
        && let Some(format) = OutputFormat::of_name(path).filter(|_| !ends_with_slash(path))
    {
        let path = path.display();
        return Err(Failure::usage(format!(
            "-o {path}: several processes write a part each, into a directory; -o {path}/ is one, and --format {format} is what the \
             parts are written as"
        )));
    }
    if let Some(diff) = &options.diff
        && options.keys().contains(diff)
    {
        return Err(Failure::usage(format!("--diff {diff}: the column is a key (--by) too")));
    }
    if options.delimiter.is_some() && matches!(options.input_format, Some(Format::Parquet | Format::Ndjson)) {
        return Err(Failure::usage("--delimiter is for CSV, and --input-format says another format"));
    }
    Ok(())
}
