//! Errors in words that say what to do, and their exit codes.

use std::error::Error;
use std::io;
use std::num::NonZeroUsize;

use forebay::{OverBudget, SpillError};
use forebay_exchange::ExchangeError;
use forebay_exchange::cluster::{Attempt, ClusterError, Refusal};
use forebay_exchange::table::{Left, OutputError, QueryError, Report, TableError};

use super::Failure;
use super::args::Options;
use crate::signals;
use crate::size::with_commas;

/// The exit code when another process of the run is lost or has failed.
const PEER_LOST: u8 = 3;

/// How many malformed rows are shown.
const SHOWN: usize = 5;

/// What memory takes for itself in any run, and for each worker: the least that `--memory` can be.
const LEAST: usize = 64 << 10;
const LEAST_EACH: usize = 256 << 10;

/// What a run had at its disposal.
#[derive(Debug)]
pub(crate) struct Circumstances {
    pub(crate) workers: usize,
    pub(crate) memory: Option<usize>,
    /// Why nothing could be spilled.
    pub(crate) unspillable: Option<SpillError>,
}

/// How the run ends for this error. `None`: well, because nobody reads any more.
pub(crate) fn failure(error: &TableError, circumstances: &Circumstances) -> Option<Failure> {
    let mut failure = of_table(error)?;
    if is_over_budget(error) {
        let least = LEAST + LEAST_EACH * circumstances.workers;
        if circumstances.memory.is_some_and(|memory| memory < least) {
            let workers = match circumstances.workers {
                1 => "1 worker needs".to_owned(),
                workers => format!("{workers} workers need"),
            };
            failure.text.push_str(&format!("; {workers} {}K at least", least >> 10));
        }
        if let Some(why) = &circumstances.unspillable {
            failure.text.push_str(&format!("; nothing can be spilled: {why}; --spill-dir names another directory"));
        }
    }
    Some(failure)
}

fn of_table(error: &TableError) -> Option<Failure> {
    Some(match error {
        TableError::Exchange(ExchangeError::PeerLost { .. } | ExchangeError::Aborted { .. }) => {
            Failure { text: format!("{error}; nothing was published"), code: PEER_LOST }
        }
        TableError::Exchange(ExchangeError::Cluster(
            ClusterError::Missing { refused: None | Some(Refusal::Silent), .. }
            | ClusterError::Connect {
                cause: Attempt::Io(_) | Attempt::Refused(Refusal::Silent | Refusal::Over | Refusal::Running),
                ..
            },
        )) => Failure { text: error.to_string(), code: PEER_LOST },
        TableError::Exchange(ExchangeError::Cluster(ClusterError::Options { .. })) => Failure::usage(error.to_string()),
        TableError::Exchange(ExchangeError::Cluster(ClusterError::Hosts { .. })) => {
            Failure::usage(format!("--processes: {error}"))
        }
        TableError::Withdrawn { .. } => Failure { text: error.to_string(), code: PEER_LOST },
        TableError::Output(OutputError::Closed) => return None,
        TableError::Output(output) => of_output(output),
        TableError::Query(query) => of_query(query),
        TableError::NoNumbers { .. } => Failure::usage(error.to_string()),
        TableError::Option { option, reason } => Failure::usage(format!("--{option}: {reason}")),
        TableError::Filter { .. } => Failure::usage(format!("--where: {error}")),
        TableError::Malformed(row) => Failure::other(format!("{row} (--strict)")),
        _ => Failure::other(explain(error)),
    })
}

/// What is said when `signal` ends the run and this is left; `published`: of what would have been published.
pub(crate) fn ended(signal: i32, left: &Left, published: bool) -> String {
    let name = signals::name(signal);
    match left {
        Left::Nothing if published => format!("ended by {name}; nothing was published"),
        Left::Part(path) => {
            format!("ended by {name}; {} is published, and it is not known whether the other parts are", path.display())
        }
        Left::Result if published => format!("ended by {name}; the result is published"),
        _ => format!("ended by {name}"),
    }
}

fn of_output(error: &OutputError) -> Failure {
    match error {
        OutputError::UnknownFormat(_) => Failure::usage(format!("{error}: --format says it")),
        OutputError::Table | OutputError::Reserved { .. } => Failure::usage(error.to_string()),
        OutputError::IsDirectory(_) => {
            Failure::other(format!("{error}: with / at its end, a file is written in it, if it is empty"))
        }
        OutputError::NotEmpty(_) => Failure::other(format!("{error}: choose another, or remove what is in it")),
        OutputError::Memory(_) => Failure::other(format!("--memory is too little: {error}")),
        _ if is_full(error) => Failure::other(format!("{error}: make room there, or choose another place")),
        _ => Failure::other(error.to_string()),
    }
}

fn of_query(error: &QueryError) -> Failure {
    match error {
        // Of decimals there are no wider ones.
        QueryError::Overflow { data_type, .. } if data_type.is_integer() => {
            Failure::other(format!("{error} (--wide-sums)"))
        }
        QueryError::Overflow { .. }
        | QueryError::Digits { .. }
        | QueryError::Diff { .. }
        | QueryError::RowTooLong { .. }
        | QueryError::Rows(_)
        | QueryError::Arrow { .. } => Failure::other(error.to_string()),
        _ => Failure::usage(error.to_string()),
    }
}

fn explain(error: &TableError) -> String {
    if is_full(error) {
        return format!("{error}: a larger --spill-limit or another --spill-dir would help");
    }
    error.to_string()
}

/// Whether it was memory that was not enough.
fn is_over_budget(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<OverBudget>() {
            return true;
        }
        next = error.source();
    }
    false
}

/// Whether a disk is full, or a quota or the limit of what is spilled reached.
fn is_full(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if matches!(error.downcast_ref::<SpillError>(), Some(SpillError::QuotaExceeded { .. })) {
            return true;
        }
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        }
        next = error.source();
    }
    false
}

/// What is said of malformed rows, a line each; how many were left out in any case. None, if there are none.
pub(crate) fn malformed(report: &Report, options: &Options) -> Vec<String> {
    let count = report.malformed_rows;
    if count == 0 {
        return Vec::new();
    }
    let mut left_out = match count {
        1 => "1 malformed row was left out".to_owned(),
        _ => format!("{} malformed rows were left out", with_commas(count)),
    };
    if report.malformed_lines > count {
        left_out.push_str(&format!(", of {} lines together", with_commas(report.malformed_lines)));
    }
    if options.quiet {
        return vec![left_out];
    }
    let mut lines: Vec<String> = report.malformed.iter().take(SHOWN).map(ToString::to_string).collect();
    lines.push(left_out);
    let mut columns: Vec<&str> = report.malformed.iter().filter_map(|row| row.column.as_deref()).collect();
    columns.sort_unstable();
    columns.dedup();
    if !columns.is_empty() {
        let (names, rows) = (columns.join(", "), options.sample_rows.map_or(1000, NonZeroUsize::get));
        let types = if columns.len() == 1 { "the type of column" } else { "the types of columns" };
        let rows = with_commas(rows as u64);
        lines.push(format!("{types} {names}: as in the first {rows} rows (--sample-rows looks at more)"));
    }
    lines
}
