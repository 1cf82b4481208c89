//! A process that knows the secret and then sends what no process sends: a loss, by name, and never a panic, a hang or an
//! allocation of what it claims.

use std::io::{Read, Write};
use std::net::TcpStream;

use forebay_exchange::cluster::{Frame, Hello, Role};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::support::{Plan, SLACK, within};

/// The two connections of process 1 to process 0, which is real.
struct Impostor {
    control: TcpStream,
    data: TcpStream,
}

impl Impostor {
    fn enter(plan: &Plan) -> Impostor {
        let open = |role| {
            let job = Sha256::digest(b"sum").into();
            let ours = Hello { role, process: 1, processes: 2, incarnation: [1; 16], job, nonce: [2; 32] };
            let mut stream = TcpStream::connect(&plan.hosts[0]).unwrap();
            stream.write_all(&ours.encode()).unwrap();
            let mut theirs = [0; 104];
            stream.read_exact(&mut theirs).unwrap();
            let mut proof = Hmac::<Sha256>::new_from_slice(b"s3cret").unwrap();
            proof.update(b"forebay connector");
            proof.update(&ours.encode());
            proof.update(&theirs);
            stream.write_all(&proof.finalize().into_bytes()).unwrap();
            let mut answer = [0; 33];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(answer[0], 0, "it is let in");
            stream
        };
        let control = open(Role::Control);
        Impostor { control, data: open(Role::Data) }
    }

    fn say(&mut self, frame: &Frame) {
        self.control.write_all(&frame.encode()).unwrap();
    }
}

/// Process 0 meets an impostor that enters the run and then does `act`; it ends with a loss that says `text`.
fn meets(text: &str, act: impl FnOnce(&mut Impostor)) {
    let plan = Plan::endless(2);
    let mut real = plan.start(0, &[]);
    real.at("start");
    let mut impostor = Impostor::enter(&plan);
    real.at("connected");
    impostor.say(&Frame::Enter { number: 1 });
    impostor.say(&Frame::Start { workers: plan.workers as u64 });
    real.at("running");
    act(&mut impostor);
    let outcome = real.ends(SLACK);
    outcome.failed("lost", 1, text);
    drop(impostor);
}

/// A header of a message: channel, source, targets from and to, length, number.
fn header(source: u64, targets: [u64; 2], length: u64) -> Vec<u8> {
    [3, source, targets[0], targets[1], length, 0].iter().flat_map(|number: &u64| number.to_be_bytes()).collect()
}

#[test]
fn claims_a_message_of_2_to_the_63_bytes() {
    within(|| {
        meets("a message of 9223372036854775808 bytes", |impostor| {
            impostor.data.write_all(&header(2, [0, 1], 1 << 63)).unwrap();
        });
    });
}

#[test]
fn sends_to_a_worker_that_is_elsewhere() {
    within(|| {
        meets("a message to the workers from 1 to below 3", |impostor| {
            impostor.data.write_all(&header(2, [1, 3], 8)).unwrap();
        });
        meets("a message to the workers from 1 to below 1", |impostor| {
            impostor.data.write_all(&header(2, [1, 1], 8)).unwrap();
        });
    });
}

#[test]
fn sends_in_the_name_of_another() {
    within(|| {
        meets("a message from worker 1", |impostor| impostor.data.write_all(&header(1, [0, 1], 8)).unwrap());
    });
}

#[test]
fn goes_on_after_its_end() {
    within(|| {
        meets("data after the end", |impostor| {
            impostor.data.write_all(&[header(0, [0, 0], 0), vec![0]].concat()).unwrap();
        });
    });
}

#[test]
fn ends_in_the_middle_of_a_message() {
    within(|| {
        meets("its connection closed before", |impostor| {
            impostor.data.write_all(&[header(2, [0, 1], 100), vec![7; 60]].concat()).unwrap();
            impostor.data.shutdown(std::net::Shutdown::Both).unwrap();
        });
    });
}

#[test]
fn says_what_no_process_says() {
    within(|| {
        meets("a control frame of kind 255", |impostor| impostor.control.write_all(&[255; 512]).unwrap());
        meets("a loss of no process", |impostor| {
            impostor.say(&Frame::Lost { process: 9, cause: forebay_exchange::cluster::Cause::Left });
        });
    });
}

#[test]
fn says_goodbye_in_the_middle_of_a_run() {
    within(|| {
        meets("it left while others waited for it", |impostor| impostor.say(&Frame::Goodbye));
    });
}

#[test]
fn accuses_the_process_that_it_talks_to() {
    within(|| {
        meets("it takes this process for lost", |impostor| {
            impostor.say(&Frame::Lost { process: 0, cause: forebay_exchange::cluster::Cause::Closed });
        });
    });
}
