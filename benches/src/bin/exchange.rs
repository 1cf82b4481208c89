//! The exchange alone: rows of 16 bytes go to the worker that owns their key, which adds them up. Beside timely's own
//! exchange, of vectors (8 KiB) and of containers of 64 KiB that are written as they lie in memory.
//!
//! forebay's is `shard_accumulate` of rows that are added up where others are collected: with its containers, counts,
//! credit and receipts, and without a sort. Everybody's workers make their rows themselves; in one more run, other
//! threads tell forebay's workers through intakes what to make, 4,096 rows at a time.

use std::cmp::Ordering;
use std::io::Write;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{self, AtomicU64};

use anyhow::Result;
use forebay::DecodeError;
use forebay_benches::harness::heading;
use forebay_benches::{apart, keyed};
use forebay_exchange::{BLOCK, Changes, Rows};
use timely::Accountable;
use timely::bytes::arc::Bytes;
use timely::container::{CapacityContainerBuilder, DrainContainer, PushInto, SizableContainer};
use timely::dataflow::InputHandle;
use timely::dataflow::channels::ContainerBytes;
use timely::dataflow::channels::pact::ExchangeCore;
use timely::dataflow::operators::{Input, Operator};

#[global_allocator]
static BLOCKS: forebay::Blocks = forebay::Blocks;

const FOREBAY: &str = "forebay";
const FED: &str = "forebay, fed by threads";
const VECTORS: &str = "timely, `Vec`";
const PLAIN: &str = "timely, plain containers of 64 KiB";

/// As good as no limit, in MiB.
const PLENTY: u64 = 64 << 10;

fn main() -> Result<()> {
    if apart::worked(|(who, rows): &(String, u64)| {
        let rows = *rows;
        apart::measure(|| match who.as_str() {
            FOREBAY => keyed::accumulate_made(rows, &keyed::options(PLENTY, false)?, Added::convert, Added::look),
            FED => Ok(keyed::accumulate_as(rows, &keyed::options(PLENTY, false)?, Added::convert, Added::look)?.0),
            VECTORS => timely::<Vec<(u64, i64)>>(rows),
            _ => timely::<Plain>(rows),
        })
    })? {
        return Ok(());
    }
    let [rows, rounds] = apart::numbers([("rows", 100_000_000), ("rounds", 5)])?;
    heading(&format!("The exchange of {rows} rows"));
    let jobs = [FOREBAY, FED, VECTORS, PLAIN].map(|name| (name.to_owned(), (name.to_owned(), rows)));
    println!("{}", apart::rounds(&jobs, rounds, true)?.table(rows));
    Ok(())
}

fn timely<C>(rows: u64) -> Result<u64>
where
    C: Accountable + Default + Clone + Send + ContainerBytes + SizableContainer + PushInto<(u64, i64)> + 'static,
    C: for<'a> DrainContainer<Item<'a> = (u64, i64)> + Extend<(u64, i64)>,
{
    let sum = Arc::new(AtomicU64::new(0));
    let all = Arc::clone(&sum);
    let guards = timely::execute(timely::Config::process(keyed::WORKERS), move |worker| {
        let mut input = InputHandle::<u64, CapacityContainerBuilder<C>>::new();
        let sum = Arc::clone(&all);
        worker.dataflow::<u64, _, _>(|scope| {
            let pact = ExchangeCore::<CapacityContainerBuilder<C>, _>::new(|row: &(u64, i64)| keyed::hash(&row.0));
            let mut own = 0_u64;
            scope.input_from(&mut input).sink(pact, "add", move |(input, frontier)| {
                input.for_each(|_, rows: &mut C| {
                    own = rows.drain().fold(own, |sum, (key, weight)| sum.wrapping_add(keyed::check(key, weight)));
                });
                if frontier.is_empty() {
                    sum.fetch_add(std::mem::take(&mut own), atomic::Ordering::Relaxed);
                }
            });
        });
        let mut batch = C::default();
        for numbers in keyed::share(0..rows, worker.index()) {
            batch.ensure_capacity(&mut None);
            batch.extend(numbers.map(|number| (keyed::key(number), 1)));
            input.send_batch(&mut batch);
            worker.step();
        }
        input.close();
        while worker.has_dataflows() {
            worker.step_or_park(None);
        }
    });
    guards.map_err(anyhow::Error::msg)?.join().into_iter().try_for_each(|done| done.map_err(anyhow::Error::msg))?;
    Ok(sum.load(atomic::Ordering::Relaxed))
}

