//! `Assembler`: gives each chunk its place in its shard, in order, and hands what is to be written to the store.
//!
//! ```text
//!   reorder buffer --> Assembler --> Delivery "write" --> Delivery "land"
//!                      offsets,      Shard::write         Shard::land, zarr.json
//!                      index
//! ```
//!
//! Offsets are fixed here, in the order of the chunks, so the bytes of a shard do not depend on how many workers there
//! are or on what was spilled. The entries of the indexes of the current row stay in memory, 16 bytes a chunk.
//!
//! Chunks that come back from the spill store take memory of their own beside the slabs, which are kept. So of these only
//! one write is on its way at a time, while the next chunk is read.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use forebay::{Delivery, DeliveryMonitor, Filling};

use crate::error::WriteError;
use crate::land::{Landing, Publisher, Row};
use crate::layout::Layout;
use crate::pool::Pool;
use crate::progress::{Counters, Stage, add};
use crate::shard::ShardIndex;
use crate::store::{Shard, Store};
use crate::task::Packed;

/// How much is written at once, in bytes, unless a single chunk is more.
pub(crate) const WRITE: usize = 1 << 20;

/// Jobs on their way to the store: one being written, one waiting, one being filled.
pub(crate) const WRITE_SLOTS: usize = 3;

/// Shards and rows on their way to their names. A shard in it holds nothing but its file.
const LAND_SLOTS: usize = 16;

/// One thing to write.
#[derive(Debug, Default)]
struct Job {
    step: Step,
    parts: Vec<Bytes>,
    bytes: usize,
}

#[derive(Debug, Default)]
enum Step {
    #[default]
    Nothing,
    /// The parts belong to this shard of the current row.
    Shard(usize),
    /// They are its end.
    End(usize),
    Row(Row),
    Flush {
        ticket: u64,
    },
    /// Everything is to be landed when this is delivered.
    Close,
}

/// A shard of the current row.
#[derive(Debug)]
struct Open {
    /// Chunks that are still to come.
    left: u64,
    /// Where the next chunk goes, which is how many bytes there are.
    offset: u64,
    index: ShardIndex,
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Assembler {
    layout: Layout,
    write: Delivery<Job, WriteError>,
    /// What is being filled: parts of one shard.
    filling: Option<Filling<Job>>,
    row: u64,
    /// How many chunks of a row go to each shard.
    counts: Vec<u64>,
    shards: Vec<Open>,
    /// Shards of the row that are still to come.
    left: usize,
    absent: Vec<String>,
    notes: Vec<u8>,
    /// How many frames the array has, once that is known.
    last: Option<u64>,
}

impl Assembler {
    /// Starts the two delivering threads; `row` is the row of the first chunk.
    pub(crate) fn start(
        layout: &Layout,
        publisher: Publisher,
        slabs: &Pool,
        row: u64,
    ) -> io::Result<(Self, [DeliveryMonitor; 2])> {
        let stage = || Stage { counters: Arc::clone(&publisher.counters), slabs: slabs.clone() };
        let (writing_stage, landing_stage) = (stage(), stage());
        let mut writing = Writing {
            layout: layout.clone(),
            store: Arc::clone(&publisher.store),
            counters: Arc::clone(&publisher.counters),
            row,
            open: HashMap::new(),
            land: start_landing(publisher, landing_stage)?,
        };
        let landing = writing.land.monitor();
        let slots = (0..WRITE_SLOTS).map(|_| Job::default()).collect();
        let write = Delivery::start("forebay-write", slots, move |job: &mut Job| {
            writing_stage.watch(writing.write(std::mem::take(job)))
        })?;
        let monitors = [write.monitor(), landing];
        let mut assembler = Assembler {
            layout: layout.clone(),
            write,
            filling: None,
            row,
            counts: layout.chunks_of_shards(),
            shards: Vec::new(),
            left: 0,
            absent: Vec::new(),
            notes: Vec::new(),
            last: None,
        };
        assembler.open_row();
        Ok((assembler, monitors))
    }

