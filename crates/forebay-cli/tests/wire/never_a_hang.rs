//! A way between the two ends that holds next to nothing, and that at times takes nothing at all: whoever writes waits, and
//! nobody who waits to write keeps the other side waiting for ever.
//!
//! The remote shell of these tests is this program once more, as [`relay`]. It takes nothing from one side until the
//! other direction stands still, too: then both sides have gone as far as they can without what is withheld.

use std::env;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use rustix::io::ioctl_fionread;
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size};
use rustix::pipe::fcntl_setpipe_size;

use crate::harness::{Bench, End, WAYS, finish};
use crate::tree::{Rng, look};

/// What the way holds at most in each direction, as far as it is ours to say, in bytes.
const HOLDS: usize = 4096;

/// How often each direction is to be seen full while it is withheld, and how often one is withheld at most.
const TIMES: u64 = 3;
const TURNS: usize = 24;

/// What gets through in one direction while the other is withheld, in bytes, or a few more.
const GRANT: u64 = 16 << 10;

/// How long nothing must move for a direction to stand still.
const STILL: Duration = Duration::from_millis(100);

/// Names of what the relay is told: the command of the other side, and where to write how often it saw the way full.
const COMMAND: &str = "FOREBAY_RELAY_COMMAND";
const REPORT: &str = "FOREBAY_RELAY_REPORT";

/// Many small files that are new, and files of which half has changed, in short blocks: in both directions there is more to
/// carry than either program lets wait.
fn bench() -> Bench {
    let bench = Bench::new();
    let mut rng = Rng::new(11);
    for n in 0..60 {
        let mut bytes: Vec<u8> = (0..200_000).map(|_| rng.below(256) as u8).collect();
        fs::write(bench.old().join(format!("changed{n}")), &bytes).unwrap();
        bytes.chunks_mut(10_000).step_by(2).flatten().for_each(|byte| *byte = !*byte);
        fs::write(bench.src().join(format!("changed{n}")), &bytes).unwrap();
    }
    (0..600).for_each(|n| fs::write(bench.src().join(n.to_string()), vec![n as u8; n]).unwrap());
    // Output of the relay goes the way of the data: nothing but that may be there. So its standard output is dropped.
    let relay = env::current_exe().unwrap();
    let report = bench.path("report");
    bench.script(
        "rsh",
        &format!(
            "shift\n{COMMAND}=\"$*\" {REPORT}='{}' exec '{}' --ignored --exact never_a_hang::relay --nocapture 2>&1 >/dev/null\n",
            report.display(),
            relay.display()
        ),
    );
    bench
}

fn nobody_hangs(client: End, server: End) {
    let bench = bench();
    for way in WAYS {
        bench.prepare("ours");
        let output = finish(bench.client((client, server), way, &["-aiI", "-B100"], "ours"));
        assert_eq!(output.status.code(), Some(0), "{way:?} {output:?}");
        assert_eq!(look(&bench.path("ours"), false), look(&bench.src(), false), "{way:?}");
        let report = fs::read_to_string(bench.path("report")).unwrap();
        let full: Vec<u64> = report.split_whitespace().map(|number| number.parse().unwrap()).collect();
        // A client of the other program writes to what is larger, and may never see it full.
        assert!((client == End::Stock || full[0] > 0) && full[1] > 0, "{way:?}: the way was never full: {report}");
    }
}

#[test]
fn our_client_and_a_server_that_does_not_read_at_times() {
    nobody_hangs(End::Ours, End::Stock);
}

#[test]
fn our_server_and_a_client_that_does_not_read_at_times() {
    nobody_hangs(End::Stock, End::Ours);
}

#[test]
fn both_are_ours_and_do_not_read_at_times() {
    nobody_hangs(End::Ours, End::Ours);
}

/// One direction of the way.
#[derive(Default)]
struct Direction {
    state: Mutex<State>,
    changed: Condvar,
}

/// In bytes.
#[derive(Default)]
struct State {
    /// What may still be taken, or a little more.
    granted: u64,
    /// What has been passed on.
    moved: u64,
}

