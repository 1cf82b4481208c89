//! What the processes of a [`Membership`] do together: barriers, goodbyes, and what a run needs of it.

use std::net::TcpStream;
use std::sync::PoisonError;

use super::error::{Cause, ClusterError};
use super::frame::Frame;
use super::membership::Membership;
use super::peer::Peer;
use crate::error::ExchangeError;
use crate::failure::Failure;

impl Membership {
    // What all do together.

    /// Sends `frame` to everybody.
    pub(crate) fn tell(&self, frame: &Frame) {
        let controls: Vec<_> = self.lock().peers.iter().flatten().map(|peer| peer.control.clone()).collect();
        controls.iter().for_each(|control| control.send(frame));
    }

    /// Says goodbye to everybody.
    pub(crate) fn part(&self) {
        self.lock().goodbye = true;
        self.tell(&Frame::Goodbye);
    }

    /// Waits until `done` holds for each peer, or the run has ended. A peer that has said goodbye will not bring it about any
    /// more, so that is a loss.
    pub(crate) fn await_all(&self, done: impl Fn(&Peer) -> bool) -> Result<(), ExchangeError> {
        let mut state = self.lock();
        loop {
            if let Some(story) = &state.story {
                return Err(story.clone());
            }
            let mut late = state.peers.iter().flatten().filter(|peer| !done(peer));
            match late.next() {
                None => return Ok(()),
                Some(first) => {
                    let left = std::iter::once(first).chain(late).find(|peer| peer.goodbye);
                    if let Some(process) = left.map(|peer| peer.seen.process) {
                        drop(state);
                        self.lost(process, Cause::Left);
                        state = self.lock();
                        continue;
                    }
                }
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until `there` gives something, or the run has ended. Who brings it about has to [`stir`](Self::stir) afterwards.
    pub(crate) fn await_here<T>(&self, there: impl Fn() -> Option<T>) -> Result<T, ExchangeError> {
        let mut state = self.lock();
        loop {
            match (&state.story, there()) {
                (Some(story), _) => return Err(story.clone()),
                (None, Some(value)) => return Ok(value),
                (None, None) => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Something has changed that is not of the state: whoever waits looks again.
    pub(crate) fn stir(&self) {
        // Whoever has looked in vain and holds the lock still is waiting when it is free.
        drop(self.lock());
        self.changed.notify_all();
    }

    /// The first peer that does not say the same, and what it says.
    pub(crate) fn differs(&self, hash: u64) -> Option<(usize, String)> {
        let state = self.lock();
        let mut said = state.peers.iter().flatten().filter_map(|peer| Some((peer.seen.process, peer.agreed.as_ref()?)));
        said.find(|(_, (theirs, _))| *theirs != hash).map(|(process, (_, text))| (process, text.clone()))
    }

    /// This process enters barrier `number`.
    pub(crate) fn enter(&self, number: u64) -> Result<(), ClusterError> {
        let mut state = self.lock();
        match state.entered.replace(number) {
            Some(last) if last >= number => {
                state.entered = Some(last);
                Err(ClusterError::Barrier { number, last })
            }
            _ => Ok(()),
        }
    }

    // What a run needs.

    /// Begins the one run: `failure` hears of the story from now on.
    pub(crate) fn attach(&self, failure: &Failure) -> Result<(), ExchangeError> {
        let mut state = self.lock();
        if std::mem::replace(&mut state.used, true) {
            return Err(ClusterError::Used.into());
        }
        state.failure = Some(failure.clone());
        match &state.story {
            Some(story) => Err(story.clone()),
            None => Ok(()),
        }
    }

    /// The numbers of workers of all peers.
    pub(crate) fn workers(&self) -> Vec<(usize, u64)> {
        let state = self.lock();
        state.peers.iter().flatten().filter_map(|peer| Some((peer.seen.process, peer.workers?))).collect()
    }

    /// Handles of the data connections, by process.
    pub(crate) fn data(&self) -> std::io::Result<Vec<Option<TcpStream>>> {
        let state = self.lock();
        let data = |peer: &Option<Peer>| peer.as_ref().and_then(|peer| peer.data.as_ref()).map(TcpStream::try_clone);
        state.peers.iter().map(|peer| data(peer).transpose()).collect()
    }

    /// One more handle of a data connection is held.
    pub(crate) fn hold(&self) {
        self.lock().streams += 1;
    }

    /// One handle less.
    pub(crate) fn release(&self) {
        self.lock().streams -= 1;
        self.changed.notify_all();
    }

    /// Waits until timely holds no data connection any more, or the run has ended.
    pub(crate) fn await_streams(&self) -> Result<(), ExchangeError> {
        let state = self.lock();
        let state = self.changed.wait_while(state, |state| state.streams > 0 && state.story.is_none());
        state.unwrap_or_else(PoisonError::into_inner).story.clone().map_or(Ok(()), Err)
    }

    /// The run has failed and its workers have left: waits a moment until timely's threads have let go of the connections.
    pub(crate) fn settle(&self) {
        let state = self.lock();
        drop(self.changed.wait_timeout_while(state, self.moment(), |state| state.streams > 0));
    }
}
