//! What it is worth to have no barrier: in each step one worker has rows that cost 1 ms and the other rows that cost
//! 9 ms, and then it is the other way round. With a commit after each step, of which the next step waits for the end,
//! a step takes as long as its slower half; without, the halves make up for each other. At best that is 1.8 times as
//! fast.
//!
//! A cost is time that the worker sleeps: it does nothing else meanwhile, as if it computed, and whoever shares the
//! processor hardly changes it. A sleep that lasts too long shortens the worker's next ones.

use std::ops::Range;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use forebay_benches::harness::{Spread, alternate_for, heading, measure, variant};
use forebay_benches::{apart, keyed};
use forebay_exchange::{Changes, IntakeSender, ShardAccumulate, source};

/// Rows of a half step.
const ROWS: u64 = 4096;

/// What a half step costs.
const COSTS: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(9)];

/// A step, and the worker whose half of it this is.
type Half = (u64, usize);

fn main() -> Result<()> {
    let [steps, rounds] = apart::numbers([("steps", 100), ("rounds", 5)])?;
    heading(&format!("{steps} steps, of which the halves cost 1 and 9 ms in turn"));
    let results = alternate_for(
        rounds as usize,
        vec![
            variant("a barrier per step", |_| Ok(measure(|| run(steps, Steps::Barrier))?.0)),
            variant("a commit per step, nobody waits", |_| Ok(measure(|| run(steps, Steps::Commits))?.0)),
            variant("one commit", |_| Ok(measure(|| run(steps, Steps::One))?.0)),
        ],
    )?;
    println!("{}", results.table("a barrier per step"));
    let barrier = results.of("a barrier per step");
    for (name, costs) in results.rows().skip(1) {
        let gain = Spread::of(barrier.iter().zip(costs).map(|(with, without)| with.wall / without.wall)).median;
        println!("{name}: {gain:.2} x, {:.0} % of the ideal", 100.0 * gain / 1.8);
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Steps {
    Barrier,
    Commits,
    One,
}

fn run(steps: u64, way: Steps) -> Result<()> {
    let (sealed_out, sealed) = mpsc::channel();
    let feed = |senders: Vec<IntakeSender<Half>>| match way {
        Steps::Barrier => {
            for step in 0..steps {
                for (me, sender) in senders.iter().enumerate() {
                    sender.send(step, (step, me), None)?;
                    sender.advance(step + 1)?;
                }
                for _ in &senders {
                    sealed.recv().context("the workers are gone")?;
                }
            }
            Ok(())
        }
        _ => thread::scope(|scope| {
            let sending: Vec<_> = senders
                .into_iter()
                .enumerate()
                .map(|(me, sender)| {
                    scope.spawn(move || {
                        let commit = |step| if way == Steps::One { 0 } else { step };
                        (0..steps).try_for_each(|step| sender.send(commit(step), (step, me), None))
                    })
                })
                .collect();
            sending.into_iter().try_for_each(|thread| Ok(thread.join().ok().context("a thread panicked")??))
        }),
    };
    keyed::run(&keyed::options(1 << 10, false)?, feed, move |scope, exchange, gate, intake| {
        let mut overslept = Duration::ZERO;
        let convert = move |(step, me): Half, out: &mut Changes<u64>| {
            let (cost, began) = (COSTS[(step as usize + me) % 2], Instant::now());
            thread::sleep(cost.saturating_sub(overslept));
            overslept = (overslept + began.elapsed()).saturating_sub(cost);
            keyed::changes(rows(step, me), out);
        };
        let sealed = sealed_out.clone();
        keyed::read(source(scope, exchange, gate, intake, convert).shard_accumulate(exchange, gate), move |batch| {
            // Nobody waits for it without a barrier.
            let _ = sealed.send(batch.commit());
        });
    })
}

fn rows(step: u64, me: usize) -> Range<u64> {
    let begin = (step * keyed::WORKERS as u64 + me as u64) * ROWS;
    begin..begin + ROWS
}
