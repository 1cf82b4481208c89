//! The multiplexed stream: section 4 of the protocol. Data and messages share one direction of the connection, in frames.
//!
//! Writing has a thread of its own. Whoever sends data waits while much of it is not written yet, or writes it himself where it is
//! much; whoever sends a message never waits. So a thread that reads can say something without ever depending on what the other side reads.

mod counted;
mod direct;
mod incoming;
mod outgoing;
mod pipe;
mod pulse;
mod reader;
mod tag;
#[cfg(test)]
mod tests;

pub(crate) use counted::Counted;
pub(crate) use incoming::{Incoming, ReadAhead};
pub(crate) use outgoing::{Outgoing, Writing};
pub(crate) use pipe::ready;
pub(crate) use reader::{Messages, MuxReader};
pub(crate) use tag::Tag;