    fn open_row(&mut self) {
        let chunks = self.layout.chunks_per_shard();
        let open = |&count| Open { left: count, offset: 0, index: ShardIndex::new(chunks) };
        self.shards = self.counts.iter().map(open).collect();
        self.left = self.shards.len();
    }

    /// The sink of the pipeline.
    pub(crate) fn take(&mut self, packed: Packed) -> Result<(), WriteError> {
        match packed {
            Packed::Chunk { layer, chunk, parts, reloaded } => self.chunk(layer, chunk, parts, reloaded),
            Packed::Note { line } => {
                self.notes.extend_from_slice(&line);
                Ok(())
            }
            Packed::Flush { ticket } => self.step(Step::Flush { ticket }),
            Packed::Last { frames } => {
                self.last = Some(frames);
                Ok(())
            }
            Packed::Close => self.close(),
        }
    }

    fn chunk(&mut self, layer: u64, chunk: usize, parts: Vec<Bytes>, reloaded: bool) -> Result<(), WriteError> {
        let (shard, place) = self.layout.place(layer % self.layout.layers_per_row, chunk);
        let open = &mut self.shards[shard];
        let bytes: usize = parts.iter().map(Bytes::len).sum();
        if bytes > 0 {
            open.index.set(place, open.offset, bytes as u64);
            open.offset += bytes as u64;
        }
        open.left -= 1;
        let ended = open.left == 0;
        if bytes > 0 {
            self.add(shard, parts, bytes, reloaded)?;
        }
        if ended {
            self.end(shard)?;
            if self.left == 0 {
                self.end_row()?;
            }
        }
        Ok(())
    }

    fn add(&mut self, shard: usize, parts: Vec<Bytes>, bytes: usize, reloaded: bool) -> Result<(), WriteError> {
        if self.filling.as_ref().is_some_and(|job| !matches!(job.step, Step::Shard(other) if other == shard)) {
            self.enqueue()?;
        }
        if reloaded && self.filling.is_none() {
            self.write.drain()?;
        }
        let job = match &mut self.filling {
            Some(job) => job,
            None => self.filling.insert(self.write.fill()?),
        };
        job.step = Step::Shard(shard);
        job.parts.extend(parts);
        job.bytes += bytes;
        if job.bytes >= WRITE { self.enqueue() } else { Ok(()) }
    }

    fn enqueue(&mut self) -> Result<(), WriteError> {
        if let Some(job) = self.filling.take() {
            let bytes = job.bytes;
            self.write.enqueue(job, bytes)?;
        }
        Ok(())
    }

    /// What is being filled goes first.
    fn step(&mut self, step: Step) -> Result<(), WriteError> {
        self.enqueue()?;
        let mut job = self.write.fill()?;
        job.step = step;
        Ok(self.write.enqueue(job, 0)?)
    }

    /// No more chunks for this shard: its index, or nothing at all if it has no chunk.
    fn end(&mut self, shard: usize) -> Result<(), WriteError> {
        self.left -= 1;
        let open = &mut self.shards[shard];
        if open.offset == 0 {
            self.absent.push(self.layout.key(self.row, shard));
            return Ok(());
        }
        let index = Bytes::from(open.index.encode());
        let bytes = index.len();
        self.add(shard, vec![index], bytes, false)?;
        match &mut self.filling {
            Some(job) => {
                job.step = Step::End(shard);
                self.enqueue()
            }
            // The index was what filled the job.
            None => self.step(Step::End(shard)),
        }
    }

    fn end_row(&mut self) -> Result<(), WriteError> {
        let whole = (self.row + 1) * self.layout.row_depth();
        let row = Row {
            number: self.row,
            frames: self.last.map_or(whole, |last| last.min(whole)),
            absent: std::mem::take(&mut self.absent),
            notes: std::mem::take(&mut self.notes),
        };
        self.step(Step::Row(row))?;
        self.row += 1;
        self.open_row();
        Ok(())
    }

