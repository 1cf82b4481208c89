//! What `--stats` prints.

use forebay_delta::Stats;
use forebay_delta::librsync::Counts;

use crate::size::with_commas;
use crate::usage::Usage;

/// The line about a signature.
pub(crate) fn signature(blocks: u64, format: &forebay_delta::Format) -> String {
    format!(
        "{} blocks of {} bytes, strong sums of {} bytes",
        with_commas(blocks),
        with_commas(format.block_len().into()),
        format.strong_len()
    )
}

/// The line about the commands of a delta.
pub(crate) fn counts(counts: &Counts) -> String {
    format!(
        "{} literal commands, {} bytes; {} copy commands, {} bytes",
        with_commas(counts.literals),
        with_commas(counts.literal_bytes),
        with_commas(counts.copies),
        with_commas(counts.copied_bytes)
    )
}

/// The line about what a new file shares with the old one.
pub(crate) fn kept(bytes: u64) -> String {
    format!("{} bytes shared with the old file, neither read nor written", with_commas(bytes))
}

/// The line about a search.
pub(crate) fn search(stats: &Stats) -> String {
    let leaps = match stats.leaps {
        0 => String::new(),
        leaps => format!("; {} times too much was in vain", with_commas(leaps)),
    };
    format!(
        "{} blocks found, {} hash hits, {} false alarms{leaps}",
        with_commas(stats.matches),
        with_commas(stats.hash_hits),
        with_commas(stats.false_alarms)
    )
}

/// The line about what it took.
pub(crate) fn cost(bytes: u64, workers: u64, usage: &Usage) -> String {
    let seconds = usage.seconds();
    format!(
        "{} bytes in {seconds:.3} seconds, {:.1} MB/s; {:.3} CPU seconds; {workers} workers used",
        with_commas(bytes),
        bytes as f64 / 1e6 / seconds.max(0.001),
        usage.processor_seconds()
    )
}
