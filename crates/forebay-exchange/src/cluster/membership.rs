//! `Membership`: what all threads of a process know of the cluster, and the one way in which it ends.
//!
//! *Invariants.* There is one story: the first error that is recorded by [`Membership::end`] is what every call returns
//! from then on, what the workers fail with, and what the peers are told. A connection that closes is a loss, unless
//! its peer has said goodbye before. No lock is held while something is sent, and none while a [`Failure`] wakes workers.
//!
//! *Why a data connection that breaks is no verdict.* A peer that fails tells so on the control connection and then
//! cuts its data connections. The two arrive in any order. Whoever sees a data connection break therefore waits a
//! moment for the word on the control connection ([`Membership::suspect`]).

use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::control;
use super::error::{Cause, ClusterError, Refusal};
use super::frame::Frame;
use super::hello::{Hello, Role};
use super::peer::{Control, Peer};
use super::snapshot::{ClusterSnapshot, PeerSnapshot};
use crate::error::ExchangeError;
use crate::failure::Failure;

pub(crate) struct Membership {
    pub(crate) me: usize,
    pub(crate) hosts: Vec<String>,
    pub(crate) deadline: Duration,
    pub(super) state: Mutex<State>,
    /// Something of the state has changed.
    pub(super) changed: Condvar,
}

#[derive(Default)]
pub(super) struct State {
    /// By process number; none: this process, and who has not connected yet.
    pub(super) peers: Vec<Option<Peer>>,
    /// Everybody has connected.
    pub(super) formed: bool,
    pub(super) story: Option<ExchangeError>,
    /// What the others are told of the story.
    word: Option<Frame>,
    /// Threads that are telling others the story.
    pub(super) telling: usize,
    /// The run in progress, to be told of the story.
    pub(super) failure: Option<Failure>,
    /// Handles of data connections that timely's threads hold.
    pub(super) streams: usize,
    /// Control threads, and how many of them still run.
    pub(super) threads: Vec<JoinHandle<()>>,
    pub(super) running: usize,
    /// The last barrier that this process has entered.
    pub(super) entered: Option<u64>,
    pub(super) used: bool,
    /// What all have published is final.
    pub(super) stands: bool,
    /// This process has said goodbye.
    pub(super) goodbye: bool,
    pub(super) refused: u64,
    /// Why the last that claimed a number was refused, by the number.
    pub(super) refusals: Vec<Option<Refusal>>,
}

impl Membership {
    pub(crate) fn new(me: usize, hosts: Vec<String>, deadline: Duration) -> Arc<Membership> {
        let state = State {
            peers: hosts.iter().map(|_| None).collect(),
            refusals: vec![None; hosts.len()],
            ..State::default()
        };
        Arc::new(Membership { me, hosts, deadline, state: Mutex::new(state), changed: Condvar::new() })
    }

    /// How long the last word of a peer is waited for, where it matters little.
    pub(crate) fn moment(&self) -> Duration {
        self.deadline.min(Duration::from_secs(1))
    }

    /// Whether this process has said goodbye, or the run has ended otherwise.
    pub(crate) fn is_over(&self) -> bool {
        let state = self.lock();
        state.story.is_some() || state.goodbye
    }

    pub(crate) fn story(&self) -> Option<ExchangeError> {
        self.lock().story.clone()
    }

    // How the cluster forms.

    /// Whether a peer that has proved itself may have a connection of this role.
    pub(crate) fn admit(&self, theirs: &Hello) -> Result<(), Refusal> {
        let process = theirs.process as usize;
        let state = self.lock();
        if state.story.is_some() {
            return Err(Refusal::Over);
        }
        let replaced = match (&state.peers[process], theirs.role) {
            (None, Role::Control) => return Ok(()),
            (None, Role::Data) => return Err(Refusal::Over),
            (Some(peer), Role::Data) if peer.data.is_none() && peer.incarnation == theirs.incarnation => return Ok(()),
            (Some(peer), _) => state.formed && peer.incarnation != theirs.incarnation && !peer.goodbye,
        };
        drop(state);
        if !replaced {
            return Err(Refusal::Duplicate);
        }
        self.lost(process, Cause::Replaced);
        Err(Refusal::Running)
    }