impl Direction {
    fn grant(&self, bytes: u64) {
        self.state.lock().unwrap().granted = bytes;
        self.changed.notify_all();
    }

    /// Waits until nothing has been passed on for so long.
    fn stand_still(&self) {
        let mut state = self.state.lock().unwrap();
        loop {
            let before = state.moved;
            let (now, waited) = self.changed.wait_timeout_while(state, STILL, |now| now.moved == before).unwrap();
            if waited.timed_out() {
                return;
            }
            state = now;
        }
    }

    /// Passes on what comes, as far as that is granted.
    fn pass(&self, from: &OwnedFd, to: &OwnedFd) {
        // All that is there at once: what is left of a page or a packet keeps its writer from going on like a full one.
        let mut buffer = [0; 4 * HOLDS];
        loop {
            drop(self.changed.wait_while(self.state.lock().unwrap(), |state| state.granted == 0).unwrap());
            let Ok(n) = rustix::io::retry_on_intr(|| rustix::io::read(from, &mut buffer)) else { return };
            let mut state = self.state.lock().unwrap();
            state.granted = state.granted.saturating_sub(n as u64);
            drop(state);
            let mut rest = &buffer[..n];
            while !rest.is_empty()
                && let Ok(n) = rustix::io::retry_on_intr(|| rustix::io::write(to, rest))
            {
                rest = &rest[n..];
            }
            if n == 0 || !rest.is_empty() {
                return;
            }
            self.state.lock().unwrap().moved += n as u64;
            self.changed.notify_all();
        }
    }
}

/// Two ends of a socket that hold little. The first is read from or written to by us, the other is a command's.
fn socket() -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = UnixStream::pair()?;
    for end in [&ours, &theirs] {
        set_socket_send_buffer_size(end, HOLDS)?;
        set_socket_recv_buffer_size(end, HOLDS)?;
    }
    Ok((ours.into(), theirs.into()))
}

/// The remote shell: passes on what comes from the client by its standard input, and from the server to its standard error.
#[test]
#[ignore = "the remote shell of the other tests"]
fn relay() {
    let Some(command) = env::var_os(COMMAND) else { return };
    let report = env::var_os(REPORT).unwrap();
    let from_client = io::stdin().as_fd().try_clone_to_owned().unwrap();
    let to_client = io::stderr().as_fd().try_clone_to_owned().unwrap();
    for end in [&from_client, &to_client] {
        // Of our client. The other has sockets.
        let _ = fcntl_setpipe_size(end, HOLDS);
    }
    let (to_server, input) = socket().unwrap();
    let (from_server, output) = socket().unwrap();
    let mut server = Command::new("sh")
        .arg("-c")
        .arg(command)
        .stdin(Stdio::from(input))
        .stdout(Stdio::from(output))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let ways = [(from_client, to_server), (from_server, to_client)].map(|(from, to)| {
        let direction = Arc::new(Direction::default());
        let seen = from.try_clone().unwrap();
        let passes = Arc::clone(&direction);
        (direction, seen, thread::spawn(move || passes.pass(&from, &to)))
    });
    let mut full = [0_u64; 2];
    for at in [0, 1].into_iter().cycle().take(TURNS) {
        if full.iter().all(|times| *times >= TIMES) {
            break;
        }
        let ((withheld, unread, _), (other, ..)) = (&ways[at], &ways[1 - at]);
        withheld.grant(0);
        other.grant(GRANT);
        let count = || ioctl_fionread(unread).unwrap_or(0);
        // Until nothing more comes in either direction.
        let mut there = count();
        loop {
            other.stand_still();
            match count() {
                now if now == there => break,
                now => there = now,
            }
        }
        // A socket counts what it holds with what it takes to hold it.
        full[at] += u64::from(there >= HOLDS as u64 / 2);
    }
    ways.iter().for_each(|(direction, ..)| direction.grant(u64::MAX));
    fs::write(report, format!("{} {}", full[0], full[1])).unwrap();
    let [_, (_, _, down)] = ways;
    down.join().unwrap();
    std::process::exit(server.wait().unwrap().code().unwrap_or(1));
}
