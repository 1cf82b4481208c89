//! The multiplexed stream: section 4 of the protocol. Data and messages share one direction of the connection, in frames.
//!
//! Writing has a thread of its own. Whoever sends data waits while much of it is not written yet; whoever sends a message
//! never waits. So a thread that reads can say something without ever depending on what the other side reads.

use std::io::{self, Read};
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::error::WireError;
use super::limits;
use crate::content::rate::Rate;

/// What a frame is: section 13.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    Data,
    /// Text for standard error; something was not transferred.
    ErrorXfer,
    /// Text for standard output.
    Info,
    /// Text for standard error.
    Error,
    Warning,
    IoError,
    IoTimeout,
    Noop,
    ErrorExit,
    Success,
    Deleted,
    NoSend,
}

const TAGS: [(Tag, u8); 12] = [
    (Tag::Data, 0),
    (Tag::ErrorXfer, 1),
    (Tag::Info, 2),
    (Tag::Error, 3),
    (Tag::Warning, 4),
    (Tag::IoError, 22),
    (Tag::IoTimeout, 33),
    (Tag::Noop, 42),
    (Tag::ErrorExit, 86),
    (Tag::Success, 100),
    (Tag::Deleted, 101),
    (Tag::NoSend, 102),
];

impl Tag {
    fn code(self) -> u8 {
        TAGS.iter().find(|(tag, _)| *tag == self).map_or(0, |(_, code)| *code)
    }

    fn of(code: u8) -> Option<Self> {
        TAGS.iter().find(|(_, known)| *known == code).map(|(tag, _)| *tag)
    }
}

/// What is added to the code of a tag in a frame's header.
const BASE: u8 = 7;

/// Bytes of data in a frame that we write.
const FRAME: usize = 32 << 10;

/// Bytes that are read at a time, and that a pipe holds: with the 64 KiB that it is made with, both ends wait for each other
/// four times as often.
const READ: usize = 256 << 10;

/// Bytes of data that may wait to be written.
const WAITING: usize = 256 << 10;

/// Reads a descriptor that may or may not block, with a limit on how long nothing may come.
#[derive(Debug)]
pub(crate) struct Incoming {
    fd: OwnedFd,
    buffer: Box<[u8]>,
    at: usize,
    end: usize,
    timeout: Option<Duration>,
    /// Becomes readable when nothing more can be written: then nothing more is waited for.
    alarm: Option<OwnedFd>,
    bytes: Arc<AtomicU64>,
}

impl Incoming {
    pub(crate) fn new(fd: OwnedFd, timeout: Option<Duration>) -> Self {
        widen(&fd);
        Incoming { fd, buffer: vec![0; READ].into(), at: 0, end: 0, timeout, alarm: None, bytes: Arc::default() }
    }

    /// Fails when `outgoing` has: the other side may be waiting for what could not be written.
    ///
    /// # Errors
    /// There is no descriptor left.
    pub(crate) fn watch(&mut self, outgoing: &Outgoing) -> io::Result<()> {
        self.alarm = Some(outgoing.alarm()?);
        Ok(())
    }

