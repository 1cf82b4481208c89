//! `inspect`: what an array is, what of it is stored, and what is missing.
//!
//! Only metadata and the indexes of shards are read: a few kilobytes for each shard, and never more than the names of
//! one directory at a time. It can be done while the array is written; shards that land meanwhile may be seen or not.
//!
//! A shard that is not there is not necessarily missing: a shard of nothing but the fill value is left out too, and the
//! array does not tell the one from the other. Whether a chunk that is stored can be decoded is not looked at either.

use std::fmt;

use crate::metadata::{self, MetadataError};
use crate::shard::{IndexError, ShardIndex};
use crate::spec::ArraySpec;
use crate::store::{Activity, Store, StoreError};

/// How many shards or rows are named; of the others only the number is known.
const NAMED: usize = 16;

/// What an array is, and what of it is stored.
#[derive(Debug)]
#[non_exhaustive]
pub struct Inspection {
    /// What array it is.
    pub spec: ArraySpec,
    /// Frames that readers see.
    pub frames: u64,
    /// Whether somebody is writing it.
    pub activity: Activity,
    /// Rows of shards, one behind the other along the append dimension, that so many frames take.
    pub rows: u64,
    /// Rows of which every shard is there and has a good index.
    pub rows_whole: u64,
    /// The first of the others.
    pub rows_incomplete: Vec<IncompleteRow>,
    /// Shards that all rows have together.
    pub shards_expected: u64,
    /// Those that are there, damaged ones included.
    pub shards_present: u64,
    /// How many shards have no good index.
    pub shards_damaged: u64,
    /// The first of them.
    pub damaged: Vec<Damaged>,
    /// Shards outside the shape, which readers do not see: frames that are not published, or what a writer has left.
    pub shards_beyond: u64,
    /// Chunks that are stored in shards that have a good index.
    pub chunks_stored: u64,
    /// Chunks that these shards leave out, because they are nothing but the fill value.
    pub chunks_left_out: u64,
    /// Bytes of the shards that are there.
    pub bytes_stored: u64,
    /// Bytes of all elements of those frames.
    pub bytes_raw: u64,
}

/// A row of shards that is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IncompleteRow {
    /// Its number.
    pub row: u64,
    /// Shards of it that are there and have a good index.
    pub present: u64,
    /// Shards that it has.
    pub expected: u64,
}

/// A shard whose index is of no use.
#[derive(Debug)]
#[non_exhaustive]
pub struct Damaged {
    /// Its key.
    pub key: String,
    /// What is wrong with it.
    pub error: IndexError,
}

/// Looks at the array in `store`.
///
/// # Errors
/// [`InspectError`], if there is none, or none that forebay can continue, or if the store cannot be read. A shard that
/// cannot be read counts as damaged.
pub fn inspect(store: &dyn Store) -> Result<Inspection, InspectError> {
    let (spec, frames) = metadata::read(store).map_err(InspectError::Metadata)?.ok_or(InspectError::NoArray)?;
    let activity = store.activity().map_err(InspectError::Store)?;
    let shape = stored(&spec, &[&[frames], &spec.frame[..]].concat());
    let (chunk, shard) = (stored(&spec, &spec.chunk), stored(&spec, &spec.shard));
    let grid: Vec<u64> = shape.iter().zip(&shard).map(|(extent, shard)| extent.div_ceil(*shard)).collect();
    let per_row = product(&grid[1..]);
    let mut walk = Walk {
        store,
        grid: &grid,
        shape: &shape,
        chunk: &chunk,
        shard: &shard,
        good: 0,
        found: Inspection {
            frames,
            activity,
            rows: grid[0],
            rows_whole: 0,
            rows_incomplete: Vec::new(),
            shards_expected: product(&grid),
            shards_present: 0,
            shards_damaged: 0,
            damaged: Vec::new(),
            shards_beyond: 0,
            chunks_stored: 0,
            chunks_left_out: 0,
            bytes_stored: 0,
            bytes_raw: product(&shape).saturating_mul(spec.dtype.size() as u64),
            spec: spec.clone(),
        },
    };
    let mut next = 0;
    for row in numbers(store, "c")? {
        walk.good = 0;
        walk.beneath(&format!("c/{row}"), &mut vec![row])?;
        if row < grid[0] {
            walk.found.incomplete(next..row, 0, per_row);
            match walk.good == per_row {
                true => walk.found.rows_whole += 1,
                false => walk.found.incomplete(row..row + 1, walk.good, per_row),
            }
            next = row + 1;
        }
    }
    walk.found.incomplete(next..grid[0], 0, per_row);
    Ok(walk.found)
}

