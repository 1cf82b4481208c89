//! Keyed rows, and forebay's ways with them. Its peers' are in [`differential`](crate::differential).
//!
//! Rows are made by the worker that hands them over, [`BATCH`] at a time, when it hands them over: everybody pays for
//! that, and nobody has them in memory before.

use std::ops::Range;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use anyhow::{Context, Result, bail};
use forebay::{Budget, Pager, SegmentStore};
use forebay_exchange::{
    Aggregates, Changes, Exchange, ExchangeOptions, ExchangeSnapshot, Failure, Field, Gate, Intake, IntakeSender, Rows,
    Sealed, ShardAccumulate, intake, source,
};
use timely::Accountable;
use timely::container::NoopBuilder;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::{Operator, generic};
use timely::dataflow::{Scope, Stream};

use crate::apart::{self, Outcome};
use crate::harness::{self, Cost};

/// Workers of every run.
pub const WORKERS: usize = 2;

/// Rows of 16 bytes that are handed over at a time: 64 KiB.
pub const BATCH: u64 = 4096;

/// The key of row `number`: every number has its own, and they look random.
#[inline]
#[must_use]
pub fn key(number: u64) -> u64 {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 32)
}

/// The key of row `number` where there are but `keys`: the first rows have one each, those after them any.
#[inline]
#[must_use]
pub fn changed(number: u64, keys: u64) -> u64 {
    key(if number < keys { number } else { key(number) % keys })
}

/// What a row adds to the sum that all who do the same must come to.
#[inline]
#[must_use]
pub fn check(key: u64, weight: i64) -> u64 {
    key.rotate_left(7).wrapping_mul(weight as u64)
}

/// The batches of `rows` that worker `me` hands over: as many as any other's.
pub fn share(rows: Range<u64>, me: usize) -> impl Iterator<Item = Range<u64>> {
    let end = rows.end;
    let first = rows.start + me as u64 * BATCH;
    (first..end).step_by(BATCH as usize * WORKERS).map(move |begin| begin..end.min(begin + BATCH))
}

/// Rows of these numbers.
pub fn changes(numbers: Range<u64>, out: &mut Changes<u64>) {
    out.extend(numbers.map(|number| (key(number), (), 1)));
}

/// A budget of so many MiB and, if it is to spill, a store in the directory for temporary files.
///
/// # Errors
/// When the store cannot be made.
pub fn options(mebibytes: u64, spills: bool) -> Result<ExchangeOptions> {
    let pager = if spills { Some(Pager::new(SegmentStore::temp()?, false)?) } else { None };
    Ok(ExchangeOptions::new(&Budget::new((mebibytes << 20) as usize), pager))
}

/// A run: `feed` hands things over to the workers, each through its own sender, and `build` makes the dataflow.
///
/// # Errors
/// When the run fails.
pub fn run<I: Send + 'static, T>(
    options: &ExchangeOptions,
    feed: impl FnOnce(Vec<IntakeSender<I>>) -> Result<T>,
    build: impl Fn(Scope<'_, u64>, &Exchange, &Gate, Intake<I>) + Send + Sync + 'static,
) -> Result<T> {
    let (senders, intakes): (Vec<_>, Vec<_>) = (0..WORKERS).map(|_| intake::<I>()).unzip();
    let intakes: Mutex<Vec<_>> = Mutex::new(intakes.into_iter().map(Some).collect());
    let own = options.clone();
    let guards = timely::execute(timely::Config::process(WORKERS), move |worker| {
        let exchange = match Exchange::new(&own, worker) {
            Ok(exchange) => exchange,
            Err(error) => return own.failure().set(error),
        };
        let intake = intakes.lock().ok().and_then(|mut intakes| intakes[worker.index()].take());
        let Some(intake) = intake else { unreachable!("each worker takes its own") };
        let gate = exchange.gate();
        let index = worker.next_dataflow_index();
        worker.dataflow::<u64, _, _>(|scope| build(scope, &exchange, &gate, intake));
        while own.failure().get().is_none() && worker.has_dataflows() {
            worker.step_or_park(None);
        }
        if own.failure().get().is_some() {
            worker.drop_dataflow(index);
        }
    });
    let fed = feed(senders);
    drop(guards);
    match options.failure().get() {
        Some(error) => bail!(error),
        None => fed,
    }
}

