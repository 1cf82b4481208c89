//! What is said at the end: one line always, more with `--stats`.

use std::fmt::Write;
use std::path::Path;

use forebay::Location;
use forebay_zarr::{MemoryEstimate, WriterSnapshot};

use super::feed;
use super::progress::ratio;
use crate::size::with_commas;
use crate::spill;
use crate::usage::Usage;

/// What there is to say.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) snapshot: &'a WriterSnapshot,
    /// The number of the first frame.
    pub(crate) begun: u64,
    pub(crate) usage: &'a Usage,
    pub(crate) estimate: MemoryEstimate,
    /// Where was spilled to, if anywhere.
    pub(crate) spill: Option<&'a Location>,
    /// How files were written.
    pub(crate) written: &'a str,
}

/// The text behind `--stats`, each line under the program's name.
pub(crate) fn summary(facts: &Facts<'_>) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut out, facts);
    out
}

fn write(out: &mut String, facts: &Facts<'_>) -> std::fmt::Result {
    let Facts { snapshot, begun, usage, estimate, spill: place, written } = *facts;
    let engine = &snapshot.engine;
    let (seconds, processor) = (usage.seconds(), usage.processor_seconds());
    let megabytes = snapshot.bytes_in as f64 / 1e6;
    writeln!(
        out,
        "forebay: {} frames in, {} in the array; {} bytes in, {} bytes out, ratio {:.2}",
        with_commas(snapshot.frames_appended - begun),
        with_commas(snapshot.frames_landed),
        with_commas(snapshot.bytes_in),
        with_commas(snapshot.bytes_out),
        ratio(snapshot.bytes_in, snapshot.bytes_out)
    )?;
    writeln!(
        out,
        "forebay: {seconds:.3} seconds, {:.1} MB/s; {processor:.3} CPU seconds, {:.1} MB per CPU second",
        megabytes / seconds.max(0.001),
        megabytes / processor.max(0.001)
    )?;
    writeln!(
        out,
        "forebay: {} workers, {} used; {} chunks compressed, {} left out",
        engine.workers,
        engine.workers_used,
        with_commas(snapshot.chunks_compressed),
        with_commas(snapshot.chunks_left_out)
    )?;
    spill::write_stats(out, engine, place)?;
    if let Some(peak) = usage.peak_above() {
        writeln!(out, "forebay: peak memory {:.1} MiB", mib(peak))?;
    }
    writeln!(out, "forebay: memory estimate {}", memory(estimate, snapshot))?;
    writeln!(
        out,
        "forebay: {} appends, longest {:.3} ms, 99 of 100 below {:.3} ms; {} waits",
        with_commas(snapshot.appends),
        snapshot.append_nanos_longest as f64 / 1e6,
        snapshot.append_nanos.quantile(0.99) as f64 / 1e6,
        with_commas(snapshot.append_waits)
    )?;
    writeln!(
        out,
        "forebay: {} shards landed; {} delivery jobs, {} waited; {} parallel copies",
        with_commas(snapshot.shards_landed),
        with_commas(snapshot.delivery_jobs),
        with_commas(snapshot.delivery_waits),
        with_commas(snapshot.scatter_parallel)
    )?;
    writeln!(out, "forebay: written {written}")?;
    writeln!(
        out,
        "forebay: {} bytes, {} frames taken and not in the array",
        with_commas(snapshot.bytes_at_risk),
        with_commas(snapshot.frames_waiting)
    )
}

/// What was known before, now that the ratio is known too.
fn memory(estimate: MemoryEstimate, snapshot: &WriterSnapshot) -> String {
    let ratio = ratio(snapshot.packed_in, snapshot.packed_out).max(1.0);
    let with_blocks = |bytes: usize| mib((bytes + feed::memory()) as u64);
    format!(
        "{:.1} MiB while the disk keeps up, {:.1} while it stands still, {:.1} at most; blocks of the input, {:.1}, included",
        with_blocks(estimate.steady(ratio)),
        with_blocks(estimate.stalled(ratio)),
        with_blocks(estimate.total()),
        mib(feed::memory() as u64)
    )
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// The line at an orderly end.
pub(crate) fn line(snapshot: &WriterSnapshot, begun: u64, usage: &Usage, out: &Path) -> String {
    let seconds = usage.seconds();
    format!(
        "recorded {} frames in {seconds:.1} seconds, {:.1} MB/s, ratio {:.2}; {} has {} frames",
        with_commas(snapshot.frames_appended - begun),
        snapshot.bytes_in as f64 / 1e6 / seconds.max(0.001),
        ratio(snapshot.bytes_in, snapshot.bytes_out),
        out.display(),
        with_commas(snapshot.frames_landed)
    )
}