    /// Takes over a connection whose handshake is complete.
    pub(crate) fn join(self: &Arc<Self>, theirs: &Hello, stream: TcpStream) -> std::io::Result<()> {
        let process = theirs.process as usize;
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(None)?;
        stream.set_write_timeout(None)?;
        stream.set_nodelay(true)?;
        if theirs.role == Role::Data {
            if let Some(peer) = &mut self.lock().peers[process] {
                peer.data = Some(stream);
            }
            self.changed.notify_all();
            return Ok(());
        }
        let control = Control::new(stream.try_clone()?, self.moment())?;
        let address = self.hosts[process].clone();
        let peer = Peer {
            incarnation: theirs.incarnation,
            control: control.clone(),
            data: None,
            workers: None,
            agreed: None,
            entered: None,
            ready: None,
            published: false,
            answered: 0,
            ended: false,
            goodbye: false,
            seen: PeerSnapshot { process, address, ..PeerSnapshot::default() },
        };
        let mut state = self.lock();
        let membership = Arc::clone(self);
        let thread = std::thread::Builder::new().name(format!("control-{process}")).spawn({
            let control = control.clone();
            move || control::run(&membership, process, &stream, &control)
        })?;
        state.threads.push(thread);
        state.running += 1;
        state.peers[process] = Some(peer);
        let word = state.word.clone();
        state.telling += usize::from(word.is_some());
        drop(state);
        if let Some(word) = word {
            // It came while the others were told.
            control.send(&word);
            control.finish();
            self.told();
        }
        Ok(())
    }