impl Inspection {
    /// Names `rows`, as far as there is room.
    fn incomplete(&mut self, rows: std::ops::Range<u64>, present: u64, expected: u64) {
        let room = NAMED.saturating_sub(self.rows_incomplete.len());
        self.rows_incomplete.extend(rows.take(room).map(|row| IncompleteRow { row, present, expected }));
    }

    /// How many bytes of elements one stored byte stands for, as far as shards are there.
    pub fn ratio(&self) -> f64 {
        self.bytes_raw as f64 / self.bytes_stored as f64
    }
}

/// `shape` in storage order.
fn stored(spec: &ArraySpec, shape: &[u64]) -> Vec<u64> {
    spec.storage_order.iter().map(|&at| shape[at]).collect()
}

fn product(shape: &[u64]) -> u64 {
    shape.iter().fold(1, |all, &extent| all.saturating_mul(extent))
}

/// The names beneath `key` that are coordinates, in order.
fn numbers(store: &dyn Store, key: &str) -> Result<Vec<u64>, InspectError> {
    let names = store.list(key).map_err(InspectError::Store)?;
    let coordinate = |name: &String| name.parse().ok().filter(|number: &u64| number.to_string() == *name);
    let mut numbers: Vec<u64> = names.iter().filter_map(coordinate).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// A walk over all shards, depth first. All shapes are in storage order.
struct Walk<'a> {
    store: &'a dyn Store,
    /// How many shards there are in each dimension.
    grid: &'a [u64],
    shape: &'a [u64],
    chunk: &'a [u64],
    shard: &'a [u64],
    /// Shards of this row that have a good index.
    good: u64,
    found: Inspection,
}

impl Walk<'_> {
    /// Looks at `key`, whose coordinates so far are `at`, and all beneath it.
    fn beneath(&mut self, key: &str, at: &mut Vec<u64>) -> Result<(), InspectError> {
        if at.len() == self.grid.len() {
            return self.shard(key, at);
        }
        for number in numbers(self.store, key)? {
            at.push(number);
            self.beneath(&format!("{key}/{number}"), at)?;
            at.pop();
        }
        Ok(())
    }

    fn shard(&mut self, key: &str, at: &[u64]) -> Result<(), InspectError> {
        let Some(size) = self.store.size(key).map_err(InspectError::Store)? else {
            // A directory where a shard would be, or it has just been removed.
            return Ok(());
        };
        if at.iter().zip(self.grid).any(|(at, extent)| at >= extent) {
            self.found.shards_beyond += 1;
            return Ok(());
        }
        let chunks = self.shard.iter().zip(self.chunk).map(|(shard, chunk)| shard / chunk).collect::<Vec<_>>();
        match ShardIndex::read(self.store, key, product(&chunks) as usize) {
            Ok(None) => return Ok(()),
            Ok(Some(index)) => {
                self.good += 1;
                self.chunks(&index, &chunks, at);
            }
            Err(error) => {
                self.found.shards_damaged += 1;
                if self.found.damaged.len() < NAMED {
                    self.found.damaged.push(Damaged { key: key.to_owned(), error });
                }
            }
        }
        self.found.shards_present += 1;
        self.found.bytes_stored += size;
        Ok(())
    }

    /// Counts the chunks of the shard at `at` that are within the shape; it has `grid` chunks.
    fn chunks(&mut self, index: &ShardIndex, grid: &[u64], at: &[u64]) {
        let mut place = vec![0; grid.len()];
        for chunk in 0..index.chunks() {
            let within = (0..grid.len()).all(|dim| {
                let start = (at[dim] * self.shard[dim]).saturating_add(place[dim] * self.chunk[dim]);
                start < self.shape[dim]
            });
            if within && index.get(chunk).is_some() {
                self.found.chunks_stored += 1;
            } else if within {
                self.found.chunks_left_out += 1;
            }
            // The next place, the last dimension fastest.
            for dim in (0..grid.len()).rev() {
                place[dim] += 1;
                if place[dim] < grid[dim] {
                    break;
                }
                place[dim] = 0;
            }
        }
    }
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spec = &self.spec;
        let extents = |shape: &[u64]| shape.iter().map(u64::to_string).collect::<Vec<_>>().join(" x ");
        let bytes = |shape: &[u64]| Bytes(product(shape).saturating_mul(spec.dtype.size() as u64));
        let per_shard =
            product(&spec.shard.iter().zip(&spec.chunk).map(|(shard, chunk)| shard / chunk).collect::<Vec<_>>());
        let shape = [&[self.frames], &spec.frame[..]].concat();
        let names = match spec.dimension_names.is_empty() {
            true => String::new(),
            false => format!(" ({})", spec.dimension_names.join(", ")),
        };
        writeln!(f, "array     {} {}{names}", spec.dtype, extents(&shape))?;
        if !spec.storage_order.is_sorted() {
            writeln!(f, "order     dimensions are stored as {:?}", spec.storage_order)?;
        }
        writeln!(f, "chunks    {}, {} each, {}", extents(&spec.chunk), bytes(&spec.chunk), spec.codec)?;
        writeln!(f, "shards    {}, {} each, {per_shard} chunks", extents(&spec.shard), bytes(&spec.shard))?;
        writeln!(f, "frames    {} published, {} rows of {}", self.frames, self.rows, spec.shard[0])?;
        write!(f, "size      {}, stored in {}", Bytes(self.bytes_raw), Bytes(self.bytes_stored))?;
        match self.bytes_stored {
            0 => writeln!(f)?,
            _ => writeln!(f, " (ratio {:.2})", self.ratio())?,
        }
        let (present, expected) = (self.shards_present, self.shards_expected);
        writeln!(f, "present   {present} of {expected} shards, {} damaged", self.shards_damaged)?;
        write!(f, "          {} chunks stored, ", self.chunks_stored)?;
        writeln!(f, "{} left out (nothing but the fill value)", self.chunks_left_out)?;
        match self.rows_whole == self.rows {
            true => writeln!(f, "whole     all {} rows", self.rows)?,
            false => {
                writeln!(f, "whole     {} of {} rows; not whole are:", self.rows_whole, self.rows)?;
                self.missing(f)?;
            }
        }
        if self.shards_beyond > 0 {
            let who = match self.activity {
                Activity::Active => "not published yet",
                _ => "left by a writer that did not come to its end, or not forebay's",
            };
            writeln!(f, "beyond    {} shards outside the shape, which readers do not see: {who}", self.shards_beyond)?;
        }
        let writer = match self.activity {
            Activity::Unknown => "unknown".to_owned(),
            Activity::Idle => "none".to_owned(),
            Activity::Active => "active now".to_owned(),
            Activity::Died { unfinished } => {
                format!("died, with {unfinished} files unfinished; go on with --resume, which removes them")
            }
        };
        writeln!(f, "writer    {writer}")
    }
}

