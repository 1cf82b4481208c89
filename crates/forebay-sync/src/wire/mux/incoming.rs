//! `Incoming`: the bytes that come.

use std::io::{self, BufRead, Read};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;

use super::outgoing::Outgoing;
use super::pipe::{READ, ready, widen};
use super::pulse::Pulse;
use crate::wire::error::WireError;

/// Reads a descriptor that may or may not block, with a limit on how long nothing may come.
#[derive(Debug)]
pub(crate) struct Incoming {
    fd: Arc<OwnedFd>,
    buffer: Box<[u8]>,
    at: usize,
    end: usize,
    timeout: Option<Duration>,
    /// Becomes readable when nothing more can be written: then nothing more is waited for.
    alarm: Option<OwnedFd>,
    /// Of the connection, once what is written is known.
    pulse: Option<Arc<Pulse>>,
    /// Bytes that have come, once they count.
    bytes: Arc<AtomicU64>,
    counts: bool,
}

impl Incoming {
    pub(crate) fn new(fd: OwnedFd, timeout: Option<Duration>) -> Self {
        widen(&fd);
        Incoming {
            fd: Arc::new(fd),
            buffer: vec![0; READ].into(),
            at: 0,
            end: 0,
            timeout,
            alarm: None,
            pulse: None,
            bytes: Arc::default(),
            counts: false,
        }
    }

    /// Fails when `outgoing` has: the other side may be waiting for what could not be written.
    ///
    /// # Errors
    /// There is no descriptor left.
    pub(crate) fn watch(&mut self, outgoing: &Outgoing) -> io::Result<()> {
        self.alarm = Some(outgoing.alarm()?);
        let pulse = outgoing.pulse();
        pulse.hears(&self.fd);
        self.pulse = Some(pulse);
        Ok(())
    }

    /// From now on it ends when nothing comes for so long, whatever has become of what is written.
    pub(super) fn ends_after(&mut self, most: Duration) {
        self.timeout = Some(self.timeout.map_or(most, |timeout| timeout.min(most)));
        (self.alarm, self.pulse) = (None, None);
    }

    /// Counts the bytes that have come in frames.
    pub(crate) fn count(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.bytes)
    }

    /// From now on, everything is in frames: what has been taken does not count.
    pub(crate) fn multiplexed(&mut self) {
        self.counts = true;
        self.bytes.store(self.at_hand() as u64, Ordering::Relaxed);
    }

    fn fill(&mut self) -> io::Result<usize> {
        (self.at, self.end) = (0, 0);
        loop {
            if self.timeout.is_some() || self.alarm.is_some() {
                self.wait()?;
            }
            match rustix::io::read(&*self.fd, &mut *self.buffer) {
                Ok(n) => {
                    self.end = n;
                    self.pulse.iter().for_each(|pulse| pulse.came());
                    self.bytes.fetch_add(if self.counts { n as u64 } else { 0 }, Ordering::Relaxed);
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
        let own = PollFd::new(&*self.fd, PollFlags::IN);
        match (&self.alarm, &self.pulse) {
            (Some(alarm), Some(pulse)) => {
                let mut both = [own, PollFd::new(alarm, PollFlags::IN)];
                let since = Instant::now();
                while !ready(&mut both, pulse.left_to_come(since)?)? {}
                let [own, alarm] = both;
                match own.revents().is_empty() && !alarm.revents().is_empty() {
                    true => Err(WireError::Ended.into()),
                    false => Ok(()),
                }
            }
            _ => match ready(&mut [own], self.timeout)? {
                true => Ok(()),
                false => Err(WireError::Timeout(self.timeout.map_or(0, |timeout| timeout.as_secs())).into()),
            },
        }
    }
}

/// A stream that reads ahead.
pub(crate) trait ReadAhead: BufRead {
    /// Bytes that can be read without waiting for anybody; there may be more.
    fn at_hand(&self) -> usize;
}

impl<R: ReadAhead + ?Sized> ReadAhead for &mut R {
    fn at_hand(&self) -> usize {
        (**self).at_hand()
    }
}

impl ReadAhead for Incoming {
    fn at_hand(&self) -> usize {
        self.end - self.at
    }
}

impl Read for Incoming {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(into)?;
        self.consume(n);
        Ok(n)
    }
}

impl BufRead for Incoming {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.end {
            self.fill()?;
        }
        Ok(self.buffer.get(self.at..self.end).unwrap_or_default())
    }

    fn consume(&mut self, n: usize) {
        self.at = self.end.min(self.at + n);
    }
}