    /// Waits until everybody has connected.
    pub(crate) fn form(&self, since: Instant) -> Result<(), ExchangeError> {
        let mut state = self.lock();
        loop {
            if let Some(story) = &state.story {
                return Err(story.clone());
            }
            let there = |peer: &Option<Peer>| peer.as_ref().is_some_and(|peer| peer.data.is_some());
            let Some(process) = (0..self.hosts.len()).find(|&i| i != self.me && !there(&state.peers[i])) else {
                state.formed = true;
                return Ok(());
            };
            let Some(left) = self.deadline.checked_sub(since.elapsed()).filter(|left| !left.is_zero()) else {
                let (address, within) = (self.hosts[process].clone(), self.deadline);
                let refused = state.refusals[process];
                return Err(ClusterError::Missing { process, address, within, refused }.into());
            };
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Somebody was refused, who claimed to be `process`.
    pub(crate) fn refused(&self, process: Option<u32>, refusal: Refusal) {
        let mut state = self.lock();
        state.refused += 1;
        if let Some(last) = process.and_then(|process| state.refusals.get_mut(process as usize)) {
            // That somebody has gone says less than why somebody was refused.
            if refusal != Refusal::Silent || last.is_none() {
                *last = Some(refusal);
            }
        }
    }

    // How it ends.

    /// Records why the run ends, tells it to everybody, and cuts all data connections. The first reason counts.
    pub(crate) fn end(&self, error: ExchangeError) {
        let word = self.word(&error);
        self.end_with(error, word);
    }

    /// The same; what the others are told is `word`.
    fn end_with(&self, error: ExchangeError, word: Frame) {
        let mut state = self.lock();
        if state.story.is_some() {
            return;
        }
        state.story = Some(error.clone());
        state.word = Some(word.clone());
        state.telling += 1;
        let failure = state.failure.clone();
        let (mut controls, mut lost) = (Vec::new(), None);
        for (process, peer) in state.peers.iter().enumerate() {
            let Some(peer) = peer else { continue };
            match error {
                ExchangeError::PeerLost { process: gone, .. } if gone == process => lost = Some(peer.control.clone()),
                _ => controls.push(peer.control.clone()),
            }
        }
        let data: Vec<_> =
            state.peers.iter().flatten().filter_map(|peer| peer.data.as_ref()?.try_clone().ok()).collect();
        drop(state);
        tracing::warn!(process = self.me, "the run ends: {error}");
        // First the word, then the cut: see the module's documentation.
        for control in controls {
            control.send(&word);
            control.finish();
        }
        if let Some(control) = lost {
            // It is told too, in case it can hear again one day, but its answer is not waited for.
            control.send(&word);
            control.cut();
        }
        self.told();
        for stream in data {
            let _ = stream.shutdown(Shutdown::Both);
        }
        if let Some(failure) = failure {
            failure.set(error);
        }
    }

    /// A thread has told the story to whom it had to.
    fn told(&self) {
        self.lock().telling -= 1;
        self.changed.notify_all();
    }

    /// What the others are told of `error`.
    fn word(&self, error: &ExchangeError) -> Frame {
        match error {
            ExchangeError::PeerLost { process, cause, .. } => {
                Frame::Lost { process: *process as u32, cause: cause.clone() }
            }
            ExchangeError::Aborted { process, reason, .. } => {
                Frame::Failed { process: *process as u32, reason: reason.clone() }
            }
            error => Frame::Failed { process: self.me as u32, reason: error.to_string() },
        }
    }

    /// `process` is lost.
    pub(crate) fn lost(&self, process: usize, cause: Cause) {
        self.end(self.loss(process, cause));
    }

    /// `process` takes this one for lost. The others hear that this one is lost, and why, and not that it accuses in turn: which
    /// of the two words came first would decide whom they name.
    fn accused(&self, process: usize, cause: Cause) {
        let error = self.loss(process, Cause::Accuses(cause.to_string()));
        self.end_with(error, Frame::Lost { process: self.me as u32, cause });
    }

    fn loss(&self, process: usize, cause: Cause) -> ExchangeError {
        ExchangeError::PeerLost { process, address: self.hosts[process].clone(), cause }
    }

    /// The data connection to `process` broke: waits for the word that explains it, and takes the process for lost if
    /// there is none.
    pub(crate) fn suspect(&self, process: usize, cause: Cause) {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, self.moment(), |state| state.story.is_none());
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        self.lost(process, cause);
    }

    /// The control connection to `process` has closed.
    pub(crate) fn closed(&self, process: usize, cause: Cause) {
        if !self.lock().peers[process].as_ref().is_some_and(|peer| peer.goodbye) {
            self.lost(process, cause);
        }
    }

    /// A control thread has ended.
    pub(crate) fn ran(&self) {
        self.lock().running -= 1;
        self.changed.notify_all();
    }

    /// What `process` says.
    pub(crate) fn hear(&self, process: usize, frame: Frame, silence: Duration) {
        let mut state = self.lock();
        let Some(peer) = &mut state.peers[process] else { return };
        peer.seen.longest_silence = peer.seen.longest_silence.max(silence);
        match frame {
            Frame::Beat => {
                peer.seen.beats_received += 1;
                return;
            }
            Frame::Start { workers } => peer.workers = Some(workers),
            Frame::Agree { hash, text } => peer.agreed = Some((hash, text)),
            Frame::Enter { number } => peer.entered = peer.entered.max(Some(number)),
            Frame::Ready { mark } => peer.ready = Some(mark),
            Frame::Published => peer.published = true,
            Frame::Ask { round } => {
                let control = peer.control.clone();
                // Whoever has given up does not answer: its word is on the way.
                if state.story.is_none() {
                    drop(state);
                    control.send(&Frame::Answer { round });
                }
                return;
            }
            Frame::Answer { round } => peer.answered = peer.answered.max(round),
            Frame::Stands => {
                if self.me == 0 || std::mem::replace(&mut state.stands, true) {
                    return;
                }
                drop(state);
                self.changed.notify_all();
                // The one that decided may be gone before it has told everybody.
                return self.tell(&Frame::Stands);
            }
            Frame::End => peer.ended = true,
            Frame::Goodbye if peer.workers.is_some() && !peer.ended => {
                drop(state);
                return self.lost(process, Cause::Left);
            }
            Frame::Goodbye => peer.goodbye = true,
            Frame::Failed { process: failed, reason } => {
                drop(state);
                // A process that does not exist has not failed: then the sender has.
                let process = if (failed as usize) < self.hosts.len() { failed as usize } else { process };
                return self.end(ExchangeError::Aborted { process, address: self.hosts[process].clone(), reason });
            }
            Frame::Lost { process: lost, cause } => {
                drop(state);
                return match lost as usize {
                    lost if lost == self.me => self.accused(process, cause),
                    lost if lost < self.hosts.len() => self.lost(lost, cause),
                    _ => self.lost(process, Cause::Garbled("a loss of no process".to_owned())),
                };
            }
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Counts a heartbeat that was sent.
    pub(crate) fn beaten(&self, process: usize) {
        if let Some(peer) = &mut self.lock().peers[process] {
            peer.seen.beats_sent += 1;
        }
    }

    /// Ends the control connections: waits until everybody was told why the run ends, if it ends badly, and a moment until the
    /// peers have ended theirs, so that none of them loses what it was told last; joins the threads.
    pub(crate) fn finish(&self) {
        // Each word takes a moment at most.
        let told = self.changed.wait_while(self.lock(), |state| state.telling > 0);
        drop(told.unwrap_or_else(PoisonError::into_inner));
        let controls: Vec<_> = self.lock().peers.iter().flatten().map(|peer| peer.control.clone()).collect();
        controls.iter().for_each(Control::finish);
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, self.moment(), |state| state.running > 0);
        let threads = std::mem::take(&mut waited.unwrap_or_else(PoisonError::into_inner).0.threads);
        controls.iter().for_each(Control::cut);
        for thread in threads {
            let _ = thread.join();
        }
    }

    pub(crate) fn snapshot(&self) -> ClusterSnapshot {
        let state = self.lock();
        let peers = state.peers.iter().flatten().map(|peer| peer.seen.clone()).collect();
        ClusterSnapshot { peers, refused: state.refused }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "helpers of tests are tests")]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::super::frame::FRAME;
    use super::*;

    /// A connected pair: the member's end, the peer's end.
    fn connection() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (ours, listener.accept().unwrap().0)
    }

