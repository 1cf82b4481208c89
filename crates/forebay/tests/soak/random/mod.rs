//! Random pipelines against the plain loop: several at a time on one budget and inside each other's workers; held up,
//! failing, panicking, cancelled and dropped at random places; with stores that refuse.

mod plan;
mod scene;

use std::collections::BTreeSet;
use std::panic::{catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use forebay::{Budget, Snapshot};
use plan::{ENDS, Plan};

use crate::support::{Random, threads, until, within};

/// How long, in minutes. Default: one.
const MINUTES: &str = "FOREBAY_SOAK_MINUTES";
/// The one round to run: what a failure printed.
const SEED: &str = "FOREBAY_SOAK_SEED";

/// The name of all these pipelines.
const NAME: &str = "drawn";

#[test]
#[ignore = "takes as long as it is told: cargo xtask soak"]
fn soak_random_pipelines_give_what_a_plain_loop_gives() {
    if let Ok(seed) = std::env::var(SEED) {
        return one_round(seed.parse().unwrap());
    }
    let minutes = std::env::var(MINUTES).map_or(1, |minutes| minutes.parse().unwrap());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let mut random = Random(now.as_nanos() as u64 | 1);
    let mut tally = Tally::default();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(60 * minutes) {
        let seed = random.next();
        // The watchdog: a round takes a second or two.
        match catch_unwind(|| within(120, move || round(seed))) {
            Ok(seen) => tally.add(seen),
            Err(panic) => {
                eprintln!("{SEED}={seed} repeats this round");
                resume_unwind(panic);
            }
        }
    }
    println!("{tally:?}");
    // What the rounds are about did happen.
    let Tally { rounds, pipelines, nested, spilled, reloaded, refused, ends } = tally;
    assert!(rounds > 10 && pipelines > rounds && nested > 0 && spilled > 0 && reloaded > 0 && refused > 0);
    assert_eq!(ends.len(), ENDS, "{ends:?}");
}

fn one_round(seed: u64) {
    println!("{:?}", within(120, move || round(seed)));
}

/// What happened in all rounds.
#[derive(Debug, Default)]
struct Tally {
    rounds: u64,
    pipelines: u64,
    nested: u64,
    spilled: u64,
    reloaded: u64,
    refused: u64,
    ends: BTreeSet<&'static str>,
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.rounds += other.rounds;
        self.pipelines += other.pipelines;
        self.nested += other.nested;
        self.spilled += other.spilled;
        self.reloaded += other.reloaded;
        self.refused += other.refused;
        self.ends.extend(other.ends);
    }

    fn count(&mut self, plan: &Plan, snapshot: &Snapshot) {
        self.pipelines += 1;
        self.ends.insert(plan.end.name());
        self.spilled += snapshot.spilled_items;
        self.reloaded += snapshot.reloaded_items;
        self.refused += snapshot.spill_failures;
    }
}

/// One to three pipelines on one budget.
fn round(seed: u64) -> Tally {
    let mut random = Random(seed | 1);
    let magnitude = random.below(24);
    let limit = random.below(1 << magnitude) as usize + 1;
    let budget = Budget::new(limit);
    let plans: Vec<Arc<Plan>> = (0..random.below(3) + 1).map(|_| Arc::new(Plan::draw(&mut random, 0))).collect();
    let tally = Arc::new(Mutex::new(Tally { rounds: 1, ..Tally::default() }));
    std::thread::scope(|scope| {
        for plan in &plans {
            scope.spawn(|| scene::play(plan, &budget, &tally));
        }
    });
    let most = limit + plans.iter().map(|plan| plan.beyond()).sum::<usize>();
    assert!(budget.peak() <= most, "{} bytes were leased, the formula allows {most}: {plans:?}", budget.peak());
    assert_eq!(budget.used(), 0, "{plans:?}");
    assert_eq!(budget.holdings(), [], "{plans:?}");
    until("the system has forgotten every thread", || threads(NAME).is_empty());
    std::mem::take(&mut *tally.lock().unwrap())
}
