//! `Door`: the listening socket, from the start of a process to its end.
//!
//! One thread asks the system which of its sockets have something to say, and never waits for a single one: somebody who
//! connects and says nothing holds up nobody. A visitor has until the deadline for its two frames; of more than 64
//! visitors whose handshake is not complete, the oldest is sent away. So what strangers can cost is bounded: 64 sockets of 136
//! bytes.
//!
//! The door stays open while the run goes on: strangers are refused as before, and another incarnation of a peer that
//! knocks and proves itself shows that the one of this run is gone.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::error::Refusal;
use super::hello::{End, HELLO, Hello, Identity, PROOF, Role, answer};
use super::membership::Membership;

/// The most handshakes that are under way at a time.
const VISITORS: usize = 64;
/// How long no connection is accepted after the system had no room for one.
const REST: Duration = Duration::from_millis(100);

/// The open door. Dropping it closes it.
pub(crate) struct Door {
    /// Closing this end wakes the thread.
    bell: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Door {
    pub(crate) fn open(
        listener: TcpListener,
        identity: &Arc<Identity>,
        membership: &Arc<Membership>,
    ) -> io::Result<Door> {
        listener.set_nonblocking(true)?;
        let (bell, ear) = UnixStream::pair()?;
        let keeper = Keeper {
            listener,
            ear,
            identity: Arc::clone(identity),
            membership: Arc::clone(membership),
            visitors: VecDeque::new(),
            resting: None,
        };
        let thread = std::thread::Builder::new().name("door".to_owned()).spawn(move || keeper.run())?;
        Ok(Door { bell: Some(bell), thread: Some(thread) })
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.bell = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the thread has.
struct Keeper {
    listener: TcpListener,
    ear: UnixStream,
    identity: Arc<Identity>,
    membership: Arc<Membership>,
    /// Who is in the middle of a handshake, the oldest first.
    visitors: VecDeque<Visitor>,
    /// Until when nobody is accepted.
    resting: Option<Instant>,
}

struct Visitor {
    stream: TcpStream,
    from: SocketAddr,
    until: Instant,
    bytes: [u8; HELLO],
    filled: usize,
    /// The hello that it has sent, and the one that it got.
    hellos: Option<(Hello, Hello)>,
}

/// What becomes of a visitor.
enum Outcome {
    /// It has more to say.
    Stays,
    /// It has proved itself; its connection is wanted.
    Enters(Hello),
    /// It does not belong here; the number that it claims.
    Leaves(Refusal, Option<u32>),
}

impl Keeper {
    fn run(mut self) {
        loop {
            let now = Instant::now();
            if self.resting.is_some_and(|until| until <= now) {
                self.resting = None;
            }
            let soonest = self.visitors.iter().map(|visitor| visitor.until).chain(self.resting).min();
            let timeout = soonest.map(|until| until.saturating_duration_since(now));
            let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
            let mut fds = vec![PollFd::new(&self.ear, PollFlags::IN)];
            // With no interest in it, an accept that failed for want of room is not tried again and again.
            let interest = if self.resting.is_none() { PollFlags::IN } else { PollFlags::empty() };
            fds.push(PollFd::new(&self.listener, interest));
            fds.extend(self.visitors.iter().map(|visitor| PollFd::new(&visitor.stream, PollFlags::IN)));
            match poll(&mut fds, timeout.as_ref()) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return tracing::error!("the door closes: {error}"),
            }
            let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
            if ready[0] {
                return;
            }
            self.serve(&ready[2..]);
            if ready[1] && self.resting.is_none() {
                self.accept();
            }
        }
    }

    /// Hears the visitors that have something to say, and sends away those whose time is over.
    fn serve(&mut self, ready: &[bool]) {
        for ready in ready {
            let Some(mut visitor) = self.visitors.pop_front() else { return };
            let outcome = match visitor.until <= Instant::now() {
                true => Outcome::Leaves(Refusal::Silent, visitor.claim()),
                false if *ready => self.hear(&mut visitor),
                false => Outcome::Stays,
            };
            match outcome {
                Outcome::Stays => self.visitors.push_back(visitor),
                Outcome::Enters(hello) => {
                    if let Err(error) = self.membership.join(&hello, visitor.stream) {
                        tracing::warn!("cannot use the connection of process {}: {error}", hello.process);
                    }
                }
                Outcome::Leaves(refusal, claim) => self.refuse(visitor.from, refusal, claim),
            }
        }
    }

    fn accept(&mut self) {
        loop {
            let (stream, from) = match self.listener.accept() {
                Ok(visitor) => visitor,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => continue,
                Err(error) => {
                    tracing::warn!("cannot accept a connection: {error}");
                    self.resting = Some(Instant::now() + REST);
                    return;
                }
            };
            if stream.set_nonblocking(true).is_err() {
                continue;
            }
            if self.visitors.len() >= VISITORS
                && let Some(oldest) = self.visitors.pop_front()
            {
                self.refuse(oldest.from, Refusal::Silent, oldest.claim());
            }
            let until = Instant::now() + self.membership.deadline;
            let visitor = Visitor { stream, from, until, bytes: [0; HELLO], filled: 0, hellos: None };
            self.visitors.push_back(visitor);
        }
    }

    fn hear(&self, visitor: &mut Visitor) -> Outcome {
        loop {
            let want = if visitor.hellos.is_none() { HELLO } else { PROOF };
            match visitor.stream.read(&mut visitor.bytes[visitor.filled..want]) {
                Ok(0) => return Outcome::Leaves(Refusal::Silent, visitor.claim()),
                Ok(read) => visitor.filled += read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Outcome::Stays,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Outcome::Leaves(Refusal::Silent, visitor.claim()),
            }
            if visitor.filled < want {
                continue;
            }
            visitor.filled = 0;
            match visitor.hellos {
                None => match self.greet(visitor) {
                    Ok(hellos) => visitor.hellos = Some(hellos),
                    Err((refusal, claim)) => return Outcome::Leaves(refusal, claim),
                },
                Some((theirs, ours)) => return self.judge(visitor, &theirs, &ours),
            }
        }
    }

    /// Its hello is there: answers with ours, even if the two do not agree, so that the other side can tell its user why.
    fn greet(&self, visitor: &mut Visitor) -> Result<(Hello, Hello), (Refusal, Option<u32>)> {
        let theirs = Hello::decode(&visitor.bytes);
        let role = match theirs {
            Ok(theirs) => theirs.role,
            Err(Refusal::Stranger) => return Err((Refusal::Stranger, None)),
            Err(_) => Role::Control,
        };
        let Ok(ours) = self.identity.hello(role) else { return Err((Refusal::Silent, None)) };
        // A fresh connection has room for 104 bytes; one that has not is of no use.
        let sent = visitor.stream.write_all(&ours.encode()).is_ok();
        let theirs = theirs.map_err(|refusal| (refusal, None))?;
        let fail = |refusal| Err((refusal, Some(theirs.process)));
        match ours.agrees(&theirs) {
            Err(refusal) => fail(refusal),
            // The larger number connects to the smaller one.
            Ok(()) if theirs.process <= ours.process || theirs.process >= ours.processes => {
                fail(Refusal::Number { theirs: theirs.process })
            }
            Ok(()) if sent => Ok((theirs, ours)),
            Ok(()) => fail(Refusal::Silent),
        }
    }

    /// Its proof is there.
    fn judge(&self, visitor: &mut Visitor, theirs: &Hello, ours: &Hello) -> Outcome {
        let verdict = match self.identity.proves(End::Connector, theirs, ours, &visitor.bytes[..PROOF]) {
            true => self.membership.admit(theirs),
            false => Err(Refusal::Secret),
        };
        let proof = verdict.map(|()| self.identity.proof(End::Listener, theirs, ours));
        let sent = visitor.stream.write_all(&answer(proof)).is_ok();
        match verdict {
            Ok(()) if sent => Outcome::Enters(*theirs),
            Ok(()) => Outcome::Leaves(Refusal::Silent, visitor.claim()),
            Err(refusal) => Outcome::Leaves(refusal, visitor.claim()),
        }
    }

    fn refuse(&self, from: SocketAddr, refusal: Refusal, claim: Option<u32>) {
        self.membership.refused(claim, refusal);
        match claim {
            Some(process) => tracing::warn!("refused {from}, which says it is process {process}: it {refusal}"),
            None => tracing::warn!("refused {from}: it {refusal}"),
        }
    }
}

impl Visitor {
    /// The number that it claims to have.
    fn claim(&self) -> Option<u32> {
        self.hellos.map(|(theirs, _)| theirs.process)
    }
}
