//! Runs that take turns, each in a process of its own: one's threads, caches and memory are not another's.
//!
//! The program starts itself again with a job; the process that does a job says what it took.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::hint::black_box;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::harness::{self, Spread};

/// Bytes that every run uses and frees before its clock starts: see [`contest`](crate::contest).
const WARM: usize = 1 << 30;

/// The first argument of a process that does one job; the second is the job.
const RUN: &str = "run";

/// What a run took. Times in seconds, sizes in bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// From start to end.
    pub wall: f64,
    /// Of all threads, user and system.
    pub cpu: f64,
    /// The most memory that was resident, above what was before.
    pub peak: u64,
    /// What came out, added up: the same for everybody who does the same.
    pub check: u64,
    /// Other figures, by name.
    pub notes: BTreeMap<String, f64>,
}

impl Outcome {
    /// Adds a figure.
    #[must_use]
    pub fn note(mut self, name: &str, figure: f64) -> Self {
        self.notes.insert(name.to_owned(), figure);
        self
    }
}

/// Runs `work`, which returns what its result adds up to.
///
/// # Errors
/// Those of `work`.
pub fn measure(work: impl FnOnce() -> Result<u64>) -> Result<Outcome> {
    black_box(vec![1_u8; WARM]);
    fs::write("/proc/self/clear_refs", "5").context("reset the peak of the resident memory")?;
    let before = harness::memory("VmRSS")?;
    let (cost, check) = harness::measure(work)?;
    let peak = harness::memory("VmHWM")?.saturating_sub(before);
    Ok(Outcome { wall: cost.wall, cpu: cost.cpu, peak, check, notes: BTreeMap::new() })
}

/// Does the job that the command line names, if it names one.
///
/// # Errors
/// Those of `work`.
pub fn worked<J: DeserializeOwned>(work: impl FnOnce(&J) -> Result<Outcome>) -> Result<bool> {
    let mut args = env::args().skip(1);
    if args.next().as_deref() != Some(RUN) {
        return Ok(false);
    }
    let job = serde_json::from_str(&args.next().context("a job follows")?).context("the job")?;
    println!("{}", serde_json::to_string(&work(&job)?)?);
    Ok(true)
}

/// The numbers that the command line gives by name, or what is given here: `--rows 1000`.
///
/// # Errors
/// When the command line says something else.
pub fn numbers<const N: usize>(defaults: [(&str, u64); N]) -> Result<[u64; N]> {
    let mut numbers = defaults.map(|(_, number)| number);
    let mut args = env::args().skip(1);
    while let Some(arg) = args.next() {
        let known = defaults.iter().position(|(name, _)| arg.strip_prefix("--") == Some(name));
        let number = args.next().and_then(|number| number.parse().ok());
        let (Some(at), Some(number)) = (known, number) else {
            bail!("usage: {}", defaults.map(|(name, number)| format!("[--{name} {number}]")).join(" "));
        };
        numbers[at] = number;
    }
    Ok(numbers)
}

/// Everybody's rounds.
#[derive(Debug)]
pub struct Rounds {
    rows: Vec<(String, Vec<Outcome>)>,
}

/// Lets the jobs take turns, in an order that rotates.
///
/// # Errors
/// When one fails, or two that do the same (all of them, unless `same` is false) come to another result.
pub fn rounds<J: Serialize>(jobs: &[(String, J)], rounds: u64, same: bool) -> Result<Rounds> {
    let mut rows: Vec<_> = jobs.iter().map(|(name, _)| (name.clone(), Vec::<Outcome>::new())).collect();
    ensure!(rounds > 0, "no rounds, no table");
    let mut check = None;
    for round in 0..rounds as usize {
        for turn in 0..jobs.len() {
            let at = (round + turn) % jobs.len();
            let (name, job) = &jobs[at];
            let outcome = start(job).with_context(|| name.clone())?;
            let expected = *check.get_or_insert(outcome.check);
            ensure!(!same || expected == outcome.check, "{name} comes to {} and not {expected}", outcome.check);
            rows[at].1.push(outcome);
        }
    }
    Ok(Rounds { rows })
}

fn start<J: Serialize>(job: &J) -> Result<Outcome> {
    let mut command = Command::new(env::current_exe()?);
    command.arg(RUN).arg(serde_json::to_string(job)?);
    let output = command.stderr(Stdio::inherit()).output().context("start a process")?;
    ensure!(output.status.success(), "{}", output.status);
    serde_json::from_slice(&output.stdout).context("what the process says")
}

impl Rounds {
    /// Medians of everybody, and how many times the first one's time they take: the median of the rounds' ratios.
    /// So many `rows` pass through each.
    #[must_use]
    pub fn table(&self, rows: u64) -> String {
        let notes: Vec<&String> =
            self.rows.iter().flat_map(|(_, all)| all[0].notes.keys()).fold(Vec::new(), |mut notes, note| {
                if !notes.contains(&note) {
                    notes.push(note);
                }
                notes
            });
        let mut out = String::from("| | wall s | CPU s | M rows/s | peak MiB | wall to first | CPU to first |");
        notes.iter().for_each(|note| out += &format!(" {note} |"));
        out += "\n|---|";
        out += &"---:|".repeat(6 + notes.len());
        out += "\n";
        for (name, all) in &self.rows {
            let median = |of: &dyn Fn(&Outcome) -> f64| Spread::of(all.iter().map(of)).median;
            let ratio = |of: fn(&Outcome) -> f64| {
                Spread::of(all.iter().zip(&self.rows[0].1).map(|(own, first)| of(own) / of(first))).median
            };
            let (wall, cpu) = (median(&|outcome| outcome.wall), median(&|outcome| outcome.cpu));
            out += &format!(
                "| {name} | {wall:.3} | {cpu:.3} | {:.1} | {:.0} | {:.2} | {:.2} |",
                rows as f64 / wall / 1e6,
                median(&|outcome| outcome.peak as f64) / f64::from(1 << 20),
                ratio(|outcome| outcome.wall),
                ratio(|outcome| outcome.cpu),
            );
            for note in &notes {
                match all[0].notes.get(*note) {
                    Some(_) => out += &format!(" {:.3} |", median(&|outcome| outcome.notes[*note])),
                    None => out += " |",
                }
            }
            out += "\n";
        }
        out
    }
}
