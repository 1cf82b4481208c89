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

/// Bytes before those of a frame.
const HEADER: usize = 4;

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
    /// Where the last of them begins, if it is one of data: more data may go into it.
    open: Option<usize>,
    /// Bytes in them, and in what is being written.
    waiting: usize,
    /// The thread that writes waits for some, and has not been called.
    idle: bool,
    /// Threads that wait for room.
    crowd: usize,
    written: u64,
    /// Bytes before the first frame, which do not count.
    before: u64,
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
        let mut state = self.shared.lock();
        state.multiplexed = true;
        state.before = state.written + state.waiting as u64;
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
        match &self.outgoing.shared.lock().failed {
            Some((kind, text)) => Err(io::Error::new(*kind, text.clone()).into()),
            None => Ok(()),
        }
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
            // Frames that we write are far shorter than 16 MiB.
            let [a, b, c, _] = ((self.frames.len() - at - HEADER) as u32).to_le_bytes();
            if let Some(header) = self.frames.get_mut(at..at + HEADER) {
                header.copy_from_slice(&[a, b, c, BASE + tag.code()]);
            }
            self.open = data.then_some(at);
        } else {
            self.frames.extend_from_slice(payload);
            self.open = None;
        }
        self.waiting += self.frames.len() - end;
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
        state.open = None;
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
            state.drop_frames();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_room_is_woken_when_half_of_it_is_free() {
        let mut state = State { waiting: WAITING + FRAME, crowd: 1, ..State::default() };
        let woken: Vec<bool> = (0..WAITING / FRAME + 1).map(|_| state.wrote(FRAME)).collect();
        let (asleep, awake) = woken.split_at(PART / FRAME);
        assert!(!asleep.contains(&true) && !awake.contains(&false), "{woken:?}");
        assert_eq!((state.waiting, state.written), (0, (WAITING + FRAME) as u64));
        let mut state = State { waiting: WAITING, ..State::default() };
        assert!(!state.wrote(WAITING), "nobody waits");
    }

    #[test]
    fn data_goes_into_the_frame_before_it() {
        let lens = |state: &State| {
            let (mut lens, mut rest) = (Vec::new(), &state.frames[..]);
            while let Some(([a, b, c, tag], behind)) = rest.split_first_chunk() {
                let len = u32::from_le_bytes([*a, *b, *c, 0]) as usize;
                lens.push((*tag - BASE, len));
                rest = &behind[len..];
            }
            lens
        };
        let mut state = State::default();
        state.add(None, b"bare");
        assert_eq!((&std::mem::take(&mut state.frames)[..], state.waiting), (&b"bare"[..], 4));
        let data = Some(Tag::Data);
        for (tag, len) in
            [(data, 3), (data, FRAME - 3), (data, 1), (data, FRAME), (Some(Tag::Info), 2), (data, 5), (data, 6)]
        {
            state.add(tag, &vec![7; len]);
        }
        let expected = [(0, FRAME), (0, 1), (0, FRAME), (Tag::Info.code(), 2), (0, 11)];
        assert_eq!(lens(&state), expected);
        assert_eq!(state.waiting, 4 + state.frames.len());
        // What keeps alive is a frame of its own.
        state.add(data, b"");
        assert_eq!(lens(&state).last(), Some(&(0, 0)));
        state.drop_frames();
        state.add(data, b"later");
        assert_eq!(lens(&state), [(0, 5)]);
    }
}
