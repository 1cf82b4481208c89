//! The line of progress.

use std::io::{self, IsTerminal};

use forebay_exchange::table::{Observer, Progress as Now};

use super::args::Options;
use crate::progress::Progress;
use crate::size::with_commas;
use crate::usage;

/// Shows it, unless it is to be quiet or results appear on the same terminal meanwhile.
pub(crate) fn start(observer: &Observer, options: &Options) -> Progress {
    let in_the_way = options.changes && options.target().is_none() && io::stdout().is_terminal();
    if options.quiet || in_the_way {
        return Progress::none();
    }
    let observer = observer.clone();
    Progress::start("aggregate-progress", move || observer.progress(), text)
}

/// Rows read, commits, rows written. Eighty columns, as a rule.
fn text(now: &Now, before: &Now, seconds: f64) -> String {
    let memory = usage::status("VmRSS:").map(|bytes| format!(", {} MiB", bytes >> 20)).unwrap_or_default();
    format!(
        "{} rows/s{memory}; {} rows in, {} commits, {} rows out",
        with_commas(((now.rows_in - before.rows_in) as f64 / seconds) as u64),
        with_commas(now.rows_in),
        with_commas(now.commits),
        with_commas(now.rows_out)
    )
}
