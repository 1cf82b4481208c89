//! `Outgoing`: frames that go, and the thread that writes them.
//!
//! Who has much to send writes it himself, where nobody else is writing and that can be done without being held up in it
//! ([`Direct`]): what was just read is still in his processor's cache, and handing it to another one costs more than writing it.

use std::io;
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use super::direct::{Direct, Left};
use super::pipe::{ready, widen};
use super::pulse::Pulse;
use super::tag::{BASE, Tag};
use crate::content::rate::Rate;
use crate::wire::error::WireError;

/// Bytes of data in a frame that we write.
pub(super) const FRAME: usize = 32 << 10;

/// Bytes before those of a frame.
const HEADER: usize = 4;

/// Bytes of data that may wait to be written.
const WAITING: usize = 256 << 10;

/// Bytes that are written at a time; whoever waits for room is woken when there is so much of it.
const PART: usize = WAITING / 2;

/// Data of so many bytes is written by whoever sends it; a frame of it has less than twice as many.
const MUCH: usize = FRAME;

/// Why nothing more can be sent.
#[derive(Clone, Copy, Debug)]
enum Failed {
    /// It is not to be.
    Ended,
    /// It could not be written.
    Write(Errno),
    /// Nobody has taken it, and nothing has come, for so many seconds.
    Still(u64),
}

