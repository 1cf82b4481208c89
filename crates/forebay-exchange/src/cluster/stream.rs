//! `DataStream`: a data connection as timely's threads use it.
//!
//! Timely takes every failure of a connection for a reason to panic: the text goes to the program's users, and the queues
//! to the workers are poisoned, so that one of them panics while it unwinds, which aborts the process. So timely never
//! gets to see a failure. When a connection breaks, or the run ends for another reason, the thread that reads or writes stays here
//! until the workers have left, and then unwinds without a word (`resume_unwind` calls no panic hook). Nor does timely
//! get to say that it ended well once the run has failed: that would be taken for the truth.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::panic::resume_unwind;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use timely::communication::allocator::zero_copy::stream::Stream;

use super::error::Cause;
use super::membership::Membership;
use super::walk::Walk;
use crate::error::ExchangeError;

/// Whether the workers of this process have left: nobody reads what timely's threads would pass on.
#[derive(Default)]
pub(crate) struct Gone {
    gone: Mutex<bool>,
    changed: Condvar,
}

impl Gone {
    pub(crate) fn set(&self) {
        *self.gone.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    fn wait(&self) {
        let gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_while(gone, |gone| !*gone));
    }
}

/// A handle of the data connection to one peer.
pub(crate) struct DataStream {
    stream: TcpStream,
    process: usize,
    membership: Arc<Membership>,
    gone: Arc<Gone>,
    walk: Walk,
}

/// What a thread unwinds with that leaves because the run has failed.
struct Left;

impl DataStream {
    pub(crate) fn new(
        stream: TcpStream,
        process: usize,
        membership: &Arc<Membership>,
        gone: &Arc<Gone>,
        walk: Walk,
    ) -> DataStream {
        membership.hold();
        DataStream { stream, process, membership: Arc::clone(membership), gone: Arc::clone(gone), walk }
    }

    /// The connection is of no use any more, for `cause` unless somebody knows better.
    fn leave(&self, cause: Cause) -> ! {
        self.membership.suspect(self.process, cause);
        self.gone.wait();
        resume_unwind(Box::new(Left));
    }

    /// Does `operation` as often as it is interrupted.
    fn attempt<T>(&self, mut operation: impl FnMut(&TcpStream) -> io::Result<T>) -> io::Result<T> {
        if thread::panicking() {
            // A buffer in front of this stream is flushed while its thread unwinds.
            return Err(ErrorKind::BrokenPipe.into());
        }
        if self.membership.story().is_some() {
            self.leave(Cause::Closed);
        }
        loop {
            match operation(&self.stream) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => self.leave(Cause::Broken(error.to_string())),
                done => return done,
            }
        }
    }
}

impl Read for DataStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.attempt(|mut stream| stream.read(buffer))?;
        if read == 0 && !self.walk.is_over() {
            self.leave(Cause::Closed);
        }
        if let Err(problem) = self.walk.pass(&buffer[..read]) {
            self.membership.lost(self.process, Cause::Garbled(problem));
            self.leave(Cause::Closed);
        }
        Ok(read)
    }
}

impl Write for DataStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.attempt(|mut stream| stream.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for DataStream {
    fn try_clone(&self) -> io::Result<Self> {
        let stream = self.stream.try_clone()?;
        Ok(DataStream::new(stream, self.process, &self.membership, &self.gone, self.walk.again()))
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        self.stream.set_nonblocking(nonblocking)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.attempt(|stream| match stream.shutdown(how) {
            // The peer has closed its side already, after it had received everything.
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(()),
            done => done,
        })
    }
}

impl Drop for DataStream {
    fn drop(&mut self) {
        if thread::panicking() {
            // Nothing happens if it was this stream that made its thread leave: then the story is known.
            let message = format!("in the thread of the connection to process {}", self.process);
            self.membership.end(ExchangeError::Panicked { message });
        }
        self.membership.release();
    }
}
