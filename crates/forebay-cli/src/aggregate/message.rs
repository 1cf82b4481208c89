//! Errors in words that say what to do, and their exit codes.

use std::error::Error;
use std::io;

use forebay::SpillError;
use forebay_exchange::ExchangeError;
use forebay_exchange::table::{OutputError, QueryError, Report, TableError};

use super::Failure;
use crate::size::with_commas;

/// The exit code when another process of the run is lost or has failed.
const PEER_LOST: u8 = 3;

/// How many malformed rows are shown.
const SHOWN: usize = 5;

/// How the run ends for this error. `None`: well, because nobody reads any more.
pub(crate) fn failure(error: &TableError) -> Option<Failure> {
    Some(match error {
        TableError::Exchange(ExchangeError::PeerLost { .. } | ExchangeError::Aborted { .. }) => {
            Failure { text: error.to_string(), code: PEER_LOST }
        }
        TableError::Output(OutputError::Closed) => return None,
        TableError::Output(output) => of_output(output),
        TableError::Query(query) => of_query(query),
        TableError::Option { option, reason } => Failure::usage(format!("--{option}: {reason}")),
        TableError::Filter { .. } => Failure::usage(format!("--where: {error}")),
        TableError::Malformed(row) => Failure::other(format!("{row} (--strict)")),
        _ => Failure::other(explain(error)),
    })
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
        QueryError::Overflow { .. } => Failure::other(format!("{error} (--wide-sums)")),
        QueryError::Diff { .. } | QueryError::RowTooLong { .. } | QueryError::Rows(_) | QueryError::Arrow { .. } => {
            Failure::other(error.to_string())
        }
        _ => Failure::usage(error.to_string()),
    }
}

fn explain(error: &TableError) -> String {
    if is_full(error) {
        return format!("{error}: a larger --spill-limit or another --spill-dir would help");
    }
    error.to_string()
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

/// What is said of malformed rows, a line each. None, if there are none.
pub(crate) fn malformed(report: &Report) -> Vec<String> {
    let count = report.malformed_rows;
    if count == 0 {
        return Vec::new();
    }
    let mut lines: Vec<String> = report.malformed.iter().take(SHOWN).map(ToString::to_string).collect();
    lines.push(match count {
        1 => "1 malformed row was left out".to_owned(),
        _ => format!("{} malformed rows were left out", with_commas(count)),
    });
    lines
}