    /// Counts the bytes that have come.
    pub(crate) fn count(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.bytes)
    }

    fn fill(&mut self) -> io::Result<usize> {
        (self.at, self.end) = (0, 0);
        loop {
            if self.timeout.is_some() || self.alarm.is_some() {
                self.wait()?;
            }
            match rustix::io::read(&self.fd, &mut *self.buffer) {
                Ok(n) => {
                    self.end = n;
                    self.bytes.fetch_add(n as u64, Ordering::Relaxed);
                    return Ok(n);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.wait()?,
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Waits until something has come, for as long as the time-out says, or until nothing more can be written.
    fn wait(&self) -> io::Result<()> {
        let own = PollFd::new(&self.fd, PollFlags::IN);
        let ready = match &self.alarm {
            Some(alarm) => {
                let mut both = [own, PollFd::new(alarm, PollFlags::IN)];
                let ready = ready(&mut both, self.timeout)?;
                let [own, alarm] = both;
                if own.revents().is_empty() && !alarm.revents().is_empty() {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                ready
            }
            None => ready(&mut [own], self.timeout)?,
        };
        if ready { Ok(()) } else { Err(timed_out(self.timeout)) }
    }
}

/// A stream that reads ahead.
pub(crate) trait ReadAhead: Read {
    /// Bytes that can be read without waiting for anybody; there may be more.
    fn at_hand(&self) -> usize;
}

impl ReadAhead for Incoming {
    fn at_hand(&self) -> usize {
        self.end - self.at
    }
}

impl Read for Incoming {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.end && self.fill()? == 0 {
            return Ok(0);
        }
        let there = self.buffer.get(self.at..self.end).unwrap_or_default();
        let n = there.len().min(into.len());
        if let (Some(to), Some(from)) = (into.get_mut(..n), there.get(..n)) {
            to.copy_from_slice(from);
        }
        self.at += n;
        Ok(n)
    }
}

/// Has a pipe hold more. What is no pipe, or may not be widened, stays as it is.
fn widen(fd: &OwnedFd) {
    #[cfg(target_os = "linux")]
    let _ = rustix::pipe::fcntl_setpipe_size(fd, READ);
    #[cfg(not(target_os = "linux"))]
    let _ = fd;
}

/// Waits until one of `fds` is ready. Whether any is.
pub(crate) fn ready(fds: &mut [PollFd<'_>], timeout: Option<Duration>) -> io::Result<bool> {
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    loop {
        match poll(fds, timeout.as_ref()) {
            Ok(n) => return Ok(n > 0),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn timed_out(timeout: Option<Duration>) -> io::Error {
    WireError::Timeout(timeout.map_or(0, |timeout| timeout.as_secs())).into()
}

/// The data of a multiplexed stream; messages go to whoever wants them.
#[derive(Debug)]
pub(crate) struct MuxReader<R, M> {
    pub(crate) from: R,
    messages: M,
    /// Bytes of the current frame that are still to come.
    left: usize,
}

/// Who is told of messages. An error ends the session.
pub(crate) trait Messages {
    fn message(&mut self, tag: Tag, payload: &[u8]) -> Result<(), WireError>;
}

impl<F: FnMut(Tag, &[u8]) -> Result<(), WireError>> Messages for F {
    fn message(&mut self, tag: Tag, payload: &[u8]) -> Result<(), WireError> {
        self(tag, payload)
    }
}

impl<R: Read, M: Messages> MuxReader<R, M> {
    pub(crate) fn new(from: R, messages: M) -> Self {
        MuxReader { from, messages, left: 0 }
    }

    /// Reads frames until one has data. `false` at the end of the stream.
    fn next_frame(&mut self) -> io::Result<bool> {
        let mut header = [0; 4];
        if !read_all_or_none(&mut self.from, &mut header)? {
            return Ok(false);
        }
        let [a, b, c, code] = header;
        let len = u32::from_le_bytes([a, b, c, 0]) as usize;
        let tag = code.checked_sub(BASE).and_then(Tag::of);
        match tag {
            Some(Tag::Data) => self.left = len,
            Some(tag) if len <= limits::MESSAGE => {
                let mut payload = vec![0; len];
                self.from.read_exact(&mut payload)?;
                self.messages.message(tag, &payload)?;
            }
            Some(_) => return Err(WireError::protocol("a message that is too long", len as i64).into()),
            None => return Err(WireError::protocol("a frame of no known kind", code).into()),
        }
        Ok(true)
    }
}

fn read_all_or_none(from: &mut impl Read, into: &mut [u8]) -> io::Result<bool> {
    let mut filled = 0;
    while let Some(rest) = into.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match from.read(rest) {
            Ok(0) if filled == 0 => return Ok(false),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

impl<R: Read, M: Messages> Read for MuxReader<R, M> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 {
            if into.is_empty() || !self.next_frame()? {
                return Ok(0);
            }
        }
        let most = into.len().min(self.left);
        let n = self.from.read(into.get_mut(..most).unwrap_or_default())?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= n;
        Ok(n)
    }
}

impl<R: ReadAhead, M: Messages> ReadAhead for MuxReader<R, M> {
    fn at_hand(&self) -> usize {
        self.from.at_hand()
    }
}

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
                state = self.shared.room.wait(state).unwrap_or_else(PoisonError::into_inner);
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
    fn alarm(&self) -> io::Result<OwnedFd> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut state = self.shared.lock();
        if state.failed.is_none() {
            state.alarms.push(ours);
        }
        Ok(theirs.into())
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
        let result = match rate {
            None => write_all(fd, &frames),
            Some(rate) => frames.chunks(rate.step()).try_for_each(|piece| {
                // What is broken off need not be waited for.
                rate.wait(piece.len(), || shared.lock().failed.is_some()).map_err(|_| io::ErrorKind::BrokenPipe)?;
                write_all(fd, piece)
            }),
        };
        last = Instant::now();
        state = shared.lock();
        state.waiting = state.waiting.saturating_sub(frames.len());
        state.written += frames.len() as u64;
        frames.clear();
        if let Err(error) = result {
            state.failed.get_or_insert((error.kind(), error.to_string()));
            state.frames.clear();
            state.alarms.clear();
            state.finished = true;
        }
        shared.room.notify_all();
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
mod tests {
    use std::io::Write;

    use super::*;

    fn collect(seen: &mut Vec<(Tag, Vec<u8>)>) -> impl FnMut(Tag, &[u8]) -> Result<(), WireError> {
        |tag, payload| {
            seen.push((tag, payload.to_vec()));
            Ok(())
        }
    }

    #[test]
    fn data_and_messages_come_apart() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (outgoing, writing) = Outgoing::start(ours.into(), None, None).unwrap();
        outgoing.send(b"raw").unwrap();
        outgoing.multiplex();
        let data: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
        outgoing.send(&data[..7]).unwrap();
        outgoing.message(Tag::Info, b"hello\n");
        outgoing.send(&data[7..]).unwrap();
        writing.finish().unwrap();
        assert_eq!(outgoing.written(), 3 + 100_000 + 6 + 4 * (2 + 4));
        drop(outgoing);
        let mut from = Incoming::new(theirs.into(), None);
        let mut raw = [0; 3];
        from.read_exact(&mut raw).unwrap();
        let (mut seen, mut read) = (Vec::new(), Vec::new());
        MuxReader::new(&mut from, collect(&mut seen)).read_to_end(&mut read).unwrap();
        assert!(raw == *b"raw" && read == data);
        assert_eq!(seen, [(Tag::Info, b"hello\n".to_vec())]);
    }

    #[test]
    fn whoever_sends_waits_for_the_reader_and_whoever_says_something_does_not() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        // As the standard output of a remote shell may be.
        ours.set_nonblocking(true).unwrap();
        let (outgoing, writing) = Outgoing::start(ours.into(), None, None).unwrap();
        outgoing.multiplex();
        let sender = std::thread::spawn({
            let outgoing = outgoing.clone();
            move || outgoing.send(&vec![1; 8 << 20])
        });
        while outgoing.shared.lock().waiting < WAITING {
            std::thread::yield_now();
        }
        (0..1000).for_each(|_| outgoing.message(Tag::Noop, b""));
        assert!(!sender.is_finished());
        let (mut seen, mut read) = (Vec::new(), Vec::new());
        let reader = std::thread::spawn(move || {
            MuxReader::new(Incoming::new(theirs.into(), None), collect(&mut seen)).read_to_end(&mut read).unwrap();
            (seen.len(), read)
        });
        sender.join().unwrap().unwrap();
        writing.finish().unwrap();
        drop(outgoing);
        assert_eq!(reader.join().unwrap(), (1000, vec![1; 8 << 20]));
    }

    #[test]
    fn a_reader_that_is_gone_fails_the_sender() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (outgoing, writing) = Outgoing::start(ours.into(), None, None).unwrap();
        drop(theirs);
        let result = (0..100).try_for_each(|_| outgoing.send(&[0; FRAME]));
        assert!(matches!(result, Err(WireError::Io(_))), "{result:?}");
        assert!(writing.finish().is_err());
    }

    #[test]
    fn whoever_waits_for_an_answer_is_told_that_nothing_can_be_asked() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (_quiet, silent) = UnixStream::pair().unwrap();
        let (outgoing, _writing) = Outgoing::start(ours.into(), None, None).unwrap();
        let mut from = Incoming::new(silent.into(), None);
        from.watch(&outgoing).unwrap();
        let reader = std::thread::spawn(move || from.read(&mut [0]).unwrap_err().kind());
        drop(theirs);
        outgoing.send(b"is anybody there?").unwrap();
        assert_eq!(reader.join().unwrap(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn silence_ends_by_the_time_out_and_is_prevented_by_keeping_alive() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut from = Incoming::new(theirs.try_clone().unwrap().into(), Some(Duration::from_millis(20)));
        let error = WireError::from(from.read(&mut [0]).unwrap_err());
        assert!(matches!(error, WireError::Timeout(_)), "{error:?}");
        let (outgoing, _writing) = Outgoing::start(ours.into(), Some(Duration::from_millis(1)), None).unwrap();
        outgoing.multiplex();
        outgoing.message(Tag::Noop, b"");
        let mut frames = [1; 12];
        Incoming::new(theirs.into(), None).read_exact(&mut frames).unwrap();
        assert_eq!(frames[4..], [0, 0, 0, BASE, 0, 0, 0, BASE]);
    }

    #[test]
    fn frames_of_no_known_kind_and_endless_messages_are_refused() {
        for frame in [[0, 0, 0, 6], [0, 0, 0, 7 + 99], [0xff, 0xff, 0xff, 7 + 2]] {
            let result = MuxReader::new(&frame[..], |_: Tag, _: &[u8]| Ok(())).read(&mut [0]);
            let error = WireError::from(result.unwrap_err());
            assert!(matches!(error, WireError::Protocol { .. }), "{error:?}");
        }
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        ours.write_all(&[5, 0, 0, 7, 1]).unwrap();
        drop(ours);
        let mut read = Vec::new();
        let end = MuxReader::new(Incoming::new(theirs.into(), None), |_: Tag, _: &[u8]| Ok(())).read_to_end(&mut read);
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