/// The writing side of a connection. Clones write to the same.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    pulse: Arc<Pulse>,
    /// Something is to be written, or everything has been said.
    work: Condvar,
    /// Something has been written, or writing has failed.
    room: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Whole frames, one behind the other.
    frames: Vec<u8>,
    /// Where the last of them begins, if it is one of data: more data may go into it.
    open: Option<usize>,
    /// Bytes in them, and in what is being written.
    waiting: usize,
    /// The thread that writes waits for some, and has not been called.
    idle: bool,
    /// Somebody is writing: the thread, or who has much to send.
    writing: bool,
    /// For who has much to send, as long as that can be done.
    direct: Option<Arc<Direct>>,
    /// When something was written last.
    last: Option<Instant>,
    /// The thread that writes has ended.
    over: bool,
    /// Threads that wait for room, or to write.
    crowd: usize,
    written: u64,
    /// Bytes before the first frame, which do not count.
    before: u64,
    /// Frames have a header from now on.
    multiplexed: bool,
    finished: bool,
    /// What waits is still written, whoever aborts.
    hung_up: bool,
    failed: Option<Failed>,
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
    /// Writes to `fd`, at most `rate` bytes a second. With a `timeout`, nothing may stand still for so long, and an empty frame
    /// goes whenever nothing was written for half of it.
    ///
    /// # Errors
    /// No thread could be started.
    pub(crate) fn start(
        fd: OwnedFd,
        timeout: Option<Duration>,
        rate: Option<NonZeroU64>,
    ) -> io::Result<(Self, Writing)> {
        widen(&fd);
        let keep_alive = timeout.map(|timeout| timeout / 2);
        let (pulse, state) = (Arc::new(Pulse::new(timeout)), Mutex::default());
        let (work, room) = (Condvar::new(), Condvar::new());
        let outgoing = Outgoing { shared: Arc::new(Shared { state, pulse, work, room }) };
        let direct = Arc::new(Direct::new(fd, outgoing.alarm()?, outgoing.pulse()));
        if rate.is_none() && direct.is_possible() {
            outgoing.shared.lock().direct = Some(Arc::clone(&direct));
        }
        let shared = Arc::clone(&outgoing.shared);
        let thread = std::thread::Builder::new().name("wire-write".to_owned());
        let thread = thread.spawn(move || {
            write_frames(&shared, direct.fd(), keep_alive, rate.map(Rate::new).as_ref());
            // The descriptor is closed.
            let mut state = shared.lock();
            (state.direct, state.over) = (None, true);
            shared.room.notify_all();
        })?;
        let writing = Writing { outgoing: outgoing.clone(), thread: Some(thread) };
        Ok((outgoing, writing))
    }

    /// From now on, everything is in frames.
    pub(crate) fn multiplex(&self) {
        let mut state = self.shared.lock();
        state.multiplexed = true;
        state.before = state.written + state.waiting as u64;
    }

    /// Sends data. Waits while much is not written yet.
    ///
    /// # Errors
    /// An earlier write has failed.
    pub(crate) fn send(&self, data: &[u8]) -> Result<(), WireError> {
        self.send_behind(&[], data)
    }

    /// As [`send`](Outgoing::send), with a few bytes before it that go along.
    ///
    /// # Errors
    /// As [`send`](Outgoing::send).
    pub(crate) fn send_behind(&self, head: &[u8], mut data: &[u8]) -> Result<(), WireError> {
        let mut state = self.shared.lock();
        if !head.is_empty() {
            state = self.shared.wait_for_room(state)?;
            let multiplexed = state.multiplexed;
            state.add(multiplexed.then_some(Tag::Data), head);
        }
        while !data.is_empty() {
            let direct = state.direct.clone().filter(|_| state.multiplexed && data.len() >= MUCH);
            if let Some(direct) = direct {
                let (piece, rest) = data.split_at(if data.len() < 2 * MUCH { data.len() } else { MUCH });
                let gone;
                (state, gone) = self.shared.write(state, &direct, piece)?;
                data = if gone { rest } else { data };
            } else {
                state = self.shared.wait_for_room(state)?;
                let (piece, rest) = data.split_at(data.len().min(FRAME));
                let multiplexed = state.multiplexed;
                state.add(multiplexed.then_some(Tag::Data), piece);
                self.shared.call(&mut state);
                data = rest;
            }
        }
        self.shared.call(&mut state);
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
        state.failed.get_or_insert(Failed::Ended);
        state.drop_frames();
        state.alarms.clear();
        state.finished = true;
        self.shared.room.notify_all();
        self.shared.work.notify_all();
    }

    /// Nothing more is sent but what waits, and messages behind that: whoever waits to send something else fails, and so does
    /// whoever waits for the other side.
    pub(crate) fn hang_up(&self) {
        let mut state = self.shared.lock();
        state.failed.get_or_insert(Failed::Ended);
        state.alarms.clear();
        state.hung_up = true;
        self.shared.room.notify_all();
    }

    /// From now on, what is written is a sign of life, too.
    pub(crate) fn both_ways(&self) {
        self.shared.pulse.both_ways();
    }

    pub(super) fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.shared.pulse)
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
        let state = self.shared.lock();
        state.crowd > 0 || state.writing
    }

    /// Whether something could not be sent, and why.
    ///
    /// # Errors
    /// That.
    pub(crate) fn check(&self) -> Result<(), WireError> {
        self.shared.lock().check()
    }

    /// Bytes that have been written in frames.
    pub(crate) fn written(&self) -> u64 {
        let state = self.shared.lock();
        state.written.saturating_sub(state.before)
    }
}

impl Writing {
    /// Everything has been said: waits until it is written, and closes the descriptor.
    ///
    /// # Errors
    /// It could not be written.
    pub(crate) fn finish(mut self) -> Result<(), WireError> {
        self.end();
        self.outgoing.shared.lock().check()
    }

    /// As [`finish`](Writing::finish), but does not wait longer than `most` for who may not read what has been said.
    pub(crate) fn finish_within(mut self, most: Duration) {
        let shared = &self.outgoing.shared;
        let mut state = shared.lock();
        state.finished = true;
        shared.work.notify_all();
        let _ended = shared.room.wait_timeout_while(state, most, |state| !state.over);
        self.thread = None;
    }