/// Hands the rows of `numbers` over as rows of `commit`, as fast as they are taken.
///
/// # Errors
/// When a worker is gone.
pub fn send_all(senders: &[IntakeSender<Range<u64>>], commit: u64, numbers: Range<u64>) -> Result<()> {
    thread::scope(|scope| {
        let sending: Vec<_> = senders
            .iter()
            .enumerate()
            .map(|(me, sender)| {
                let mut batches = share(numbers.clone(), me);
                scope.spawn(move || batches.try_for_each(|batch| sender.send(commit, batch, None)))
            })
            .collect();
        sending.into_iter().try_for_each(|thread| Ok(thread.join().ok().context("a thread panicked")??))
    })
}

/// `shard_accumulate` of the rows of numbers below `rows`, in one commit, and a look at every sealed row.
///
/// # Errors
/// When the run fails.
pub fn accumulate(rows: u64, options: &ExchangeOptions) -> Result<(u64, ExchangeSnapshot)> {
    accumulate_as(rows, options, changes, |block| {
        block.iter().fold(0, |sum, (key, (), weight)| sum.wrapping_add(check(*key, *weight)))
    })
}

/// As [`accumulate`], of other rows.
///
/// # Errors
/// When the run fails.
pub fn accumulate_as<R: Rows + Accountable>(
    rows: u64,
    options: &ExchangeOptions,
    convert: impl Fn(Range<u64>, &mut R) + Copy + Send + Sync + 'static,
    look: impl Fn(&R) -> u64 + Copy + Send + Sync + 'static,
) -> Result<(u64, ExchangeSnapshot)> {
    let sum = Arc::new(AtomicU64::new(0));
    let all = Arc::clone(&sum);
    let failure = options.failure().clone();
    run(
        options,
        |senders| send_all(&senders, 0, 0..rows),
        move |scope, exchange, gate, intake| {
            look_through(source(scope, exchange, gate, intake, convert), exchange, gate, look, &all, &failure);
        },
    )?;
    Ok((sum.load(Ordering::Relaxed), options.monitor().snapshot()))
}

/// As [`accumulate_as`], of rows that the workers' own operators make.
///
/// # Errors
/// When the run fails.
pub fn accumulate_made<R: Rows + Accountable>(
    rows: u64,
    options: &ExchangeOptions,
    convert: impl Fn(Range<u64>, &mut R) + Copy + Send + Sync + 'static,
    look: impl Fn(&R) -> u64 + Copy + Send + Sync + 'static,
) -> Result<u64> {
    let sum = Arc::new(AtomicU64::new(0));
    let all = Arc::clone(&sum);
    let failure = options.failure().clone();
    run(
        options,
        |_: Vec<IntakeSender<()>>| Ok(()),
        move |scope, exchange, gate, _| {
            look_through(make(scope, gate, rows, convert), exchange, gate, look, &all, &failure)
        },
    )?;
    Ok(sum.load(Ordering::Relaxed))
}

/// A worker's share of the rows of numbers below `rows`, made by an operator that asks the gate.
fn make<'scope, R: Rows + Accountable>(
    scope: Scope<'scope, u64>,
    gate: &Gate,
    rows: u64,
    convert: impl Fn(Range<u64>, &mut R) + 'static,
) -> Stream<'scope, u64, R> {
    let gate = gate.clone();
    generic::source::<_, NoopBuilder<R>, _, _>(scope, "make", move |capability, info| {
        let activator = Rc::new(scope.activator_for(info.address));
        let mut batches = share(0..rows, scope.index());
        let mut capability = Some(capability);
        activator.activate();
        move |output| {
            let Some(time) = &capability else { return };
            if !gate.admits(0, &activator) {
                return;
            }
            match batches.next() {
                Some(numbers) => {
                    let mut made = gate.container();
                    convert(numbers, &mut made);
                    output.session_with_builder(time).give_container(&mut made);
                    activator.activate();
                }
                None => capability = None,
            }
        }
    })
}

/// Accumulates `rows`, and looks at every sealed row.
fn look_through<R: Rows + Accountable>(
    rows: Stream<'_, u64, R>,
    exchange: &Exchange,
    gate: &Gate,
    look: impl Fn(&R) -> u64 + Copy + 'static,
    sum: &Arc<AtomicU64>,
    failure: &Failure,
) {
    let (sum, failure) = (Arc::clone(sum), failure.clone());
    read(rows.shard_accumulate(exchange, gate), move |sealed| match through(sealed, look) {
        Ok(own) => drop(sum.fetch_add(own, Ordering::Relaxed)),
        Err(error) => failure.set(error),
    });
}

