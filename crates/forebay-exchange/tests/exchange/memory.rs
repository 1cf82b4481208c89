//! What is held while somebody is slow.

use std::io::IoSlice;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use forebay::{Extent, Location, MemoryStore, SegmentStore, SpillError, SpillStore, Usage};
use forebay_exchange::{BLOCK, ExchangeError, ExchangeMonitor, ExchangeSnapshot};

use crate::engine::{Gate, rests};
use crate::support::{Run, Setup, model, noise, until};

#[test]
fn accumulation_spills_and_stays_within_its_budget() {
    let memory = 2 << 20;
    let store = SegmentStore::temp().unwrap();
    let run = Run::start(Setup { memory, store: Some(Box::new(store)), ..Setup::default() });
    let mut sent = Vec::new();
    for part in 0..60 {
        let rows: Vec<_> = noise(part).take(20_000).map(|key| (key % 600_000, (), 1)).collect();
        sent.push((0, rows.clone()));
        run.send((part % 2) as usize, 0, rows);
    }
    let (sums, snapshot) = run.finish();
    assert!(sums.unwrap() == model(&sent));
    let spilled = snapshot.spill.unwrap();
    assert!(snapshot.runs_spilled > 0 && spilled.spilled_bytes > 4 << 20, "{} runs", snapshot.runs_spilled);
    assert!(snapshot.resident_most as usize <= memory + (1 << 20), "{} resident", snapshot.resident_most);
}

/// Holds every write until it is let go.
#[derive(Clone, Debug)]
struct Held {
    inner: Arc<MemoryStore>,
    gate: Gate,
}