    /// A hello of the control connection of `process` of three.
    fn hello(process: u32) -> Hello {
        let incarnation = [process as u8; 16];
        Hello { role: Role::Control, process, processes: 3, incarnation, job: [0; 32], nonce: [0; 32] }
    }

    /// What `stream` brings until it ends.
    fn frames(mut stream: TcpStream) -> Vec<Frame> {
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).unwrap();
        let frames = heard.chunks_exact(FRAME).map(|frame| Frame::decode(frame.try_into().unwrap()).unwrap());
        frames.filter(|frame| *frame != Frame::Beat).collect()
    }

    /// Process 2 was started again, and process 0 tells the one that it replaces, which is still there. Process 1 hears of it
    /// from that one first: it must not hear that process 0 is the one that is gone.
    #[test]
    fn the_accused_passes_the_accusation_on() {
        let hosts: Vec<String> = (0..3).map(|n| format!("host{n}:1")).collect();
        let membership = Membership::new(2, hosts, Duration::from_secs(10));
        let ((ours, zero), (other, one)) = (connection(), connection());
        membership.join(&hello(0), ours).unwrap();
        membership.join(&hello(1), other).unwrap();
        let accusation = Frame::Lost { process: 2, cause: Cause::Replaced };
        (&zero).write_all(&accusation.encode()).unwrap();
        assert_eq!([frames(zero), frames(one)], [[accusation.clone()], [accusation.clone()]]);
        membership.finish();
        let story = membership.story().unwrap();
        let ExchangeError::PeerLost { process: 0, cause: Cause::Accuses(why), .. } = story else { panic!("{story}") };
        assert_eq!(why, Cause::Replaced.to_string());
        // Who connects only now hears the same.
        let (late, theirs) = connection();
        membership.join(&hello(1), late).unwrap();
        membership.finish();
        assert_eq!(frames(theirs), [accusation]);
    }

    /// One peer does not read, so that telling it takes a moment. The thread that waits for the end of the run must not
    /// close the connection to the next one before that has been told: it would take this process for lost.
    #[test]
    fn nobody_leaves_before_everybody_was_told_why() {
        let hosts: Vec<String> = (0..3).map(|n| format!("host{n}:1")).collect();
        let membership = Membership::new(0, hosts, Duration::from_secs(10));
        let mut peers = Vec::new();
        for process in 1..3 {
            let (ours, theirs) = connection();
            let full = ours.try_clone().unwrap();
            membership.join(&hello(process), ours).unwrap();
            if process == 1 {
                full.set_nonblocking(true).unwrap();
                while (&full).write(&[0; 1 << 16]).is_ok() {}
                full.set_nonblocking(false).unwrap();
            }
            peers.push(theirs);
        }
        let telling = thread::spawn({
            let membership = Arc::clone(&membership);
            move || membership.lost(0, Cause::Left)
        });
        while membership.story().is_none() {
            thread::yield_now();
        }
        membership.finish();
        let heard = frames(peers.remove(1));
        telling.join().unwrap();
        assert!(heard.into_iter().any(|frame| matches!(frame, Frame::Lost { process: 0, .. })));
    }
}
