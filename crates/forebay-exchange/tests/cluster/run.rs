//! Runs that end well.

use std::thread;
use std::time::Duration;

use crate::support::{Member, Plan, SLACK, within};

/// All end well, and together they have counted each worker's numbers once.
fn agree(plan: &Plan, members: Vec<Member>) {
    let senders = (plan.hosts.len() * plan.workers) as u64;
    let outcomes: Vec<_> = members.into_iter().map(|member| member.ends(SLACK)).collect();
    outcomes.iter().for_each(super::support::Outcome::well);
    let total = |name| outcomes.iter().map(|outcome| outcome.number(name)).sum::<u64>();
    assert_eq!(total("rows"), senders * plan.rows);
    assert_eq!(total("sum"), senders * plan.rows * (plan.rows - 1) / 2);
    // Nobody counted everything alone: the rows did travel.
    assert!(outcomes.iter().all(|outcome| outcome.number("rows") > total("rows") / 2 / outcomes.len() as u64));
}

#[test]
fn four_processes_exchange_and_agree() {
    within(|| {
        let plan = Plan::new(4);
        agree(&plan, plan.start_all(""));
    });
}

#[test]
fn what_has_to_be_the_same_is_compared() {
    within(|| {
        let plan = Plan::new(3);
        let start = |same: [&str; 3]| -> Vec<_> {
            (0..3).map(|process| plan.start(process, &[("SAME", same[process])])).collect()
        };
        agree(&plan, start(["k Int64"; 3]));
        // Alike in all that a frame has room for.
        let long = ["k Int64, ", &"x".repeat(1000)].concat();
        for (two, text) in
            [("k Utf8", "process 2 has k Utf8, and this one k Int64"), (&(long + "y"), "process 2 has k")]
        {
            let one = if two.len() > 1000 { &two[..two.len() - 1] } else { "k Int64" };
            let ends: Vec<_> = start([one, one, two]).into_iter().map(|member| member.ends(SLACK)).collect();
            let errors: Vec<_> =
                ends.iter().flat_map(|end| &end.said).filter(|line| line.starts_with("error")).collect();
            assert_eq!(errors.len(), 3, "{ends:?}");
            // Who finds it out first tells the others.
            assert!(
                errors.iter().all(|error| ["cluster 0:", "aborted"].iter().any(|kind| error[6..].starts_with(kind)))
            );
            assert!(errors.iter().any(|error| error.contains(text) || error.contains("process 0 has k")), "{errors:?}");
        }
    });
}

#[test]
fn one_process_is_a_cluster_too() {
    within(|| {
        let plan = Plan::new(1);
        agree(&plan, plan.start_all(""));
    });
}

#[test]
fn processes_may_start_in_any_order_and_late() {
    within(|| {
        let plan = Plan::new(3);
        let mut last = plan.start(2, &[("HOLD", "start")]);
        let first = plan.start(0, &[]);
        last.at("start");
        last.go();
        let members = vec![first, plan.start(1, &[]), last];
        agree(&plan, members);
    });
}

#[test]
fn nobody_passes_a_barrier_before_all_have_entered_it() {
    within(|| {
        let plan = Plan::new(3);
        let mut members = plan.start_all("connected");
        members.iter_mut().for_each(|member| member.at("connected"));
        members[0].go();
        members[1].go();
        // Heartbeats go on while the two wait, so that nobody is taken for lost.
        thread::sleep(plan.deadline + Duration::from_millis(500));
        assert!(!members[0].has_said("stage barrier") && !members[1].has_said("stage barrier"));
        members[2].go();
        agree(&plan, members);
    });
}

/// Where a process may be held while the others get as far as they can: that none of them takes it for lost is a matter of
/// more than a deadline.
fn waits_for_the_last(stage: &str) {
    let plan = Plan { deadline: Duration::from_secs(1), ..Plan::new(3) };
    let mut members: Vec<_> = (0..2).map(|process| plan.start(process, &[])).collect();
    members.push(plan.start(2, &[("HOLD", stage)]));
    members[2].at(stage);
    thread::sleep(plan.deadline * 2);
    assert!(members.iter_mut().all(Member::is_running), "held at {stage}");
    members[2].go();
    agree(&plan, members);
}

#[test]
fn a_slow_process_is_waited_for_before_the_run() {
    within(|| waits_for_the_last("barrier"));
}

#[test]
fn a_slow_process_is_waited_for_in_the_run() {
    within(|| waits_for_the_last("running"));
}

#[test]
fn a_slow_process_is_waited_for_after_the_run() {
    within(|| waits_for_the_last("ended"));
}

#[test]
fn a_slow_process_is_waited_for_at_the_end() {
    within(|| waits_for_the_last("published"));
}

#[test]
fn the_first_that_has_closed_may_go_while_others_still_close() {
    within(|| {
        let plan = Plan::new(3);
        let mut members: Vec<_> = (0..2).map(|process| plan.start(process, &[("HOLD", "closed")])).collect();
        members.push(plan.start(2, &[]));
        let last = members.pop().unwrap();
        members[0].at("closed");
        members[1].at("closed");
        last.ends(SLACK).well();
        for mut member in members {
            member.go();
            member.ends(SLACK).well();
        }
    });
}
