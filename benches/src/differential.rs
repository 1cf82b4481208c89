//! The same rows in differential dataflow.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex, PoisonError};

use anyhow::{Context, Result};
use differential_dataflow::AsCollection;
use differential_dataflow::columnar::collection::{Builder as ColumnarInput, Pact};
use differential_dataflow::columnar::trace::spill::{self, BytesSource, BytesStore, SpillStats};
use differential_dataflow::columnar::trace::{Batcher, Builder, Chunker, Spine};
use differential_dataflow::operators::CountTotal;
use differential_dataflow::operators::arrange::arrangement::arrange_core;
use differential_dataflow::trace::cursor::Navigable;
use differential_dataflow::trace::{BatchReader, Cursor};
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::{Input, Operator, Probe};
use timely::dataflow::{InputHandle, InputHandleVec, ProbeHandle, Stream};
use timely::worker::Worker;

use crate::harness::{self, Cost};
use crate::keyed::{WORKERS, changed, check, hash, key, share};

/// A row of a key, nothing below it, its time and its weight: 24 bytes here.
type Update = ((u64, ()), u64, i64);

fn workers<T: Send + 'static>(work: impl Fn(&mut Worker) -> T + Send + Sync + 'static) -> Result<Vec<T>> {
    let guards = timely::execute(timely::Config::process(WORKERS), work).map_err(anyhow::Error::msg)?;
    guards.join().into_iter().map(|result| result.map_err(anyhow::Error::msg)).collect()
}

