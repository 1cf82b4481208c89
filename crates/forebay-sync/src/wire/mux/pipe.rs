//! A pipe, or whatever the connection is made of: how much it holds, and when it is ready.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, Timespec, poll};
use rustix::io::Errno;

/// Bytes that are read at a time, and that a pipe holds: with the 64 KiB that it is made with, both ends wait for each other
/// four times as often.
pub(super) const READ: usize = 256 << 10;

/// Has a pipe hold more. What is no pipe, or may not be widened, stays as it is.
pub(super) fn widen(fd: &OwnedFd) {
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
