//! What is sealed at each commit.

use std::time::Duration;

use forebay::MemoryStore;
use proptest::prelude::*;

use crate::support::{Rows, Run, Setup, model, noise, until};

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn commits_equal_the_model_under_any_interleaving(
        workers in 1_usize..4,
        small in any::<bool>(),
        sends in proptest::collection::vec(
            (0_usize..4, 0_u64..3, proptest::collection::vec((0_u64..40, -2_i64..3), 0..400)), 0..60,
        ),
    ) {
        let store: Option<Box<dyn forebay::SpillStore>> = small.then(|| Box::new(MemoryStore::new(64 << 20)) as _);
        let memory = if small { 256 << 10 } else { 64 << 20 };
        let run = Run::start(Setup { workers, memory, store, ..Setup::default() });
        // Each sender goes on to a later commit now and then, on its own.
        let mut at = vec![0; workers];
        let mut sent = Vec::new();
        for (worker, step, rows) in sends {
            let worker = worker % workers;
            // No sender is more than two commits ahead of the slowest: it would be parked until that one goes on.
            let slowest = at.iter().copied().min().unwrap_or(0);
            at[worker] = (at[worker] + step / 2).min(slowest + 2);
            run.advance(worker, at[worker]);
            let rows: Rows = rows.into_iter().map(|(key, weight)| (key, (), weight)).collect();
            sent.push((at[worker], rows.clone()));
            run.send(worker, at[worker], rows);
        }
        let (sums, snapshot) = run.finish();
        prop_assert_eq!(sums.unwrap(), model(&sent));
        let rows: u64 = sent.iter().map(|(_, rows)| rows.len() as u64).sum();
        prop_assert_eq!(snapshot.rows_sent, rows);
        prop_assert_eq!(snapshot.rows_received, rows);
        prop_assert_eq!(snapshot.bytes_in_flight, 0);
    }
}

#[test]
fn one_sender_is_two_commits_ahead_of_another() {
    let run = Run::start(Setup::default());
    let rows = |seed| -> Rows { noise(seed).take(50_000).map(|key| (key % 1000, (), 1)).collect() };
    for commit in 0..3 {
        run.send(0, commit, rows(commit));
    }
    run.send(1, 0, rows(9));
    // All of it travels although the first commit is still open.
    until("all but a few blocks have arrived", || run.monitor.snapshot().rows_received > 170_000);
    assert!(run.sealed.try_recv().is_err(), "nothing is sealed while a sender may still send");
    run.advance(1, 3);
    for _ in 0..2 {
        for _ in 0..2 {
            assert!(run.sealed.recv_timeout(Duration::from_secs(20)).unwrap().1 < 2);
        }
    }
    let sent: Vec<_> = (0..3).map(|commit| (commit, rows(commit))).chain([(0, rows(9))]).collect();
    let (sums, snapshot) = run.finish();
    assert_eq!(sums.unwrap(), model(&sent));
    assert!(snapshot.open_commits_most >= 3);
}

#[test]
fn a_fourth_commit_waits_for_the_first() {
    let run = Run::start(Setup::default());
    for commit in 0..4 {
        run.send(0, commit, vec![(commit, (), 1)]);
    }
    // The third is not full, and there is nothing after it that would make it leave.
    until("two commits have arrived", || run.monitor.snapshot().rows_received == 2);
    run.advance(1, 1);
    until("the fourth lets the third go", || run.monitor.snapshot().rows_received == 3);
    let (sums, snapshot) = run.finish();
    assert_eq!(sums.unwrap().len(), 4);
    assert_eq!(snapshot.commit_waits.nanos.count(), 1);
}

#[test]
fn an_idle_source_stops_nobody() {
    let mut run = Run::start(Setup { window: Some(64 << 10), ..Setup::default() });
    // Far more than the windows let through at once; the other source gives nothing and says nothing.
    for part in 0..20 {
        run.send(0, 0, noise(part).take(20_000).map(|key| (key, (), 1)).collect());
    }
    until("all but a block for each has arrived", || run.monitor.snapshot().rows_received > 390_000);
    // A commit closes when the idle source says that it has nothing for it.
    run.senders[0] = None;
    assert!(run.sealed.try_recv().is_err());
    run.advance(1, 1);
    for _ in 0..2 {
        assert_eq!(run.sealed.recv_timeout(Duration::from_secs(20)).unwrap().1, 0);
    }
    run.finish().0.unwrap();
}
