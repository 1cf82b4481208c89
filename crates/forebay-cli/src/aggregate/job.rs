//! The job that a command line means.

use std::io::{self, IsTerminal};
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use forebay::{CancelToken, SegmentStore, SpillStore};
use forebay_exchange::table::{Format, InputOptions, Job, OutputOptions, Processes, Query};

use super::args::Options;
use super::{Failure, complain};
use crate::spill;

/// How long another process may be silent, if nobody says.
const DEADLINE: Duration = Duration::from_secs(10);

/// What `options` mean.
///
/// # Errors
/// What contradicts itself, or a spill directory that cannot be used.
pub(crate) fn job(options: &Options, cancel: &CancelToken) -> Result<Job, Failure> {
    check(options)?;
    let workers = options.workers.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let usual = InputOptions::default();
    let processes = options.processes.as_ref().zip(options.process).map(|(hosts, process)| Processes {
        hosts: hosts.clone(),
        process,
        secret: options.secret_file.clone(),
        deadline: options.deadline.unwrap_or(DEADLINE),
    });
    let in_directory = options.output.as_ref().is_some_and(|path| path.as_os_str().as_encoded_bytes().ends_with(b"/"));
    let scratch = options.spill_dir.clone().unwrap_or_else(std::env::temp_dir);
    Ok(Job {
        query: Query {
            by: options.by.clone(),
            aggregates: options.agg.clone(),
            filter: options.filter.clone(),
            wide_sums: options.wide_sums,
            diff: options.diff.clone(),
        },
        inputs: options.files.clone(),
        input: InputOptions {
            format: options.input_format,
            delimiter: options.delimiter.unwrap_or_else(|| delimiter_of(&options.files)),
            strict: options.strict,
            commit_every: options.commit_every.map(NonZeroU64::get),
            ..usual
        },
        output: OutputOptions {
            target: options.output.clone(),
            part: processes.as_ref().map(|processes| processes.process).or(in_directory.then_some(0)),
            format: options.format,
            changes: options.changes,
            workers,
            scratch: scratch.clone(),
            ..OutputOptions::default()
        },
        workers,
        memory: options.memory.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
        spill: store(options, &scratch)?,
        processes,
        cancel: cancel.clone(),
    })
}

/// Where is spilled to. Without a directory of its own, spilling is done where it can be.
fn store(options: &Options, scratch: &Path) -> Result<Option<SegmentStore>, Failure> {
    let store = match spill::open(scratch, options.spill_limit) {
        Ok(store) => store,
        Err(error) if options.spill_dir.is_some() => return Err(Failure::other(format!("--spill-dir: {error}"))),
        Err(_) => return Ok(None),
    };
    let location = store.location();
    if location.in_memory && options.spill_dir.is_some() {
        complain(&format!(
            "warning: {location} is memory (tmpfs): what is spilled there frees none; --spill-dir names another directory"
        ));
    }
    Ok(Some(store))
}

/// What is between the fields, as the names say.
fn delimiter_of(files: &[PathBuf]) -> u8 {
    let tabs = |path: &PathBuf| path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("tsv"));
    if !files.is_empty() && files.iter().all(tabs) { b'\t' } else { b',' }
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
    if let Some(diff) = &options.diff
        && options.by.contains(diff)
    {
        return Err(Failure::usage(format!("--diff {diff}: the column is a key (--by) too")));
    }
    if options.delimiter.is_some() && matches!(options.input_format, Some(Format::Parquet | Format::Ndjson)) {
        return Err(Failure::usage("--delimiter is for CSV, and --input-format says another format"));
    }
    Ok(())
}
