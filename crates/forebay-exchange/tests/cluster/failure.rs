//! A process that fails takes the others with it, and they can say why.

use std::time::{Duration, Instant};

use crate::support::{Plan, SLACK, within};

/// Process 1 of three fails in the way `fail`.
fn fails(fail: &str) -> (super::support::Outcome, Vec<super::support::Outcome>) {
    let plan = Plan { rows: if fail == "set" || fail == "panic" { 200_000 } else { 20_000 }, ..Plan::new(3) };
    let mut members: Vec<_> =
        (0..3).map(|process| plan.start(process, &[("FAIL", if process == 1 { fail } else { "" })])).collect();
    let failed = members.remove(1);
    (failed.ends(SLACK), members.into_iter().map(|member| member.ends(SLACK)).collect())
}

#[test]
fn a_failure_of_an_operator_reaches_all_with_its_reason() {
    within(|| {
        let (failed, others) = fails("set");
        failed.failed("other", 0, "the disk is full");
        others.iter().for_each(|other| other.failed("aborted", 1, "the disk is full"));
    });
}

#[test]
fn a_failure_beside_a_worker_that_hangs_reaches_all_at_once_and_ends_its_process_in_time() {
    within(|| {
        // The only worker of process 1 never leaves its operator.
        let mut plan = Plan::new(3);
        (plan.workers, plan.deadline) = (1, Duration::from_secs(5));
        let since = Instant::now();
        let hangs = plan.start(1, &[("FAIL", "hang")]);
        let others = [plan.start(0, &[]), plan.start(2, &[])];
        for other in others {
            other.ends(SLACK).failed("aborted", 1, "the disk is full");
        }
        assert!(since.elapsed() < plan.deadline);
        let outcome = hangs.ends(plan.deadline + SLACK);
        outcome.failed_and_left("other", 0, "the disk is full");
        assert!(outcome.said.iter().any(|line| line.starts_with("threads ") && line.contains("timely:work")));
        assert!(since.elapsed() > plan.deadline);
    });
}

#[test]
fn a_panic_of_an_operator_reaches_all_with_its_text() {
    within(|| {
        let (failed, others) = fails("panic");
        // The program's hook hears of this panic, and of no other.
        assert_eq!(failed.said.iter().filter(|line| line.starts_with("panic ")).count(), 1, "{failed:?}");
        assert!(failed.said.iter().any(|line| line.starts_with("error panicked")), "{failed:?}");
        assert_eq!(failed.status.code(), Some(3));
        others.iter().for_each(|other| other.failed("aborted", 1, "an operator has a bug"));
    });
}

#[test]
fn a_failure_after_the_run_reaches_all() {
    within(|| {
        let (failed, others) = fails("late");
        failed.failed("other", 0, "no space left");
        others.iter().for_each(|other| other.failed("aborted", 1, "no space left"));
    });
}

#[test]
fn who_leaves_without_closing_has_failed() {
    within(|| {
        let (failed, others) = fails("forgets");
        failed.well();
        others.iter().for_each(|other| other.failed("aborted", 1, "it ended before the run was over"));
    });
}

#[test]
fn another_number_of_workers_is_an_error_everywhere() {
    within(|| {
        let plan = Plan::new(2);
        let one = plan.start(0, &[("WORKERS", "1")]);
        let two = plan.start(1, &[("WORKERS", "2")]);
        // Whoever sees it first tells the other.
        for (process, outcome) in [one.ends(SLACK), two.ends(SLACK)].iter().enumerate() {
            let kind =
                if outcome.said.iter().any(|line| line.starts_with("error cluster")) { "cluster" } else { "aborted" };
            outcome.failed(
                kind,
                if kind == "cluster" { 0 } else { 1 - process },
                "start all processes with the same number",
            );
        }
    });
}
