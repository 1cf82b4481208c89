//! `Feed`: the input is read on a thread of its own, ahead of the array by a few blocks.
//!
//! Appending may take a moment; the pipe in which frames arrive must not fill up meanwhile. The blocks go round: the
//! reader waits when all of them are filled, so what is ahead is bounded. What was read before a signal is appended.
//!
//! The thread is not joined: it may sit in a read that never returns. It ends with the process.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use forebay_zarr::input::{Block, Input, InputError};

/// Blocks on their way, one of them being filled and one being appended.
const BLOCKS: usize = 3;

/// What standard input is called.
pub(crate) const STDIN: &str = "standard input";

/// Bytes that the pipe is to hold: the most that a user without privileges may ask for.
#[cfg(target_os = "linux")]
const PIPE: usize = 1 << 20;

/// About how many bytes they take, unless a page is larger.
pub(crate) fn memory() -> usize {
    BLOCKS * Block::USUAL
}

/// What happens next.
#[derive(Debug)]
pub(crate) enum Event {
    /// Bytes of frames; to be [given back](Feed::give_back).
    Block(Block),
    /// There is nothing more, or nothing more that can be read.
    End(Result<(), InputError>),
    /// This signal has come.
    Signal(i32),
    /// Nothing, for as long as was asked.
    Nothing,
    /// The reader has gone. Without an [end](Event::End) before, it has panicked, and said so.
    Gone,
}

/// Whoever waits for events is told when the reader goes, however it goes.
struct Reader(Sender<Event>);

impl Drop for Reader {
    fn drop(&mut self) {
        // Nobody waits any more.
        let _ = self.0.send(Event::Gone);
    }
}

/// Blocks of the input, and signals.
#[derive(Debug)]
pub(crate) struct Feed {
    events: Receiver<Event>,
    empty: Sender<Block>,
}

impl Feed {
    /// Starts to read `input`. `events` is the receiver of what `sender` sends, and signals may come through it too.
    ///
    /// # Errors
    /// If there is no thread.
    pub(crate) fn start(mut input: Input, sender: Sender<Event>, events: Receiver<Event>) -> io::Result<Self> {
        let (empty, blocks) = mpsc::channel::<Block>();
        let reader = Reader(sender);
        thread::Builder::new().name("record-read".into()).spawn(move || {
            let Reader(sender) = &reader;
            for mut block in blocks {
                let (event, more) = match input.next_block(&mut block) {
                    Ok(true) => (Event::Block(block), true),
                    Ok(false) => (Event::End(Ok(())), false),
                    Err(error) => (Event::End(Err(error)), false),
                };
                if sender.send(event).is_err() || !more {
                    return;
                }
            }
        })?;
        let feed = Feed { events, empty };
        (0..BLOCKS).for_each(|_| feed.give_back(Block::default()));
        Ok(feed)
    }

    /// Waits for what happens next, but not longer than until `deadline`.
    pub(crate) fn next(&self, deadline: Option<Instant>) -> Event {
        let event = match deadline {
            None => self.events.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(deadline) => self.events.recv_timeout(deadline.saturating_duration_since(Instant::now())),
        };
        match event {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout) => Event::Nothing,
            Err(RecvTimeoutError::Disconnected) => Event::Gone,
        }
    }

    /// Lets the reader fill the block again.
    pub(crate) fn give_back(&self, block: Block) {
        // A reader that has come to its end takes none.
        let _ = self.empty.send(block);
    }
}

/// Standard input, with as much room in its pipe as we may have.
///
/// # Errors
/// If somebody would have to type the frames, or the descriptor cannot be duplicated.
pub(crate) fn standard_input() -> io::Result<File> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return Err(io::Error::other("it is a terminal; frames come through a pipe, or from files with --from"));
    }
    let file = File::from(stdin.as_fd().try_clone_to_owned()?);
    // No pipe, or not allowed: it works as it is.
    #[cfg(target_os = "linux")]
    let _ = rustix::pipe::fcntl_setpipe_size(&file, PIPE);
    Ok(file)
}

/// How long the input is watched before its rate is taken for what it is.
pub(crate) const FIRST: Duration = Duration::from_secs(3);
