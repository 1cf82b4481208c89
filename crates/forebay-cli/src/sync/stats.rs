//! What is printed at the end: rsync's block of statistics, the engine's numbers, the two closing lines.

use std::fmt::Write;

use forebay_sync::{Report, Totals};

use crate::size::{decimal, with_commas};
use crate::spill;

/// What the options ask to be said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said {
    pub(crate) verbose: u8,
    pub(crate) stats: bool,
    pub(crate) dry_run: bool,
}

/// The text behind the names. `own_lines` adds what rsync does not have.
pub(crate) fn summary(report: &Report, said: Said, own_lines: bool) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut out, report, said, own_lines);
    out
}

fn write(out: &mut String, report: &Report, said: Said, own_lines: bool) -> std::fmt::Result {
    let totals = &report.totals;
    if said.verbose > 1 {
        writeln!(
            out,
            "total: matches={}  hash_hits={}  false_alarms={} data={}",
            totals.matches, totals.hash_hits, totals.false_alarms, totals.literal_bytes
        )?;
    }
    let seconds = report.elapsed.as_secs_f64();
    let sent = totals.literal_bytes + totals.name_bytes;
    if said.stats {
        write_block(out, totals, sent)?;
        if own_lines {
            write_engine(out, report)?;
        }
    }
    if said.stats || said.verbose > 0 {
        let rate = sent as f64 / seconds.max(0.001);
        let speedup = if sent == 0 { 0.0 } else { totals.size_bytes as f64 / sent as f64 };
        let end = if said.dry_run { " (DRY RUN)" } else { "" };
        writeln!(out)?;
        writeln!(out, "sent {} bytes  received 0 bytes  {} bytes/sec", with_commas(sent), decimal(rate))?;
        writeln!(out, "total size is {}  speedup is {}{end}", with_commas(totals.size_bytes), decimal(speedup))?;
    }
    Ok(())
}

fn write_block(out: &mut String, totals: &Totals, sent: u64) -> std::fmt::Result {
    let listed = [totals.files, totals.dirs, totals.links, totals.devices, totals.specials];
    let created = [
        totals.created_files,
        totals.created_dirs,
        totals.created_links,
        totals.created_devices,
        totals.created_specials,
    ];
    let deleted = [
        totals.deleted_files,
        totals.deleted_dirs,
        totals.deleted_links,
        totals.deleted_devices,
        totals.deleted_specials,
    ];
    writeln!(out)?;
    writeln!(out, "Number of files: {}", by_kind(listed))?;
    writeln!(out, "Number of created files: {}", by_kind(created))?;
    writeln!(out, "Number of deleted files: {}", by_kind(deleted))?;
    writeln!(out, "Number of regular files transferred: {}", with_commas(totals.transferred))?;
    writeln!(out, "Total file size: {} bytes", with_commas(totals.size_bytes))?;
    writeln!(out, "Total transferred file size: {} bytes", with_commas(totals.transferred_bytes))?;
    writeln!(out, "Literal data: {} bytes", with_commas(totals.literal_bytes))?;
    writeln!(out, "Matched data: {} bytes", with_commas(totals.matched_bytes))?;
    writeln!(out, "File list size: 0")?;
    writeln!(out, "File list generation time: 0.000 seconds")?;
    writeln!(out, "File list transfer time: 0.000 seconds")?;
    writeln!(out, "Total bytes sent: {}", with_commas(sent))?;
    writeln!(out, "Total bytes received: 0")
}

fn by_kind(counts: [u64; 5]) -> String {
    let mut text = with_commas(counts.iter().sum());
    let parts: Vec<String> = ["reg", "dir", "link", "dev", "special"]
        .iter()
        .zip(counts)
        .filter(|&(_, count)| count > 0)
        .map(|(kind, count)| format!("{kind}: {}", with_commas(count)))
        .collect();
    if !parts.is_empty() {
        let _ = write!(text, " ({})", parts.join(", "));
    }
    text
}

fn write_engine(out: &mut String, report: &Report) -> std::fmt::Result {
    let (engine, totals) = (&report.engine, &report.totals);
    writeln!(
        out,
        "forebay: {} workers, {} used, {} items delivered",
        engine.workers, engine.workers_used, engine.delivered
    )?;
    writeln!(out, "forebay: peak resident {} bytes", with_commas(engine.peak_resident))?;
    spill::write_stats(out, engine, report.spill.as_ref())?;
    writeln!(
        out,
        "forebay: {} stalls at the head, {:.3} seconds; workers idle {:.3} seconds",
        engine.head_stalls,
        engine.head_stall_nanos as f64 / 1e9,
        engine.worker_idle_nanos as f64 / 1e9
    )?;
    writeln!(
        out,
        "forebay: copied by reflink {}, copy_file_range {}, read and write {}",
        totals.reflinked, totals.ranged, totals.streamed
    )?;
    if totals.deltas > 0 {
        writeln!(
            out,
            "forebay: {} files built from what was there, each by {:.1} workers",
            totals.deltas,
            totals.delta_workers as f64 / totals.deltas as f64
        )?;
    }
    Ok(())
}
