//! One of the processes is gone, at each stage of start-up, run and shutdown: the others say so, in time, and end.

use std::io::Read;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{DEADLINE, Member, Plan, SLACK, within};

/// The victim, the stage at which it is lost, and the survivors.
fn held(plan: &Plan, victim: usize, stage: &str) -> (Member, Vec<Member>) {
    let processes = 0..plan.hosts.len();
    let mut members: Vec<_> =
        processes.map(|process| plan.start(process, &[("HOLD", if process == victim { stage } else { "" })])).collect();
    members[victim].at(stage);
    (members.remove(victim), members)
}

/// One of four is killed at `stage`; the others end with `kind`.
fn killed(stage: &'static str) {
    within(move || {
        for victim in [0, 2] {
            let plan = Plan::new(4);
            let (gone, mut survivors) = if stage == "connected" {
                // Those who are still connecting may see more than one process go.
                let mut members = plan.start_all(stage);
                members.iter_mut().for_each(|member| member.at(stage));
                (members.remove(victim), members)
            } else {
                held(&plan, victim, stage)
            };
            gone.signal(Signal::KILL);
            survivors.iter_mut().for_each(Member::go);
            let since = Instant::now();
            let lost: Vec<usize> = survivors.into_iter().map(|survivor| survivor.ends(SLACK).lost()).collect();
            // One who gets no turn for a moment may see the data of another cut before it hears why, and then names that one.
            assert!(lost.contains(&victim), "{victim}: {lost:?}");
            // A closed connection is noticed at once; no deadline has to pass.
            assert!(since.elapsed() < DEADLINE);
        }
    });
}

#[test]
fn killed_when_it_has_connected() {
    killed("connected");
}

/// All wait for something beside the cluster that does not come: they end all the same.
fn lost_while_all_look(how: Signal, text: &'static str) {
    within(move || {
        let plan = Plan::new(3);
        let mut members = plan.start_all("looking");
        members.iter_mut().for_each(|member| member.at("looking"));
        let gone = members.remove(1);
        gone.signal(how);
        members.into_iter().for_each(|survivor| survivor.ends(plan.deadline + SLACK).failed("lost", 1, text));
    });
}

#[test]
fn killed_while_all_look_at_what_gives_nothing() {
    lost_while_all_look(Signal::KILL, "connection");
}

#[test]
fn stopped_while_all_look_at_what_gives_nothing() {
    lost_while_all_look(Signal::STOP, "it has said nothing for");
}

#[test]
fn killed_after_the_first_barrier() {
    killed("barrier");
}

#[test]
fn killed_while_rows_travel() {
    killed("running");
}

#[test]
fn killed_when_its_run_has_ended() {
    killed("ended");
}

#[test]
fn killed_before_it_says_goodbye() {
    killed("published");
}

#[test]
fn killed_after_its_goodbye_is_no_loss() {
    within(|| {
        let plan = Plan::new(4);
        let (gone, survivors) = held(&plan, 1, "closed");
        gone.signal(Signal::KILL);
        survivors.into_iter().for_each(|survivor| survivor.ends(SLACK).well());
    });
}

#[test]
fn killed_before_it_connects() {
    within(|| {
        let mut plan = Plan::new(4);
        plan.deadline = Duration::from_secs(2);
        let (gone, survivors) = held(&plan, 3, "start");
        gone.signal(Signal::KILL);
        for survivor in survivors {
            let outcome = survivor.ends(plan.deadline + SLACK);
            // The first whose patience ends tells the others.
            if outcome.said.iter().any(|line| line.starts_with("error missing")) {
                outcome.failed("missing", 3, "has not connected within 2s");
            } else {
                let teller = (0..3).find(|teller| {
                    outcome.said.iter().any(|line| line.starts_with(&format!("error aborted {teller}:")))
                });
                outcome.failed("aborted", teller.unwrap(), "has not connected within 2s");
            }
        }
    });
}

#[test]
fn stopped_before_it_connects() {
    within(|| {
        let mut plan = Plan::new(2);
        plan.deadline = Duration::from_secs(2);
        // The system accepts connections for it, so that only its silence shows.
        let (gone, survivors) = held(&plan, 0, "start");
        gone.signal(Signal::STOP);
        for survivor in survivors {
            survivor.ends(plan.deadline + SLACK).failed("connect", 0, "did not complete the handshake");
        }
    });
}

