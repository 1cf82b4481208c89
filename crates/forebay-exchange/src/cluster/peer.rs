//! `Peer`: what this process knows of another one, and the write side of the connections to it.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::frame::Frame;
use super::snapshot::PeerSnapshot;

/// The write side of a control connection: one frame at a time.
#[derive(Clone)]
pub(crate) struct Control(Arc<Mutex<TcpStream>>);

impl Control {
    /// `patience` bounds each write: frames are small, so only a peer that has not read for long makes one wait.
    pub(crate) fn new(stream: TcpStream, patience: Duration) -> std::io::Result<Control> {
        stream.set_write_timeout(Some(patience))?;
        Ok(Control(Arc::new(Mutex::new(stream))))
    }

    /// Sends a frame. A failure is not reported: what has become of a peer is judged by what comes from it, and by that
    /// alone, or a peer that says why it ends and closes would be taken for one that was killed.
    pub(crate) fn send(&self, frame: &Frame) {
        let _ = self.lock().write_all(&frame.encode());
    }

    /// Nothing more will be sent.
    pub(crate) fn finish(&self) {
        let _ = self.lock().shutdown(Shutdown::Write);
    }

    /// Ends the connection in both directions; a thread that reads from it sees the end.
    pub(crate) fn cut(&self) {
        let _ = self.lock().shutdown(Shutdown::Both);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, TcpStream> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One peer.
pub(crate) struct Peer {
    pub(crate) incarnation: [u8; 16],
    pub(crate) control: Control,
    pub(crate) data: Option<TcpStream>,
    /// How many workers it says that it runs, once it starts.
    pub(crate) workers: Option<u64>,
    /// What it says is the same everywhere, and its hash.
    pub(crate) agreed: Option<(u64, String)>,
    /// The number of the last barrier that it has entered.
    pub(crate) entered: Option<u64>,
    /// The mark of what it has ready to be published.
    pub(crate) ready: Option<u64>,
    /// It has published.
    pub(crate) published: bool,
    /// The last question that it has answered.
    pub(crate) answered: u64,
    /// Its part of the run has ended well.
    pub(crate) ended: bool,
    /// It has said goodbye: that its connection closes is no loss.
    pub(crate) goodbye: bool,
    pub(crate) seen: PeerSnapshot,
}