/// Adds up all rows of the batches of an arrangement.
fn read<B>(batches: Stream<'_, u64, Vec<B>>, sum: Arc<AtomicU64>)
where
    B: BatchReader + Navigable + 'static,
    B::Cursor: for<'a> Cursor<Storage = B, Key<'a> = &'a u64, DiffGat<'a> = &'a i64>,
{
    batches.sink(Pipeline, "read", move |(input, _)| {
        input.for_each(|_, batches: &mut Vec<B>| {
            for batch in batches.drain(..) {
                let mut cursor = batch.cursor();
                let mut own = 0_u64;
                while let Some(key) = cursor.get_key(&batch) {
                    while cursor.val_valid(&batch) {
                        cursor.map_times(&batch, |_, weight| own = own.wrapping_add(check(*key, *weight)));
                        cursor.step_val(&batch);
                    }
                    cursor.step_key(&batch);
                }
                sum.fetch_add(own, Ordering::Relaxed);
            }
        });
    });
}

/// `arrange_by_key`, in memory, and a look at every row of its batches.
///
/// # Errors
/// When a worker panics.
pub fn arrange_by_key(rows: u64) -> Result<u64> {
    let sum = Arc::new(AtomicU64::new(0));
    let all = Arc::clone(&sum);
    workers(move |worker| {
        let mut input = InputHandleVec::<u64, Update>::new();
        worker.dataflow::<u64, _, _>(|scope| {
            let arranged = scope.input_from(&mut input).as_collection().arrange_by_key();
            read(arranged.stream, Arc::clone(&all));
        });
        let mut batch = Vec::new();
        for numbers in share(0..rows, worker.index()) {
            batch.extend(numbers.map(|number| ((key(number), ()), 0, 1)));
            input.send_batch(&mut batch);
            batch.clear();
            worker.step();
        }
        input.close();
        while worker.has_dataflows() {
            worker.step_or_park(None);
        }
    })?;
    Ok(sum.load(Ordering::Relaxed))
}

/// The columnar arrangement, which spills what exceeds so many MiB of rows, and a look at every row of its batches.
///
/// # Errors
/// When a worker panics.
pub fn arrange_spilling(rows: u64, mebibytes: u64) -> Result<(u64, u64)> {
    type Columns = (u64, (), u64, i64);
    let sum = Arc::new(AtomicU64::new(0));
    let all = Arc::clone(&sum);
    let stats = Arc::new(SpillStats::default());
    let shared = Arc::clone(&stats);
    // A row is a key, a time and a weight here.
    let budget = (mebibytes << 20) as usize / 24 / WORKERS;
    workers(move |worker| {
        spill::install(budget, Box::new(Store::default()), Arc::clone(&shared));
        let mut input = InputHandle::<u64, ColumnarInput<Columns>>::new_with_builder();
        worker.dataflow::<u64, _, _>(|scope| {
            let arranged =
                arrange_core::<
                    _,
                    _,
                    Chunker<Columns>,
                    Batcher<u64, (), u64, i64>,
                    Builder<u64, (), u64, i64>,
                    Spine<u64, (), u64, i64>,
                >(
                    scope.input_from(&mut input), Pact { hashfunc: |key: columnar::Ref<'_, u64>| hash(key) }, "arrange"
                );
            read(arranged.stream, Arc::clone(&all));
        });
        let mut since = 0;
        for numbers in share(0..rows, worker.index()) {
            since += numbers.end - numbers.start;
            numbers.for_each(|number| input.send((key(number), (), 0, 1)));
            // As often as the example that comes with it.
            if since >= 1 << 16 {
                worker.step();
                since = 0;
            }
        }
        input.close();
        while worker.has_dataflows() {
            worker.step_or_park(None);
        }
        spill::uninstall();
    })?;
    Ok((sum.load(Ordering::Relaxed), stats.bytes_written.load(Ordering::Relaxed) as u64))
}

/// `count_total` of `keys` rows of one key each, and then of `commits` times `changes` more, of which at most three
/// commits are open: what all changes of the counts add up to, and what the commits cost.
///
/// # Errors
/// When a worker panics.
pub fn count(keys: u64, commits: u64, changes: u64) -> Result<(u64, Cost)> {
    let sum = Arc::new(AtomicU64::new(0));
    let all = Arc::clone(&sum);
    let barrier = Barrier::new(WORKERS);
    let costs = workers(move |worker| {
        let (mut input, probe) = (InputHandleVec::<u64, (u64, u64, i64)>::new(), ProbeHandle::new());
        let sum = Arc::clone(&all);
        worker.dataflow::<u64, _, _>(|scope| {
            let counts = scope.input_from(&mut input).as_collection().count_total();
            counts.inner.probe_with(&probe).sink(Pipeline, "read", move |(input, _)| {
                input.for_each(|_, changes: &mut Vec<((u64, i64), u64, isize)>| {
                    let own = changes
                        .drain(..)
                        .map(|((key, count), _, weight)| check(key.wrapping_add(count as u64), weight as i64));
                    sum.fetch_add(own.fold(0, u64::wrapping_add), Ordering::Relaxed);
                });
            });
        });
        let mut batch = Vec::new();
        let mut commit = |worker: &mut Worker, commit: u64, rows: Range<u64>| {
            for numbers in share(rows, worker.index()) {
                batch.extend(numbers.map(|number| (changed(number, keys), commit, 1)));
                input.send_batch(&mut batch);
                batch.clear();
                worker.step();
            }
            input.advance_to(commit + 1);
            input.flush();
        };
        commit(worker, 0, 0..keys);
        worker.step_or_park_while(None, || probe.less_than(&1));
        barrier.wait();
        let mut rest = |worker: &mut Worker| {
            for number in 1..=commits {
                worker.step_or_park_while(None, || probe.less_than(&number.saturating_sub(2)));
                let begin = keys + (number - 1) * changes;
                commit(worker, number, begin..begin + changes);
            }
            worker.step_or_park_while(None, || probe.less_than(&(commits + 1)));
            barrier.wait();
            Ok(())
        };
        harness::measure(|| rest(worker)).map(|(cost, ())| cost)
    })?;
    let cost = costs.into_iter().next().context("there are workers")??;
    Ok((sum.load(Ordering::Relaxed), cost))
}

/// Blobs in a temporary file, as they are: random keys do not compress.
#[derive(Default)]
struct Store {
    file: Option<Arc<Mutex<File>>>,
    end: u64,
}

struct Blob {
    file: Arc<Mutex<File>>,
    at: u64,
    len: usize,
}

impl BytesStore for Store {
    fn store(&mut self, bytes: &[u8]) -> Box<dyn BytesSource> {
        let file =
            self.file.get_or_insert_with(|| Arc::new(Mutex::new(tempfile::tempfile().expect("a temporary file"))));
        let at = self.end;
        let mut open = file.lock().unwrap_or_else(PoisonError::into_inner);
        open.seek(SeekFrom::Start(at)).and_then(|_| open.write_all(bytes)).expect("write");
        drop(open);
        self.end += bytes.len() as u64;
        Box::new(Blob { file: Arc::clone(file), at, len: bytes.len() })
    }
}

impl BytesSource for Blob {
    fn load(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len];
        let mut open = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        open.seek(SeekFrom::Start(self.at)).and_then(|_| open.read_exact(&mut bytes)).expect("read");
        bytes
    }
}
