//! `Direct`: writes without being held up in it, so that whoever does can be told that the session has ended.
//!
//! The descriptor may be one that blocks, and is not changed: others have it, too. So each write says for itself that it is not
//! to wait (`RWF_NOWAIT`, for pipes and sockets since Linux 6.4); where that is not known, nothing is written here.

use std::io::IoSlice;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};
use rustix::fs::FileType;
use rustix::io::Errno;

use super::pipe::ready;
use super::pulse::Pulse;

/// A descriptor to write to, and one that becomes readable when that is not to be waited for any more.
#[derive(Debug)]
pub(super) struct Direct {
    fd: OwnedFd,
    alarm: OwnedFd,
    pulse: Arc<Pulse>,
}

/// Not everything was written.
#[derive(Debug)]
pub(super) struct Left {
    /// Bytes that were.
    pub(super) done: usize,
    /// Why not more: [`OPNOTSUPP`](Errno::OPNOTSUPP) if it cannot be done here, [`TIMEDOUT`](Errno::TIMEDOUT) if everything stood
    /// still for too long. `None`: the alarm.
    pub(super) errno: Option<Errno>,
}

impl Direct {
    pub(super) fn new(fd: OwnedFd, alarm: OwnedFd, pulse: Arc<Pulse>) -> Self {
        Direct { fd, alarm, pulse }
    }

    pub(super) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Whether it is a pipe or a socket: nothing else says when it can be written to.
    pub(super) fn is_possible(&self) -> bool {
        let kind = rustix::fs::fstat(&self.fd).map(|stat| FileType::from_raw_mode(stat.st_mode));
        matches!(kind, Ok(FileType::Fifo | FileType::Socket))
    }

    /// Writes `parts`, one behind the other.
    pub(super) fn write(&self, parts: [&[u8]; 3]) -> Result<(), Left> {
        let mut slices = parts.map(IoSlice::new);
        let mut left = &mut slices[..];
        let mut done = 0;
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            match write_now(&self.fd, left) {
                Ok(n) => {
                    self.pulse.went();
                    done += n;
                    IoSlice::advance_slices(&mut left, n);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.wait().map_err(|errno| Left { done, errno })?,
                Err(errno) => return Err(Left { done, errno: Some(errno) }),
            }
        }
        Ok(())
    }

    /// Waits until something can be written. An error without a number is the alarm.
    fn wait(&self) -> Result<(), Option<Errno>> {
        let mut both = [PollFd::new(&self.fd, PollFlags::OUT), PollFd::new(&self.alarm, PollFlags::IN)];
        let since = Instant::now();
        let is_ready = |both: &mut [PollFd<'_>]| {
            let left = self.pulse.left_to_go(since).map_err(|_| Errno::TIMEDOUT)?;
            ready(both, left).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
        };
        while !is_ready(&mut both)? {}
        let [own, alarm] = both;
        if alarm.revents().is_empty() || !own.revents().is_empty() { Ok(()) } else { Err(None) }
    }
}

#[cfg(target_os = "linux")]
fn write_now(fd: &OwnedFd, parts: &[IoSlice<'_>]) -> Result<usize, Errno> {
    use rustix::io::{ReadWriteFlags, pwritev2};

    match pwritev2(fd, parts, u64::MAX, ReadWriteFlags::NOWAIT) {
        Err(Errno::NOSYS | Errno::INVAL) => Err(Errno::OPNOTSUPP),
        result => result,
    }
}

#[cfg(not(target_os = "linux"))]
fn write_now(_: &OwnedFd, _: &[IoSlice<'_>]) -> Result<usize, Errno> {
    Err(Errno::OPNOTSUPP)
}
