//! What a million rows cost as rows grow, with a budget that does not.

use anyhow::Result;
use forebay_benches::harness::heading;
use forebay_benches::{apart, keyed};

#[global_allocator]
static BLOCKS: forebay::Blocks = forebay::Blocks;

/// How many rows, and the budget in MiB.
type Job = (u64, u64);

fn main() -> Result<()> {
    if apart::worked(|job: &Job| {
        let outcome = keyed::accumulate_apart(job.0, job.1, true)?;
        let millions = job.0 as f64 / 1e6;
        let (wall, cpu) = (outcome.wall / millions, outcome.cpu / millions);
        Ok(outcome.note("s per M rows", wall).note("CPU s per M rows", cpu))
    })? {
        return Ok(());
    }
    // In millions.
    let [least, middle, most, budget, rounds] =
        apart::numbers([("least", 1), ("middle", 10), ("most", 100), ("budget", 32), ("rounds", 3)])?;
    heading(&format!("Accumulating rows of as many keys in {budget} MiB"));
    let jobs = [least, middle, most].map(|millions| (format!("{millions} M rows"), (millions * 1_000_000, budget)));
    println!("{}", apart::rounds(&jobs, rounds, false)?.table(0));
    Ok(())
}
