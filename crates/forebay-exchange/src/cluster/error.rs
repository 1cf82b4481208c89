//! `ClusterError`, `Refusal`, `Cause`: why processes do not come together, and why one of them is taken for lost.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Why a cluster cannot be formed or used. A peer that is lost later is [`PeerLost`](crate::ExchangeError::PeerLost).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ClusterError {
    /// The options contradict each other.
    Options {
        /// What is wrong with them.
        problem: String,
    },
    /// A line of a hosts file is not an address.
    Hosts {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1; none if the file as a whole is meant.
        line: Option<usize>,
        /// What is wrong with it.
        problem: String,
    },
    /// A secret file cannot be used.
    Secret {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// A file cannot be read.
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// Nobody can connect to this process.
    Listen {
        /// Where it was to listen.
        address: String,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The system has no random numbers for the handshake.
    Random {
        /// What it said.
        problem: String,
    },
    /// A peer with a smaller number could not be reached, or it refused this process.
    Connect {
        /// The peer.
        process: usize,
        /// Its address.
        address: String,
        /// For how long it was tried.
        within: Duration,
        /// Why the last attempt failed.
        cause: Attempt,
    },
    /// A peer with a larger number has not connected.
    Missing {
        /// The peer.
        process: usize,
        /// Its address.
        address: String,
        /// For how long it was waited for.
        within: Duration,
        /// Why somebody who claimed to be that peer was refused, if anybody did.
        refused: Option<Refusal>,
    },
    /// A peer runs another number of workers.
    Workers {
        /// The peer.
        process: usize,
        /// Its workers.
        theirs: usize,
        /// The workers of this process.
        ours: usize,
    },
    /// What has to be the same in all processes is not ([`Cluster::agree`](super::Cluster::agree)).
    Differs {
        /// A peer where it is another.
        process: usize,
        /// What it is there, or how that begins.
        theirs: String,
        /// What it is here, or how that begins.
        ours: String,
    },
    /// The cluster has run already: its connections carry one run.
    Used,
    /// The number of a barrier is not larger than that of the barrier before.
    Barrier {
        /// The number.
        number: u64,
        /// The number before.
        last: u64,
    },
}

/// Why an attempt to connect failed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Attempt {
    /// The network or the system failed.
    Io(Arc<io::Error>),
    /// One side refused the other.
    Refused(Refusal),
}

/// Why one side of a handshake refuses the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// What came is no handshake of this protocol: a port scanner, a browser, another service.
    Stranger,
    /// It went away or said nothing more before the handshake was complete.
    Silent,
    /// It speaks another version of the protocol.
    Version {
        /// Its version.
        theirs: u32,
    },
    /// Its machine stores numbers in the other byte order, and rows travel as they lie in memory.
    ByteOrder,
    /// It runs another job.
    Job,
    /// It counts another number of processes.
    Count {
        /// Its number.
        theirs: u32,
    },
    /// It has another number than the one that belongs at this end of the connection.
    Number {
        /// Its number.
        theirs: u32,
    },
    /// It does not know the secret.
    Secret,
    /// A process of this number is there already.
    Duplicate,
    /// The run goes on with another incarnation of this process.
    Running,
    /// The run has ended.
    Over,
}

/// Why a peer is taken for lost.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// Its connection closed before it said goodbye: it was killed, or ended without closing the cluster.
    Closed,
    /// Its connection broke.
    Broken(String),
    /// It has said nothing for so long: it is stopped, its machine hangs, or the network between is cut.
    Silent(Duration),
    /// Another incarnation of it has connected: it was started again while the run went on.
    Replaced,
    /// It sent what no process of this version sends.
    Garbled(String),
    /// It said goodbye while others still waited for it.
    Left,
    /// It takes this process for lost, for this reason.
    Accuses(String),
}

impl fmt::Display for ClusterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Options { problem } => write!(f, "the cluster's options: {problem}"),
            Self::Hosts { path, line: Some(line), problem } => write!(f, "{}, line {line}: {problem}", path.display()),
            Self::Hosts { path, line: None, problem } => write!(f, "{}: {problem}", path.display()),
            Self::Secret { path, problem } => write!(f, "the secret file {}: {problem}", path.display()),
            Self::Read { path, source } => write!(f, "cannot read {}: {source}", path.display()),
            Self::Listen { address, source } => write!(
                f,
                "cannot listen on {address}: {source}; is this the machine that the hosts file names, and is the port free?"
            ),
            Self::Random { problem } => write!(f, "the system gives no random numbers: {problem}"),
            Self::Connect { process, address, within, cause } => {
                write!(f, "cannot connect to process {process} ({address}) within {within:?}: ")?;
                match cause {
                    Attempt::Io(error) => write!(f, "{error}; is it started?"),
                    Attempt::Refused(refusal) => write!(f, "one of the two says that the other {refusal}"),
                }
            }
            Self::Missing { process, address, within, refused } => {
                write!(f, "process {process} ({address}) has not connected within {within:?}")?;
                match refused {
                    Some(refusal) => write!(f, "; somebody of that number {refusal}"),
                    None => f.write_str("; is it started?"),
                }
            }
            Self::Workers { process, theirs, ours } => write!(
                f,
                "process {process} runs {theirs} workers and this one {ours}; start all processes with the same number"
            ),
            Self::Differs { process, theirs, ours } => {
                write!(f, "process {process} has {theirs}, and this one {ours}; they must be the same")
            }
            Self::Used => f.write_str("the cluster has run already; connect another one"),
            Self::Barrier { number, last } => {
                write!(f, "barrier {number} comes after barrier {last}; numbers must grow")
            }
        }
    }
}

impl std::error::Error for ClusterError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read { source, .. } | Self::Listen { source, .. } => Some(&**source),
            Self::Connect { cause: Attempt::Io(source), .. } => Some(&**source),
            _ => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stranger => f.write_str("is no process of a forebay cluster"),
            Self::Silent => f.write_str("did not complete the handshake"),
            Self::Version { theirs } => {
                write!(f, "speaks version {theirs} of the protocol, not {}", super::hello::VERSION)
            }
            Self::ByteOrder => f.write_str("has the other byte order"),
            Self::Job => f.write_str("runs another job: all processes need the same arguments"),
            Self::Count { theirs } => write!(f, "counts {theirs} processes: all need the same hosts file"),
            Self::Number { theirs } => {
                write!(f, "says that it is process {theirs}: is the order of the hosts the same?")
            }
            Self::Secret => f.write_str("has another secret: all processes need the same secret file"),
            Self::Duplicate => f.write_str("has a number that is taken: was a process started twice?"),
            Self::Running => f.write_str("came back into a run that goes on: start all processes again"),
            Self::Over => f.write_str("came to a run that has ended"),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("its connection closed before it had finished"),
            Self::Broken(problem) => write!(f, "its connection broke: {problem}"),
            Self::Silent(time) => write!(f, "it has said nothing for {} ms", time.as_millis()),
            Self::Replaced => f.write_str("it was started again while the run went on"),
            Self::Garbled(problem) => write!(f, "it sent what no process sends: {problem}"),
            Self::Left => f.write_str("it left while others waited for it"),
            Self::Accuses(problem) => write!(f, "it takes this process for lost: {problem}"),
        }
    }
}
