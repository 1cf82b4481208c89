//! `forebay aggregate` beside DuckDB: count and sum by key, from a Parquet file to a Parquet file, with many groups, which do
//! not fit into the memory that both may use, and with few.
//!
//! Each run is a process of its own; they take turns. Reading and writing are inside both times. See `peers/groups.py`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use forebay_benches::harness::{Spread, heading};
use serde::Deserialize;
use serde_json::{Value, json};

/// What both may use, in MiB.
const MEMORY: u64 = 128;

/// What may be resident beside that, in MiB.
const BESIDE: u64 = 32;

/// The groups that fit into any memory.
const FEW: u64 = 1000;

const FOREBAY: &str = "forebay";
const DUCKDB: &str = "duckdb";

/// What one run took.
#[derive(Debug, Deserialize)]
struct Outcome {
    /// Seconds.
    wall: f64,
    /// Seconds of all threads.
    cpu: f64,
    /// The most bytes that were resident.
    peak: u64,
}

fn main() -> Result<()> {
    let bench = Bench::new()?;
    bench.table(bench.rows / 2, 1.2)?;
    bench.table(FEW, 2.0)
}

struct Bench {
    room: tempfile::TempDir,
    target: PathBuf,
    python: PathBuf,
    program: PathBuf,
    rows: u64,
    rounds: usize,
}

impl Bench {
    fn new() -> Result<Self> {
        let (mut rows, mut rounds) = (20_000_000, 7);
        let mut args = env::args().skip(1);
        while let Some(arg) = args.next() {
            let value = args.next().with_context(|| format!("`{arg}` needs a value"))?;
            match arg.as_str() {
                "--rows" => rows = value.parse().context("--rows takes a number")?,
                "--rounds" => rounds = value.parse().context("--rounds takes a number")?,
                _ => bail!("usage: [--rows N] [--rounds N]"),
            }
        }
        ensure!(rounds % 2 == 1, "an odd number of rounds has a median");
        let from =
            |name| env::var_os(name).with_context(|| format!("{name} is not set: use `cargo xtask bench aggregate`"));
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
        fs::create_dir_all(&target).with_context(|| format!("make {}", target.display()))?;
        let room = tempfile::Builder::new().prefix("forebay-aggregate-").tempdir_in(&target)?;
        let (python, program) = (from("FOREBAY_PYTHON")?.into(), from("FOREBAY")?.into());
        Ok(Bench { room, target, python, program, rows, rounds })
    }

    /// One table; forebay is to take at most `most` times as long.
    fn table(&self, groups: u64, most: f64) -> Result<()> {
        let input = self.target.join(format!("groups-{}-{groups}.parquet", self.rows));
        if !input.exists() {
            self.peer(&json!({ "do": "make", "path": input, "rows": self.rows, "groups": groups }))?;
        }
        heading(&format!(
            "{} rows of Parquet, {groups} groups: count and sum by key, {MEMORY} MiB, 2 threads",
            self.rows
        ));
        let mut contestants = [(FOREBAY, Vec::new()), (DUCKDB, Vec::new())];
        for round in 0..=self.rounds {
            for turn in 0..contestants.len() {
                let at = (round + turn) % contestants.len();
                let outcome = self.run(contestants[at].0, &input)?;
                // The first is not counted, but compared.
                if round > 0 {
                    contestants[at].1.push(outcome);
                }
            }
            if round == 0 {
                self.peer(&json!({ "do": "compare", "one": self.output(FOREBAY), "other": self.output(DUCKDB) }))?;
            }
        }
        println!("| | wall s, min | median | CPU s, median | peak MiB, median |\n|---|---:|---:|---:|---:|");
        for (name, outcomes) in &contestants {
            let wall = Spread::of(outcomes.iter().map(|outcome| outcome.wall));
            let cpu = Spread::of(outcomes.iter().map(|outcome| outcome.cpu)).median;
            println!("| {name} | {:.3} | {:.3} | {cpu:.3} | {:.0} |", wall.min, wall.median, peak(outcomes));
        }
        let [(_, ours), (_, theirs)] = &contestants;
        let ratios = ours.iter().zip(theirs).map(|(ours, theirs)| ours.wall / theirs.wall);
        println!(
            "\nforebay takes {:.2} times as long as DuckDB (target: {most} at most), in {:.0} MiB (target: {} at most)",
            Spread::of(ratios).median,
            peak(ours),
            MEMORY + BESIDE
        );
        Ok(())
    }

    fn output(&self, name: &str) -> PathBuf {
        self.room.path().join(format!("{name}.parquet"))
    }

    fn run(&self, name: &str, input: &Path) -> Result<Outcome> {
        let spill = self.room.path().join("spill");
        fs::create_dir_all(&spill)?;
        nix::unistd::sync(); // nobody pays for what earlier runs have written
        let outcome = self.peer(&json!({
            "do": name,
            "program": self.program,
            "input": input,
            "output": self.output(name),
            "memory": MEMORY,
            "spill": spill,
        }))?;
        serde_json::from_value(outcome).with_context(|| format!("what the run of {name} says"))
    }

    /// Does a job in a process of its own.
    fn peer(&self, job: &Value) -> Result<Value> {
        let mut command = Command::new(&self.python);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/groups.py")).arg(job.to_string());
        let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("run {command:?}"))?;
        ensure!(output.status.success(), "{job}: {}", output.status);
        serde_json::from_slice(&output.stdout).with_context(|| format!("what {command:?} says"))
    }
}

/// The median, in MiB.
fn peak(outcomes: &[Outcome]) -> f64 {
    Spread::of(outcomes.iter().map(|outcome| outcome.peak as f64)).median / f64::from(1 << 20)
}
