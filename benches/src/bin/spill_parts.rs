//! What a spilled block of 256 KiB costs, piece by piece: each row does what the one above it does, and one thing more.
//! Processor time only, so that it can be measured on a busy machine; everything stays in the page cache.

use std::env;
use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;

use anyhow::{Result, ensure};
use bytes::{Bytes, BytesMut};
use forebay::spill::record::{self, Compressor, HEADER, Sealed};
use forebay::{Extent, SegmentStore, SpillStore};
use forebay_benches::harness::{Cost, Spread, Variant, alternate, heading, measure, variant};
use forebay_benches::items;

const ITEM: usize = 4 << 10;
const GROUP: usize = 64;
const BLOCK: usize = GROUP * ITEM;
const RECORD: usize = HEADER + BLOCK;
const BLOCKS: usize = 1024;
/// Distinct blocks that are written again and again: more than the caches hold.
const DISTINCT: usize = 128;

struct Input {
    items: Vec<Vec<Bytes>>,
    /// The same, in one piece, and the header in front of it.
    flat: Vec<Vec<u8>>,
}

fn main() -> Result<()> {
    let items: Vec<Vec<Bytes>> = (0..DISTINCT as u64)
        .map(|block| (0..GROUP as u64).map(|item| items::generate(block << 8 | item, ITEM)).collect())
        .collect();
    let flat = items.iter().map(|items| seal(items).map(|sealed| bytes_of(&sealed))).collect::<Result<_>>()?;
    let input = Input { items, flat };

    heading(&format!("Appending blocks of 256 KiB, in {}", env::temp_dir().display()));
    let appends = vec![
        variant("plain call, at multiples of 256 KiB", |_| plain_append(&input, BLOCK)),
        variant("at any other place", |_| plain_append(&input, RECORD)),
        variant("a header and 64 items in place of one slice", |_| append(&input, false)),
        variant("with its checksum", |_| append(&input, true)),
    ];
    println!("{}", table(appends)?);

    heading(&format!("Reading them back, in {}", env::temp_dir().display()));
    let reads = vec![
        variant("plain call, at multiples of 256 KiB", |_| read(&input, BLOCK, |file, at| reuse(file, at, BLOCK))),
        variant("at any other place", |_| read(&input, RECORD, |file, at| reuse(file, at, RECORD))),
        variant("into new memory", |_| read(&input, RECORD, |file, at| fresh(file, at).map(|_| ()))),
        variant("with its checksum", |_| read(&input, RECORD, |file, at| checked(file, at).map(|_| ()))),
        variant("cut into 64 items", |_| {
            read(&input, RECORD, |file, at| {
                let mut rest = checked(file, at)?;
                black_box((0..GROUP).map(|_| rest.split_to(ITEM)).collect::<Vec<_>>());
                Ok(())
            })
        }),
    ];
    println!("{}", table(reads)?);
    Ok(())
}

fn table(variants: Vec<Variant<'_>>) -> Result<String> {
    let results = alternate(variants)?;
    let mut out = String::from("| | CPU us a block, min | median | more than above |\n|---|---:|---:|---:|\n");
    let mut above = None;
    for (name, rounds) in results.rows() {
        let cpu = Spread::of(rounds.iter().map(|cost| cost.cpu / BLOCKS as f64 * 1e6));
        let more = above.map_or(String::new(), |above| format!("{:.1}", cpu.min - above));
        out += &format!("| {name} | {:.1} | {:.1} | {more} |\n", cpu.min, cpu.median);
        above = Some(cpu.min);
    }
    Ok(out)
}

fn seal(items: &[Bytes]) -> Result<Sealed> {
    Ok(record::seal(items.to_vec(), &mut Compressor::off())?)
}

fn bytes_of(sealed: &Sealed) -> Vec<u8> {
    sealed.slices().flat_map(|slice| slice.to_vec()).collect()
}

/// The first `step` bytes of each record, end to end.
fn write_all(file: &File, input: &Input, step: usize) -> Result<()> {
    for block in 0..BLOCKS {
        file.write_all_at(&input.flat[block % DISTINCT][..step], (block * step) as u64)?;
    }
    Ok(())
}

fn plain_append(input: &Input, step: usize) -> Result<Cost> {
    let file = tempfile::tempfile()?;
    Ok(measure(|| write_all(&file, input, step))?.0)
}

/// Records, sealed before the clock runs or while it does.
fn append(input: &Input, seal_too: bool) -> Result<Cost> {
    let store = SegmentStore::temp()?;
    let ready = input.items.iter().map(|items| seal(items)).collect::<Result<Vec<_>>>()?;
    let one = |sealed: &Sealed| Ok(store.append(0, &sealed.slices().collect::<Vec<_>>())?);
    let (cost, extents): (Cost, Vec<Extent>) = measure(|| {
        let each = |block: usize| match seal_too {
            true => one(&seal(&input.items[block % DISTINCT])?),
            false => one(&ready[block % DISTINCT]),
        };
        (0..BLOCKS).map(each).collect()
    })?;
    ensure!(extents.iter().all(|extent| extent.len() == RECORD as u64), "records of another size");
    Ok(cost)
}

/// Each block once, as it was just written.
fn read(input: &Input, step: usize, mut one: impl FnMut(&File, u64) -> Result<()>) -> Result<Cost> {
    let file = tempfile::tempfile()?;
    write_all(&file, input, step)?;
    Ok(measure(|| (0..BLOCKS).try_for_each(|block| one(&file, (block * step) as u64)))?.0)
}

fn reuse(file: &File, at: u64, len: usize) -> Result<()> {
    thread_local!(static BUFFER: std::cell::RefCell<Vec<u8>> = std::cell::RefCell::new(vec![0; RECORD]));
    BUFFER.with_borrow_mut(|buffer| Ok(file.read_exact_at(&mut buffer[..len], at)?))
}

fn fresh(file: &File, at: u64) -> Result<Bytes> {
    let mut buffer = BytesMut::zeroed(RECORD);
    file.read_exact_at(&mut buffer, at)?;
    Ok(black_box(buffer.freeze()))
}

fn checked(file: &File, at: u64) -> Result<Bytes> {
    Ok(record::open(&fresh(file, at)?, BLOCK, &"the benchmark")?)
}
