//! An array writer whose disk stops for half a minute: frames of 2048 x 2048 arrive at 250 MB/s, Blosc, the store stands
//! still from the fifth second on, compressed chunks spill.
//!
//! ```text
//! record_stall [--dir DIR] [--seconds N]
//! ```
//!
//! `DIR` is a directory on the disk that the array and the spill store share (default: this workspace's `target/`), of
//! which nothing is left. `N` is how long the store stands still (default 30).

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use forebay::SegmentStore;
use forebay_benches::frames;
use forebay_benches::harness::{heading, memory};
use forebay_zarr::store::{Files, Stalling};
use forebay_zarr::{ArraySpec, DataType, WriterOptions, memory_estimate};

const BYTES_PER_SECOND: f64 = 250e6;
const WORKERS: usize = 2;
const BEFORE: Duration = Duration::from_secs(5);

fn main() -> Result<()> {
    let (dir, stall) = arguments()?;
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    fs::create_dir_all(&target).with_context(|| format!("create {}", target.display()))?;
    let frames = fs::read(frames::file(&target)?)?;
    let room = tempfile::tempdir_in(dir.unwrap_or(target))?;

    heading("A store that stands still while frames arrive at 250 MB/s: Blosc, chunk 32x256x256");
    let side = frames::SIDE as u64;
    let spec = ArraySpec::new(DataType::UInt16, &[side, side], &[32, 256, 256], &[64, side, side]);
    let estimate = memory_estimate(&spec, WORKERS)?;
    let before = memory("VmRSS")?;
    fs::write("/proc/self/clear_refs", "5").context("reset the peak of the resident memory")?;
    let (store, stalling) = Stalling::new(Files::create(room.path().join("a.zarr"), false)?);
    let spill = SegmentStore::in_dir(room.path())?;
    let mut writer = WriterOptions::new().workers(WORKERS).spill(spill).create(store, spec)?;
    let monitor = writer.monitor();

    let begin = Instant::now();
    let end = BEFORE + stall;
    let mut longest = Duration::ZERO;
    let mut begun = false;
    for n in 0.. {
        let due = Duration::from_secs_f64(n as f64 * frames::FRAME as f64 / BYTES_PER_SECOND);
        if due > end {
            break;
        }
        if !begun && due >= BEFORE {
            begun = true;
            stalling.stall_for(stall);
        }
        thread::sleep(due.saturating_sub(begin.elapsed()));
        let frame = n % frames::FRAMES * frames::FRAME;
        let start = Instant::now();
        writer.append(&frames[frame..frame + frames::FRAME])?;
        longest = longest.max(start.elapsed());
    }
    let stalled = monitor.snapshot();
    let start = Instant::now();
    let recorded = writer.close()?;
    let caught_up = start.elapsed();
    let used = memory("VmHWM")?.saturating_sub(before);
    ensure!(recorded.frames == stalled.frames_appended, "{} frames of {}", recorded.frames, stalled.frames_appended);
    let engine = &recorded.snapshot.engine;
    println!("frames                  {}, all of them in the array", recorded.frames);
    println!("waiting when it went on {} frames, {} of them on disk", stalled.frames_waiting, stalled.frames_spilled);
    println!(
        "spilled                 {} chunks, {} MB; read back {}",
        engine.spilled_items,
        engine.spilled_bytes / 1_000_000,
        engine.reloaded_items
    );
    println!("longest append          {:.1} ms", longest.as_secs_f64() * 1e3);
    println!("caught up after         {:.1} s", caught_up.as_secs_f64());
    let ratio = recorded.snapshot.packed_in as f64 / recorded.snapshot.packed_out as f64;
    println!(
        "peak memory             {} MiB; {} estimated for a store that stands still and this ratio, {ratio:.2}",
        used >> 20,
        estimate.stalled(ratio) >> 20
    );
    println!("estimate                {estimate}");
    Ok(())
}

fn arguments() -> Result<(Option<PathBuf>, Duration)> {
    let (mut dir, mut stall) = (None, Duration::from_secs(30));
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next().with_context(|| format!("{arg} needs a value"))?;
        match arg.as_str() {
            "--dir" => dir = Some(value.into()),
            "--seconds" => stall = Duration::from_secs(value.parse()?),
            _ => bail!("unknown argument `{arg}`"),
        }
    }
    Ok((dir, stall))
}
