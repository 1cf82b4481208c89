//! A session from its first byte to its last: as a client, which starts the other side, or as a server, which was started.

mod child;
mod client;
mod connection;
mod heard;
mod sending;
mod server;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

pub use client::{pull, push};
pub use connection::Connection;
pub use server::{Served, serve};

use heard::Messages;

use super::mux::{Incoming, MuxReader, Outgoing};
use super::receiver::{self, Mail, Mailbox};
use super::sender::{self, Arrivals};
use super::terms::Terms;
use crate::options::Options;

/// Whether lists may follow one by one, as far as this side is concerned.
fn may_be_incremental(options: &Options, sends: bool) -> bool {
    if sends { sender::may_be_incremental(options) } else { receiver::may_be_incremental(options) }
}

/// A connection whose terms are known.
struct Opened<'o> {
    terms: Terms,
    from: &'o mut MuxReader<Incoming, Messages>,
    outgoing: &'o Outgoing,
    /// Bytes that have come.
    received: Arc<AtomicU64>,
    mailbox: &'o Mailbox,
    mail: Mail,
    arrivals: Arrivals,
}
