//! `forebay signature`, `delta` and `patch` beside rdiff, on a file of 1 GiB of which a hundredth has changed, in memory. Both
//! read the same signature and the same delta, which are rdiff's. The last table is of a patch on XFS, where files can share what
//! they have on disk, in a file in memory; it takes root.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use forebay_benches::files::{self, Disk, MEMORY, Room, quietly, same};
use forebay_benches::harness::{Cost, alternate, heading, variant};

const LARGE: u64 = 1 << 30;

fn main() -> Result<()> {
    let forebay = env::var("FOREBAY").context("FOREBAY names the program: use `cargo xtask bench delta`")?;
    let room = Room::new(Path::new(MEMORY))?;
    let [old, new, signature, delta] = ["old", "new", "signature", "delta"].map(|name| room.path().join(name));
    files::make(&old, LARGE)?;
    fs::copy(&old, &new)?;
    files::change(&new)?;
    quietly(Command::new("rdiff").arg("signature").args([&old, &signature]))?;
    quietly(Command::new("rdiff").arg("delta").args([&signature, &new, &delta]))?;

    // The second file that each reads, its own delta aside, is what the result is held against.
    let place = room.path();
    for (what, inputs, result) in [
        ("signature", vec![&old], &signature),
        ("delta", vec![&signature, &new], &delta),
        ("patch", vec![&old, &delta], &new),
    ] {
        table(&forebay, what, &inputs, result, place, "in memory")?;
    }

    let disk = Disk::new(&room, 6 << 30)?;
    let there = disk.path().join("old");
    fs::copy(&old, &there)?;
    fs::remove_file(&old)?;
    table(&forebay, "patch", &[&there, &delta], &new, disk.path(), "on XFS")
}

/// Lets both do `what` with `inputs`, into a file in `place`. What comes out is held against `result` once.
fn table(forebay: &str, what: &str, inputs: &[&PathBuf], result: &Path, place: &Path, whereabouts: &str) -> Result<()> {
    heading(&format!("{what} of a file of {} MiB, a hundredth changed, {whereabouts}", LARGE >> 20));
    let run = |program: &str, round: usize| -> Result<Cost> {
        let out = place.join("out");
        let cost = quietly(Command::new(program).arg(what).args(inputs).arg(&out))?;
        if round > 0 {
            // Checked once.
        } else if what == "delta" {
            let least = result.metadata()?.len();
            ensure!(out.metadata()?.len() <= least + least / 10, "{program} finds less");
        } else {
            same(result, &out)?;
        }
        fs::remove_file(&out)?;
        Ok(cost)
    };
    let results = alternate(vec![
        variant("rdiff", |round| run("rdiff", round)),
        variant("forebay", |round| run(forebay, round)),
    ])?;
    println!("{}", results.table("rdiff"));
    Ok(())
}