    /// Nothing more is said. What waits is still written if somebody takes it, and nobody waits for that.
    pub(crate) fn let_go(mut self) {
        self.outgoing.shared.lock().finished = true;
        self.outgoing.shared.work.notify_all();
        self.thread = None;
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
            state.drop_frames();
            state.failed.get_or_insert(Failed::Ended);
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

    /// Wakes the thread that writes, if it sleeps and there is something for it.
    fn call(&self, state: &mut State) {
        if state.has_work() && std::mem::take(&mut state.idle) {
            self.work.notify_one();
        }
    }

    /// Waits until there is room, or somebody else does not write any more, but not longer than everything may stand still
    /// `since` then.
    fn wait<'s>(&'s self, mut state: MutexGuard<'s, State>, since: Instant) -> MutexGuard<'s, State> {
        state.crowd += 1;
        state = match self.pulse.left_to_go(since) {
            Ok(None) => self.room.wait(state).unwrap_or_else(PoisonError::into_inner),
            Ok(Some(left)) => self.room.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            Err(error) => {
                if let WireError::Timeout(seconds) = error {
                    state.fail(Failed::Still(seconds));
                    self.room.notify_all();
                }
                state
            }
        };
        state.crowd -= 1;
        state
    }

    fn wait_for_room<'s>(&'s self, mut state: MutexGuard<'s, State>) -> Result<MutexGuard<'s, State>, WireError> {
        let since = Instant::now();
        while state.waiting >= WAITING && state.failed.is_none() {
            state = self.wait(state, since);
        }
        state.check()?;
        Ok(state)
    }

    /// Writes a frame of data, and what waits before it, as soon as nobody else writes. `false` if that cannot be done here:
    /// nothing was written then.
    fn write<'s>(
        &'s self,
        mut state: MutexGuard<'s, State>,
        direct: &Direct,
        data: &[u8],
    ) -> Result<(MutexGuard<'s, State>, bool), WireError> {
        let since = Instant::now();
        while state.writing && state.failed.is_none() {
            self.call(&mut state);
            state = self.wait(state, since);
        }
        state.check()?;
        state.writing = true;
        let before = state.take_frames();
        drop(state);
        let header = header(Tag::Data, data.len());
        let written = direct.write([&before, &header, data]);
        let mut state = self.lock();
        state.writing = false;
        state.last = Some(Instant::now());
        self.pulse.went();
        let done = written.as_ref().map_or_else(|left| left.done, |()| before.len() + HEADER + data.len());
        state.waiting -= before.len();
        state.written += done as u64;
        let begun = done > before.len();
        let gone = match written {
            Ok(()) => true,
            Err(Left { done: 0, errno: Some(Errno::OPNOTSUPP) }) => {
                state.direct = None;
                state.put_back(&before);
                false
            }
            Err(Left { errno: Some(errno), .. }) => {
                state.fail(match (errno, self.pulse.timeout()) {
                    (Errno::TIMEDOUT, Some(timeout)) => Failed::Still(timeout.as_secs()),
                    _ => Failed::Write(errno),
                });
                true
            }
            // What is broken off is still written to the end of the frame, if anything is.
            Err(Left { errno: None, .. }) if state.hung_up => {
                let all = [&before, &header[..], data].concat();
                let end = if begun { all.len() } else { before.len() };
                state.put_back(all.get(done..end).unwrap_or_default());
                true
            }
            Err(Left { errno: None, .. }) => true,
        };
        self.call(&mut state);
        if state.crowd > 0 {
            self.room.notify_all();
        }
        state.check()?;
        Ok((state, gone))
    }

    /// So many bytes are on their way.
    fn wrote(&self, bytes: usize) {
        self.pulse.went();
        if self.lock().wrote(bytes) {
            self.room.notify_all();
        }
    }
}

impl State {
    /// So many bytes have been written. Whether there is enough room for whoever waits for it to be woken.
    fn wrote(&mut self, bytes: usize) -> bool {
        self.waiting -= bytes;
        self.written += bytes as u64;
        self.crowd > 0 && self.waiting <= WAITING - PART
    }

    /// Whether the thread that writes has something to do.
    fn has_work(&self) -> bool {
        !self.writing && (self.finished || !self.frames.is_empty())
    }

    /// Whether nothing more can be sent.
    fn check(&self) -> Result<(), WireError> {
        match self.failed {
            None => Ok(()),
            Some(Failed::Ended) => Err(WireError::Ended),
            Some(Failed::Write(errno)) => Err(WireError::Write(errno)),
            Some(Failed::Still(seconds)) => Err(WireError::Timeout(seconds)),
        }
    }

