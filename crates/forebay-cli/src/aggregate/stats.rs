//! What `--stats` says.

use std::fmt::Write;

use forebay_exchange::table::Report;

use crate::size::with_commas;
use crate::spill;
use crate::usage::Usage;

/// The text behind `--stats`, each line under the program's name.
pub(crate) fn summary(report: &Report, usage: &Usage) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut out, report, usage);
    out
}

fn write(out: &mut String, report: &Report, usage: &Usage) -> std::fmt::Result {
    let (seconds, processor) = (usage.seconds(), usage.processor_seconds());
    writeln!(
        out,
        "forebay: {} rows in, {} malformed; {} commits; {} rows out",
        with_commas(report.rows_in),
        with_commas(report.malformed_rows),
        with_commas(report.commits),
        with_commas(report.rows_out)
    )?;
    writeln!(
        out,
        "forebay: {} bytes read, {} bytes written",
        with_commas(report.bytes_in),
        with_commas(report.bytes_out)
    )?;
    writeln!(
        out,
        "forebay: {seconds:.3} seconds, {:.1} MB/s; {processor:.3} CPU seconds",
        report.bytes_in as f64 / 1e6 / seconds.max(0.001)
    )?;
    writeln!(
        out,
        "forebay: {} workers, {} used; exchanged {} rows, {} bytes; {} rows went to another worker",
        report.workers,
        report.workers_used,
        with_commas(report.rows_sent),
        with_commas(report.bytes_sent),
        with_commas(report.rows_moved)
    )?;
    for wait in &report.waits {
        let (times, seconds) = (with_commas(wait.times), wait.time.as_secs_f64());
        writeln!(out, "forebay: waited for {} {times} times, {seconds:.3} seconds", wait.reason)?;
    }
    for operator in &report.operators {
        let (times, seconds) = (with_commas(operator.times), operator.time.as_secs_f64());
        writeln!(out, "forebay: {} ran {times} times, {seconds:.3} seconds", operator.name)?;
    }
    writeln!(
        out,
        "forebay: spilled {} rows, {} bytes; reloaded {} bytes",
        with_commas(report.engine.spilled_items),
        with_commas(report.engine.spilled_bytes),
        with_commas(report.engine.reloaded_bytes)
    )?;
    spill::write_place(out, report.spill.as_ref())?;
    if let Some(queues) = &report.queues {
        writeln!(
            out,
            "forebay: spilled {} bytes of the queues between processes; reloaded {} bytes",
            with_commas(queues.spilled_bytes),
            with_commas(queues.fetched_bytes)
        )?;
    }
    match usage.peak_above() {
        Some(peak) => writeln!(out, "forebay: peak memory {:.1} MiB", peak as f64 / f64::from(1 << 20)),
        None => Ok(()),
    }
}
