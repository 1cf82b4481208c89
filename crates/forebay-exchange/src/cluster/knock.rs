//! Connecting to a peer with a smaller number: again and again until the deadline, because processes do not start at
//! the same moment, and because the run before may still hold the port.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::{Attempt, ClusterError, Refusal};
use super::hello::{ANSWER, End, HELLO, Hello, Identity, Role, verdict};
use super::membership::Membership;
use crate::error::ExchangeError;

/// The first and the longest pause between two attempts.
const PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(250));

/// Connects to `process` for `role`.
pub(crate) fn knock(
    process: usize,
    role: Role,
    identity: &Identity,
    membership: &Arc<Membership>,
    since: Instant,
) -> Result<(), ExchangeError> {
    let (address, within) = (&membership.hosts[process], membership.deadline);
    let until = since + within;
    let (mut pause, mut refusal) = (PAUSE.0, None);
    loop {
        if let Some(story) = membership.story() {
            return Err(story);
        }
        let cause = match attempt(process, role, identity, membership, until) {
            Ok(()) => return Ok(()),
            Err(cause) => cause,
        };
        // A refusal says more than that the peer has given up since.
        if let Attempt::Refused(cause) = cause
            && cause != Refusal::Silent
        {
            refusal = Some(cause);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let (address, cause) = (address.clone(), refusal.map_or(cause, Attempt::Refused));
            return Err(ClusterError::Connect { process, address, within, cause }.into());
        }
        tracing::debug!("process {process} ({address}) cannot be reached yet: {cause:?}");
        std::thread::sleep(pause.min(left));
        pause = (pause * 2).min(PAUSE.1);
    }
}

fn attempt(
    process: usize,
    role: Role,
    identity: &Identity,
    membership: &Arc<Membership>,
    until: Instant,
) -> Result<(), Attempt> {
    // Whoever accepts and says nothing is left after a part of the time: its successor may be better.
    let patience = membership.deadline / 4;
    let mut stream = connect(&membership.hosts[process], until, patience)?;
    let ours = identity.hello(role).map_err(io::Error::other)?;
    stream.write_all(&ours.encode())?;
    let mut bytes = [0; HELLO];
    receive(&mut stream, &mut bytes, until.min(Instant::now() + patience))?;
    let theirs = Hello::decode(&bytes).map_err(Attempt::Refused)?;
    ours.agrees(&theirs).map_err(Attempt::Refused)?;
    if theirs.process as usize != process || theirs.role != role {
        return Err(Attempt::Refused(Refusal::Number { theirs: theirs.process }));
    }
    stream.write_all(&identity.proof(End::Connector, &ours, &theirs))?;
    // From here on the other side may have taken this connection for good, so there is no second attempt beside it.
    let mut bytes = [0; ANSWER];
    receive(&mut stream, &mut bytes, until)?;
    let proof = verdict(&bytes).map_err(Attempt::Refused)?;
    if !identity.proves(End::Listener, &ours, &theirs, &proof) {
        return Err(Attempt::Refused(Refusal::Secret));
    }
    membership.admit(&theirs).map_err(Attempt::Refused)?;
    Ok(membership.join(&theirs, stream)?)
}

/// Connects to one of the addresses that `host` has.
fn connect(host: &str, until: Instant, patience: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::other("the name has no address");
    for address in host.to_socket_addrs()? {
        let left = until.saturating_duration_since(Instant::now()).min(patience);
        match TcpStream::connect_timeout(&address, left.max(Duration::from_millis(1))) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_write_timeout(Some(patience))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Fills `bytes`, however slowly they come, but not beyond `until`.
fn receive(stream: &mut TcpStream, bytes: &mut [u8], until: Instant) -> Result<(), Attempt> {
    let mut filled = 0;
    while filled < bytes.len() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Attempt::Refused(Refusal::Silent));
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut bytes[filled..]) {
            Ok(0) => return Err(Attempt::Refused(Refusal::Silent)),
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

impl From<io::Error> for Attempt {
    fn from(error: io::Error) -> Self {
        Attempt::Io(Arc::new(error))
    }
}
