//! Several processes: how they find each other, how they notice that one is gone, and how they end.
//!
//! Between each pair of processes there are two connections, both from the larger number to the smaller: *data*, which
//! timely uses, and *control*, with a thread of its own for heartbeats, barriers and the end of the run.
//!
//! | module | noun |
//! |---|---|
//! | `options` | `ClusterOptions`: hosts, secret, job, deadline |
//! | `hello` | `Hello`: the handshake's frames and proofs |
//! | `door`, `knock` | the two sides of the handshake: the listening socket, the attempts to connect |
//! | `membership`, `peer` | what is known of the others; the one story of how it ended |
//! | `together` | barriers, goodbyes, what a run needs |
//! | `verdict` | whether what all have published stays, or is taken back by all |
//! | `frame`, `control` | what is said on a control connection, and the thread that says and hears it |
//! | `walk`, `stream` | the data connection as timely sees it: boundaries checked, failures kept from it |
//!
//! # How a run ends
//!
//! *Well*: timely ends on every process; each tells the others and [`execute`](crate::execute) returns when all have. The
//! processes still watch each other, so that they can publish together ([`Cluster::ready`], [`Cluster::conclude`]), until each has called
//! [`Cluster::close`], which says goodbye and waits for the others' goodbye. Only a connection that closes after a
//! goodbye is no loss. So it does not matter who is first: whoever is waits, and whoever dies before it has said
//! goodbye is noticed by all who wait. What was lost after [`Cluster::conclude`] is no failure of what all have published.
//!
//! *Badly*: the first reason that a process sees becomes its story. It tells the others, cuts its data connections, and
//! has its workers leave. A process that hears a story makes it its own, and one that hears that it is lost itself passes
//! that on. So all end with the same one, in milliseconds; a peer that is stopped or cut off is noticed after the deadline.
//!
//! *Not seen*: a worker that computes for ever in a process that is alive.

mod control;
mod door;
mod error;
mod frame;
mod hello;
mod knock;
mod membership;
mod options;
mod peer;
mod snapshot;
mod stream;
mod together;
mod verdict;
mod walk;

use std::fmt;
use std::net::TcpListener;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Instant;

use twox_hash::XxHash3_64;

pub use error::{Attempt, Cause, ClusterError, Refusal};
pub use frame::Frame;
pub use hello::{Hello, Role};
pub use options::ClusterOptions;
pub use snapshot::{ClusterSnapshot, PeerSnapshot};

pub(crate) use membership::Membership;
pub(crate) use stream::{DataStream, Gone};
pub(crate) use walk::Walk;

use crate::error::ExchangeError;
use door::Door;
use frame::TEXT;
use hello::Identity;

/// This process among its peers. It runs once ([`Runtime::Cluster`](crate::Runtime::Cluster)).
///
/// [`close`](Cluster::close) is the only orderly end. Dropped without it, because of an early `?` or a panic, it tells
/// the others that this process has failed.
pub struct Cluster {
    membership: Arc<Membership>,
    /// Closed after everything else.
    _door: Door,
}

impl Cluster {
    /// Connects to all other processes, and is connected to by them. Strangers that connect meanwhile and later are refused.
    ///
    /// # Errors
    /// [`ExchangeError::Cluster`] if the options are wrong or the processes do not come together within the deadline;
    /// the processes that this one has reached are told. `PeerLost` or `Aborted` if one of them ends while others are waited for.
    /// Resolving a host name may take longer than the deadline: the system has no limit for that.
    pub fn connect(options: ClusterOptions) -> Result<Cluster, ExchangeError> {
        let since = Instant::now();
        options.check()?;
        let ClusterOptions { hosts, process, listener, secret, job, deadline } = options;
        let identity = Identity::new(process as u32, hosts.len() as u32, &job, secret.unwrap_or_default())?;
        let identity = Arc::new(identity);
        let listen = |error| ClusterError::Listen { address: hosts[process].clone(), source: Arc::new(error) };
        let listener = listener.map_or_else(|| TcpListener::bind(&hosts[process]), Ok).map_err(listen)?;
        let membership = Membership::new(process, hosts.clone(), deadline);
        let door = Door::open(listener, &identity, &membership).map_err(listen)?;
        // From here on the cluster tells the others if it is dropped.
        let cluster = Cluster { membership, _door: door };
        cluster.form(&identity, since).inspect_err(|error| cluster.membership.end(error.clone()))?;
        Ok(cluster)
    }

    fn form(&self, identity: &Identity, since: Instant) -> Result<(), ExchangeError> {
        for process in 0..self.membership.me {
            // Control first: a data connection belongs to the incarnation that it shows.
            knock::knock(process, Role::Control, identity, &self.membership, since)?;
            knock::knock(process, Role::Data, identity, &self.membership, since)?;
        }
        self.membership.form(since)
    }

    /// The number of this process.
    pub fn process(&self) -> usize {
        self.membership.me
    }

