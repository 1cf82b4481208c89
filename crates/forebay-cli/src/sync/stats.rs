//! What is printed at the end: rsync's block of statistics, the engine's numbers, the two closing lines.

use std::fmt::Write;

use forebay_sync::{Levels, Report, human};

use crate::size::with_commas;
use crate::spill;

/// What the options ask to be said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said {
    pub(crate) levels: Levels,
    pub(crate) dry_run: bool,
    /// How numbers are written.
    pub(crate) human: u8,
    /// The newest version of the protocol that may be spoken.
    pub(crate) protocol: u32,
}

/// The text behind the names. `own_lines` adds what rsync does not have.
pub(crate) fn summary(report: &Report, said: Said, own_lines: bool) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut out, report, said, own_lines);
    out
}

/// What the log file says of it: the same, or a line of sums.
pub(crate) fn logged(report: &Report, said: Said, receives: bool, pulls: bool) -> String {
    let ((sent, received), size) = (traffic(report), report.totals.size_bytes);
    if receives {
        return format!("sent {received} bytes  received {sent} bytes  total size {size}\n");
    }
    let failed = report.exit_code() != 0;
    let mut told = summary(report, said, false);
    // As with rsync, which of what has failed sums up where it sends.
    if if failed { !pulls } else { said.levels.stats == 0 } {
        let _ = writeln!(told, "sent {sent} bytes  received {received} bytes  total size {size}");
    }
    told
}

/// The closing object of `--json`: how it ended, and every number.
pub(crate) fn json(report: &Report) -> String {
    let numbers = report.totals.named().map(|(name, value)| format!(",\"{name}\":{value}")).collect::<String>();
    let seconds = report.elapsed.as_secs_f64();
    format!("{{\"type\":\"summary\",\"exit_code\":{},\"seconds\":{seconds:.6}{numbers}}}\n", report.exit_code())
}

/// Bytes sent and received. On one machine: what a wire would have carried, near enough.
fn traffic(report: &Report) -> (u64, u64) {
    let totals = &report.totals;
    report.peer.map_or((totals.literal_bytes + totals.name_bytes, 0), |peer| (peer.sent, peer.received))
}

fn write(out: &mut String, report: &Report, said: Said, own_lines: bool) -> std::fmt::Result {
    let totals = &report.totals;
    if said.levels.debug_deltasum > 0 {
        writeln!(
            out,
            "total: matches={}  hash_hits={}  false_alarms={} data={}",
            totals.matches, totals.hash_hits, totals.false_alarms, totals.literal_bytes
        )?;
    }
    let seconds = report.elapsed.as_secs_f64();
    let (sent, received) = traffic(report);
    if said.levels.stats > 1 {
        write_block(out, report, said)?;
        if own_lines {
            write_engine(out, report)?;
        }
    }
    if said.levels.stats > 0 {
        let all = sent + received;
        let rate = all as f64 / seconds.max(0.001);
        let speedup = if all == 0 { 0.0 } else { totals.size_bytes as f64 / all as f64 };
        let end = if said.dry_run { " (DRY RUN)" } else { "" };
        writeln!(out)?;
        writeln!(
            out,
            "sent {} bytes  received {} bytes  {} bytes/sec",
            human(sent, said.human),
            human(received, said.human),
            human_rate(rate, said.human)
        )?;
        writeln!(
            out,
            "total size is {}  speedup is {}{end}",
            human(totals.size_bytes, said.human),
            human_rate(speedup, said.human)
        )?;
    }
    Ok(())
}

fn write_block(out: &mut String, report: &Report, said: Said) -> std::fmt::Result {
    let (totals, (sent, received), level) = (&report.totals, traffic(report), said.human);
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
    writeln!(out, "Number of files: {}", by_kind(listed, level))?;
    writeln!(out, "Number of created files: {}", by_kind(created, level))?;
    // Older versions do not tell of deletions.
    if report.peer.map_or(said.protocol, |peer| peer.protocol) >= 31 {
        writeln!(out, "Number of deleted files: {}", by_kind(deleted, level))?;
    }
    writeln!(out, "Number of regular files transferred: {}", human(totals.transferred, level))?;
    writeln!(out, "Total file size: {} bytes", human(totals.size_bytes, level))?;
    writeln!(out, "Total transferred file size: {} bytes", human(totals.transferred_bytes, level))?;
    writeln!(out, "Literal data: {} bytes", human(totals.literal_bytes, level))?;
    writeln!(out, "Matched data: {} bytes", human(totals.matched_bytes, level))?;
    // As with rsync, only the side that receives counts it.
    let list_bytes = report.peer.map_or(0, |peer| peer.list_bytes);
    writeln!(out, "File list size: {}", human(list_bytes, level))?;
    // On one machine there is no other side that a list would go to.
    let times = report.peer.map_or(<_>::default(), |peer| (peer.list_made, peer.list_sent));
    // As with rsync, a client that has got nothing does not know.
    if report.peer.is_none() || !times.0.is_zero() {
        writeln!(out, "File list generation time: {:.3} seconds", times.0.as_secs_f64())?;
        writeln!(out, "File list transfer time: {:.3} seconds", times.1.as_secs_f64())?;
    }
    writeln!(out, "Total bytes sent: {}", human(sent, level))?;
    writeln!(out, "Total bytes received: {}", human(received, level))
}

fn by_kind(counts: [u64; 5], level: u8) -> String {
    let mut text = human(counts.iter().sum(), level);
    let parts: Vec<String> = ["reg", "dir", "link", "dev", "special"]
        .iter()
        .zip(counts)
        .filter(|&(_, count)| count > 0)
        .map(|(kind, count)| format!("{kind}: {}", human(count, level)))
        .collect();
    if !parts.is_empty() {
        let _ = write!(text, " ({})", parts.join(", "));
    }
    text
}

/// Two decimals, with the commas or the unit that `level` asks for.
fn human_rate(number: f64, level: u8) -> String {
    if (level == 2 && number >= 1000.0) || (level > 2 && number >= 1024.0) {
        return human(number as u64, level);
    }
    let hundredths = (number * 100.0).round() as u64;
    format!("{}.{:02}", human(hundredths / 100, level.min(1)), hundredths % 100)
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
    if let Some(lists) = report.peer.map(|peer| peer.lists).filter(|lists| *lists > 0) {
        writeln!(out, "forebay: {lists} file lists received")?;
    }
    if let Some(assembly) = report.peer.map(|peer| peer.assembly).filter(|assembly| assembly.files > 0) {
        let strategy = if assembly.workers > 0 { "parallel" } else { "sequential" };
        writeln!(
            out,
            "forebay: {} files received ({strategy}: {} workers, {} used), {} chunks",
            assembly.files, assembly.workers, assembly.workers_used, assembly.chunks
        )?;
    }
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
