//! Why a session cannot go on.

use std::{fmt, io};

use rustix::io::Errno;

use crate::fs;

/// Why nothing more can be read from, or written to, the other side.
#[derive(Debug)]
#[non_exhaustive]
pub(crate) enum WireError {
    /// Reading failed, or the other side is gone.
    Io(io::Error),
    /// Writing failed.
    Write(Errno),
    /// The session has ended for another reason, which whoever found it out says.
    Ended,
    /// The other side says something that the protocol does not allow, or that is beyond a bound: what, and the value.
    Protocol {
        /// What is wrong, in words.
        what: &'static str,
        /// The number that was read, or 0 where none was.
        value: i64,
    },
    /// The two sides have nothing in common: the text says what.
    Unsupported(String),
    /// This is no version of the protocol that is spoken here; it may be the first word of something else.
    Version(i32),
    /// Nothing came, or could be sent, for as long as `--timeout` says: seconds.
    Timeout(u64),
    /// The other side has ended with this exit code.
    Peer(u8),
}

impl WireError {
    /// The other side broke the protocol.
    pub(crate) fn protocol(what: &'static str, value: impl Into<i64>) -> Self {
        WireError::Protocol { what, value: value.into() }
    }

    /// Why the session has ended, in stock rsync's words, as the side that is called `who` and has read so many bytes says it.
    pub(crate) fn told(&self, who: &str, received: u64) -> String {
        match self {
            WireError::Io(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => {
                format!("rsync: {self} ({received} bytes received so far) [{who}]")
            }
            WireError::Timeout(_) => format!("[{who}] io {self} -- exiting"),
            WireError::Version(version) if !(20..30).contains(version) => {
                format!("{self}\n(see the rsync manpage for an explanation)")
            }
            // As with rsync, whose generator is the one that writes.
            WireError::Write(_) => format!("rsync: [{}] {self}", if who == "sender" { who } else { "generator" }),
            WireError::Unsupported(text) => text.clone(),
            // It has said why.
            WireError::Peer(_) => String::new(),
            _ => format!("rsync: {self}"),
        }
    }

    /// rsync's exit code for it.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            WireError::Io(_) | WireError::Ended | WireError::Protocol { .. } => 12,
            WireError::Write(_) => 10,
            WireError::Unsupported(_) => 4,
            WireError::Version(_) => 2,
            WireError::Timeout(_) => 30,
            WireError::Peer(code) => *code,
        }
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WireError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                f.write_str("connection unexpectedly closed")
            }
            WireError::Io(error) => write!(f, "connection: {error}"),
            WireError::Write(errno) => write!(f, "write error: {}", fs::describe(*errno)),
            WireError::Ended => f.write_str("the session has ended"),
            WireError::Protocol { what, value } => write!(f, "protocol error: {what} ({value})"),
            WireError::Unsupported(text) => f.write_str(text),
            WireError::Version(version) if (20..30).contains(version) => {
                write!(
                    f,
                    "the other side speaks version {version} of the protocol; 30 is the oldest that is spoken here"
                )
            }
            WireError::Version(_) => f.write_str("protocol version mismatch -- is your shell clean?"),
            WireError::Timeout(seconds) => write!(f, "timeout after {seconds} seconds"),
            WireError::Peer(code) => write!(f, "the other side ended with exit code {code}"),
        }
    }
}

impl std::error::Error for WireError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            WireError::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        // What was found out while reading comes through `Read` as an error of its own kind.
        error.downcast::<WireError>().unwrap_or_else(WireError::Io)
    }
}

impl From<WireError> for io::Error {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Io(error) => error,
            error => io::Error::other(error),
        }
    }
}
