//! Writers of arrays against each other: each run is a process of its own, so that one's threads, caches and memory are
//! not another's.
//!
//! A run is told what to do by a [`Job`] and answers with an [`Outcome`]. The clock covers the creation of the array,
//! all appends, closing, and syncing the file system; not the start of the process and the frames, which lie in memory
//! before.

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::harness::{self, Spread};

/// Bytes that every run uses and frees before its clock starts. The host of a virtual machine takes back memory that
/// lies free for seconds, and giving it out anew costs ten times a page fault; this way it hits nobody by chance.
const WARM: usize = 4 << 30;

/// What a run is to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// Who writes.
    pub writer: String,
    /// The array.
    pub path: PathBuf,
    /// Raw frames, to be appended again and again.
    pub frames_file: PathBuf,
    /// The shape of a frame of 16-bit elements.
    pub frame: Vec<u64>,
    /// How many to append.
    pub frames: u64,
    /// How many at a time.
    pub frames_per_append: u64,
    /// Whether each append is timed. Reading the clock twice costs as much as appending 512 bytes.
    pub timed_appends: bool,
    /// The shape of a chunk.
    pub chunk: Vec<u64>,
    /// The shape of a shard.
    pub shard: Vec<u64>,
    /// `none`, `zstd` (level 1) or `blosc` (zstd at level 1, byte shuffle).
    pub codec: String,
    /// At most this fast; zero for as fast as it goes.
    pub bytes_per_second: f64,
}

impl Job {
    /// Bytes of all frames.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.frames * self.frame_bytes()
    }

    fn frame_bytes(&self) -> u64 {
        2 * self.frame.iter().product::<u64>()
    }
}

/// What a run took. Times in seconds, sizes in bytes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// From the creation of the array to the end of the sync.
    pub wall: f64,
    /// Of all threads and children meanwhile, user and system.
    pub cpu: f64,
    /// The most memory that was resident, above what was before.
    pub peak: u64,
    /// The longest append.
    pub longest: f64,
    /// One append in a hundred took longer.
    pub p99: f64,
    /// Bytes of all files.
    pub stored: u64,
}

/// Something that takes frames.
pub trait Writer {
    /// Takes the bytes of one or more frames.
    ///
    /// # Errors
    /// When it cannot.
    fn append(&mut self, frames: &[u8]) -> Result<()>;

    /// There are no more frames.
    ///
    /// # Errors
    /// When something could not be written.
    fn close(self: Box<Self>) -> Result<()>;
}

/// Does `job` in this process, with the writer that `create` makes.
///
/// # Errors
/// Those of the writer.
pub fn run(job: &Job, create: impl FnOnce(&Job) -> Result<Box<dyn Writer>>) -> Result<Outcome> {
    let frames = fs::read(&job.frames_file).with_context(|| format!("read {}", job.frames_file.display()))?;
    let per_append = (job.frame_bytes() * job.frames_per_append) as usize;
    black_box(vec![1_u8; WARM]);
    fs::write("/proc/self/clear_refs", "5").context("reset the peak of the resident memory")?;
    let resident = harness::memory("VmRSS")?;
    nix::unistd::sync(); // nobody pays for what earlier runs have written
    let mut times = Vec::new();
    let (cost, ()) = harness::measure(|| {
        let mut writer = create(job)?;
        let began = Instant::now();
        for (number, append) in (0..job.frames / job.frames_per_append).zip(frames.chunks_exact(per_append).cycle()) {
            if job.bytes_per_second > 0.0 {
                let due = Duration::from_secs_f64(number as f64 * per_append as f64 / job.bytes_per_second);
                thread::sleep(due.saturating_sub(began.elapsed()));
            }
            if job.timed_appends {
                let start = Instant::now();
                writer.append(append)?;
                times.push(start.elapsed().as_secs_f64());
            } else {
                writer.append(append)?;
            }
        }
        writer.close()?;
        nix::unistd::sync();
        Ok(())
    })?;
    times.sort_by(f64::total_cmp);
    Ok(Outcome {
        wall: cost.wall,
        cpu: cost.cpu,
        peak: harness::memory("VmHWM")?.saturating_sub(resident),
        longest: times.last().copied().unwrap_or_default(),
        p99: times.get(times.len() * 99 / 100).copied().unwrap_or_default(),
        stored: size(&job.path)?,
    })
}

fn size(path: &Path) -> Result<u64> {
    let metadata = fs::metadata(path).with_context(|| format!("look at {}", path.display()))?;
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    fs::read_dir(path)?.try_fold(0, |sum, entry| Ok(sum + size(&entry?.path())?))
}

/// Starts a process for a run, waits for it and takes its answer.
///
/// # Errors
/// When it cannot be started or fails, or answers something else.
pub fn outcome(command: &mut Command) -> Result<Outcome> {
    let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("run {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", output.status);
    serde_json::from_slice(&output.stdout).with_context(|| format!("what {command:?} says"))
}

/// A writer's rounds.
#[derive(Debug)]
pub struct Rounds {
    /// Who.
    pub writer: String,
    /// Bytes of all frames of a round.
    pub bytes: u64,
    /// What each round took.
    pub outcomes: Vec<Outcome>,
}

impl Rounds {
    /// The median of one figure.
    #[must_use]
    pub fn median(&self, figure: impl Fn(&Outcome) -> f64) -> f64 {
        Spread::of(self.outcomes.iter().map(figure)).median
    }

    /// How many times less of `figure` this writer took than `other`, which took turns with it: the median of the
    /// rounds, and each round. What slows a machine down for a while hits both in the same round.
    #[must_use]
    pub fn ratios(&self, other: &Rounds, figure: impl Fn(&Outcome) -> f64) -> String {
        let ratios = || self.outcomes.iter().zip(&other.outcomes).map(|(own, other)| figure(other) / figure(own));
        let rounds: Vec<String> = ratios().map(|ratio| format!("{ratio:.2}")).collect();
        format!("{:.2} x (rounds: {})", Spread::of(ratios()).median, rounds.join(" "))
    }

    /// MB a second.
    #[must_use]
    pub fn speed(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.median(|outcome| outcome.wall)
    }

    /// MB a second of CPU time.
    #[must_use]
    pub fn thrift(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.median(|outcome| outcome.cpu)
    }
}

/// All figures of all writers, medians.
#[must_use]
pub fn table(rows: &[Rounds]) -> String {
    let mut out = String::from(
        "| | wall s | MB/s | CPU s | MB per CPU-s | peak MiB | longest append ms | p99 ms | stored MiB |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for row in rows {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        out += &format!(
            "| {} | {:.2} | {:.0} | {:.2} | {:.0} | {:.0} | {:.1} | {:.1} | {:.0} |\n",
            row.writer,
            row.median(|outcome| outcome.wall),
            row.speed(),
            row.median(|outcome| outcome.cpu),
            row.thrift(),
            row.median(|outcome| mib(outcome.peak)),
            row.median(|outcome| 1e3 * outcome.longest),
            row.median(|outcome| 1e3 * outcome.p99),
            row.median(|outcome| mib(outcome.stored)),
        );
    }
    out
}
