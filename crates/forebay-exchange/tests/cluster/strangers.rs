//! Strangers at the door: they are refused, and nobody who belongs there notices.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use forebay_exchange::cluster::{Hello, Role};

use crate::support::{Member, Plan, SLACK, within};

fn hello(process: u32) -> Hello {
    Hello { role: Role::Control, process, processes: 3, incarnation: [1; 16], job: [2; 32], nonce: [3; 32] }
}

/// The hello of process 2 in another incarnation, with the right job.
fn close() -> Hello {
    use sha2::Digest;
    Hello { job: sha2::Sha256::digest(b"sum").into(), ..hello(2) }
}

/// What strangers say.
fn sayings() -> Vec<Vec<u8>> {
    let whole = hello(2).encode().to_vec();
    let mut version = whole.clone();
    version[11] = 99;
    let mut order = whole.clone();
    order[12..14].reverse();
    let mut role = whole.clone();
    role[15] = 7;
    let proof = [whole.clone(), vec![0; 32]].concat();
    vec![
        Vec::new(),
        b"GET / HTTP/1.1\r\nHost: here\r\n\r\n".repeat(8),
        [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), vec![7; 200]].concat(),
        b"SSH-2.0-OpenSSH_9.9\r\n".to_vec(),
        vec![0; 4096],
        vec![0xff; 65536],
        // A process number, as timely's own processes say it, and a message of 2^63 bytes.
        [1u64, 0, 0, 0, 1, 1 << 63, 0].iter().flat_map(|number| number.to_be_bytes()).collect(),
        whole[..50].to_vec(),
        version,
        order,
        role,
        whole,
        proof,
        hello(0).encode().to_vec(),
        hello(u32::MAX).encode().to_vec(),
        Hello { processes: u32::MAX, ..hello(2) }.encode().to_vec(),
    ]
}

/// Says everything to each process, each on a connection of its own; the connections stay open as long as what is returned.
fn knock(plan: &Plan) -> Vec<TcpStream> {
    let mut open = Vec::new();
    for host in &plan.hosts {
        for saying in sayings() {
            let mut stream = TcpStream::connect(host).unwrap();
            // Who was recognised at the first bytes may be gone before the last ones.
            let _ = stream.write_all(&saying);
            open.push(stream);
        }
    }
    open
}

fn agree(plan: &Plan, members: Vec<Member>, refused: u64) {
    let outcomes: Vec<_> = members.into_iter().map(|member| member.ends(SLACK)).collect();
    outcomes.iter().for_each(super::support::Outcome::well);
    let rows: u64 = outcomes.iter().map(|outcome| outcome.number("rows")).sum();
    assert_eq!(rows, 3 * plan.workers as u64 * plan.rows);
    for outcome in outcomes {
        assert!(outcome.number("refused") >= refused, "{outcome:?}");
    }
}

#[test]
fn that_came_before_anybody_else() {
    within(|| {
        let plan = Plan::new(3);
        let mut members = plan.start_all("start");
        members.iter_mut().for_each(|member| member.at("start"));
        let strangers = knock(&plan);
        members.iter_mut().for_each(Member::go);
        // Those that wait in silence are still there when the run ends, or have been sent away; all others are refused.
        agree(&plan, members, 9);
        drop(strangers);
    });
}

#[test]
fn that_come_while_a_run_goes_on() {
    within(|| {
        let plan = Plan::new(3);
        let mut members = plan.start_all("running");
        members.iter_mut().for_each(|member| member.at("running"));
        let strangers = knock(&plan);
        // Each stranger that is refused at once sees its connection end.
        for stranger in strangers.iter().skip(1).take(5) {
            stranger.set_read_timeout(Some(SLACK)).unwrap();
            assert_eq!((&*stranger).read(&mut [0]).unwrap_or(0), 0);
        }
        members.iter_mut().for_each(Member::go);
        agree(&plan, members, 9);
    });
}

#[test]
fn that_are_many_and_say_nothing() {
    within(|| {
        let plan = Plan::new(3);
        let mut members = plan.start_all("start");
        members.iter_mut().for_each(|member| member.at("start"));
        let crowd: Vec<_> =
            plan.hosts.iter().flat_map(|host| (0..100).map(move |_| TcpStream::connect(host).unwrap())).collect();
        members.iter_mut().for_each(Member::go);
        // 64 may stand at a door: the oldest 36 have been sent away.
        agree(&plan, members, 36);
        drop(crowd);
    });
}

#[test]
fn that_stop_in_the_middle_of_the_handshake_are_sent_away_in_time() {
    within(|| {
        let plan = Plan { deadline: Duration::from_secs(2), ..Plan::new(3) };
        let mut members = plan.start_all("running");
        members.iter_mut().for_each(|member| member.at("running"));
        let mut stranger = TcpStream::connect(&plan.hosts[0]).unwrap();
        stranger.write_all(&close().encode()).unwrap();
        stranger.set_read_timeout(Some(SLACK)).unwrap();
        // It gets the hello of the process, and nothing more: the connection ends at the deadline.
        let mut got = Vec::new();
        stranger.read_to_end(&mut got).unwrap();
        assert_eq!(got.len(), 104);
        members.iter_mut().for_each(Member::go);
        agree(&plan, members, 0);
    });
}

#[test]
fn that_guess_the_proof_are_told_nothing_but_that() {
    within(|| {
        let plan = Plan::new(3);
        let mut members = plan.start_all("running");
        members.iter_mut().for_each(|member| member.at("running"));
        // Process 2, which is there, in another incarnation: with the secret it would end the run.
        let mut stranger = TcpStream::connect(&plan.hosts[0]).unwrap();
        stranger.write_all(&close().encode()).unwrap();
        stranger.write_all(&[9; 32]).unwrap();
        stranger.set_read_timeout(Some(SLACK)).unwrap();
        let mut got = Vec::new();
        stranger.read_to_end(&mut got).unwrap();
        assert_eq!(got[104..], [&[1][..], &[0; 32]].concat(), "a refusal for want of the secret, and no proof");
        members.iter_mut().for_each(Member::go);
        agree(&plan, members, 0);
    });
}