/// 64 KiB of rows.
#[derive(Clone, Default)]
struct Plain(Vec<(u64, i64)>);

impl Accountable for Plain {
    fn record_count(&self) -> i64 {
        self.0.len() as i64
    }
}

impl SizableContainer for Plain {
    fn at_capacity(&self) -> bool {
        self.0.len() == self.0.capacity()
    }

    fn ensure_capacity(&mut self, stash: &mut Option<Self>) {
        if self.0.capacity() == 0 {
            *self = stash.take().unwrap_or_default();
            self.0.clear();
        }
        let rows = BLOCK / size_of::<(u64, i64)>();
        if self.0.capacity() < rows {
            self.0.reserve_exact(rows - self.0.len());
        }
    }
}

impl PushInto<(u64, i64)> for Plain {
    fn push_into(&mut self, row: (u64, i64)) {
        self.0.push(row);
    }
}

impl Extend<(u64, i64)> for Plain {
    fn extend<I: IntoIterator<Item = (u64, i64)>>(&mut self, rows: I) {
        self.0.extend(rows);
    }
}

impl DrainContainer for Plain {
    type Item<'a> = (u64, i64);
    type DrainIter<'a> = std::vec::Drain<'a, (u64, i64)>;

    fn drain(&mut self) -> Self::DrainIter<'_> {
        self.0.drain(..)
    }
}

/// Timely wants it of whatever is exchanged. In one process nothing is written.
impl ContainerBytes for Plain {
    fn from_bytes(bytes: Bytes) -> Self {
        let word = |at: &[u8]| at.first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
        Plain(bytes.chunks_exact(16).map(|row| (word(row), word(&row[8..]) as i64)).collect())
    }

    fn length_in_bytes(&self) -> usize {
        size_of_val(self.0.as_slice())
    }

    fn into_bytes<W: Write>(&self, writer: &mut W) {
        for (key, weight) in &self.0 {
            let written = writer.write_all(&key.to_le_bytes()).and_then(|()| writer.write_all(&weight.to_le_bytes()));
            written.expect("there is room for what was measured");
        }
    }
}

/// Rows, and the sum of others.
#[derive(Default)]
struct Added {
    rows: Changes<u64>,
    sum: u64,
}

impl Added {
    fn convert(numbers: Range<u64>, out: &mut Self) {
        keyed::changes(numbers, &mut out.rows);
    }

    fn look(&self) -> u64 {
        let own = self.rows.iter();
        own.fold(self.sum, |sum, (key, (), weight)| sum.wrapping_add(keyed::check(*key, *weight)))
    }
}

impl Accountable for Added {
    fn record_count(&self) -> i64 {
        self.rows.record_count()
    }
}

impl Rows for Added {
    type Row<'a> = &'a (u64, (), i64);

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn bytes(&self) -> usize {
        self.rows.bytes()
    }

    fn room(&self) -> usize {
        self.rows.room()
    }

    fn get(&self, index: usize) -> Self::Row<'_> {
        self.rows.get(index)
    }

    fn push(&mut self, row: Self::Row<'_>) {
        self.rows.push(row);
    }

    fn merge_last(&mut self, row: Self::Row<'_>) {
        self.rows.merge_last(row);
    }

    fn hash(row: Self::Row<'_>) -> u64 {
        Changes::<u64>::hash(row)
    }

    fn hashed<'a>(&'a self, range: Range<usize>, each: impl FnMut(u64, Self::Row<'a>)) {
        self.rows.hashed(range, each);
    }

    fn order(a: Self::Row<'_>, b: Self::Row<'_>) -> Ordering {
        Changes::<u64>::order(a, b)
    }

    fn same_group(a: Self::Row<'_>, b: Self::Row<'_>) -> bool {
        Changes::<u64>::same_group(a, b)
    }

    /// One row without weight stands for the sum, which would be left out otherwise.
    fn consolidate(&mut self) {
        self.rows.clear();
        if self.sum != 0 {
            self.rows.add(0, (), 0);
        }
    }

    fn clear(&mut self) {
        self.rows.clear();
        self.sum = 0;
    }

    fn reserve(&mut self, bytes: usize) {
        self.rows.reserve(bytes);
    }

    fn like(&self) -> Self {
        Added::default()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.rows.encode(out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Ok(Added { rows: Changes::decode(bytes)?, sum: 0 })
    }

    /// Where rows are accumulated, they are only added up.
    fn scatter(&self, buckets: &mut [Self], _: impl FnMut(usize, &mut Self)) {
        buckets[0].sum = buckets[0].sum.wrapping_add(self.look());
    }
}
