//! Items of 4 KiB on their way out of memory and back, beside plain calls of 256 KiB on a file. Everything happens in
//! the page cache: what is compared is what the spill layer adds to the system's own work, not the disk.
//!
//! The pager takes 64 items at a time, as a reorder buffer gives them to it: a page, whose lease is refunded once it
//! is on disk. Whoever puts pages in waits for that refund, so that a few pages are under way at a time. *Append*
//! ends when the last page is on disk. *Read* gets every page, cuts the items out of it again and drops them. *Give
//! back* drops the pages, for plain files the file: the space is free then.

use std::env;
use std::fs::File;
use std::io::IoSlice;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use bytes::Bytes;
use forebay::{Budget, Page, PageState, Pager, Parts, SegmentStore, SpillStore};
use forebay_benches::harness::{Cost, Spread, alternate, heading, measure, variant};
use forebay_benches::items;

const ITEM: usize = 4 << 10;
/// Items of a page, and of a plain call.
const GROUP: usize = 64;
const BLOCK: usize = GROUP * ITEM;
const BLOCKS: usize = 1024;
/// Distinct blocks that are written again and again: more than the caches hold.
const DISTINCT: usize = 128;
/// Bytes under way.
const BUDGET: usize = 2 << 20;

fn main() -> Result<()> {
    let blocks: Vec<Vec<Bytes>> = (0..DISTINCT as u64)
        .map(|block| (0..GROUP as u64).map(|item| items::generate(block << 8 | item, ITEM)).collect())
        .collect();
    let mut dirs = vec![env::temp_dir()];
    dirs.extend(Some(PathBuf::from("/dev/shm")).filter(|dir| dir.is_dir()));
    for dir in dirs {
        heading(&format!("Spilling {} MiB in items of 4 KiB, in {}", (BLOCKS * BLOCK) >> 20, dir.display()));
        println!("{}", table(&dir, &blocks)?);
    }
    Ok(())
}

/// What the three phases of a run cost.
type Phases = [Cost; 3];

fn table(dir: &Path, blocks: &[Vec<Bytes>]) -> Result<String> {
    type Way = fn(&Path, &[Vec<Bytes>]) -> Result<Phases>;
    let ways: [(&str, Way); 3] = [
        ("plain file, 256 KiB a call", plain),
        ("`SegmentStore`, 64 slices a call", store),
        ("`Pager`, 64 items a page", pager),
    ];
    let mut phases: Vec<Vec<Phases>> = vec![Vec::new(); ways.len()];
    let variants = ways.iter().zip(&mut phases).map(|(&(name, way), phases)| {
        variant(name, move |round| {
            let costs = way(dir, blocks)?;
            if round > 0 {
                phases.push(costs);
            }
            let sum = |of: fn(&Cost) -> f64| costs.iter().map(of).sum();
            Ok(Cost { wall: sum(|cost| cost.wall), cpu: sum(|cost| cost.cpu) })
        })
    });
    alternate(variants.collect())?;

    let mut out = String::from("| | MB/s, best | median | to plain | CPU to plain |\n|---|---:|---:|---:|---:|\n");
    for (phase, what) in ["append", "read", "give back"].into_iter().enumerate() {
        for ((name, _), rounds) in ways.iter().zip(&phases) {
            let of = |round: &Phases| round[phase];
            let wall = Spread::of(rounds.iter().map(|round| of(round).wall));
            let ratio = |cost: fn(Cost) -> f64| {
                let pairs = rounds.iter().zip(&phases[0]);
                Spread::of(pairs.map(|(own, plain)| cost(of(own)) / cost(of(plain)))).median
            };
            let rate = |seconds: f64| (BLOCKS * BLOCK) as f64 / seconds / 1e6;
            out += &format!(
                "| {what}: {name} | {:.0} | {:.0} | {:.2} | {:.2} |\n",
                rate(wall.min),
                rate(wall.median),
                1.0 / ratio(|cost| cost.wall),
                ratio(|cost| cost.cpu),
            );
        }
    }
    Ok(out)
}

fn plain(dir: &Path, blocks: &[Vec<Bytes>]) -> Result<Phases> {
    let flat: Vec<Vec<u8>> = blocks.iter().map(|block| block.concat()).collect();
    let file: File = tempfile::tempfile_in(dir)?;
    let (append, ()) = measure(|| {
        for block in 0..BLOCKS {
            file.write_all_at(&flat[block % DISTINCT], (block * BLOCK) as u64)?;
        }
        Ok(())
    })?;
    let mut buffer = vec![0; BLOCK];
    let (read, ()) = measure(|| {
        for block in 0..BLOCKS {
            file.read_exact_at(&mut buffer, (block * BLOCK) as u64)?;
            ensure!(buffer[..8] == blocks[block % DISTINCT][0][..8], "block {block} is another one");
        }
        Ok(())
    })?;
    let (free, ()) = measure(|| {
        drop(file);
        Ok(())
    })?;
    Ok([append, read, free])
}

fn store(dir: &Path, blocks: &[Vec<Bytes>]) -> Result<Phases> {
    let store = SegmentStore::in_dir(dir)?;
    let (append, extents) = measure(|| {
        let append = |block: usize| {
            let slices: Vec<_> = blocks[block % DISTINCT].iter().map(|item| IoSlice::new(item)).collect();
            Ok(store.append(0, &slices)?)
        };
        (0..BLOCKS).map(append).collect::<Result<Vec<_>>>()
    })?;
    let mut buffer = vec![0; BLOCK];
    let (read, ()) = measure(|| {
        for (block, extent) in extents.iter().enumerate() {
            extent.read(0, &mut buffer)?;
            ensure!(buffer[..8] == blocks[block % DISTINCT][0][..8], "block {block} is another one");
        }
        Ok(())
    })?;
    let (free, ()) = measure(|| {
        drop(extents);
        Ok(())
    })?;
    Ok([append, read, free])
}

fn pager(dir: &Path, blocks: &[Vec<Bytes>]) -> Result<Phases> {
    let consumer = Budget::new(BUDGET).consumer("pages", 0)?;
    let pager = Pager::new(SegmentStore::in_dir(dir)?, false)?;
    let (append, pages) = measure(|| {
        let mut pages: Vec<Page> = Vec::with_capacity(BLOCKS);
        for block in 0..BLOCKS {
            let lease = consumer.lease(BLOCK)?;
            let mut parts = Parts::default();
            blocks[block % DISTINCT].iter().for_each(|item| parts.put(item.clone()));
            pages.push(pager.put(parts, GROUP as u64, lease));
        }
        // Pages are written in the order in which they came.
        while let Some(last) = pages.last() {
            match last.state() {
                PageState::OnDisk => break,
                PageState::Failed(error) => bail!(error),
                _ => thread::sleep(Duration::from_micros(100)),
            }
        }
        Ok(pages)
    })?;
    let (read, ()) = measure(|| {
        for (block, page) in pages.iter().enumerate() {
            let mut rest = page.get()?.bytes;
            let items: Vec<Bytes> = (0..GROUP).map(|_| rest.split_to(ITEM)).collect();
            ensure!(
                rest.is_empty() && items[0][..8] == blocks[block % DISTINCT][0][..8],
                "page {block} is another one"
            );
        }
        Ok(())
    })?;
    let spilled = pager.monitor().snapshot();
    ensure!(
        spilled.spilled_items == (BLOCKS * GROUP) as u64 && spilled.head_reads == BLOCKS as u64,
        "not everything went to the store and came back: {spilled:?}"
    );
    let (free, ()) = measure(|| {
        drop(pages);
        Ok(())
    })?;
    Ok([append, read, free])
}