    /// Writing has failed.
    fn fail(&mut self, why: Failed) {
        self.failed.get_or_insert(why);
        self.drop_frames();
        self.alarms.clear();
        self.finished = true;
    }

    /// The frames that wait, to be written.
    fn take_frames(&mut self) -> Vec<u8> {
        self.open = None;
        std::mem::take(&mut self.frames)
    }

    /// Puts what was not written before what waits.
    fn put_back(&mut self, bytes: &[u8]) {
        self.waiting += bytes.len();
        self.frames.splice(..0, bytes.iter().copied());
        self.open = None;
    }

    /// What waits is not written any more.
    fn drop_frames(&mut self) {
        self.frames.clear();
        self.open = None;
    }

    /// Adds a frame, or bytes as they are. Data goes into the frame before it, if that is one of data and has room.
    fn add(&mut self, tag: Option<Tag>, payload: &[u8]) {
        let end = self.frames.len();
        let data = tag == Some(Tag::Data);
        let open = self.open.filter(|at| data && !payload.is_empty() && end - at - HEADER + payload.len() <= FRAME);
        if let Some(tag) = tag {
            let at = open.unwrap_or(end);
            self.frames.resize(end.max(at + HEADER), 0);
            self.frames.extend_from_slice(payload);
            let len = self.frames.len() - at - HEADER;
            if let Some(own) = self.frames.get_mut(at..at + HEADER) {
                own.copy_from_slice(&header(tag, len));
            }
            self.open = data.then_some(at);
        } else {
            self.frames.extend_from_slice(payload);
            self.open = None;
        }
        self.waiting += self.frames.len() - end;
    }
}

/// What stands before so many bytes; frames that we write are far shorter than 16 MiB.
fn header(tag: Tag, len: usize) -> [u8; HEADER] {
    let [a, b, c, _] = (len as u32).to_le_bytes();
    [a, b, c, BASE + tag.code()]
}

/// The thread that writes.
fn write_frames(shared: &Shared, fd: &OwnedFd, keep_alive: Option<Duration>, rate: Option<&Rate>) {
    // Changes places with what is to be written.
    let mut frames = Vec::new();
    let mut state = shared.lock();
    state.last = Some(Instant::now());
    loop {
        if !state.has_work() {
            state.idle = true;
            state = match keep_alive {
                None => shared.work.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(every) => {
                    let quiet = |state: &State| state.last.map_or(Duration::ZERO, |last| last.elapsed());
                    let left = if state.writing { every } else { every.saturating_sub(quiet(&state)) };
                    let (mut state, _) = shared.work.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
                    let silent = !state.writing && state.frames.is_empty() && quiet(&state) >= every;
                    if silent && state.multiplexed {
                        state.add(Some(Tag::Data), &[]);
                    }
                    state
                }
            };
            continue;
        }
        if state.frames.is_empty() {
            return;
        }
        std::mem::swap(&mut frames, &mut state.frames);
        state.open = None;
        state.writing = true;
        drop(state);
        let result = frames.chunks(rate.map_or(PART, |rate| rate.step().min(PART))).try_for_each(|piece| {
            if let Some(rate) = rate {
                // What is broken off need not be waited for, and what waits of who has hung up goes at once.
                let waited = rate.wait(piece.len(), || shared.lock().failed.is_some());
                waited.or_else(|_| if shared.lock().hung_up { Ok(()) } else { Err(io::ErrorKind::BrokenPipe) })?;
            }
            write_all(fd, piece)?;
            shared.wrote(piece.len());
            Ok::<_, io::Error>(())
        });
        state = shared.lock();
        state.writing = false;
        state.last = Some(Instant::now());
        frames.clear();
        if let Err(error) = result {
            state.fail(Failed::Write(Errno::from_io_error(&error).unwrap_or(Errno::PIPE)));
        }
        if state.crowd > 0 {
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

#[cfg(test)]
mod tests;
