//! `Outgoing`: frames that go, and the thread that writes them.

use std::io;
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use super::pipe::{ready, widen};
use super::tag::{BASE, Tag};
use crate::content::rate::Rate;
use crate::wire::error::WireError;

/// Bytes of data in a frame that we write.
pub(super) const FRAME: usize = 32 << 10;

/// Bytes of data that may wait to be written.
const WAITING: usize = 256 << 10;

/// Bytes that are written at a time; whoever waits for room is woken when there is so much of it.
const PART: usize = WAITING / 2;

/// The writing side of a connection. Clones write to the same.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Something is to be written, or everything has been said.
    work: Condvar,
    /// Something has been written, or writing has failed.
    room: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Whole frames, one behind the other.
    frames: Vec<u8>,
    /// Bytes in them, and in what is being written.
    waiting: usize,
    /// The thread that writes waits for some, and has not been called.
    idle: bool,
    /// Threads that wait for room.
    crowd: usize,
    written: u64,
    /// Frames have a header from now on.
    multiplexed: bool,
    finished: bool,
    /// What waits is still written, whoever aborts.
    hung_up: bool,
    failed: Option<(io::ErrorKind, String)>,
    /// Closed when writing has failed.
    alarms: Vec<UnixStream>,
}

/// Joins the thread that writes.
#[derive(Debug)]
pub(crate) struct Writing {
    outgoing: Outgoing,
    thread: Option<JoinHandle<()>>,
}

impl Outgoing {
    /// Writes to `fd`, at most `rate` bytes a second; with `keep_alive`, an empty frame whenever nothing was written for so
    /// long.
    ///
    /// # Errors
    /// No thread could be started.
    pub(crate) fn start(
        fd: OwnedFd,
        keep_alive: Option<Duration>,
        rate: Option<NonZeroU64>,
    ) -> io::Result<(Self, Writing)> {
        widen(&fd);
        let outgoing = Outgoing { shared: Arc::default() };
        let shared = Arc::clone(&outgoing.shared);
        let thread = std::thread::Builder::new().name("wire-write".to_owned());
        let thread = thread.spawn(move || write_frames(&shared, &fd, keep_alive, rate.map(Rate::new).as_ref()))?;
        let writing = Writing { outgoing: outgoing.clone(), thread: Some(thread) };
        Ok((outgoing, writing))
    }

    /// From now on, everything is in frames.
    pub(crate) fn multiplex(&self) {
        self.shared.lock().multiplexed = true;
    }

    /// Sends data. Waits while much is not written yet.
    ///
    /// # Errors
    /// An earlier write has failed.
    pub(crate) fn send(&self, data: &[u8]) -> Result<(), WireError> {
        let mut state = self.shared.lock();
        for piece in data.chunks(FRAME) {
            while state.waiting >= WAITING && state.failed.is_none() {
                state.crowd += 1;
                state = self.shared.room.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.crowd -= 1;
            }
            if let Some((kind, text)) = &state.failed {
                return Err(io::Error::new(*kind, text.clone()).into());
            }
            let multiplexed = state.multiplexed;
            state.add(multiplexed.then_some(Tag::Data), piece);
            self.shared.call(&mut state);
        }
        Ok(())
    }

    /// Sends data without waiting for room; in one piece without a header if it is to be `bare`.
    pub(crate) fn post(&self, data: &[u8], bare: bool) {
        let mut state = self.shared.lock();
        if state.finished {
            return;
        }
        let bare = bare || !state.multiplexed;
        for piece in data.chunks(if bare { data.len().max(1) } else { FRAME }) {
            state.add((!bare).then_some(Tag::Data), piece);
        }
        self.shared.call(&mut state);
    }

    /// Sends a message, behind what waits. Never waits; what is longer than a message may be is cut.
    pub(crate) fn message(&self, tag: Tag, payload: &[u8]) {
        // The reference takes no more than this.
        const MOST: usize = 4 << 10;
        let mut state = self.shared.lock();
        if state.multiplexed && !state.finished {
            state.add(Some(tag), payload.get(..MOST).unwrap_or(payload));
            self.shared.call(&mut state);
        }
    }

    /// Nothing more is sent: whoever waits to send something fails, and the other side sees the end.
    pub(crate) fn abort(&self) {
        let mut state = self.shared.lock();
        if state.hung_up {
            return;
        }
        state.failed.get_or_insert((io::ErrorKind::BrokenPipe, "the session has ended".to_owned()));
        state.frames.clear();
        state.alarms.clear();
        state.finished = true;
        self.shared.room.notify_all();
        self.shared.work.notify_all();
    }