    fn close(&mut self) -> Result<(), WriteError> {
        if self.last.is_some_and(|last| last > self.row * self.layout.row_depth()) {
            for shard in 0..self.shards.len() {
                if self.shards[shard].left > 0 {
                    self.end(shard)?;
                }
            }
            self.end_row()?;
        }
        self.step(Step::Close)?;
        Ok(self.write.drain()?)
    }
}

fn start_landing(mut publisher: Publisher, stage: Stage) -> io::Result<Delivery<Landing, WriteError>> {
    let slots = (0..LAND_SLOTS).map(|_| Landing::default()).collect();
    Delivery::start("forebay-land", slots, move |landing: &mut Landing| {
        stage.watch(publisher.land(std::mem::take(landing)))
    })
}

/// The sink of "write".
struct Writing {
    layout: Layout,
    store: Arc<dyn Store>,
    counters: Arc<Counters>,
    row: u64,
    open: HashMap<usize, Box<dyn Shard>>,
    land: Delivery<Landing, WriteError>,
}

impl Writing {
    fn write(&mut self, Job { step, parts, bytes }: Job) -> Result<(), WriteError> {
        match step {
            Step::Nothing => {}
            Step::Shard(shard) => self.parts(shard, parts, bytes)?,
            Step::End(shard) => {
                self.parts(shard, parts, bytes)?;
                if let Some(shard) = self.open.remove(&shard) {
                    self.land(Landing::Shard(shard))?;
                }
            }
            Step::Row(row) => {
                self.row = row.number + 1;
                self.land(Landing::Row(row))?;
            }
            Step::Flush { ticket } => self.land(Landing::Flush { ticket })?,
            Step::Close => {
                // The last attributes, if nothing published them.
                self.land(Landing::Flush { ticket: 0 })?;
                self.land.drain()?;
            }
        }
        Ok(())
    }

    fn parts(&mut self, shard: usize, parts: Vec<Bytes>, bytes: usize) -> Result<(), WriteError> {
        if !self.open.contains_key(&shard) {
            let begun = self.store.begin(&self.layout.key(self.row, shard))?;
            self.open.insert(shard, begun);
        }
        if let Some(open) = self.open.get_mut(&shard) {
            open.write(&parts)?;
        }
        // What is counted as written takes no memory any more.
        drop(parts);
        add(&self.counters.bytes_out, bytes as u64);
        Ok(())
    }

    fn land(&mut self, landing: Landing) -> Result<(), WriteError> {
        let mut slot = self.land.fill()?;
        *slot = landing;
        Ok(self.land.enqueue(slot, 0)?)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::dtype::DataType;
    use crate::land::Attributes;
    use crate::spec::ArraySpec;
    use crate::store::{Memory, Stalling};

    /// Takes three writes while the store stands still; says whether the second was taken within `patience`.
    fn goes_on(reloaded: bool, patience: Duration) -> bool {
        let spec = ArraySpec::new(DataType::UInt8, &[WRITE as u64], &[1, WRITE as u64], &[3, WRITE as u64]);
        let layout = Layout::new(&spec);
        let (store, stall) = Stalling::new(Memory::default());
        let attributes = Arc::new(Mutex::new(Attributes { map: spec.attributes.clone(), changed: false }));
        let counters = Arc::new(Counters::default());
        let publisher = Publisher { store: Arc::new(store), spec, attributes, counters, frames: 0 };
        let (mut assembler, _) = Assembler::start(&layout, publisher, &Pool::new(1, 1, 0), 0).unwrap();
        stall.stall();
        let (taken, takes) = mpsc::channel();
        let taker = thread::spawn(move || {
            for layer in 0..3 {
                let parts = vec![Bytes::from(vec![1; WRITE])];
                assembler.take(Packed::Chunk { layer, chunk: 0, parts, reloaded }).unwrap();
                taken.send(()).unwrap();
            }
        });
        assert!(stall.waited_more_than(0, Duration::from_secs(60)));
        takes.recv().unwrap();
        let goes_on = takes.recv_timeout(patience).is_ok();
        stall.go_on();
        taker.join().unwrap();
        goes_on
    }

    /// It takes memory beside the slabs.
    #[test]
    fn of_what_was_read_back_only_one_write_is_on_its_way() {
        assert!(!goes_on(true, Duration::from_millis(50)));
        assert!(goes_on(false, Duration::from_secs(60)));
    }
}
