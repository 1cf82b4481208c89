//! What all publish together stays, or goes again, whenever one of them is lost.

use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::{Member, Outcome, Plan, SLACK, within};

const PROCESSES: usize = 3;

/// Three processes that publish a file of their number in `dir`; one of them holds at `stage`.
fn start(plan: &Plan, dir: &Path, victim: usize, stage: &str) -> Vec<Member> {
    let dir = dir.to_str().unwrap();
    let start = |process| {
        let hold = if process == victim { stage } else { "" };
        plan.start(process, &[("HOLD", hold), ("PUBLISH", dir)])
    };
    (0..PROCESSES).map(start).collect()
}

fn published(dir: &Path) -> Vec<usize> {
    let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut numbers: Vec<usize> = names.map(|name| name.parse().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

fn plan() -> Plan {
    Plan { deadline: Duration::from_secs(1), ..Plan::new(PROCESSES) }
}

/// `how` comes to one of three that holds at `stage`: what the survivors did.
fn lose(how: Signal, victim: usize, stage: &str, dir: &Path, again: impl FnOnce(Outcome)) -> Vec<Outcome> {
    let plan = plan();
    let mut members = start(&plan, dir, victim, stage);
    members[victim].at(stage);
    let mut gone = members.remove(victim);
    gone.signal(how);
    let ends: Vec<_> = members.into_iter().map(|survivor| survivor.ends(plan.deadline + SLACK)).collect();
    if how == Signal::STOP {
        gone.signal(Signal::CONT);
        gone.go();
        again(gone.ends(plan.deadline + SLACK));
    }
    ends
}

fn has_failed(outcome: &Outcome) {
    assert_eq!(outcome.status.code(), Some(3), "{outcome:?}");
    assert!(outcome.said.iter().any(|line| line.starts_with("error lost")), "{outcome:?}");
    assert!(!outcome.said.iter().any(|line| line.starts_with("panic")), "{outcome:?}");
}

/// Process 0 decides, so that it is another matter to lose it.
fn lost_before_the_decision(how: Signal) {
    within(move || {
        for victim in [0, 1] {
            for stage in ["whole", "ready", "named"] {
                let dir = tempfile::tempdir().unwrap();
                let ends = lose(how, victim, stage, dir.path(), |outcome| has_failed(&outcome));
                ends.iter().for_each(has_failed);
                // Who is killed between the two calls cannot take back what it did; its mark tells the others of it.
                let left = if how == Signal::KILL && stage == "named" { vec![victim] } else { vec![] };
                assert_eq!(published(dir.path()), left, "{how:?} to {victim} at {stage}");
            }
        }
    });
}

#[test]
fn nothing_stays_if_one_is_killed_before_all_have_published() {
    lost_before_the_decision(Signal::KILL);
}

/// It finds all that it has waited for when it goes on.
#[test]
fn nothing_stays_if_one_is_stopped_before_all_have_published() {
    lost_before_the_decision(Signal::STOP);
}

fn lost_after_the_decision(how: Signal) {
    within(move || {
        for victim in [0, 1] {
            let dir = tempfile::tempdir().unwrap();
            let ends = lose(how, victim, "final", dir.path(), |outcome| outcome.well());
            ends.iter().for_each(Outcome::well);
            assert_eq!(published(dir.path()), [0, 1, 2], "{how:?} to {victim}");
        }
    });
}

#[test]
fn all_stays_if_one_is_killed_when_it_knows_that_all_have_published() {
    lost_after_the_decision(Signal::KILL);
}

#[test]
fn all_stays_if_one_is_stopped_when_it_knows_that_all_have_published() {
    lost_after_the_decision(Signal::STOP);
}

/// Whatever moment it is: all of it is there and everybody says so, or nothing and nobody does.
#[test]
fn stopped_at_a_random_moment() {
    within(|| {
        let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos();
        for round in 0..8 {
            let (plan, dir) = (plan(), tempfile::tempdir().unwrap());
            let victim = round % PROCESSES;
            let mut members = start(&plan, dir.path(), victim, "");
            members[victim].at("whole");
            thread::sleep(Duration::from_micros(u64::from(seed >> round) % 2000));
            members[victim].signal(Signal::STOP);
            let gone = members.remove(victim);
            let mut ends: Vec<_> = members.into_iter().map(|member| member.ends(plan.deadline + SLACK)).collect();
            gone.signal(Signal::CONT);
            ends.push(gone.ends(plan.deadline + SLACK));
            if ends.iter().any(|end| end.status.success()) {
                ends.iter().for_each(Outcome::well);
                assert_eq!(published(dir.path()), [0, 1, 2], "{ends:?}");
            } else {
                ends.iter().for_each(has_failed);
                assert!(published(dir.path()).is_empty(), "{ends:?}");
            }
        }
    });
}
