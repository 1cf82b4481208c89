//! Commits of changes to the counts of many keys, beside differential dataflow. Both have the keys already when the
//! clock starts, have at most three commits open, and read what has changed. Peaks are those of the whole run.

use anyhow::Result;
use forebay_benches::harness::heading;
use forebay_benches::{apart, differential, keyed};
use serde::{Deserialize, Serialize};

#[global_allocator]
static BLOCKS: forebay::Blocks = forebay::Blocks;

#[derive(Clone, Serialize, Deserialize)]
struct Job {
    ours: bool,
    keys: u64,
    commits: u64,
    changes: u64,
}

fn main() -> Result<()> {
    if apart::worked(work)? {
        return Ok(());
    }
    let [keys, commits, changes, rounds] =
        apart::numbers([("keys", 10_000_000), ("commits", 100), ("changes", 100_000), ("rounds", 5)])?;
    heading(&format!("{commits} commits of {changes} changes over {keys} keys"));
    let jobs = [("`count`", true), ("differential `count_total`", false)]
        .map(|(name, ours)| (name.to_owned(), Job { ours, keys, commits, changes }));
    println!("{}", apart::rounds(&jobs, rounds, true)?.table(commits * changes));
    Ok(())
}

fn work(job: &Job) -> Result<apart::Outcome> {
    let mut cost = Default::default();
    let mut outcome = apart::measure(|| {
        let (sum, commits) = if job.ours {
            keyed::count(job.keys, job.commits, job.changes, &keyed::options(64 << 10, false)?)?
        } else {
            differential::count(job.keys, job.commits, job.changes)?
        };
        cost = commits;
        Ok(sum)
    })?;
    let keys = outcome.wall - cost.wall;
    (outcome.wall, outcome.cpu) = (cost.wall, cost.cpu);
    Ok(outcome.note("ms a commit", 1e3 * cost.wall / job.commits as f64).note("keys before, s", keys))
}
