//! `shard_accumulate` beside the arrangements of differential dataflow: rows of as many keys, exchanged, sorted by key,
//! sealed in one commit and read through. In memory, and with a budget of 32 MiB and a spill store.
//!
//! Everybody makes the same rows on the fly. A row is 16 bytes here and 24 there, where it carries its time.

use anyhow::Result;
use forebay_benches::harness::heading;
use forebay_benches::{apart, differential, keyed};

#[global_allocator]
static BLOCKS: forebay::Blocks = forebay::Blocks;

/// Who, how many rows, and the budget in MiB of those that have one.
type Job = (String, u64, u64);

const FOREBAY: &str = "`shard_accumulate`";
const SPILLING: &str = "`shard_accumulate`, spilling";
const ARRANGE: &str = "differential `arrange_by_key`";
const ARRANGE_SPILLING: &str = "differential, columnar, spilling";

/// As good as no limit, in MiB.
const PLENTY: u64 = 64 << 10;

fn main() -> Result<()> {
    if apart::worked(work)? {
        return Ok(());
    }
    let [rows, rows_spilled, budget, rounds] =
        apart::numbers([("rows", 10_000_000), ("rows-spilled", 20_000_000), ("budget", 32), ("rounds", 5)])?;
    let jobs = |names: [&str; 2], rows: u64| names.map(|name| (name.to_owned(), (name.to_owned(), rows, budget)));
    if rows > 0 {
        heading(&format!("Accumulating {rows} rows of as many keys in memory"));
        println!("{}", apart::rounds(&jobs([FOREBAY, ARRANGE], rows), rounds, true)?.table(rows));
    }
    if rows_spilled > 0 {
        heading(&format!("Accumulating {rows_spilled} rows of as many keys in {budget} MiB"));
        let results = apart::rounds(&jobs([SPILLING, ARRANGE_SPILLING], rows_spilled), rounds, true)?;
        println!("{}", results.table(rows_spilled));
    }
    Ok(())
}

fn work((who, rows, budget): &Job) -> Result<apart::Outcome> {
    let (rows, budget) = (*rows, *budget);
    match who.as_str() {
        ARRANGE => apart::measure(|| differential::arrange_by_key(rows)),
        ARRANGE_SPILLING => {
            let mut spilled = 0;
            let outcome = apart::measure(|| {
                let (sum, bytes) = differential::arrange_spilling(rows, budget)?;
                spilled = bytes;
                Ok(sum)
            })?;
            Ok(outcome.note("spilled MiB", spilled as f64 / f64::from(1 << 20)))
        }
        _ => keyed::accumulate_apart(rows, if who == FOREBAY { PLENTY } else { budget }, who == SPILLING),
    }
}
