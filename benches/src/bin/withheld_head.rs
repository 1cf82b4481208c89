//! The head of the line is withheld for two seconds while 200,000 results of 4 KiB finish behind
//! it. An unbounded ring holds them all; forebay holds what the budget allows and spills the rest.
//!
//! Each run is a process of its own, so that the peak of one is not that of another.

use std::env;
use std::fmt;
use std::io;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use forebay::{Budget, Pipeline, SegmentStore};
use forebay_benches::harness::{Cost, Spread, alternate, heading, measure, memory, variant};
use forebay_benches::items;
use forebay_benches::ring;

const ITEMS: u64 = 200_000;
const ITEM_BYTES: usize = 4096;
const WITHHELD: Duration = Duration::from_secs(2);
const WORKERS: usize = 2;
const MIB: u64 = 1 << 20;

/// The way that a child process is to go.
const WAY: &str = "FOREBAY_BENCH_WAY";

fn main() -> Result<()> {
    if let Ok(way) = env::var(WAY) {
        println!("{}", run(way.parse().context("a budget in MiB, or 0 for the ring")?)?);
        return Ok(());
    }
    heading("Head withheld for 2 s, 200,000 results of 4 KiB");
    let ways = [(0, "unbounded ring"), (8, "forebay, 8 MiB"), (64, "forebay, 64 MiB")];
    let mut outcomes = vec![Vec::new(); ways.len()];
    let variants = ways.iter().zip(&mut outcomes).map(|(&(budget, name), outcomes)| {
        variant(name, move |_| {
            let outcome = in_child(budget)?;
            outcomes.push(outcome);
            Ok(outcome.cost)
        })
    });
    let results = alternate(variants.collect())?;

    println!("| | peak resident above the base, MiB, min | median | spilled MiB, median |");
    println!("|---|---:|---:|---:|");
    for ((_, name), outcomes) in ways.iter().zip(&outcomes) {
        let mib = |bytes: fn(&Outcome) -> u64| Spread::of(outcomes.iter().map(|one| bytes(one) as f64 / MIB as f64));
        let (peak, spilled) = (mib(|one| one.peak), mib(|one| one.spilled));
        println!("| {name} | {:.1} | {:.1} | {:.0} |", peak.min, peak.median, spilled.median);
    }
    println!("\n{}", results.table(ways[0].1));
    Ok(())
}

/// What one run came to. Bytes.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    cost: Cost,
    peak: u64,
    spilled: u64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.cost.wall, self.cost.cpu, self.peak, self.spilled)
    }
}

fn in_child(budget: u64) -> Result<Outcome> {
    let output = Command::new(env::current_exe()?).env(WAY, budget.to_string()).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    match text.split_whitespace().collect::<Vec<_>>().as_slice() {
        [wall, cpu, peak, spilled] => Ok(Outcome {
            cost: Cost { wall: wall.parse()?, cpu: cpu.parse()? },
            peak: peak.parse()?,
            spilled: spilled.parse()?,
        }),
        _ => bail!("the child said: {text}"),
    }
}

/// One run, with a budget in MiB; zero stands for the unbounded ring.
fn run(budget: u64) -> Result<Outcome> {
    let base = memory("VmRSS")?;
    let start = Instant::now();
    let work = |seq: u64| {
        if seq == 0 {
            std::thread::sleep(WITHHELD.saturating_sub(start.elapsed()));
        }
        items::generate(seq, ITEM_BYTES)
    };
    let mut delivered = 0;
    let mut digest = 0_u64;
    let mut sink = |block: Bytes| {
        let (seq, sum) = items::digest(&block);
        if seq != delivered {
            return Err(io::Error::other(format!("item {seq} came where {delivered} was due")));
        }
        delivered += 1;
        digest = digest.wrapping_add(sum);
        Ok(())
    };
    let (cost, spilled) = measure(|| match budget {
        0 => {
            let mut failed = None;
            ring::run(0..ITEMS, WORKERS, usize::MAX, 64, work, |block| failed = failed.take().or(sink(block).err()));
            Ok(failed.map_or(Ok(0), Err)?)
        }
        mib => Ok(Pipeline::new()
            .workers(WORKERS)
            .budget(&Budget::new((mib * MIB) as usize))
            .spill(SegmentStore::temp()?)
            .run((0..ITEMS).map(|seq| Ok(seq)), |seq| Ok(work(seq)), sink)?
            .spilled_bytes),
    })?;
    let expected = (0..ITEMS).map(|seq| items::digest(&items::generate(seq, ITEM_BYTES)).1).fold(0, u64::wrapping_add);
    ensure!((delivered, digest) == (ITEMS, expected), "{delivered} items were delivered, or their bytes are others");
    Ok(Outcome { cost, peak: memory("VmHWM")?.saturating_sub(base), spilled })
}