/// Counts as [`differential::count`](crate::differential::count) does.
///
/// # Errors
/// When the run fails.
pub fn count(keys: u64, commits: u64, changes: u64, options: &ExchangeOptions) -> Result<(u64, Cost)> {
    let sum = Arc::new(AtomicU64::new(0));
    let all = Arc::clone(&sum);
    let (done_out, done) = mpsc::channel();
    let feed = |senders: Vec<IntakeSender<Range<u64>>>| {
        let commit = |commit: u64, rows: Range<u64>| -> Result<()> {
            send_all(&senders, commit, rows)?;
            senders.iter().try_for_each(|sender| Ok(sender.advance(commit + 1)?))
        };
        let wait = |commit: u64| -> Result<()> {
            let mut behind = WORKERS;
            while behind > 0 {
                behind -= usize::from(done.recv().context("the workers are gone")? == commit);
            }
            Ok(())
        };
        commit(0, 0..keys)?;
        wait(1)?;
        let (cost, ()) = harness::measure(|| {
            for number in 1..=commits {
                let begin = keys + (number - 1) * changes;
                commit(number, begin..begin + changes)?;
            }
            wait(commits + 1)
        })?;
        Ok(cost)
    };
    let cost = run(options, feed, move |scope, exchange, gate, intake| {
        let (sum, done) = (Arc::clone(&all), done_out.clone());
        let convert = move |numbers: Range<u64>, out: &mut Changes<u64>| {
            out.extend(numbers.map(|number| (changed(number, keys), (), 1)));
        };
        let mut told = 0;
        source(scope, exchange, gate, intake, convert).shard_accumulate(exchange, gate).count(exchange).sink(
            Pipeline,
            "read",
            move |(input, frontier)| {
                input.for_each(|_, changes: &mut Changes<u64, i64>| {
                    let own =
                        changes.iter().map(|(key, count, weight)| check(key.wrapping_add(*count as u64), *weight));
                    sum.fetch_add(own.fold(0, u64::wrapping_add), Ordering::Relaxed);
                    changes.clear();
                });
                while frontier.frontier().first().is_none_or(|first| *first > told) && told <= commits {
                    told += 1;
                    // Whoever fed may have failed.
                    let _ = done.send(told);
                }
            },
        );
    })?;
    Ok((sum.load(Ordering::Relaxed), cost))
}

/// Has `each` get every batch.
pub fn read<'scope, R: Rows>(sealed: Stream<'scope, u64, Vec<Sealed<R>>>, mut each: impl FnMut(Sealed<R>) + 'static) {
    sealed.sink(Pipeline, "read", move |(input, _)| {
        input.for_each(|_, batches: &mut Vec<Sealed<R>>| batches.drain(..).for_each(&mut each));
    });
}

/// Reads a batch to its end.
fn through<R: Rows>(sealed: Sealed<R>, look: impl Fn(&R) -> u64) -> Result<u64, forebay_exchange::ExchangeError> {
    let mut cursor = sealed.into_cursor()?;
    let mut sum = 0_u64;
    while let Some(block) = cursor.next_block()? {
        sum = sum.wrapping_add(look(&block));
    }
    Ok(sum)
}

/// The hash by which all who exchange find the owner of a key.
#[inline]
#[must_use]
pub fn hash(key: &u64) -> u64 {
    key.hash64()
}

/// [`accumulate`] with its cost and what its counters say.
///
/// # Errors
/// When the run fails.
pub fn accumulate_apart(rows: u64, mebibytes: u64, spills: bool) -> Result<Outcome> {
    let options = options(mebibytes, spills)?;
    let outcome = apart::measure(|| Ok(accumulate(rows, &options)?.0))?;
    let counters = options.monitor().snapshot();
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let outcome = outcome.note("budget used MiB", mib(counters.resident_most)).note("runs", counters.runs as f64);
    Ok(match counters.spill {
        Some(spill) => outcome.note("spilled MiB", mib(spill.spilled_bytes)),
        None => outcome,
    })
}