#[test]
fn killed_in_its_handshake() {
    within(|| {
        let mut plan = Plan::new(3);
        plan.deadline = Duration::from_secs(2);
        // The test is process 0: it hears the hello of process 1 and does not answer.
        let door = plan.listener(0);
        let (one, two) = (plan.start(1, &[]), plan.start(2, &[]));
        let visitor = greeted(&door);
        one.signal(Signal::KILL);
        drop(one);
        drop(visitor);
        let outcome = two.ends(plan.deadline + SLACK);
        outcome.failed("connect", 0, "within 2s");
    });
}

/// Accepts connections until one has brought a whole hello of process 1; returns all of them.
fn greeted(door: &TcpListener) -> Vec<std::net::TcpStream> {
    let mut visitors = Vec::new();
    loop {
        let (mut visitor, _) = door.accept().unwrap();
        let mut hello = [0; 104];
        visitor.read_exact(&mut hello).unwrap();
        visitors.push(visitor);
        if hello[16..20] == [0, 0, 0, 1] {
            return visitors;
        }
    }
}

#[test]
fn killed_at_a_random_moment() {
    within(|| {
        let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos();
        for round in 0..3 {
            let plan = Plan::endless(4);
            let victim = (seed >> round) as usize % 4;
            let moment = 10_000 * (1 + u64::from(seed >> (4 + round)) % 10);
            println!("process {victim} is killed after {moment} rows");
            let mut members = plan.start_all("");
            let mut gone = members.remove(victim);
            gone.says(&format!("progress {moment}"));
            gone.signal(Signal::KILL);
            members.into_iter().for_each(|survivor| survivor.ends(SLACK).failed("lost", victim, "connection"));
        }
    });
}

/// One of four is stopped at `stage`: nothing of it closes, it is only silent.
fn stopped(stage: &'static str) {
    within(move || {
        let plan = Plan::endless(4);
        let (mut gone, survivors) = held(&plan, 1, stage);
        gone.signal(Signal::STOP);
        let since = Instant::now();
        for survivor in survivors {
            survivor.ends(plan.deadline + SLACK).failed("lost", 1, "it has said nothing for");
        }
        // Silence is all there is, so it took the deadline, less what had passed since its last heartbeat, and little more.
        assert!(since.elapsed() > DEADLINE / 2 && since.elapsed() < DEADLINE * 2, "{:?}", since.elapsed());
        // It comes back and finds that it was taken for lost.
        gone.signal(Signal::CONT);
        gone.go();
        let outcome = gone.ends(SLACK);
        assert!(outcome.said.iter().any(|line| line.starts_with("error lost")), "{outcome:?}");
    });
}

#[test]
fn stopped_after_the_first_barrier() {
    stopped("barrier");
}

#[test]
fn stopped_while_rows_travel() {
    stopped("running");
}

#[test]
fn stopped_before_it_says_goodbye() {
    within(|| {
        let plan = Plan::new(3);
        let (gone, survivors) = held(&plan, 2, "published");
        gone.signal(Signal::STOP);
        survivors.into_iter().for_each(|survivor| {
            survivor.ends(plan.deadline + SLACK).failed("lost", 2, "it has said nothing for");
        });
    });
}

/// The one that is replaced was not stopped, but hears of it, and may tell the others before they have found out.
#[test]
fn replaced_while_it_runs() {
    within(|| {
        let plan = Plan { deadline: Duration::from_secs(60), ..Plan::endless(3) };
        let (replaced, survivors) = held(&plan, 2, "running");
        let again = plan.start(2, &[]);
        for survivor in survivors {
            survivor.ends(SLACK).failed("lost", 2, "it was started again");
        }
        let outcome = replaced.ends(SLACK);
        let accused = "it takes this process for lost: it was started again";
        assert!(
            outcome.said.iter().any(|line| line.starts_with("error lost") && line.contains(accused)),
            "{outcome:?}"
        );
        drop(again);
    });
}

#[test]
fn replaced_by_another_incarnation() {
    within(|| {
        // So long that no silence can be the reason.
        let plan = Plan { deadline: Duration::from_secs(60), ..Plan::endless(3) };
        let (gone, survivors) = held(&plan, 2, "running");
        gone.signal(Signal::STOP);
        let again = plan.start(2, &[]);
        for survivor in survivors {
            survivor.ends(SLACK).failed("lost", 2, "it was started again");
        }
        // The new one would try for the whole deadline: for all it knows, the old run is about to end.
        drop(again);
    });
}
