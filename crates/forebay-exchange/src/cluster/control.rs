//! The thread of a control connection: hears what the peer says, and tells it five times a deadline that this process lives.
//!
//! It is apart from the data, so that no heartbeat and no abort ever waits behind rows. What it shows is that the
//! peer's process runs and that the network carries, not that its workers get on: an operator that computes for an hour
//! is no loss.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::error::Cause;
use super::frame::{FRAME, Frame};
use super::membership::Membership;
use super::peer::Control;

pub(crate) fn run(membership: &Membership, process: usize, stream: &TcpStream, control: &Control) {
    if let Some(cause) = listen(membership, process, stream, control) {
        membership.closed(process, cause);
    }
    membership.ran();
}

/// Reads until the connection ends; says how, unless the peer has told why.
fn listen(membership: &Membership, process: usize, mut stream: &TcpStream, control: &Control) -> Option<Cause> {
    let interval = membership.deadline / 5;
    let (mut heard, mut beaten) = (Instant::now(), Instant::now());
    let (mut bytes, mut filled) = ([0; FRAME], 0);
    loop {
        // So that silence is noticed at the deadline, and not a heartbeat later.
        let left = membership.deadline.saturating_sub(heard.elapsed()).max(Duration::from_millis(1));
        if let Err(error) = stream.set_read_timeout(Some(left.min(interval))) {
            return Some(Cause::Broken(error.to_string()));
        }
        match stream.read(&mut bytes[filled..]) {
            Ok(0) => return Some(Cause::Closed),
            Ok(read) => {
                filled += read;
                if filled == FRAME {
                    filled = 0;
                    let Some(frame) = Frame::decode(&bytes) else {
                        return Some(Cause::Garbled(format!("a control frame of kind {}", bytes[0])));
                    };
                    membership.hear(process, frame, heard.elapsed());
                    heard = Instant::now();
                }
            }
            // Only after a look that found nothing: who was stopped itself has heard nothing either, but what the peer sent
            // in the meantime is there.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if heard.elapsed() >= membership.deadline {
                    return Some(Cause::Silent(heard.elapsed()));
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Some(Cause::Broken(error.to_string())),
        }
        if beaten.elapsed() >= interval {
            beaten = Instant::now();
            control.send(&Frame::Beat);
            membership.beaten(process);
        }
    }
}
