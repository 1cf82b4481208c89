//! Much that waits behind a head, for long.

use std::io;
use std::time::Duration;

use forebay::{Budget, Pipeline, SegmentStore};

use crate::support::{Gate, alone, memory, reset_peak, until, within};

/// A head that is withheld for half a minute costs disk, and neither memory nor results.
#[test]
#[ignore = "takes a minute: cargo xtask soak"]
fn soak_a_long_stall_costs_disk_and_not_memory() {
    within(300, || {
        const LIMIT: usize = 16 << 20;
        let budget = Budget::new(LIMIT);
        let mut seen = 0;
        let report = Pipeline::new()
            .workers(2)
            .budget(&budget)
            .spill(SegmentStore::temp().unwrap())
            .run(
                (0..1_000_000u64).map(Ok::<_, io::Error>),
                |n| {
                    if n == 0 {
                        std::thread::sleep(Duration::from_secs(30));
                    }
                    Ok(n.to_le_bytes().repeat(128))
                },
                |bytes| {
                    assert_eq!(bytes, u64::to_le_bytes(seen).repeat(128));
                    seen += 1;
                    Ok(())
                },
            )
            .unwrap();
        assert_eq!(report.delivered, 1_000_000);
        assert!(report.spilled_items > 900_000, "{report:?}");
        assert!(budget.peak() <= LIMIT + (1 << 20), "{}", budget.peak());
    });
}

/// Thirty million small results behind a withheld head: what says where they are stays small, in the budget and in the process.
#[test]
#[ignore = "takes minutes: cargo xtask soak"]
fn soak_thirty_million_results_behind_a_head() {
    alone("behind_a_head::soak_thirty_million_results_behind_a_head", 900, || {
        const ITEMS: u64 = 30_000_000;
        const LIMIT: usize = 32 << 20;
        let base = memory("VmRSS");
        reset_peak();
        let budget = Budget::new(LIMIT);
        let gate = Gate::default();
        let pipeline = Pipeline::new().workers(2).budget(&budget).outstanding(ITEMS);
        let pipeline = pipeline.spill(SegmentStore::temp().unwrap());
        let open = gate.clone();
        let source = (0..ITEMS).map(move |n| {
            if n == ITEMS - 1 {
                open.open();
            }
            Ok::<_, io::Error>(n)
        });
        let work = |n| {
            if n == 0 {
                gate.pass();
            }
            Ok(n)
        };
        let mut seen = 0;
        let sink = |n| {
            assert_eq!(n, seen);
            seen += 1;
            Ok(())
        };
        let report = pipeline.run(source, work, sink).unwrap();
        assert_eq!((report.delivered, seen), (ITEMS, ITEMS));
        assert!(report.spilled_items > ITEMS / 10 * 9, "{report:?}");
        assert!(budget.peak() <= LIMIT + (1 << 20), "{}", budget.peak());
        // Results of eight bytes are paid for with 56: so many are never in memory at once.
        let grown = memory("VmHWM").saturating_sub(base);
        assert!(grown <= LIMIT + (16 << 20), "{grown} bytes above the base");
        println!(
            "{} blocks, {} bytes leased at most, {grown} bytes above the base",
            report.spilled_blocks,
            budget.peak()
        );
    });
}

/// Withheld until nothing more fits onto the disk: the run goes on when the head does.
#[test]
#[ignore = "takes a minute: cargo xtask soak"]
fn soak_a_quota_that_fills_and_empties_twenty_times() {
    within(600, || {
        const ITEMS: u64 = 400_000;
        const APART: u64 = ITEMS / 20;
        let budget = Budget::new(4 << 20);
        let store = forebay::SegmentOptions::new().quota(8 << 20).open(std::env::temp_dir()).unwrap();
        let gates = crate::support::Gates::default();
        let pipeline = Pipeline::new().workers(2).budget(&budget).spill(store);
        let monitor = pipeline.monitor();
        let mut seen = 0;
        let report = std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut refused = 0;
                for head in (0..ITEMS).step_by(APART as usize) {
                    gates.await_waiters(1);
                    // As far as it gets: the quota is full, or everything that there is has been worked on.
                    until("it has come as far as it gets", || {
                        let before = monitor.snapshot();
                        std::thread::sleep(Duration::from_millis(20));
                        let now = monitor.snapshot();
                        now.spill_failures > refused || now.spilled_items == before.spilled_items
                    });
                    refused = monitor.snapshot().spill_failures;
                    gates.open_below(head + 1);
                }
            });
            pipeline.run(
                (0..ITEMS).map(Ok::<_, io::Error>),
                |n| {
                    if n.is_multiple_of(APART) {
                        gates.pass(n);
                    }
                    Ok(n.to_le_bytes().repeat(128))
                },
                |bytes| {
                    assert_eq!(bytes, u64::to_le_bytes(seen).repeat(128));
                    seen += 1;
                    Ok(())
                },
            )
        });
        let report = report.unwrap();
        assert_eq!(report.delivered, ITEMS);
        assert!(report.spill_failures > 5 && report.reloaded_items > 0, "{report:?}");
    });
}
