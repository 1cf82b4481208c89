//! What is held while somebody is slow.

use std::io::IoSlice;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use forebay::{Extent, Location, MemoryStore, SegmentStore, SpillError, SpillStore, Usage};
use forebay_exchange::{BLOCK, ExchangeError};

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

/// The disk stands still, so the receivers cannot pay: the senders park, and nothing grows.
#[test]
fn a_receiver_that_is_arbitrarily_slow_parks_its_senders() {
    let (memory, window, workers) = (1 << 20, 128 << 10, 2);
    let held = Held { inner: Arc::new(MemoryStore::new(256 << 20)), gate: Gate::default() };
    let store: Box<dyn SpillStore> = Box::new(held.clone());
    let run = Run::start(Setup { workers, memory, window: Some(window), store: Some(store), ..Setup::default() });
    let (monitor, parts) = (run.monitor.clone(), 100);
    let rows = |part: u64| -> Vec<_> { noise(part).take(20_000).map(|key| (key, (), 1)).collect() };
    let feeding = thread::spawn(move || {
        for part in 0..parts {
            run.send((part % 2) as usize, 0, rows(part));
        }
        run
    });
    until("everybody waits", || {
        let before = monitor.snapshot();
        thread::sleep(Duration::from_millis(200));
        let after = monitor.snapshot();
        after.memory_refused > 0 && before.rows_received == after.rows_received
    });
    let stopped = monitor.snapshot();
    assert!(!feeding.is_finished());
    assert!(stopped.rows_received < 20_000 * parts / 2);
    // A window for each pair, and the container that exceeds it.
    let most = workers * workers * (window + 2 * BLOCK);
    assert!(stopped.bytes_in_flight_most as usize <= most, "{} in flight", stopped.bytes_in_flight_most);
    assert!(stopped.resident_most as usize <= memory + workers * 4 * BLOCK, "{} resident", stopped.resident_most);

    held.gate.open();
    let (sums, snapshot) = feeding.join().unwrap().finish();
    let sent: Vec<_> = (0..parts).map(|part| (0, rows(part))).collect();
    assert!(sums.unwrap() == model(&sent));
    assert!(snapshot.credit_waits.nanos.count() > 0 && snapshot.memory_waits.total > Duration::ZERO);
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
}

/// A worker that waits for a commit sleeps.
#[test]
fn waiting_for_a_commit_uses_no_processor_time() {
    let run = Run::start(Setup::default());
    run.send(0, 0, noise(1).take(20_000).map(|key| (key, (), 1)).collect());
    until("rows have arrived", || run.monitor.snapshot().rows_received > 10_000);
    rests("while it waits", Duration::from_millis(500), Duration::from_millis(20));
    run.finish().0.unwrap();
}
