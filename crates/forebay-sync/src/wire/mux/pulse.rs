//! `Pulse`: when something has come or gone last, for `--timeout`.
//!
//! As with rsync, a connection is given up when nothing has gone either way for so long. What keeps alive goes even to a side that
//! has stopped, as long as the pipe holds it: so a side that works long on one file is waited for. Before the first list has come,
//! nothing is written, and what comes is all that counts.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::pipe::ready;
use crate::wire::error::WireError;

#[derive(Debug)]
pub(super) struct Pulse {
    timeout: Option<Duration>,
    begun: Instant,
    /// When something has come, and gone, in milliseconds from then on.
    came: AtomicU64,
    went: AtomicU64,
    /// What goes is a sign of life for whoever waits for what comes.
    both: AtomicBool,
    /// Where it comes from. Nobody may be reading that: what is made of it has no room yet.
    from: OnceLock<Weak<OwnedFd>>,
}

impl Pulse {
    pub(super) fn new(timeout: Option<Duration>) -> Self {
        let (came, went, both, from) = <_>::default();
        Pulse { timeout, begun: Instant::now(), came, went, both, from }
    }

    pub(super) fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn came(&self) {
        if self.timeout.is_some() {
            self.came.store(self.now(), Ordering::Relaxed);
        }
    }

    pub(super) fn went(&self) {
        if self.timeout.is_some() {
            self.went.store(self.now(), Ordering::Relaxed);
        }
    }

    /// What comes is read there.
    pub(super) fn hears(&self, from: &Arc<OwnedFd>) {
        self.from.get_or_init(|| Arc::downgrade(from));
    }

    /// Whether something has come that nobody has read.
    fn is_unheard(&self) -> bool {
        let from = self.from.get().and_then(Weak::upgrade);
        from.is_some_and(|from| {
            let mut own = [PollFd::new(&*from, PollFlags::IN)];
            ready(&mut own, Some(Duration::ZERO)).is_ok_and(|ready| ready)
        })
    }

    /// From now on, what goes is a sign of life as well.
    pub(super) fn both_ways(&self) {
        self.both.store(true, Ordering::Relaxed);
    }

    /// How long whoever waits since `since` for what comes may go on. `None`: for ever.
    ///
    /// # Errors
    /// It has been too long.
    pub(super) fn left_to_come(&self, since: Instant) -> Result<Option<Duration>, WireError> {
        let went = self.both.load(Ordering::Relaxed).then(|| self.went.load(Ordering::Relaxed));
        self.left(since, went.unwrap_or_default())
    }

    /// The same, for what goes.
    ///
    /// # Errors
    /// As [`left_to_come`](Pulse::left_to_come).
    pub(super) fn left_to_go(&self, since: Instant) -> Result<Option<Duration>, WireError> {
        let last = || self.went.load(Ordering::Relaxed).max(self.came.load(Ordering::Relaxed));
        self.left(since, last()).or_else(|error| {
            if !self.is_unheard() {
                return Err(error);
            }
            self.came();
            self.left(since, last())
        })
    }

    fn left(&self, since: Instant, last: u64) -> Result<Option<Duration>, WireError> {
        let Some(timeout) = self.timeout else { return Ok(None) };
        let last = self.begun.checked_add(Duration::from_millis(last)).map_or(since, |last| last.max(since));
        match timeout.saturating_sub(last.elapsed()) {
            Duration::ZERO => Err(WireError::Timeout(timeout.as_secs())),
            left => Ok(Some(left)),
        }
    }
}