impl Inspection {
    fn missing(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for IncompleteRow { row, present, expected } in &self.rows_incomplete {
            let first = row.saturating_mul(self.spec.shard[0]);
            let last = first.saturating_add(self.spec.shard[0]).min(self.frames) - 1;
            writeln!(f, "          row {row}, frames {first} to {last}: {present} of {expected} shards are good")?;
        }
        let more = self.rows - self.rows_whole - self.rows_incomplete.len() as u64;
        if more > 0 {
            writeln!(f, "          and {more} rows more")?;
        }
        for Damaged { key, error } in &self.damaged {
            writeln!(f, "          {key} is damaged: {error}")?;
        }
        let more = self.shards_damaged - self.damaged.len() as u64;
        if more > 0 {
            writeln!(f, "          and {more} shards more are")?;
        }
        if self.shards_present < self.shards_expected {
            writeln!(f, "          A shard that is not there is either lost or was nothing but the fill value, which")?;
            writeln!(f, "          is what readers see in its place; the array does not tell which.")?;
        }
        Ok(())
    }
}

/// A number of bytes for people.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        let mut size = self.0 as f64;
        let mut unit = "bytes";
        for larger in UNITS {
            if size < 1024.0 {
                break;
            }
            size /= 1024.0;
            unit = larger;
        }
        match unit {
            "bytes" => write!(f, "{} bytes", self.0),
            _ => write!(f, "{size:.1} {unit}"),
        }
    }
}

/// Why nothing can be said about an array.
#[derive(Debug)]
#[non_exhaustive]
pub enum InspectError {
    /// There is no `zarr.json`.
    NoArray,
    /// The `zarr.json` is of no array that forebay can continue.
    Metadata(MetadataError),
    /// The store could not be read.
    Store(StoreError),
}

impl fmt::Display for InspectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InspectError::NoArray => f.write_str("there is no array: no zarr.json"),
            InspectError::Metadata(error) => error.fmt(f),
            InspectError::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for InspectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            InspectError::NoArray => None,
            InspectError::Metadata(error) => Some(error),
            InspectError::Store(error) => Some(error),
        }
    }
}
