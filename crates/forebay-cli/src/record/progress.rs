//! The line of progress.

use forebay_zarr::{WriterMonitor, WriterSnapshot};

use crate::progress::Progress;
use crate::size::with_commas;
use crate::usage;

/// Shows it, unless it is to be `quiet`.
pub(crate) fn start(monitor: &WriterMonitor, quiet: bool) -> Progress {
    if quiet {
        return Progress::none();
    }
    let monitor = monitor.clone();
    Progress::start(
        "record-progress",
        move || monitor.snapshot(),
        |now: &WriterSnapshot, before: &WriterSnapshot, seconds| {
            text(now, (now.bytes_in - before.bytes_in) as f64 / seconds)
        },
    )
}

/// Frames landed, spilled and waiting; the slowest append. Eighty columns, as a rule.
fn text(snapshot: &WriterSnapshot, rate: f64) -> String {
    let memory = usage::status("VmRSS:").map(|bytes| format!(", {} MiB", bytes >> 20)).unwrap_or_default();
    format!(
        "{:.0} MB/s, ratio {:.2}{memory}; {} landed, {} spilled, {} waiting; slowest {:.1} ms",
        rate / 1e6,
        ratio(snapshot.packed_in, snapshot.packed_out),
        with_commas(snapshot.frames_landed),
        with_commas(snapshot.frames_spilled),
        with_commas(snapshot.frames_waiting),
        snapshot.append_nanos_longest as f64 / 1e6,
    )
}

/// How many times smaller what was stored is.
pub(crate) fn ratio(bytes_in: u64, bytes_out: u64) -> f64 {
    if bytes_out == 0 { 0.0 } else { bytes_in as f64 / bytes_out as f64 }
}