    /// The number of processes.
    pub fn processes(&self) -> usize {
        self.membership.hosts.len()
    }

    /// Runs `work` on a thread of its own, called `name`, and returns what it gives. It may wait for what never comes, a pipe
    /// that gives nothing, say: when the run has ended meanwhile, this returns, and the thread is left to itself.
    ///
    /// # Errors
    /// Why the run has ended; [`ExchangeError::Thread`] if there is no thread.
    ///
    /// # Panics
    /// If `work` does.
    pub fn beside<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ExchangeError> {
        let (done, value) = mpsc::sync_channel(1);
        let membership = Arc::clone(&self.membership);
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            let value = catch_unwind(AssertUnwindSafe(work));
            // Nobody waits for it any more if the run has ended.
            let _ = done.send(value);
            membership.stir();
        });
        thread.map_err(|error| ExchangeError::Thread { name: name.to_owned(), cause: error.to_string() })?;
        let value = self.membership.await_here(|| value.try_recv().ok())?;
        Ok(value.unwrap_or_else(|panic| resume_unwind(panic)))
    }

    /// Returns when all processes have said what has to be the same everywhere, and it is. To be called once, by all.
    ///
    /// # Errors
    /// [`ClusterError::Differs`]; why the run has ended.
    pub fn agree(&self, text: &str) -> Result<(), ExchangeError> {
        let hash = XxHash3_64::oneshot(text.as_bytes());
        let ours = text[..text.floor_char_boundary(TEXT)].to_owned();
        self.membership.tell(&Frame::Agree { hash, text: ours.clone() });
        self.membership.await_all(|peer| peer.agreed.is_some())?;
        match self.membership.differs(hash) {
            Some((process, theirs)) => Err(ClusterError::Differs { process, theirs, ours }.into()),
            None => Ok(()),
        }
    }

    /// Returns when all processes have entered barrier `number`. Each process enters the same barriers in the same order, and
    /// the numbers grow; they need not be consecutive. Never call it in a dataflow operator: it waits.
    ///
    /// # Errors
    /// Why the run has ended; [`ClusterError::Barrier`] for a number that is not larger than the one before.
    pub fn barrier(&self, number: u64) -> Result<(), ExchangeError> {
        self.membership.enter(number)?;
        self.membership.tell(&Frame::Enter { number });
        self.membership.await_all(|peer| peer.entered >= Some(number))
    }

    /// Returns when all processes are ready to publish. What is slow or may fail should be done before this call, and nothing but a
    /// rename behind it: then to [`conclude`](Self::conclude). `mark` is a number by which the others may know what this process is
    /// about to publish ([`marks`](Self::marks)). To be called once, by all.
    ///
    /// # Errors
    /// Why the run has ended.
    pub fn ready(&self, mark: u64) -> Result<(), ExchangeError> {
        self.membership.tell(&Frame::Ready { mark });
        self.membership.await_all(|peer| peer.ready.is_some())
    }

    /// This process has published: returns when all have, and nobody will take it back. Who is lost after that is no failure. To
    /// be called by all, after [`ready`](Self::ready).
    ///
    /// # Errors
    /// Why the run has ended before. What was published is to be taken back: all the others that still run do the same.
    pub fn conclude(&self) -> Result<(), ExchangeError> {
        self.membership.conclude()
    }

    /// The processes that have said that they are [`ready`](Self::ready), and their marks.
    pub fn marks(&self) -> Vec<(usize, u64)> {
        self.membership.marks()
    }

    /// Ends the run for all processes, because of `error`: each of them ends with
    /// [`Aborted`](ExchangeError::Aborted). For failures outside of [`execute`](crate::execute), which tells of its own.
    pub fn abort(&self, error: &ExchangeError) {
        self.membership.end(error.clone());
    }

    /// Says goodbye, and waits until all others have. To be called after [`execute`](crate::execute) has returned well and the output
    /// is published.
    ///
    /// # Errors
    /// Why the run has ended before all had said goodbye.
    pub fn close(self) -> Result<(), ExchangeError> {
        self.membership.part();
        let closed = self.membership.await_all(|peer| peer.goodbye);
        self.membership.finish();
        closed
    }

    /// What the connections have done so far.
    pub fn snapshot(&self) -> ClusterSnapshot {
        self.membership.snapshot()
    }

    pub(crate) fn membership(&self) -> &Arc<Membership> {
        &self.membership
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if !self.membership.is_over() {
            self.membership.end(ExchangeError::Aborted {
                process: self.membership.me,
                address: self.membership.hosts[self.membership.me].clone(),
                reason: "it ended before the run was over".to_owned(),
            });
        }
        self.membership.finish();
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Membership { me, hosts, deadline, .. } = &*self.membership;
        f.debug_struct("Cluster")
            .field("process", me)
            .field("hosts", hosts)
            .field("deadline", deadline)
            .finish_non_exhaustive()
    }
}