impl SpillStore for Held {
    fn append(&self, owner: u64, parts: &[IoSlice<'_>]) -> Result<Extent, SpillError> {
        self.gate.pass();
        self.inner.append(owner, parts)
    }

    fn usage(&self) -> Usage {
        self.inner.usage()
    }

    fn location(&self) -> Location {
        self.inner.location()
    }
}

/// How many parts of 20,000 rows [`stand_still`] has sent.
const PARTS: u64 = 100;

fn part(part: u64) -> Vec<(u64, (), i64)> {
    noise(part).take(20_000).map(|key| (key, (), 1)).collect()
}

/// Sends [`PARTS`] parts on a thread of its own, which ends where one is not taken, and waits until nothing goes on: nobody
/// asks for memory again and again either.
fn stand_still(run: Run) -> (ExchangeMonitor, JoinHandle<Run>) {
    let monitor = run.monitor.clone();
    let feeding = thread::spawn(move || {
        for number in 0..PARTS {
            if run.senders[(number % 2) as usize].as_ref().unwrap().send(0, part(number), None).is_err() {
                break;
            }
        }
        run
    });
    until("everybody waits", || {
        let before = monitor.snapshot();
        thread::sleep(Duration::from_millis(200));
        let after = monitor.snapshot();
        let done = |of: &ExchangeSnapshot| (of.rows_received, of.memory_refused, of.accumulate.nanos.count());
        after.memory_refused > 0 && done(&before) == done(&after)
    });
    (monitor, feeding)
}

/// The disk stands still, so the receivers cannot pay: the senders park, and nothing grows.
#[test]
fn a_receiver_that_is_arbitrarily_slow_parks_its_senders() {
    let (memory, window, workers) = (1 << 20, 128 << 10, 2);
    let held = Held { inner: Arc::new(MemoryStore::new(256 << 20)), gate: Gate::default() };
    let store: Box<dyn SpillStore> = Box::new(held.clone());
    let run = Run::start(Setup { workers, memory, window: Some(window), store: Some(store), ..Setup::default() });
    let (monitor, feeding) = stand_still(run);
    let stopped = monitor.snapshot();
    assert!(!feeding.is_finished());
    assert!(stopped.rows_received < 20_000 * PARTS / 2);
    // A window for each pair, and the container that exceeds it.
    let most = workers * workers * (window + 2 * BLOCK);
    assert!(stopped.bytes_in_flight_most as usize <= most, "{} in flight", stopped.bytes_in_flight_most);
    assert!(stopped.resident_most as usize <= memory + workers * 4 * BLOCK, "{} resident", stopped.resident_most);

    held.gate.open();
    let (sums, snapshot) = feeding.join().unwrap().finish();
    let sent: Vec<_> = (0..PARTS).map(|number| (0, part(number))).collect();
    assert!(sums.unwrap() == model(&sent));
    assert!(snapshot.credit_waits.nanos.count() > 0 && snapshot.memory_waits.total > Duration::ZERO);
}

/// Who waits for the disk is told that it failed: nothing else would end the wait.
#[test]
fn a_disk_that_stands_still_and_then_fails_ends_the_run() {
    let held = Held { inner: Arc::new(MemoryStore::new(0)), gate: Gate::default() };
    let store: Box<dyn SpillStore> = Box::new(held.clone());
    let run = Run::start(Setup { memory: 1 << 20, window: Some(128 << 10), store: Some(store), ..Setup::default() });
    let (_, feeding) = stand_still(run);
    held.gate.open();
    let error = feeding.join().unwrap().finish().0.unwrap_err();
    assert!(matches!(error, ExchangeError::Spill(_)), "{error}");
}

/// Somebody else has all the memory and never gives any back, so no page that gets written makes room: what waited for
/// it overdraws the budget then.
#[test]
fn rows_get_in_when_the_disk_has_caught_up_though_there_is_no_room() {
    let memory = 1 << 20;
    let held = Held { inner: Arc::new(MemoryStore::new(256 << 20)), gate: Gate::default() };
    let store: Box<dyn SpillStore> = Box::new(held.clone());
    let setup = Setup { memory, taken: memory, window: Some(128 << 10), store: Some(store), ..Setup::default() };
    let (_, feeding) = stand_still(Run::start(setup));
    held.gate.open();
    let (sums, snapshot) = feeding.join().unwrap().finish();
    let sent: Vec<_> = (0..PARTS).map(|number| (0, part(number))).collect();
    assert!(sums.unwrap() == model(&sent));
    assert!(snapshot.overdrawn > 0 && snapshot.memory_waits.total > Duration::ZERO);
}

#[test]
fn without_a_spill_store_what_does_not_fit_is_refused_by_number() {
    let run = Run::start(Setup { memory: 1 << 20, ..Setup::default() });
    let sender = run.senders[0].as_ref().unwrap();
    for part in 0..100 {
        if sender.send(0, noise(part).take(20_000).map(|key| (key, (), 1)).collect(), None).is_err() {
            break;
        }
    }
    let error = run.finish().0.unwrap_err();
    assert!(matches!(error, ExchangeError::Memory(_)), "{error}");
}

#[test]
fn many_rows_of_few_keys_take_little() {
    let memory = 1 << 20;
    let run = Run::start(Setup { memory, ..Setup::default() });
    let mut sent = Vec::new();
    for part in 0..100 {
        let rows: Vec<_> = noise(part).take(20_000).map(|key| (key % 50, (), 1)).collect();
        sent.push((0, rows.clone()));
        run.send((part % 2) as usize, 0, rows);
    }
    let (sums, snapshot) = run.finish();
    assert!(sums.unwrap() == model(&sent));
    assert!(snapshot.merged_early > 20 << 20);
}

/// One of three workers is slow for the whole run: its source takes a millisecond for what the others do in none.
#[test]
fn one_slow_worker_holds_nobodys_memory() {
    let (memory, workers) = (4 << 20, 3);
    let store: Box<dyn SpillStore> = Box::new(SegmentStore::temp().unwrap());
    let slow = Some((2, Duration::from_millis(1)));
    let run = Run::start(Setup { workers, memory, store: Some(store), slow, ..Setup::default() });
    let mut sent = Vec::new();
    for part in 0..300 {
        let rows: Vec<_> = noise(part).take(4_000).map(|key| (key % 400_000, (), 1)).collect();
        sent.push((0, rows.clone()));
        run.send((part % 3) as usize, 0, rows);
    }
    let (sums, snapshot) = run.finish();
    assert!(sums.unwrap() == model(&sent));
    assert!(snapshot.rows_moved > 300 * 4_000 / 2, "rows did not lie where they belong");
    assert!(snapshot.resident_most as usize <= memory + workers * 4 * BLOCK, "{} resident", snapshot.resident_most);
    assert!(snapshot.bytes_in_flight_most as usize <= workers * workers * (memory / 4 / 9 + 2 * BLOCK));
    assert!(
        snapshot.source.total >= Duration::from_millis(100),
        "what the slow one takes is counted where it is taken"
    );
    assert_eq!(snapshot.seal.nanos.count(), workers as u64);
}

/// A worker that waits for a commit sleeps.
#[test]
fn waiting_for_a_commit_uses_no_processor_time() {
    let run = Run::start(Setup::default());
    run.send(0, 0, noise(1).take(20_000).map(|key| (key, (), 1)).collect());
    until("rows have arrived", || run.monitor.snapshot().rows_received > 10_000);
    let before = Instant::now();
    rests("while it waits", Duration::from_millis(500), Duration::from_millis(20));
    let waited = before.elapsed();
    let (sums, snapshot) = run.finish();
    sums.unwrap();
    for times in [&snapshot.source, &snapshot.partition, &snapshot.accumulate, &snapshot.seal] {
        assert!(times.nanos.count() > 0 && !times.total.is_zero() && times.total < waited, "{times:?}: no waits in it");
    }
    assert!(snapshot.commits.total > waited, "{:?}", snapshot.commits);
}
