//! Alternating runs and their cost.

use std::env;
use std::fmt::Write;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::resource::{Usage, UsageWho, getrusage};

/// What one run took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// From start to end, in seconds.
    pub wall: f64,
    /// Of all threads and, where the run was made of processes, of those; user and system, in seconds.
    pub cpu: f64,
}

/// Runs `work` in this process.
///
/// # Errors
/// Those of `work`.
pub fn measure<T>(work: impl FnOnce() -> Result<T>) -> Result<(Cost, T)> {
    charge(UsageWho::RUSAGE_SELF, work)
}

/// Runs a command to its end. Only the processes that it has waited for are charged.
///
/// # Errors
/// When it cannot be started or fails.
pub fn measure_command(command: &mut Command) -> Result<Cost> {
    let (cost, status) =
        charge(UsageWho::RUSAGE_CHILDREN, || command.status().with_context(|| format!("run {command:?}")))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(cost)
}

/// Runs `work`, which runs commands to their ends. Only these are charged.
///
/// # Errors
/// Those of `work`.
pub fn measure_commands<T>(work: impl FnOnce() -> Result<T>) -> Result<(Cost, T)> {
    charge(UsageWho::RUSAGE_CHILDREN, work)
}

fn charge<T>(who: UsageWho, work: impl FnOnce() -> Result<T>) -> Result<(Cost, T)> {
    let cpu = |usage: Usage| {
        let time = |t: nix::sys::time::TimeVal| t.tv_sec() as f64 + t.tv_usec() as f64 / 1e6;
        time(usage.user_time()) + time(usage.system_time())
    };
    let before = cpu(getrusage(who)?);
    let start = Instant::now();
    let value = work()?;
    let wall = start.elapsed().as_secs_f64();
    Ok((Cost { wall, cpu: cpu(getrusage(who)?) - before }, value))
}

/// One way of doing the thing that a table is about.
pub struct Variant<'a> {
    name: String,
    run: Box<dyn FnMut(usize) -> Result<Cost> + 'a>,
}

impl std::fmt::Debug for Variant<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Variant").field("name", &self.name).finish_non_exhaustive()
    }
}

/// `run` gets the number of the round and returns what its run cost.
pub fn variant<'a>(name: impl Into<String>, run: impl FnMut(usize) -> Result<Cost> + 'a) -> Variant<'a> {
    Variant { name: name.into(), run: Box::new(run) }
}

/// The costs of each variant, round by round.
#[derive(Debug)]
pub struct Results {
    rows: Vec<(String, Vec<Cost>)>,
}

/// Lets the variants take turns for as many rounds as [`rounds`] says, after one round that is not
/// counted.
///
/// # Errors
/// The first error of a variant, with its name.
pub fn alternate(variants: Vec<Variant<'_>>) -> Result<Results> {
    alternate_for(rounds()?, variants)
}

/// As [`alternate`], for `counted` rounds, for a benchmark with more to say on its command line.
///
/// # Errors
/// The first error of a variant, with its name.
pub fn alternate_for(counted: usize, mut variants: Vec<Variant<'_>>) -> Result<Results> {
    let mut rows: Vec<_> = variants.iter().map(|variant| (variant.name.clone(), Vec::new())).collect();
    let count = variants.len();
    for round in 0..=counted {
        for turn in 0..count {
            let at = (round + turn) % count;
            let variant = &mut variants[at];
            let cost = (variant.run)(round).with_context(|| variant.name.clone())?;
            if round > 0 {
                rows[at].1.push(cost);
            }
        }
    }
    Ok(Results { rows })
}

/// Counted rounds: nine, or what `--rounds N` on the command line says.
///
/// # Errors
/// When the command line says something else.
pub fn rounds() -> Result<usize> {
    let args: Vec<String> = env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => Ok(9),
        ["--rounds", rounds] => rounds.parse().context("--rounds takes a number"),
        _ => bail!("usage: [--rounds N] (default: 9)"),
    }
}

impl Results {
    /// The rounds of one variant.
    ///
    /// # Panics
    /// When there is no such variant.
    #[must_use]
    pub fn of(&self, name: &str) -> &[Cost] {
        let row = self.rows.iter().find(|(row, _)| row == name);
        &row.unwrap_or_else(|| panic!("no variant is called {name}")).1
    }

    /// Every variant and its rounds, in the order in which they were given.
    pub fn rows(&self) -> impl Iterator<Item = (&str, &[Cost])> {
        self.rows.iter().map(|(name, costs)| (name.as_str(), costs.as_slice()))
    }

    /// Wall and CPU seconds, minimum and median, and the median of the rounds' ratios to `base`.
    #[must_use]
    pub fn table(&self, base: &str) -> String {
        let base = self.of(base);
        let mut out = String::from(
            "| | wall s, min | median | CPU s, min | median | wall ratio | CPU ratio |\n|---|---:|---:|---:|---:|---:|---:|\n",
        );
        for (name, costs) in self.rows() {
            let wall = Spread::of(costs.iter().map(|cost| cost.wall));
            let cpu = Spread::of(costs.iter().map(|cost| cost.cpu));
            let rounds = || costs.iter().zip(base);
            let wall_ratio = Spread::of(rounds().map(|(cost, base)| cost.wall / base.wall)).median;
            let cpu_ratio = Spread::of(rounds().map(|(cost, base)| cost.cpu / base.cpu)).median;
            let _ = writeln!(
                out,
                "| {name} | {:.3} | {:.3} | {:.3} | {:.3} | {wall_ratio:.2} | {cpu_ratio:.2} |",
                wall.min, wall.median, cpu.min, cpu.median
            );
        }
        out
    }
}

/// The least and the middle of some figures.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// The least.
    pub min: f64,
    /// The middle; of an even number of figures, the upper of the two.
    pub median: f64,
}

impl Spread {
    /// # Panics
    /// When there are no figures.
    pub fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = figures.collect();
        sorted.sort_by(f64::total_cmp);
        Spread { min: sorted[0], median: sorted[sorted.len() / 2] }
    }
}

/// Prints a heading and the machine, which every figure needs beside it.
pub fn heading(title: &str) {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("\n### {title}\n");
    println!(
        "{cores} cores, {}, Linux {}\n",
        model.map_or("unknown processor", |(_, model)| model),
        read("/proc/sys/kernel/osrelease").trim()
    );
}

/// Memory of this process as the kernel counts it: `field` is `VmRSS` (now) or `VmHWM` (at most so
/// far). In bytes.
///
/// # Errors
/// Where there is no such line in `/proc/self/status`.
pub fn memory(field: &str) -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status").context("read /proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    Ok(1024 * kib.with_context(|| format!("no {field} in /proc/self/status"))?)
}

/// Iterations of [`spin`] that take `time` on one core of this machine while it has nothing else
/// to do: the fastest of many tries.
#[must_use]
pub fn calibrate(time: Duration) -> u64 {
    const TRY: u64 = 100_000;
    let fastest = (0..200)
        .map(|seed| {
            let start = Instant::now();
            std::hint::black_box(spin(seed, TRY));
            start.elapsed()
        })
        .min()
        .unwrap_or_default();
    (time.as_secs_f64() / fastest.as_secs_f64() * TRY as f64).round() as u64
}

/// Work that touches no memory: `iterations` steps of a generator, each of which needs the one
/// before.
#[must_use]
pub fn spin(seed: u64, iterations: u64) -> u64 {
    let mut state = seed | 1;
    for _ in 0..iterations {
        state = std::hint::black_box(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
    }
    state
}