    /// Nothing more is sent but what waits, and messages behind that: whoever waits to send something else fails, and so does
    /// whoever waits for the other side.
    pub(crate) fn hang_up(&self) {
        let mut state = self.shared.lock();
        state.failed.get_or_insert((io::ErrorKind::BrokenPipe, "the session has ended".to_owned()));
        state.alarms.clear();
        state.hung_up = true;
        self.shared.room.notify_all();
    }

    /// A descriptor that becomes readable when nothing more can be written.
    pub(super) fn alarm(&self) -> io::Result<OwnedFd> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut state = self.shared.lock();
        if state.failed.is_none() {
            state.alarms.push(ours);
        }
        Ok(theirs.into())
    }

    /// Whether somebody waits to send data.
    #[cfg(test)]
    pub(super) fn is_crowded(&self) -> bool {
        self.shared.lock().crowd > 0
    }

    /// Bytes that have been written.
    pub(crate) fn written(&self) -> u64 {
        self.shared.lock().written
    }
}

impl Writing {
    /// Everything has been said: waits until it is written, and closes the descriptor.
    ///
    /// # Errors
    /// It could not be written.
    pub(crate) fn finish(mut self) -> Result<(), WireError> {
        self.end();
        match &self.outgoing.shared.lock().failed {
            Some((kind, text)) => Err(io::Error::new(*kind, text.clone()).into()),
            None => Ok(()),
        }
    }

    fn end(&mut self) {
        self.outgoing.shared.lock().finished = true;
        self.outgoing.shared.work.notify_all();
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        // What nobody will read any more is not waited for.
        if self.thread.is_some() {
            let mut state = self.outgoing.shared.lock();
            state.frames.clear();
            state.failed.get_or_insert((io::ErrorKind::BrokenPipe, "the session has ended".to_owned()));
            drop(state);
            self.outgoing.shared.room.notify_all();
            self.outgoing.shared.lock().finished = true;
            self.outgoing.shared.work.notify_all();
            // The thread may be in a write that nobody takes: it ends with the process, or when the other side does.
            self.thread = None;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the thread that writes, if it sleeps.
    fn call(&self, state: &mut State) {
        if std::mem::take(&mut state.idle) {
            self.work.notify_one();
        }
    }

    /// So many bytes are on their way.
    fn wrote(&self, bytes: usize) {
        let mut state = self.lock();
        state.waiting -= bytes;
        state.written += bytes as u64;
        if state.crowd > 0 && state.waiting <= WAITING - PART {
            self.room.notify_all();
        }
    }
}

impl State {
    /// Adds a frame, or bytes as they are.
    fn add(&mut self, tag: Option<Tag>, payload: &[u8]) {
        let before = self.frames.len();
        if let Some(tag) = tag {
            // Frames that we write are far shorter than 16 MiB.
            let [a, b, c, _] = (payload.len() as u32).to_le_bytes();
            self.frames.extend_from_slice(&[a, b, c, BASE + tag.code()]);
        }
        self.frames.extend_from_slice(payload);
        self.waiting += self.frames.len() - before;
    }
}

/// The thread that writes.
fn write_frames(shared: &Shared, fd: &OwnedFd, keep_alive: Option<Duration>, rate: Option<&Rate>) {
    let mut last = Instant::now();
    // Changes places with what is to be written.
    let mut frames = Vec::new();
    let mut state = shared.lock();
    loop {
        if state.frames.is_empty() {
            if state.finished {
                return;
            }
            state.idle = true;
            state = match keep_alive {
                None => shared.work.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(every) => {
                    let left = every.saturating_sub(last.elapsed());
                    let (mut state, _) = shared.work.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
                    if state.frames.is_empty() && state.multiplexed && last.elapsed() >= every {
                        state.add(Some(Tag::Data), &[]);
                    }
                    state
                }
            };
            continue;
        }
        std::mem::swap(&mut frames, &mut state.frames);
        drop(state);
        let result = frames.chunks(rate.map_or(PART, |rate| rate.step().min(PART))).try_for_each(|piece| {
            if let Some(rate) = rate {
                // What is broken off need not be waited for.
                rate.wait(piece.len(), || shared.lock().failed.is_some()).map_err(|_| io::ErrorKind::BrokenPipe)?;
            }
            write_all(fd, piece)?;
            shared.wrote(piece.len());
            Ok::<_, io::Error>(())
        });
        last = Instant::now();
        state = shared.lock();
        frames.clear();
        if let Err(error) = result {
            state.failed.get_or_insert((error.kind(), error.to_string()));
            state.frames.clear();
            state.alarms.clear();
            state.finished = true;
            shared.room.notify_all();
        }
    }
}

fn write_all(fd: &OwnedFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(fd, bytes) {
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => drop(ready(&mut [PollFd::new(fd, PollFlags::OUT)], None)?),
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}
